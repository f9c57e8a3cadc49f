//! How people write amounts, spans and checks in a plan.

use crate::check::Check;
use crate::{Millis, PicoUsd};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;

/// Dollars: a number, or a text like `0.35`.
#[derive(Deserialize)]
#[serde(transparent)]
struct Dollars(#[serde(deserialize_with = "amount")] PicoUsd);

fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PicoUsd, D::Error> {
    struct Amount;
    impl Visitor<'_> for Amount {
        type Value = PicoUsd;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an amount of dollars, like 5 or 0.35")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<PicoUsd, E> {
            let wrong =
                || E::custom(format_args!("`{text}` is no amount of dollars: write it like 5 or 0.35"));
            PicoUsd::parse_dollars(text).ok_or_else(wrong)
        }
        fn visit_u64<E: Error>(self, dollars: u64) -> Result<PicoUsd, E> {
            self.visit_str(&dollars.to_string())
        }
        fn visit_i64<E: Error>(self, dollars: i64) -> Result<PicoUsd, E> {
            self.visit_str(&dollars.to_string())
        }
        fn visit_f64<E: Error>(self, dollars: f64) -> Result<PicoUsd, E> {
            // The shortest text that means this number is what was written.
            self.visit_str(&dollars.to_string())
        }
    }
    deserializer.deserialize_any(Amount)
}

/// Dollars as a number, which is how scripts write them.
pub(super) mod dollars {
    use super::{Deserialize, Deserializer, Dollars, PicoUsd, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        amount: &Option<PicoUsd>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        amount.map(|amount| amount.0 as f64 / PicoUsd::DOLLAR.0 as f64).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PicoUsd>, D::Error> {
        Ok(Option::<Dollars>::deserialize(deserializer)?.map(|dollars| dollars.0))
    }
}

/// Milliseconds, or a text with a unit.
#[derive(Deserialize)]
#[serde(transparent)]
struct Span(#[serde(deserialize_with = "span_of")] Millis);

fn span_of<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Millis;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("milliseconds, or a text such as '30s' or '5m'")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Millis, E> {
            let wrong =
                || E::custom(format_args!("`{text}` is no span of time: write it like '30s' or '5m'"));
            Millis::parse(text).ok_or_else(wrong)
        }
        fn visit_u64<E: Error>(self, millis: u64) -> Result<Millis, E> {
            self.visit_str(&format!("{millis}ms"))
        }
    }
    deserializer.deserialize_any(Text)
}

/// A span with the largest unit that loses nothing.
pub(super) mod span {
    use super::{Deserialize, Deserializer, Millis, Serialize, Serializer, Span};

    pub(crate) fn serialize<S: Serializer>(span: &Option<Millis>, serializer: S) -> Result<S::Ok, S::Error> {
        let written = |Millis(ms)| match ms {
            ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
            ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
            ms => format!("{ms}ms"),
        };
        span.map(written).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Millis>, D::Error> {
        Ok(Option::<Span>::deserialize(deserializer)?.map(|span| span.0))
    }
}

/// One check, or a list of them.
pub(super) mod checks {
    use super::{Check, Deserialize, Deserializer, Error, Serialize, Serializer, Value};

    pub(crate) fn serialize<S: Serializer>(checks: &[Check], serializer: S) -> Result<S::Ok, S::Error> {
        match checks {
            [one] => one.serialize(serializer),
            checks => checks.serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Check>, D::Error> {
        let checks = match Value::deserialize(deserializer)? {
            Value::Null => return Ok(vec![]),
            Value::Array(checks) => checks,
            check => vec![check],
        };
        checks.into_iter().map(|check| serde_json::from_value(check).map_err(D::Error::custom)).collect()
    }
}

/// Reads a name, or a list of names, and says what is wanted, which a choice of
/// two types cannot.
pub(super) fn names<'de, D: Deserializer<'de>, T: FromIterator<String>>(
    deserializer: D,
) -> Result<T, D::Error> {
    struct Names<T>(PhantomData<T>);
    impl<'de, T: FromIterator<String>> Visitor<'de> for Names<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a name or a list of names")
        }
        fn visit_unit<E: Error>(self) -> Result<T, E> {
            Ok(T::from_iter([]))
        }
        fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
            Ok(T::from_iter([name.to_owned()]))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<T, A::Error> {
            let list = std::iter::from_fn(|| names.next_element().transpose());
            list.collect()
        }
    }
    deserializer.deserialize_any(Names(PhantomData))
}
