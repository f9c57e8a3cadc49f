//! Evidence that a result is good, and what is climbed when it is not.

use crate::PicoUsd;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;

/// Models to climb, cheapest first: the first that satisfies the check of the
/// task gives its result. Each is a tier or a model id.
///
/// One model is a ladder of one, none means the run's default. As JSON it is a
/// string where it has one rung, a list where it has more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Check {
    /// The result fits this JSON Schema, which may be narrower than the one the
    /// model is given.
    Schema(Arc<Value>),
    /// This shell command, run where the task worked, exits with 0. It finds
    /// the result on its standard input; what it prints goes to the next attempt.
    Command(Arc<str>),
    /// Another model finds that it is.
    Judge(Judge),
}

/// What sort of check it is, as far as that decides whether it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// A schema or a command: what it says is so.
    Fact,
    /// What a model thinks of the result, which costs a request.
    Opinion,
}

impl Check {
    /// What sort of check it is.
    pub fn kind(&self) -> CheckKind {
        match self {
            Self::Schema(_) | Self::Command(_) => CheckKind::Fact,
            Self::Judge(_) => CheckKind::Opinion,
        }
    }
}

/// A model that reads a result and gives it marks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Judge {
    /// What the result has to be.
    pub rubric: Arc<str>,
    /// A tier or a model id; the cheapest tier when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Arc<str>>,
    /// Fewest marks out of ten that let it pass.
    #[serde(default = "Judge::threshold_default")]
    pub threshold: u8,
}

impl Judge {
    /// Most marks that it can give.
    pub const MARKS_MAX: u8 = 10;

    /// The cheapest tier, by this rubric and the usual threshold.
    pub fn new(rubric: impl Into<Arc<str>>) -> Self {
        Self {
            rubric: rubric.into(),
            model: None,
            threshold: Self::threshold_default(),
        }
    }

    /// Seven of ten: good with small faults.
    fn threshold_default() -> u8 {
        7
    }
}

/// What an agent is told when the result of the one before it was refused.
pub fn refused(findings: &str) -> String {
    format!(
        "Another agent has tried this before you, and its result was refused. What was wrong with it:\n\n{findings}"
    )
}

/// One thing or a list of them, as people write it.
#[derive(Clone, Debug, Serialize, Deserialize)]
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

/// Says what a ladder is worth, by what its first rung has been seen to do.
///
/// It pays only while the share of results that are accepted there is larger
/// than what that rung and its check cost, as a share of the strong model's cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LadderWorth {
    /// Share of the weak model's results that the check accepts, 0 to 1.
    pub accepted: f64,
    /// The share from which on the ladder pays.
    pub break_even: f64,
}

impl LadderWorth {
    /// The worth of a ladder whose first rung had `accepted` of `tried` results
    /// accepted; `None` while nothing is known.
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

    /// What it saves, as a share of the strong model's cost; negative where it loses.
    pub fn saving(&self) -> f64 {
        self.accepted - self.break_even
    }
}
