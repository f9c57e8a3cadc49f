//! Keys, kept out of everything that is shown or written.

use std::fmt;

/// A key of a vendor.
///
/// It prints as `***` and cannot be serialised. Once it is used it is known to the
/// whole process, and cut out of whatever that writes: see [`redact`](crate::redact).
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    /// Keeps `text`, without the line break that files and shells leave at its end.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().into())
    }

    /// The key itself, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// `text` with every copy of the key replaced by `***`.
    pub fn redact(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&*self.0, "***") }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_prints_itself() {
        let key = Secret::new("sk-very-secret\n");
        assert_eq!(format!("{key} {key:?} {:?}", Some(&key)), "*** *** Some(***)");
    }

    #[test]
    fn is_cut_out_of_texts() {
        assert_eq!(Secret::new("k1").redact("key k1 is wrong, not k1!"), "key *** is wrong, not ***!");
        assert_eq!(Secret::new("").redact("nothing to hide"), "nothing to hide");
    }
}
