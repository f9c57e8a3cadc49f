//! Keys that are never shown or written.

use std::fmt;

/// A vendor's key.
///
/// It prints as `***` and cannot be serialised. Once used, it is registered in the whole process
/// and redacted in everything written: see [`redact`](mod@crate::redact).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps `text` without what files, shells and copying add around it: line breaks, blanks of
    /// every kind, byte order marks, quotes.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(trim(text.as_ref()).into())
    }

    /// A character that is not allowed in a header; a key with one was copied wrongly.
    pub(crate) fn flaw(&self) -> Option<&'static str> {
        self.0.chars().find_map(|c| match c {
            '\n' | '\r' => Some("a line break"),
            c if c.is_whitespace() => Some("a blank"),
            c if !c.is_ascii_graphic() => Some("a character that is not ASCII"),
            _ => None,
        })
    }

    /// The key itself, for the request headers only.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of the key replaced by `***`.
    pub fn redact(&self, text: &str) -> String {
        if self.0.is_empty() {
            text.to_owned()
        } else {
            text.replace(&*self.0, "***")
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `text` without what copying adds around it: blanks of every kind, byte order marks, and quotes.
pub(crate) fn trim(text: &str) -> &str {
    const INVISIBLE: [char; 5] = ['\u{feff}', '\u{200b}', '\u{200c}', '\u{200d}', '\u{2060}'];
    const QUOTES: [(char, char); 5] = [
        ('"', '"'),
        ('\'', '\''),
        ('`', '`'),
        ('\u{201c}', '\u{201d}'),
        ('\u{2018}', '\u{2019}'),
    ];
    let text = text.trim_matches(|c: char| c.is_whitespace() || INVISIBLE.contains(&c));
    let inner = QUOTES
        .iter()
        .find_map(|(open, close)| text.strip_prefix(*open)?.strip_suffix(*close));
    inner.map_or(text, trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_prints_itself() {
        let key = Secret::new("sk-very-secret\n");
        assert_eq!(
            format!("{key} {key:?} {:?}", Some(&key)),
            "*** *** Some(***)"
        );
    }

    #[test]
    fn is_taken_as_people_copy_it() {
        for copied in [
            "k1",
            "k1\n",
            "k1\r\n",
            " k1 ",
            "\u{feff}k1",
            "k1\u{a0}",
            "\u{200b}k1",
            "\"k1\"",
            "'k1'\n",
            "\u{201c}k1\u{201d}",
        ] {
            assert_eq!(Secret::new(copied), Secret::new("k1"), "{copied:?}");
        }
        assert_eq!(Secret::new("k1").flaw(), None);
        assert_eq!(Secret::new("k1\nk2").flaw(), Some("a line break"));
        assert_eq!(Secret::new("k1 k2").flaw(), Some("a blank"));
        assert_eq!(
            Secret::new("k\u{e9}").flaw(),
            Some("a character that is not ASCII")
        );
        assert_eq!(trim("'\"x\"'"), "x");
        assert_eq!(trim("\""), "\"");
    }

    #[test]
    fn is_cut_out_of_texts() {
        assert_eq!(
            Secret::new("k1").redact("key k1 is wrong, not k1!"),
            "key *** is wrong, not ***!"
        );
        assert_eq!(Secret::new("").redact("nothing to hide"), "nothing to hide");
    }
}
