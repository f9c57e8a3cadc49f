//! Parses YAML or JSON into values with their places.
//!
//! JSON is parsed as YAML, so both have the same positions, limits and errors.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_saphyr::{Location, Spanned, UserMessageFormatter};
use std::fmt;
use std::ops::Range;

/// A value, with its byte range in the text.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) tree: Tree,
    pub(super) bytes: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Tree {
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_bytes: Range<usize>,
    pub(super) value: Node,
}

/// A syntax error, with its place.
#[derive(Debug)]
pub(super) struct Malformed {
    pub(super) message: String,
    pub(super) bytes: Range<usize>,
}

/// Parses a text with one document.
pub(super) fn read(text: &str) -> Result<Node, Malformed> {
    // In a prompt `yes` and `on` are words, not booleans.
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let lines = Lines::of(text);
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Ok(lines.node(raw)),
        Err(error) => {
            let place = error.location();
            let message = error
                .without_snippet()
                .render_with_formatter(&UserMessageFormatter);
            let bytes = place.map_or(0..0, |place| lines.bytes(place));
            Err(Malformed {
                message: without_place(&message).to_owned(),
                bytes,
            })
        }
    }
}

impl Node {
    /// The value without its place.
    pub(super) fn value(&self) -> Value {
        match &self.tree {
            Tree::Scalar(value) => value.clone(),
            Tree::List(list) => list.iter().map(Self::value).collect(),
            Tree::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.value.value()))
                .collect(),
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.tree {
            Tree::Scalar(Value::String(text)) => Some(text),
            Tree::Scalar(_) | Tree::List(_) | Tree::Map(_) => None,
        }
    }

    pub(super) fn list(&self) -> Option<&[Self]> {
        match &self.tree {
            Tree::List(list) => Some(list),
            Tree::Scalar(_) | Tree::Map(_) => None,
        }
    }

    pub(super) fn map(&self) -> Option<&[Entry]> {
        match &self.tree {
            Tree::Map(entries) => Some(entries),
            Tree::Scalar(_) | Tree::List(_) => None,
        }
    }

    /// The entry with that key; `None` if there is none, or if this is not a map.
    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.map()?.iter().find(|entry| entry.key == key)
    }
}

/// Offsets of the lines of a text.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    fn of(text: &'t str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self {
            text,
            starts: starts.collect(),
        }
    }

    fn node(&self, raw: Spanned<Raw>) -> Node {
        let bytes = self.bytes(raw.referenced);
        let tree = match raw.value {
            Raw::Scalar(value) => Tree::Scalar(value),
            Raw::List(list) => Tree::List(list.into_iter().map(|raw| self.node(raw)).collect()),
            Raw::Map(entries) => {
                Tree::Map(entries.into_iter().map(|entry| self.entry(entry)).collect())
            }
        };
        Node { tree, bytes }
    }

    fn entry(&self, (key, value): (Spanned<String>, Spanned<Raw>)) -> Entry {
        Entry {
            key_bytes: self.bytes(key.referenced),
            key: key.value,
            value: self.node(value),
        }
    }

    /// The byte range of a place given in characters.
    fn bytes(&self, place: Location) -> Range<usize> {
        let line = usize::try_from(place.line().saturating_sub(1)).unwrap_or(usize::MAX);
        let start = self.starts.get(line).copied().unwrap_or(self.text.len());
        let start = start + chars(&self.text[start..], place.column().saturating_sub(1));
        // For a list or a map, only its beginning.
        let long = place.span().len().max(1);
        start..start + chars(&self.text[start..], long)
    }
}

/// The byte range of a number of characters.
fn chars(text: &str, count: u64) -> usize {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    text.char_indices()
        .nth(count)
        .map_or(text.len(), |(at, _)| at)
}

/// The message without the place, which is shown separately.
fn without_place(message: &str) -> &str {
    message
        .rfind(" at line ")
        .map_or(message, |at| &message[..at])
}

/// A value as given by the library.
#[derive(Debug)]
enum Raw {
    Scalar(Value),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<String>, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Raw, E> {
        let number =
            Number::from_f64(value).ok_or_else(|| E::custom("this is no number that JSON has"))?;
        Ok(Raw::Scalar(number.into()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Raw, A::Error> {
        let mut list = vec![];
        while let Some(value) = values.next_element()? {
            list.push(value);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut values: A) -> Result<Raw, A::Error> {
        let mut entries = vec![];
        while let Some(key) = values.next_key()? {
            entries.push((key, values.next_value()?));
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(text: &str) -> Value {
        read(text).unwrap().value()
    }

    #[test]
    fn json_and_yaml_say_the_same() {
        let said = json!({ "a": [1, -2, 0.5, true, null, "yes"], "b": { "c": "😀 / x\ny" } });
        assert_eq!(value(&said.to_string()), said);
        assert_eq!(
            value("{\n\t\"a\": \"\\ud83d\\ude00 \\/ x\"\n}"),
            json!({ "a": "😀 / x" })
        );
        assert_eq!(
            value("a: [1, -2, 0.5, true, ~, yes]\nb:\n  c: |-\n    😀 / x\n    y\n"),
            said
        );
    }

    #[test]
    fn values_know_their_bytes() {
        let text = "é: 1\nlist:\n  - ü: two\n";
        let root = read(text).unwrap();
        let bytes = |bytes: &Range<usize>| &text[bytes.clone()];
        assert_eq!(bytes(&root.entry("é").unwrap().key_bytes), "é");
        let inner = root.entry("list").unwrap().value.list().unwrap()[0]
            .entry("ü")
            .unwrap();
        assert_eq!(
            (bytes(&inner.key_bytes), bytes(&inner.value.bytes)),
            ("ü", "two")
        );
    }

    #[test]
    fn texts_that_would_grow_without_end_are_refused() {
        assert!(read(&"[".repeat(100_000)).is_err());
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}, ", n - 1).repeat(8);
            bomb += &format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", "));
        }
        assert!(read(&bomb).is_err());
    }
}
