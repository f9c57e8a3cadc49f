//! How tasks end, and why they fail.

use crate::Content;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How a task ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Outcome {
    /// It has a result: JSON text, a string if the task has no schema.
    Ok {
        /// The JSON text.
        value: Content,
    },
    /// It failed, and is not tried again.
    Failed(Failure),
    /// It was never started.
    Skipped {
        /// The reason.
        reason: String,
    },
    /// The user stopped it.
    Cancelled,
}

impl Outcome {
    /// Whether there is a result.
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Ok { .. })
    }

    /// The word shown to users and scripts.
    pub fn status(&self) -> &'static str {
        match self {
            Self::Ok { .. } => "ok",
            Self::Failed(_) => "failed",
            Self::Skipped { .. } => "skipped",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Why an attempt or a task failed, with advice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Failure {
    /// The class of the failure, which decides what follows.
    pub class: FailureClass,
    /// What failed and which one: a lower-case phrase without secrets.
    pub message: String,
    /// What the user can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The partial result, if there was one: JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial: Option<Content>,
}

impl Failure {
    /// Creates a failure of this class.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            hint: None,
            partial: None,
        }
    }

    /// Adds advice.
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

/// The classes of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Requests were sent faster than the vendor allows.
    RateLimited,
    /// The vendor has no capacity now.
    Overloaded,
    /// Money or quota of the account is used up.
    Quota,
    /// The vendor's server failed.
    Server,
    /// The connection failed, or the reply was cut off before its end.
    Network,
    /// The attempt exceeded its timeout.
    Timeout,
    /// A request received nothing for too long.
    Stalled,
    /// The process that ran the attempt died.
    Lost,
    /// The run stopped before the attempt was done.
    Interrupted,
    /// The key is missing, wrong, or not allowed to do this.
    Auth,
    /// The request is invalid, and would be again.
    BadRequest,
    /// Prompt and conversation do not fit the model.
    TooLong,
    /// The model declined to answer.
    Declined,
    /// The answer was cut off at its longest allowed length.
    Truncated,
    /// The model's answer was empty, also after a hint.
    Empty,
    /// No answer fitted the schema, in all allowed tries.
    Schema,
    /// The attempt used all its turns.
    Turns,
    /// The check refused its result, and there is no stronger model to ask.
    Check,
    /// The task's own budget allows no further request.
    Budget,
    /// A program that carried out the attempt failed.
    Program,
    /// The task needs something that does not exist or is not permitted.
    Unavailable,
    /// The flow itself failed: its script threw, or could not run.
    Flow,
}

impl FailureClass {
    /// What follows a failure of this class.
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

    /// Whether the conversation itself led to the failure, so that continuing it would end the same
    /// way. Running out of turns does not count: a later attempt may have more.
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

    /// Whether the model itself is unavailable, so that a fallback may replace it.
    pub fn is_outage(self) -> bool {
        matches!(self, Self::Overloaded | Self::Server)
    }

    /// The words shown to users.
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

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Try again later; uses up a retry.
    Retry,
    /// Wait until the vendor accepts requests; uses up no retry.
    Wait,
    /// Try again at once; uses up no retry, because the task itself did not fail.
    Repeat,
    /// Stop the whole run until the user has done something.
    Park,
    /// Trying again would fail again.
    GiveUp,
}
