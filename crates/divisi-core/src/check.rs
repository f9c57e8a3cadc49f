//! Checks of results, and the ladder of models that is climbed when a check refuses one.

use crate::PicoUsd;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Models of a task, cheapest first: the result of the first one that passes the checks is used.
/// Each is a tier or a model id.
///
/// One model is a ladder of one; an empty ladder means the run's default. In JSON, one rung is a
/// string and several are a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "OneOrMany<Arc<str>>", into = "OneOrMany<Arc<str>>")]
pub struct Ladder(pub Vec<Arc<str>>);

impl Ladder {
    /// Whether it names no model.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The model it starts on.
    pub fn first(&self) -> Option<&str> {
        self.0.first().map(AsRef::as_ref)
    }
}

impl<T: Into<Arc<str>>> From<T> for Ladder {
    fn from(model: T) -> Self {
        Self(vec![model.into()])
    }
}

impl FromIterator<String> for Ladder {
    fn from_iter<I: IntoIterator<Item = String>>(models: I) -> Self {
        Self(models.into_iter().map(Into::into).collect())
    }
}

impl From<OneOrMany<Arc<str>>> for Ladder {
    fn from(models: OneOrMany<Arc<str>>) -> Self {
        Self(models.into())
    }
}

impl From<Ladder> for OneOrMany<Arc<str>> {
    fn from(ladder: Ladder) -> Self {
        ladder.0.into()
    }
}

/// What decides whether a result is good enough.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Check {
    /// The result must fit this JSON Schema, which may be narrower than the one given to the model.
    Schema(Arc<Value>),
    /// A shell command that must exit with 0. It runs in the task's folder and gets the result on
    /// stdin; its output is given to the next attempt.
    Command(Arc<str>),
    /// Another model must accept the result.
    Judge(Judge),
}

/// The kind of a check, which decides whether it is made at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// A schema or a command: its verdict is certain.
    Fact,
    /// The opinion of a model, which costs a request.
    Opinion,
}

impl Check {
    /// The kind of this check.
    pub fn kind(&self) -> CheckKind {
        match self {
            Self::Schema(_) | Self::Command(_) => CheckKind::Fact,
            Self::Judge(_) => CheckKind::Opinion,
        }
    }
}

/// A model that reads a result and grades it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Judge {
    /// What a good result must satisfy.
    pub rubric: Arc<str>,
    /// A tier or a model id; the cheapest tier when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// Lowest mark out of ten that passes.
    #[serde(default = "Judge::threshold_default")]
    pub threshold: u8,
}

impl Judge {
    /// Highest mark.
    pub const MARKS_MAX: u8 = 10;

    /// A judge of the cheapest tier with the default threshold.
    pub fn new(rubric: impl Into<Arc<str>>) -> Self {
        Self {
            rubric: rubric.into(),
            model: None,
            threshold: Self::threshold_default(),
        }
    }

    /// Seven of ten: good, with small faults.
    fn threshold_default() -> u8 {
        7
    }
}

/// The text an agent gets when the result of the attempt before it was refused.
pub fn refused(findings: &str) -> String {
    format!(
        "Another agent has tried this before you, and its result was refused. What was wrong with it:\n\n{findings}"
    )
}

/// One value or a list of values, as written in settings and scripts.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum OneOrMany<T> {
    /// One.
    One(T),
    /// Any other number.
    Many(Vec<T>),
}

impl<T> From<OneOrMany<T>> for Vec<T> {
    fn from(given: OneOrMany<T>) -> Self {
        match given {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

impl<T> From<Vec<T>> for OneOrMany<T> {
    fn from(mut many: Vec<T>) -> Self {
        match many.len() {
            1 => Self::One(many.remove(0)),
            _ => Self::Many(many),
        }
    }
}

/// What a ladder is worth, judged by the results of its first rung.
///
/// It pays only while the share of results accepted there is larger than the cost of that rung and
/// its check, as a share of the strong model's cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LadderWorth {
    /// Share of the weak model's results that the check accepts, 0 to 1.
    pub accepted: f64,
    /// The share above which the ladder pays.
    pub break_even: f64,
}

impl LadderWorth {
    /// Computes the worth of a ladder whose first rung had `accepted` of `tried` results accepted;
    /// `None` without tries or without a price of the strong model.
    pub fn of(accepted: u64, tried: u64, weak_and_check: PicoUsd, strong: PicoUsd) -> Option<Self> {
        if tried == 0 || strong == PicoUsd::ZERO {
            return None;
        }
        let break_even = weak_and_check.0 as f64 / strong.0 as f64;
        Some(Self {
            accepted: accepted as f64 / tried as f64,
            break_even,
        })
    }

    /// Whether it pays.
    pub fn pays(&self) -> bool {
        self.accepted > self.break_even
    }

    /// What it saves, as a share of the strong model's cost; negative if it costs more.
    pub fn saving(&self) -> f64 {
        self.accepted - self.break_even
    }
}
