//! The words between a governor and those who send requests.

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

/// Names a request that was let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PermitId(pub(super) u64);

/// Whether a request may leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may. Its end is to be reported.
    Go(PermitId),
    /// Not before this moment.
    Wait(Timestamp),
    /// Not before another one has come back.
    Full,
    /// Nothing leaves any more, or not before the moment at which it reopens.
    Closed(Option<Timestamp>),
}

/// How a request ended, as far as it concerns others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was answered.
    Ok,
    /// It was one too many.
    RateLimited {
        /// How long nobody is to come.
        retry_after: Option<Millis>,
    },
    /// The vendor has no capacity.
    Overloaded,
    /// Money or quota are used up.
    Quota {
        /// When there will be some again, if that is known.
        until: Option<Timestamp>,
    },
    /// The key was refused.
    Auth,
    /// It failed, or was given up, for a reason of its own.
    Other,
}

impl Ending {
    /// How a request ended that failed with this class at `now`, and of which the vendor
    /// has said this.
    pub fn of(class: FailureClass, told: Told, now: Timestamp) -> Self {
        match class {
            // The vendor says that pace has nothing to do with it.
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
