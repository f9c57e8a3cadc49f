//! Bytes to text.

use crate::Refusal;

/// The text of a file: UTF-8, with any line ends, without the byte order mark that some editors
/// write.
pub fn text(bytes: Vec<u8>) -> Result<String, Refusal> {
    let mut text = utf8(bytes)?;
    if let Some(zero) = text.find('\0') {
        return Err(Refusal::Binary {
            line: line_of(text.as_bytes(), zero),
        });
    }
    if text.starts_with(MARK) {
        text.drain(..MARK.len_utf8());
    }
    Ok(text)
}

/// Text of a language in which all line ends are equal: scripts, YAML, JSON, TOML. They become LF,
/// so that every parser counts the same lines.
pub fn source(bytes: Vec<u8>) -> Result<String, Refusal> {
    let text = text(bytes)?;
    match text.contains('\r') {
        true => Ok(text.replace("\r\n", "\n").replace('\r', "\n")),
        false => Ok(text),
    }
}

/// The bytes unchanged, if they are UTF-8.
pub fn utf8(bytes: Vec<u8>) -> Result<String, Refusal> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(Refusal::Utf16);
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        Refusal::NotUtf8 {
            byte: bytes[at],
            line: line_of(bytes, at),
        }
    })
}

/// The byte order mark.
const MARK: char = '\u{feff}';

/// The line of the byte at `at`, from 1. A line ends with LF, CR LF or CR.
fn line_of(bytes: &[u8], at: usize) -> usize {
    let ends = (0..at).filter(|&i| match bytes[i] {
        b'\n' => true,
        b'\r' => bytes.get(i + 1) != Some(&b'\n'),
        _ => false,
    });
    ends.count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes: &[u8]) -> String {
        text(bytes.to_vec()).unwrap_or_else(|refusal| refusal.to_string())
    }

    #[test]
    fn text_is_kept_but_for_the_mark_at_its_start() {
        for kept in ["", "a\r\nb", "a\rb\nc\r\n", "é\u{2028}\u{feff}"] {
            assert_eq!(said(kept.as_bytes()), kept);
        }
        assert_eq!(said("\u{feff}a\u{feff}".as_bytes()), "a\u{feff}");
        assert_eq!(utf8("\u{feff}a".into()).unwrap(), "\u{feff}a");
        assert_eq!(
            source("\u{feff}a\r\nb\rc\nd\r\r\n".into()).unwrap(),
            "a\nb\nc\nd\n\n"
        );
    }

    #[test]
    fn what_is_no_utf8_is_refused_with_its_place() {
        assert_eq!(
            said(b"a\r\nb\rcaf\xe9"),
            "it is not UTF-8: byte 0xe9 in line 3"
        );
        assert_eq!(
            said(b"\xff\xfea\0"),
            "it is UTF-16, not UTF-8: save it as UTF-8"
        );
        assert_eq!(
            said(b"\xfe\xff\0a"),
            "it is UTF-16, not UTF-8: save it as UTF-8"
        );
        // UTF-16 without a mark, or no text at all.
        assert_eq!(
            said(b"a\n\0b\0"),
            "it is not UTF-8 text: a zero byte in line 2"
        );
    }
}
