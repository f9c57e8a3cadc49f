//! Decodes escapes in texts before the search for secrets.
//!
//! An error page may have `&#115;` for a letter, JSON within JSON `\u0073`, an address `%73`, a
//! mail `=73`; editors add zero-width characters, terminals colours. Most texts have none of these,
//! so the first pass only looks for bytes that may begin one; a text without escapes is not copied.
//!
//! The decoded text is never shown: it is searched, and a hit is cut out of the original text.

/// Most layers of escapes that are decoded: JSON in an address in a page has three.
pub(super) const LAYERS_MAX: usize = 3;

/// Longest terminal sequence that is skipped.
const SEQUENCE_BYTES_MAX: usize = 256;

/// HTML entities of characters that occur in keys and passwords.
const ENTITIES: [(&[u8], u8); 6] = [
    (b"amp;", b'&'),
    (b"lt;", b'<'),
    (b"gt;", b'>'),
    (b"quot;", b'"'),
    (b"apos;", b'\''),
    (b"nbsp;", b' '),
];

/// Bytes examined together.
const BLOCK_BYTES: usize = 64;

/// A text with decoded escapes.
pub(super) struct Undone {
    pub(super) bytes: Vec<u8>,
    /// The copied parts and the decoded escapes, in order.
    runs: Vec<Run>,
    /// Length of the original text.
    length: usize,
}

struct Run {
    /// Its begin in the decoded text.
    begin: usize,
    /// Its begin in the original text.
    was: usize,
    is_as_it_was: bool,
}

impl Undone {
    /// The offset in the original text of the byte at `at`; its length for the end.
    pub(super) fn was_at(&self, at: usize) -> usize {
        if at == self.bytes.len() {
            return self.length;
        }
        let run = self
            .runs
            .partition_point(|run| run.begin <= at)
            .checked_sub(1);
        run.and_then(|run| self.runs.get(run))
            .map_or(at, |run| match run.is_as_it_was {
                true => run.was + (at - run.begin),
                false => run.was,
            })
    }

    fn take(&mut self, meant: &[u8], was: usize, is_as_it_was: bool) {
        if !meant.is_empty() {
            self.runs.push(Run {
                begin: self.bytes.len(),
                was,
                is_as_it_was,
            });
            self.bytes.extend_from_slice(meant);
        }
    }
}

/// `text` with one layer of escapes decoded; `None` if there are none.
pub(super) fn undone(text: &[u8]) -> Option<Undone> {
    let mut at = next(text, 0)?;
    let bytes = Vec::with_capacity(text.len());
    let mut undone = Undone {
        bytes,
        runs: vec![],
        length: text.len(),
    };
    undone.take(&text[..at], 0, true);
    while let Some(Escape { length, meant }) = text.get(at..).and_then(escape) {
        match meant {
            Meant::Nothing => {}
            Meant::Byte(byte) => undone.take(&[byte], at, false),
            Meant::Char(char) => undone.take(char.encode_utf8(&mut [0; 4]).as_bytes(), at, false),
        }
        let after = at + length;
        at = next(text, after).unwrap_or(text.len());
        undone.take(&text[after..at], after, true);
    }
    Some(undone)
}

/// The begin of the next escape, from `from` on.
fn next(text: &[u8], from: usize) -> Option<usize> {
    let begins = |at: &usize| may_begin(text[*at]) && escape(&text[*at..]).is_some();
    let mut begin = from;
    // Each block includes one more byte, because an escape may begin with its last.
    while let Some(block) = text.get(begin..).and_then(|rest| rest.first_chunk()) {
        if may_have_escapes(block)
            && let Some(at) = (begin..begin + BLOCK_BYTES).find(begins)
        {
            return Some(at);
        }
        begin += BLOCK_BYTES;
    }
    (begin..text.len()).find(begins)
}

/// Whether an escape may begin with this byte.
fn may_begin(byte: u8) -> bool {
    matches!(
        byte,
        b'\\' | b'&' | b'%' | b'=' | 0x1b | 0xc2 | 0xe1 | 0xe2 | 0xef | 0xf3
    )
}

/// Whether any two consecutive bytes could begin an escape. Branch-free, so that many bytes are
/// examined in one step.
fn may_have_escapes(block: &[u8; BLOCK_BYTES + 1]) -> bool {
    let mut any = 0_u8;
    for at in 0..BLOCK_BYTES {
        let (a, b) = (block[at], block[at + 1]);
        let is = |one: u8, other: u8| u8::from(one == other);
        let within = |byte: u8, first: u8, count: u8| u8::from(byte.wrapping_sub(first) < count);
        let digit = within(b, b'0', 10);
        let hex = digit | within(b & !0x20, b'A', 6);
        let slashed = digit
            | is(b, b'u')
            | is(b, b'x')
            | is(b, b'\\')
            | is(b, b'/')
            | is(b, b'"')
            | is(b, b'\'');
        let named =
            is(b, b'#') | is(b, b'a') | is(b, b'l') | is(b, b'g') | is(b, b'q') | is(b, b'n');
        any |= (is(a, b'\\') & slashed)
            | (is(a, b'&') & named)
            | ((is(a, b'%') | is(a, b'=')) & hex)
            | (is(a, b'=') & (is(b, b'\n') | is(b, b'\r')))
            | is(a, 0x1b)
            | (is(a, 0xc2) & is(b, 0xad))
            | (is(a, 0xe1) & is(b, 0xa0))
            | (is(a, 0xe2) & within(b, 0x80, 2))
            | (is(a, 0xef) & (is(b, 0xb8) | is(b, 0xbb)))
            | is(a, 0xf3);
    }
    any != 0
}

struct Escape {
    length: usize,
    meant: Meant,
}

enum Meant {
    Nothing,
    Byte(u8),
    Char(char),
}

/// The escape at the beginning of `text`.
fn escape(text: &[u8]) -> Option<Escape> {
    let found = |length, meant| Some(Escape { length, meant });
    match text {
        [b'\\', b'u', rest @ ..] => {
            let digits = rest.get(..4)?;
            found(6, Meant::Char(char::from_u32(number(digits, 16)?)?))
        }
        [b'\\', b'x', rest @ ..] => {
            found(4, Meant::Byte(number(rest.get(..2)?, 16)?.try_into().ok()?))
        }
        [b'\\', b'0'..=b'3', ..] => {
            found(4, Meant::Byte(number(text.get(1..4)?, 8)?.try_into().ok()?))
        }
        [b'\\', byte @ (b'\\' | b'/' | b'"' | b'\''), ..] => found(2, Meant::Byte(*byte)),
        [b'&', b'#', rest @ ..] => {
            let (base, before) = if matches!(rest, [b'x' | b'X', ..]) {
                (16, 3)
            } else {
                (10, 2)
            };
            let digits = text[before..]
                .iter()
                .take(8)
                .take_while(|byte| byte.is_ascii_hexdigit())
                .count();
            let char = char::from_u32(number(&text[before..before + digits], base)?)?;
            found(
                before + digits + usize::from(text.get(before + digits) == Some(&b';')),
                Meant::Char(char),
            )
        }
        [b'&', rest @ ..] => {
            let (name, byte) = ENTITIES.iter().find(|(name, _)| rest.starts_with(name))?;
            found(1 + name.len(), Meant::Byte(*byte))
        }
        [b'%', rest @ ..] => found(3, Meant::Byte(number(rest.get(..2)?, 16)?.try_into().ok()?)),
        // Quoted-printable: a soft line break.
        [b'=', b'\r', b'\n', ..] => found(3, Meant::Nothing),
        [b'=', b'\n', ..] => found(2, Meant::Nothing),
        [b'=', rest @ ..] => {
            let digits = rest
                .get(..2)
                .filter(|digits| !digits.iter().any(u8::is_ascii_lowercase))?;
            found(3, Meant::Byte(number(digits, 16)?.try_into().ok()?))
        }
        [0x1b, b'[', rest @ ..] => {
            let end = rest
                .iter()
                .take(SEQUENCE_BYTES_MAX)
                .position(|byte| (0x40..=0x7e).contains(byte))?;
            found(3 + end, Meant::Nothing)
        }
        [0x1b, b']' | b'P' | b'_' | b'^', rest @ ..] => {
            let end = rest
                .iter()
                .take(SEQUENCE_BYTES_MAX)
                .position(|byte| matches!(byte, 0x07 | 0x1b))?;
            let is_long = rest[end] == 0x1b && rest.get(end + 1) == Some(&b'\\');
            found(3 + end + usize::from(is_long), Meant::Nothing)
        }
        _ => found(no_width(text)?, Meant::Nothing),
    }
}

/// The length of the invisible character at the beginning of `text`, if there is one.
fn no_width(text: &[u8]) -> Option<usize> {
    Some(match text {
        // Soft hyphen.
        [0xc2, 0xad, ..] => 2,
        // Mongolian vowel separator.
        [0xe1, 0xa0, 0x8e, ..]
        // Zero-width spaces and joiners, and direction marks.
        | [0xe2, 0x80, 0x8b..=0x8f | 0xaa..=0xae, ..]
        // Word joiner, invisible operators, isolates.
        | [0xe2, 0x81, 0xa0..=0xaf, ..]
        // Variation selectors, and the byte order mark.
        | [0xef, 0xb8, 0x80..=0x8f, ..]
        | [0xef, 0xbb, 0xbf, ..] => 3,
        // Tags, and further variation selectors.
        [0xf3, 0xa0, 0x80..=0x87, _, ..] => 4,
        _ => return None,
    })
}

/// The number written with these digits; `None` if there are none, or other characters.
fn number(digits: &[u8], base: u32) -> Option<u32> {
    let add = |number: u32, byte: &u8| {
        number
            .checked_mul(base)?
            .checked_add(char::from(*byte).to_digit(base)?)
    };
    (!digits.is_empty())
        .then(|| digits.iter().try_fold(0, add))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_undone_one_layer_at_a_time() {
        let of = |text: &str| {
            undone(text.as_bytes()).map(|undone| String::from_utf8(undone.bytes).unwrap())
        };
        for (text, meant) in [
            (r"\u0073k-\u00e4", "sk-ä"),
            (r"\x73k \163k \\ \/", r"sk sk \ /"),
            ("&#115;k &#x73;k &#115k &amp;lt;", "sk sk sk &lt;"),
            ("%73k%2D=73k=\r\n-=\nx", "sk-sk-x"),
            ("s\u{200b}k\u{feff}-\u{ad}1\u{e0001}", "sk-1"),
            (
                "\u{1b}[31ms\u{1b}[0;1mk\u{1b}]8;;x\u{1b}\\-\u{1b}]0;t\u{7}1",
                "sk-1",
            ),
            (r"\\u0073", r"\u0073"),
        ] {
            assert_eq!(of(text).as_deref(), Some(meant), "{text:?}");
        }
        for plain in [
            "",
            "a && b",
            "100 % of it",
            "x = 1; y =2",
            r"C:\dir \w+",
            "&#;",
            "\\",
            "é – “x”",
            "=é%é\\ué",
        ] {
            assert_eq!(of(plain), None, "{plain:?}");
        }
    }

    proptest! {
        #[test]
        fn it_says_of_each_byte_where_it_was(text in r"[\\ux0-9a&#;%=\u{200b}\u{1b}\[m é]{0,200}") {
            let has_escape = (0..text.len()).any(|at| escape(&text.as_bytes()[at..]).is_some());
            let undone = undone(text.as_bytes());
            prop_assert_eq!(undone.is_some(), has_escape);
            if let Some(undone) = undone {
                let places: Vec<_> = (0..=undone.bytes.len()).map(|at| undone.was_at(at)).collect();
                prop_assert!(places.is_sorted());
                prop_assert_eq!(places.last(), Some(&text.len()));
            }
        }
    }
}
