//! Formats of amounts, time spans and checks in a plan.

use crate::check::{Check, Judge};
use crate::{Millis, PicoUsd};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

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
            let wrong = || {
                E::custom(format_args!(
                    "`{text}` is no amount of dollars: write it like 5 or 0.35"
                ))
            };
            PicoUsd::parse_dollars(text).ok_or_else(wrong)
        }
        fn visit_u64<E: Error>(self, dollars: u64) -> Result<PicoUsd, E> {
            self.visit_str(&dollars.to_string())
        }
        fn visit_i64<E: Error>(self, dollars: i64) -> Result<PicoUsd, E> {
            self.visit_str(&dollars.to_string())
        }
        fn visit_f64<E: Error>(self, dollars: f64) -> Result<PicoUsd, E> {
            // The shortest text for this number is what the author wrote.
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
        amount
            .map(|amount| amount.0 as f64 / PicoUsd::DOLLAR.0 as f64)
            .serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PicoUsd>, D::Error> {
        Ok(Option::<Dollars>::deserialize(deserializer)?.map(|dollars| dollars.0))
    }
}

/// The same for a required amount.
pub(super) mod some_dollars {
    use super::{Deserialize, Deserializer, Dollars, PicoUsd, Serializer, dollars};

    pub(crate) fn serialize<S: Serializer>(
        amount: &PicoUsd,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        dollars::serialize(&Some(*amount), serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PicoUsd, D::Error> {
        Ok(Dollars::deserialize(deserializer)?.0)
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
            f.write_str("milliseconds, or a text such as '90s' or '1h30m'")
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<Millis, E> {
            text.parse().map_err(E::custom)
        }
        fn visit_u64<E: Error>(self, millis: u64) -> Result<Millis, E> {
            Millis::asked(millis).map_err(E::custom)
        }
    }
    deserializer.deserialize_any(Text)
}

/// A time span in the form in which it is parsed.
pub(super) mod span {
    use super::{Deserialize, Deserializer, Millis, Serialize, Serializer, Span};

    pub(crate) fn serialize<S: Serializer>(
        span: &Option<Millis>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        span.map(|span| span.to_string()).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Millis>, D::Error> {
        Ok(Option::<Span>::deserialize(deserializer)?.map(|span| span.0))
    }
}

/// A check as scripts write it: `'cargo test'`, `{command}`, `{schema}`, or
/// `{judge, model, threshold}`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schema: Option<Arc<Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    judge: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<u8>,
}

impl Written {
    fn of(check: &Check) -> Self {
        match check.clone() {
            Check::Command(command) => Self {
                command: Some(command),
                ..Self::default()
            },
            Check::Schema(schema) => Self {
                schema: Some(schema),
                ..Self::default()
            },
            Check::Judge(Judge {
                rubric,
                model,
                threshold,
            }) => Self {
                judge: Some(rubric),
                model,
                threshold: Some(threshold),
                ..Self::default()
            },
        }
    }

    fn read<E: Error>(check: Value) -> Result<Check, E> {
        const FORMS: &str = "a check is a shell command, or one of `{command}`, `{schema}`, \
            `{judge, model, threshold}`";
        let written = match check {
            Value::String(command) => Self {
                command: Some(command.into()),
                ..Self::default()
            },
            Value::Object(_) => serde_json::from_value(check).map_err(E::custom)?,
            _ => return Err(E::custom(FORMS)),
        };
        let says = |text: &Arc<str>| !text.trim().is_empty();
        match written {
            Self {
                command: Some(command),
                schema: None,
                judge: None,
                model: None,
                threshold: None,
            } if says(&command) => Ok(Check::Command(command)),
            Self {
                schema: Some(schema),
                command: None,
                judge: None,
                model: None,
                threshold: None,
            } => Ok(Check::Schema(schema)),
            Self {
                judge: Some(rubric),
                command: None,
                schema: None,
                model,
                threshold,
            } if says(&rubric) => {
                let judge = Judge::new(rubric);
                let threshold = threshold.unwrap_or(judge.threshold);
                match threshold {
                    0..=Judge::MARKS_MAX => Ok(Check::Judge(Judge {
                        model,
                        threshold,
                        ..judge
                    })),
                    _ => Err(E::custom(format_args!(
                        "the threshold is {threshold} of {} marks",
                        Judge::MARKS_MAX
                    ))),
                }
            }
            _ => Err(E::custom(FORMS)),
        }
    }
}

/// One check, or a list of them.
pub(super) mod checks {
    use super::{Check, Deserialize, Deserializer, Serialize, Serializer, Value, Written};

    pub(crate) fn serialize<S: Serializer>(
        checks: &[Check],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match checks {
            [one] => Written::of(one).serialize(serializer),
            checks => checks
                .iter()
                .map(Written::of)
                .collect::<Vec<_>>()
                .serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Check>, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Null => Ok(vec![]),
            Value::Array(checks) => checks.into_iter().map(Written::read).collect(),
            check => Ok(vec![Written::read(check)?]),
        }
    }
}

/// Parses a name or a list of names. An untagged enum of both would not say what is expected.
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
