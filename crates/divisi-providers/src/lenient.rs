//! Lenient deserialisation of reply fields.
//!
//! One rule for all fields: `null` counts as absent, and so does a value of a wrong type. No
//! unusual field may make a paid reply unusable. Fields are read one by one into their own types,
//! which takes a fraction of the time of parsing each event into a generic value; replies have
//! thousands of events.

use serde::de::{self, Deserialize};
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// Largest accepted token count: ten times the largest context. A larger one is reduced to this,
/// which still exceeds every reservation, so the run parks with that reason.
const TOKENS_MAX: u64 = 100_000_000;

/// A text, empty if absent. Numbers are converted: some servers use numbers as names.
pub(crate) fn text<'de, D: Deserializer<'de>>(field: D) -> Result<Cow<'de, str>, D::Error> {
    Ok(match field.deserialize_any(Plain)? {
        Scalar::Text(text) => text,
        Scalar::Number(number) => number.to_string().into(),
        Scalar::Absent => Cow::Borrowed(""),
    })
}

/// A text with JSON; JSON values themselves are converted to text.
pub(crate) fn json<'de, D: Deserializer<'de>>(field: D) -> Result<Cow<'de, str>, D::Error> {
    Ok(match Value::deserialize(field)? {
        Value::String(text) => text.into(),
        value @ (Value::Object(_) | Value::Array(_)) => value.to_string().into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Cow::Borrowed(""),
    })
}

/// An owned text, empty if absent.
pub(crate) fn string<'de, D: Deserializer<'de>>(field: D) -> Result<String, D::Error> {
    text(field).map(Cow::into_owned)
}

/// A number of tokens; also `12.0` or `"12"`.
pub(crate) struct Tokens;

impl<'de> DeserializeSeed<'de> for Tokens {
    type Value = Option<u64>;

    fn deserialize<D: Deserializer<'de>>(self, field: D) -> Result<Option<u64>, D::Error> {
        let tokens = number(field)?.and_then(natural);
        Ok(tokens.map(|tokens| tokens.min(TOKENS_MAX)))
    }
}

/// A word; empty if absent.
pub(crate) struct Word;

impl<'de> DeserializeSeed<'de> for Word {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, field: D) -> Result<Cow<'de, str>, D::Error> {
        text(field)
    }
}

/// An amount of money; also as a text.
pub(crate) struct Amount;

impl<'de> DeserializeSeed<'de> for Amount {
    type Value = Option<f64>;

    fn deserialize<D: Deserializer<'de>>(self, field: D) -> Result<Option<f64>, D::Error> {
        number(field)
    }
}

/// A flag, unset if absent.
pub(crate) struct Flag;

impl<'de> DeserializeSeed<'de> for Flag {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, field: D) -> Result<bool, D::Error> {
        Ok(Value::deserialize(field)? == Value::Bool(true))
    }
}

/// An index; also `1.0` or `"1"`.
pub(crate) fn index<'de, D: Deserializer<'de>>(field: D) -> Result<Option<usize>, D::Error> {
    Ok(number(field)?
        .and_then(natural)
        .and_then(|index| index.try_into().ok()))
}

fn number<'de, D: Deserializer<'de>>(field: D) -> Result<Option<f64>, D::Error> {
    Ok(match field.deserialize_any(Plain)? {
        Scalar::Number(number) => Some(number),
        Scalar::Text(text) => text.trim().parse().ok(),
        Scalar::Absent => None,
    })
}

/// The cast is exact up to 2^53, far beyond every count and index.
fn natural(number: f64) -> Option<u64> {
    (number >= 0.0 && number.is_finite()).then_some(number as u64)
}

/// An object, absent if the value is of another type.
pub(crate) fn object<'de, D, T>(field: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    field.deserialize_any(Object(PhantomData))
}

/// The objects of a list; a single object counts as a list of one.
pub(crate) fn list<'de, D, T>(field: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    field.deserialize_any(List(PhantomData))
}

/// The content of a message: a text, or a list of parts, some of them thoughts.
pub(crate) fn said<'de, D: Deserializer<'de>>(field: D) -> Result<Said<'de>, D::Error> {
    field.deserialize_any(SaidVisitor)
}

/// The text and the thoughts of a message.
#[derive(Default)]
pub(crate) struct Said<'a> {
    pub(crate) text: Cow<'a, str>,
    pub(crate) thought: Cow<'a, str>,
}

/// The text in a value of any form: itself, or that of its parts.
pub(crate) fn text_in(value: &Value) -> String {
    let mut said = Said::default();
    said.add(value, false);
    (said.text + said.thought).into_owned()
}

impl Said<'_> {
    fn add(&mut self, value: &Value, is_thought: bool) {
        match value {
            Value::String(text) if is_thought => self.thought.to_mut().push_str(text),
            Value::String(text) => self.text.to_mut().push_str(text),
            Value::Array(parts) => parts.iter().for_each(|part| self.add(part, is_thought)),
            Value::Object(part) => {
                let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
                let is_thought = is_thought || matches!(kind, "thinking" | "reasoning");
                for name in ["text", "thinking", "content"] {
                    let is_thought = is_thought || name == "thinking";
                    if let Some(inner) = part.get(name).filter(|inner| !inner.is_null()) {
                        self.add(inner, is_thought);
                        return;
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// A text field of a value, empty if absent.
pub(crate) fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The fields of `names` that `value` has with a non-empty value.
pub(crate) fn fields(value: &Value, names: &[&str]) -> Map<String, Value> {
    let held = |name: &&str| {
        Some((
            (*name).to_owned(),
            value.get(*name).filter(|v| !v.is_null())?.clone(),
        ))
    };
    names.iter().filter_map(held).collect()
}

/// A value that is neither list nor object.
enum Scalar<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Absent,
}

struct Plain;

impl<'de> Visitor<'de> for Plain {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number as f64))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Absent)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Absent)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Absent)
    }
}

/// Implements the other visitor methods: values of all other types count as absent.
macro_rules! absent_otherwise {
    ($absent:expr) => {
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("anything")
        }

        fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($absent)
        }

        fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok($absent)
        }

        fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok($absent)
        }

        fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok($absent)
        }

        fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
            Ok($absent)
        }
    };
}

pub(crate) use absent_otherwise;

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = Option<T>;

    absent_otherwise!(None);

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map)).map(Some)
    }
}

/// An element of a list: an object, or nothing.
struct Element<T>(Option<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Element<T> {
    fn deserialize<D: Deserializer<'de>>(element: D) -> Result<Self, D::Error> {
        object(element).map(Self)
    }
}

struct List<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<T> {
    type Value = Vec<T>;

    absent_otherwise!(Vec::new());

    fn visit_str<E: de::Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(Element(element)) = list.next_element()? {
            found.extend(element);
        }
        Ok(found)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(de::value::MapAccessDeserializer::new(map)).map(|element| vec![element])
    }
}

struct SaidVisitor;

impl<'de> Visitor<'de> for SaidVisitor {
    type Value = Said<'de>;

    absent_otherwise!(Said::default());

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Said {
            text: Cow::Borrowed(text),
            ..Said::default()
        })
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Said {
            text: Cow::Owned(text.to_owned()),
            ..Said::default()
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        let parts = Value::deserialize(de::value::SeqAccessDeserializer::new(list))?;
        let mut said = Said::default();
        said.add(&parts, false);
        Ok(said)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let part = Value::deserialize(de::value::MapAccessDeserializer::new(map))?;
        let mut said = Said::default();
        said.add(&part, false);
        Ok(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Fields<'a> {
        #[serde(borrow, deserialize_with = "text")]
        text: Cow<'a, str>,
        #[serde(deserialize_with = "index")]
        index: Option<usize>,
        #[serde(borrow, deserialize_with = "object")]
        object: Option<Box<Fields<'a>>>,
        #[serde(borrow, deserialize_with = "list")]
        list: Vec<Fields<'a>>,
        #[serde(borrow, deserialize_with = "said")]
        said: Said<'a>,
    }

    /// Values of every form.
    const FORMS: [&str; 8] = [
        "null",
        "true",
        "-1",
        "12.0",
        "\"12\"",
        "[1, null, {\"text\": \"a\"}]",
        "{\"text\": \"a\"}",
        "1e30",
    ];

    fn read(name: &str, json: &str) -> String {
        let event = format!("{{\"{name}\": {json}, \"unknown\": {json}}}");
        let read: Fields<'_> =
            serde_json::from_str(&event).unwrap_or_else(|e| panic!("{event}: {e}"));
        match name {
            "text" if read.text.is_empty() => ".".to_owned(),
            "text" => read.text.into_owned(),
            "index" => format!("{:?}", read.index),
            "object" => format!("{:?}", read.object.map(|object| object.text.into_owned())),
            "list" => format!(
                "{:?}",
                read.list.iter().map(|one| &one.text).collect::<Vec<_>>()
            ),
            _ => format!("{}|{}", read.said.text, read.said.thought),
        }
    }

    #[test]
    fn no_form_of_a_field_voids_the_event() {
        let all = |name: &str| FORMS.map(|json| read(name, json)).join(" ");
        insta::assert_snapshot!(["text", "index", "object", "list", "said"].map(all).join("\n"), @r#"
        . . -1 12 12 . . 1000000000000000000000000000000
        None None None Some(12) Some(12) None None Some(18446744073709551615)
        None None None None None None Some("a") None
        [] [] [] [] [] ["a"] ["a"] []
        | | | | 12| a| a| |
        "#);
    }

    #[test]
    fn texts_and_thoughts_in_parts_are_told_apart() {
        let parts = r#"[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "reference"},
            {"type": "text", "text": "fi"}, "ne"]"#;
        assert_eq!(read("said", parts), "fine|hm");
        assert_eq!(
            text_in(&serde_json::json!({"content": [{"text": "a"}, {"text": "b"}]})),
            "ab"
        );
    }

    #[test]
    fn what_is_no_count_is_none_and_one_beyond_reason_is_the_most() {
        let tokens = |json: &str| {
            Tokens
                .deserialize(&serde_json::from_str::<Value>(json).unwrap())
                .unwrap()
        };
        let read = FORMS.map(tokens);
        assert_eq!(
            read,
            [
                None,
                None,
                None,
                Some(12),
                Some(12),
                None,
                None,
                Some(TOKENS_MAX)
            ]
        );
        assert_eq!(tokens(&(TOKENS_MAX - 1).to_string()), Some(TOKENS_MAX - 1));
        assert_eq!(tokens(&(1_u64 << 63).to_string()), Some(TOKENS_MAX));
    }
}
