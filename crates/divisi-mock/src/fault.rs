//! Faults by name.

use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// A fault, written as the snake-case name of its variant: `"overloaded"`, `"drop_stream"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "not the name of a fault")]
pub enum Fault {
    /// The request gets an error instead of an answer.
    Refuse(ErrorKind),
    /// The answer begins, or seems to, and is incomplete or wrong.
    Break(Breakage),
    /// The answer is complete, but in an unusual format.
    Bend(Oddity),
}

impl From<ErrorKind> for Fault {
    fn from(kind: ErrorKind) -> Self {
        Self::Refuse(kind)
    }
}

impl From<Breakage> for Fault {
    fn from(breakage: Breakage) -> Self {
        Self::Break(breakage)
    }
}

impl From<Oddity> for Fault {
    fn from(oddity: Oddity) -> Self {
        Self::Bend(oddity)
    }
}

impl FromStr for Fault {
    type Err = serde_json::Error;
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        serde_json::from_value(name.into())
    }
}

/// Errors with an HTTP status. Each vendor words them differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// 400.
    BadRequest,
    /// 401.
    Authentication,
    /// 402: money has run out.
    Billing,
    /// 403.
    Permission,
    /// 404.
    NotFound,
    /// 413.
    TooLarge,
    /// 422.
    Unprocessable,
    /// 429 with `retry-after` and the limits' headers.
    RateLimit,
    /// 429 without `retry-after`, because waiting does not help: a limit on money.
    SpendLimit,
    /// 500.
    Internal,
    /// 504.
    Timeout,
    /// 529 at Anthropic, 503 at OpenAI.
    Overloaded,
}

/// Ways in which an answer is incomplete or wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Breakage {
    /// Nothing is sent, not even a status.
    Hang,
    /// Half of the answer is sent, then nothing, on an open connection.
    Stall,
    /// Half of the answer is sent, then the connection is cut.
    DropStream,
    /// Half of the answer is sent, then the body ends as if it were complete.
    EndEarly,
    /// Half of the answer is sent, then an event that reports *overloaded*.
    ErrorMidStream,
    /// An event in the middle of the answer is not JSON.
    MalformedChunk,
    /// The answer is complete, but names a model that was not requested.
    WrongModel,
}

/// An oddity of some server, written in snake case like a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Oddity {
    /// Lines end with a carriage return and a line feed.
    CarriageReturns,
    /// A byte order mark comes first.
    ByteOrderMark,
    /// There are no blank lines between events.
    NoBlankLines,
    /// Comments keep the connection alive.
    Comments,
    /// Half of the answer is sent, then comments for ever.
    CommentsForEver,
    /// Events are sent one per line, without being marked as data.
    JsonLines,
    /// The content type of the body is plain text.
    PlainLabel,
    /// The answer is sent as a whole, though a stream was requested.
    NotStreamed,
    /// The body is compressed, though the client did not permit it.
    Compressed,
    /// The connection stays open after the answer.
    KeptOpen,
    /// The mark after the last event is left out, if the API has one.
    NoEndMark,
    /// Unknown fields and events, and null for fields that may be left out.
    UnknownFields,
    /// All counts are zero.
    ZeroUsage,
    /// The answer has no text.
    Empty,
    /// The answer is white space.
    Blank,
    /// The stop reason is a tool call, but there is none.
    ToolStopWithoutCall,
    /// The answer calls a tool, but its stop reason is a normal end.
    ProperStopWithCall,
    /// There is no stop reason.
    NoStopReason,
    /// The stop reason is an error.
    OddStopReason,
    /// Tool calls have no ids.
    NoIds,
    /// All tool calls have the same id.
    SameIds,
    /// The arguments of tools are a JSON string that contains JSON.
    EncodedArguments,
    /// An error is sent with a status of success.
    ErrorUnderOk,
}

/// An error answer to a request.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: ErrorKind,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, message)
    }

    /// An error in its usual words; only a rate limit says when to retry.
    pub(crate) fn usual(kind: ErrorKind, retry_after: Duration) -> Self {
        let retry_after = (kind == ErrorKind::RateLimit).then_some(retry_after);
        Self {
            kind,
            message: kind.message().to_owned(),
            retry_after,
        }
    }
}

impl ErrorKind {
    fn message(self) -> &'static str {
        match self {
            Self::BadRequest => "The request was invalid.",
            Self::Authentication => "The API key is not valid.",
            Self::Billing => "The credit balance is too low to answer this request.",
            Self::Permission => "The API key may not use this resource.",
            Self::NotFound => "The resource was not found.",
            Self::TooLarge => "The request is larger than the allowed size.",
            Self::Unprocessable => "The request could not be processed.",
            Self::RateLimit => "The rate limit of this model has been reached.",
            Self::SpendLimit => "The spend limit of the organization has been reached.",
            Self::Internal => "An internal error occurred.",
            Self::Timeout => "The request took too long.",
            Self::Overloaded => "Overloaded",
        }
    }
}
