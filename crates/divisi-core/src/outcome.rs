//! How tasks end, and why they fail.

use crate::Content;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It has a result: JSON text, a string where no schema was asked for.
    Ok {
        /// The JSON text.
        value: Content,
    },
    /// Every attempt it was allowed has failed.
    Failed(Failure),
    /// It was never tried.
    Skipped {
        /// Why not.
        reason: String,
    },
    /// A person stopped it.
    Cancelled,
}

impl Outcome {
    /// Whether there is a result.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok { .. })
    }

    /// The word shown to people and to scripts.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Ok { .. } => "ok",
            Self::Failed(_) => "failed",
            Self::Skipped { .. } => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why an attempt or a task failed, in words that help the next step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What sort of failure it is, which decides what is done about it.
    pub class: FailureClass,
    /// What failed and which one: a lower-case phrase without secrets.
    pub message: String,
    /// What the user can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What was there of a result: JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Content>,
}

impl Failure {
    /// A failure of this class.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            hint: None,
            partial: None,
        }
    }

    /// The same with advice.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

impl std::error::Error for Failure {}

/// The sorts of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// We ask faster than we may.
    RateLimited,
    /// The vendor has no capacity now.
    Overloaded,
    /// Money or quota of the account is used up.
    Quota,
    /// The vendor's server failed.
    Server,
    /// The connection failed, or the reply broke off before its end.
    Network,
    /// The attempt took longer than it may.
    Timeout,
    /// The attempt showed no progress for too long.
    Stalled,
    /// The process that ran the attempt died.
    Lost,
    /// The run stopped before the attempt was done.
    Interrupted,
    /// The key is missing, wrong, or not allowed to do this.
    Auth,
    /// The request is wrong and will be wrong again.
    BadRequest,
    /// Prompt and conversation do not fit the model.
    TooLong,
    /// The model declined to answer.
    Declined,
    /// The answer was cut off at its longest allowed length.
    Truncated,
    /// The model answered with nothing, also when asked once more.
    Empty,
    /// No answer fitted the schema in all the tries there are.
    Schema,
    /// The attempt used all its turns without finishing.
    Turns,
    /// The check refused its result, and there is no stronger model to ask.
    Check,
    /// The task's own budget holds no further request.
    Budget,
    /// A program that carried out the attempt failed.
    Program,
    /// The task asks for something that is not there or not allowed.
    Unavailable,
    /// The flow itself failed: its script threw, or could not run.
    Flow,
}

impl FailureClass {
    /// What is done about a failure of this class.
    pub fn remedy(self) -> Remedy {
        match self {
            Self::RateLimited => Remedy::Wait,
            Self::Lost | Self::Interrupted => Remedy::Repeat,
            Self::Overloaded
            | Self::Server
            | Self::Network
            | Self::Timeout
            | Self::Stalled
            | Self::Program => Remedy::Retry,
            Self::Quota => Remedy::Park,
            Self::Auth
            | Self::BadRequest
            | Self::TooLong
            | Self::Declined
            | Self::Truncated
            | Self::Empty
            | Self::Schema
            | Self::Turns
            | Self::Check
            | Self::Budget
            | Self::Unavailable
            | Self::Flow => Remedy::GiveUp,
        }
    }

    /// Whether the conversation itself led here, so that going on from its
    /// replies would end the same way. Out of turns is not: it may be given more.
    pub fn would_repeat(self) -> bool {
        match self {
            Self::BadRequest
            | Self::TooLong
            | Self::Declined
            | Self::Truncated
            | Self::Empty
            | Self::Schema
            | Self::Check => true,
            Self::RateLimited
            | Self::Overloaded
            | Self::Quota
            | Self::Server
            | Self::Network
            | Self::Timeout
            | Self::Stalled
            | Self::Lost
            | Self::Interrupted
            | Self::Auth
            | Self::Turns
            | Self::Budget
            | Self::Program
            | Self::Unavailable
            | Self::Flow => false,
        }
    }

    /// Whether the model itself is out of order, so that another may take its place.
    pub fn is_outage(self) -> bool {
        matches!(self, Self::Overloaded | Self::Server)
    }

    /// The words shown to people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate limited",
            Self::Overloaded => "overloaded",
            Self::Quota => "quota used up",
            Self::Server => "server error",
            Self::Network => "connection lost",
            Self::Timeout => "timeout",
            Self::Stalled => "stalled",
            Self::Lost => "lost",
            Self::Interrupted => "interrupted",
            Self::Auth => "not authorised",
            Self::BadRequest => "bad request",
            Self::TooLong => "too long",
            Self::Declined => "declined",
            Self::Truncated => "cut off",
            Self::Empty => "empty answer",
            Self::Schema => "schema not met",
            Self::Turns => "out of turns",
            Self::Check => "check failed",
            Self::Budget => "over its budget",
            Self::Program => "program failed",
            Self::Unavailable => "not available",
            Self::Flow => "flow failed",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What is done about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Try again later; uses up a retry.
    Retry,
    /// Wait until the vendor lets us; uses up no retry.
    Wait,
    /// Try again at once; uses up no retry, because nobody failed.
    Repeat,
    /// Stop the whole run until the user has done something.
    Park,
    /// Trying again would fail again.
    GiveUp,
}
