//! The types with which callers ask a governor and report to it.

use crate::retry::Told;
use crate::{FailureClass, Millis, Timestamp};

/// What a request is likely to take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Tokens of its prompt.
    pub input: u64,
    /// Most tokens of its reply.
    pub output: u64,
}

/// A limit on what may be sent in a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    /// The amount.
    pub per_minute: u64,
    /// What is limited.
    pub of: Amount,
}

/// Something that vendors limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Amount {
    /// Requests.
    Requests,
    /// Tokens of prompts and replies together.
    Tokens,
    /// Tokens of prompts.
    InputTokens,
    /// Tokens of replies.
    OutputTokens,
}

impl Amount {
    /// In the order of a governor's buckets.
    pub(super) const ALL: [Self; super::KINDS] = [
        Self::Requests,
        Self::Tokens,
        Self::InputTokens,
        Self::OutputTokens,
    ];
}

/// Identifies a request that was allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PermitId(pub(super) u64);

/// Whether a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may. Its end must be reported.
    Go(PermitId),
    /// Not before this moment.
    Wait(Timestamp),
    /// Not before another request ends.
    Full,
    /// The vendor accepts no requests, or none before the given moment.
    Closed(Option<Timestamp>),
}

/// How a request ended, as far as it affects further requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was answered.
    Ok,
    /// It exceeded a rate limit.
    RateLimited {
        /// Time after which the vendor accepts requests again.
        retry_after: Option<Millis>,
    },
    /// The vendor has no capacity.
    Overloaded,
    /// Money or quota are used up.
    Quota {
        /// When the quota is reset, if known.
        until: Option<Timestamp>,
    },
    /// The key was refused.
    Auth,
    /// It failed or was abandoned for a reason that does not affect others.
    Other,
}

impl Ending {
    /// Classifies the end of a request that failed with this class at `now`; `told` is what the
    /// vendor said about it.
    pub fn of(class: FailureClass, told: Told, now: Timestamp) -> Self {
        match class {
            // The vendor says that waiting does not help.
            FailureClass::RateLimited if told.should_retry == Some(false) => Self::Other,
            FailureClass::RateLimited => Self::RateLimited {
                retry_after: told.retry_after,
            },
            FailureClass::Overloaded => Self::Overloaded,
            FailureClass::Quota => Self::Quota {
                until: told.retry_after.map(|wait| now + wait),
            },
            FailureClass::Auth if told.should_retry == Some(true) => Self::Other,
            FailureClass::Auth => Self::Auth,
            FailureClass::Server
            | FailureClass::Network
            | FailureClass::Timeout
            | FailureClass::Stalled
            | FailureClass::Lost
            | FailureClass::Interrupted
            | FailureClass::BadRequest
            | FailureClass::TooLong
            | FailureClass::Declined
            | FailureClass::Truncated
            | FailureClass::Schema
            | FailureClass::Empty
            | FailureClass::Turns
            | FailureClass::Check
            | FailureClass::Budget
            | FailureClass::Program
            | FailureClass::Unavailable
            | FailureClass::Flow => Self::Other,
        }
    }
}
