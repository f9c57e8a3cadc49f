//! Undoes what servers, gateways and terminals put between the bytes of a value.
//!
//! An error page says `&#115;` for a letter, JSON within JSON `\u0073`, an address
//! `%73`, a mail `=73`; editors leave marks of no width in a text, terminals colours.
//! Most texts have none of that, so first only a byte that can begin such a thing is
//! looked for, and then whether it does; a text without is not copied.
//!
//! Nothing of this is ever shown: it is searched, and where something is found, the
//! text as it was is cut at that place.

/// How often a text is undone: JSON in an address in a page is three.
pub(super) const LAYERS_MAX: usize = 3;

/// Longest sequence of a terminal that is passed over.
const SEQUENCE_BYTES_MAX: usize = 256;

/// Names of characters in HTML that can stand in keys and passwords.
const ENTITIES: [(&[u8], u8); 6] =
    [(b"amp;", b'&'), (b"lt;", b'<'), (b"gt;", b'>'), (b"quot;", b'"'), (b"apos;", b'\''), (b"nbsp;", b' ')];

/// A text with its escapes undone.
pub(super) struct Undone {
    pub(super) bytes: Vec<u8>,
    /// Where in the text that it was made of each byte begins, and at last its end.
    pub(super) starts: Vec<usize>,
}

/// `text` with one layer of escapes undone; `None` where it has none.
pub(super) fn undone(text: &[u8]) -> Option<Undone> {
    let mut at = next(text, 0)?;
    let mut undone = Undone { bytes: text[..at].to_vec(), starts: (0..at).collect() };
    while at < text.len() {
        match escape(&text[at..]) {
            Some(Escape { length, meant }) => {
                let mut utf8 = [0; 4];
                let meant = match &meant {
                    Meant::Nothing => &[][..],
                    Meant::Byte(byte) => std::slice::from_ref(byte),
                    Meant::Char(char) => char.encode_utf8(&mut utf8).as_bytes(),
                };
                undone.bytes.extend_from_slice(meant);
                undone.starts.extend(meant.iter().map(|_| at));
                at += length;
            }
            None => {
                let end = next(text, at + 1).unwrap_or(text.len());
                undone.bytes.extend_from_slice(&text[at..end]);
                undone.starts.extend(at..end);
                at = end;
            }
        }
    }
    undone.starts.push(text.len());
    Some(undone)
}

/// Where the next escape begins, from `from` on.
fn next(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += text.get(at..)?.iter().position(|byte| BEGINS[usize::from(*byte)])?;
        if escape(&text[at..]).is_some() {
            return Some(at);
        }
        at += 1;
    }
}

/// The bytes that an escape begins with.
static BEGINS: [bool; 256] = {
    let mut begins = [false; 256];
    let all = *b"\\&%=\x1b\xc2\xe1\xe2\xef\xf3";
    let mut at = 0;
    while at < all.len() {
        begins[all[at] as usize] = true;
        at += 1;
    }
    begins
};

struct Escape {
    length: usize,
    meant: Meant,
}

enum Meant {
    Nothing,
    Byte(u8),
    Char(char),
}

/// The escape that `text` begins with.
fn escape(text: &[u8]) -> Option<Escape> {
    let found = |length, meant| Some(Escape { length, meant });
    match text {
        [b'\\', b'u', rest @ ..] => {
            let digits = rest.get(..4)?;
            found(6, Meant::Char(char::from_u32(number(digits, 16)?)?))
        }
        [b'\\', b'x', rest @ ..] => found(4, Meant::Byte(number(rest.get(..2)?, 16)?.try_into().ok()?)),
        [b'\\', b'0'..=b'3', ..] => found(4, Meant::Byte(number(text.get(1..4)?, 8)?.try_into().ok()?)),
        [b'\\', byte @ (b'\\' | b'/' | b'"' | b'\''), ..] => found(2, Meant::Byte(*byte)),
        [b'&', b'#', rest @ ..] => {
            let (base, before) = if matches!(rest, [b'x' | b'X', ..]) { (16, 3) } else { (10, 2) };
            let digits = text[before..].iter().take(8).take_while(|byte| byte.is_ascii_hexdigit()).count();
            let char = char::from_u32(number(&text[before..before + digits], base)?)?;
            found(before + digits + usize::from(text.get(before + digits) == Some(&b';')), Meant::Char(char))
        }
        [b'&', rest @ ..] => {
            let (name, byte) = ENTITIES.iter().find(|(name, _)| rest.starts_with(name))?;
            found(1 + name.len(), Meant::Byte(*byte))
        }
        [b'%', rest @ ..] => found(3, Meant::Byte(number(rest.get(..2)?, 16)?.try_into().ok()?)),
        // Quoted-printable; a line that is broken ends with it.
        [b'=', b'\r', b'\n', ..] => found(3, Meant::Nothing),
        [b'=', b'\n', ..] => found(2, Meant::Nothing),
        [b'=', rest @ ..] => {
            let digits = rest.get(..2).filter(|digits| !digits.iter().any(u8::is_ascii_lowercase))?;
            found(3, Meant::Byte(number(digits, 16)?.try_into().ok()?))
        }
        [0x1b, b'[', rest @ ..] => {
            let end = rest.iter().take(SEQUENCE_BYTES_MAX).position(|byte| (0x40..=0x7e).contains(byte))?;
            found(3 + end, Meant::Nothing)
        }
        [0x1b, b']' | b'P' | b'_' | b'^', rest @ ..] => {
            let end = rest.iter().take(SEQUENCE_BYTES_MAX).position(|byte| matches!(byte, 0x07 | 0x1b))?;
            let is_long = rest[end] == 0x1b && rest.get(end + 1) == Some(&b'\\');
            found(3 + end + usize::from(is_long), Meant::Nothing)
        }
        _ => found(no_width(text)?, Meant::Nothing),
    }
}

/// How many bytes the character takes that `text` begins with, if nobody sees it.
fn no_width(text: &[u8]) -> Option<usize> {
    Some(match text {
        // A soft hyphen.
        [0xc2, 0xad, ..] => 2,
        // A vowel separator of Mongolian.
        [0xe1, 0xa0, 0x8e, ..]
        // Spaces and joiners of no width, marks of direction.
        | [0xe2, 0x80, 0x8b..=0x8f | 0xaa..=0xae, ..]
        // Joiners of words, invisible operators, isolates.
        | [0xe2, 0x81, 0xa0..=0xaf, ..]
        // Selectors of variants, and a byte order mark.
        | [0xef, 0xb8, 0x80..=0x8f, ..]
        | [0xef, 0xbb, 0xbf, ..] => 3,
        // Tags, and more selectors of variants.
        [0xf3, 0xa0, 0x80..=0x87, _, ..] => 4,
        _ => return None,
    })
}

/// The number that these digits are, if they all are digits and there are any.
fn number(digits: &[u8], base: u32) -> Option<u32> {
    let add =
        |number: u32, byte: &u8| number.checked_mul(base)?.checked_add(char::from(*byte).to_digit(base)?);
    (!digits.is_empty()).then(|| digits.iter().try_fold(0, add)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_undone_one_layer_at_a_time() {
        let of = |text: &str| undone(text.as_bytes()).map(|undone| String::from_utf8(undone.bytes).unwrap());
        for (text, meant) in [
            (r"\u0073k-\u00e4", "sk-ä"),
            (r"\x73k \163k \\ \/", r"sk sk \ /"),
            ("&#115;k &#x73;k &#115k &amp;lt;", "sk sk sk &lt;"),
            ("%73k%2D=73k=\r\n-=\nx", "sk-sk-x"),
            ("s\u{200b}k\u{feff}-\u{ad}1\u{e0001}", "sk-1"),
            ("\u{1b}[31ms\u{1b}[0;1mk\u{1b}]8;;x\u{1b}\\-\u{1b}]0;t\u{7}1", "sk-1"),
            (r"\\u0073", r"\u0073"),
        ] {
            assert_eq!(of(text).as_deref(), Some(meant), "{text:?}");
        }
        for plain in
            ["", "a && b", "100 % of it", "x = 1; y =2", r"C:\dir \w+", "&#;", "\\", "é – “x”", "=é%é\\ué"]
        {
            assert_eq!(of(plain), None, "{plain:?}");
        }
    }

    proptest! {
        #[test]
        fn it_says_of_each_byte_where_it_was(text in r"[\\ux0-9a&#;%=\u{200b}\u{1b}\[m é]{0,40}") {
            if let Some(Undone { bytes, starts }) = undone(text.as_bytes()) {
                prop_assert_eq!(starts.len(), bytes.len() + 1);
                prop_assert!(starts.is_sorted());
                prop_assert_eq!(starts.last(), Some(&text.len()));
            }
        }
    }
}
