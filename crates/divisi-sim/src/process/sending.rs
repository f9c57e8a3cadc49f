//! Requests to the vendor, with their senders.

use crate::vendor::Request;
use divisi_core::AttemptId;
use divisi_core::attempt::Slot;
use std::fmt;

/// The sender of a request: the watched run, or another one of the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The request of this turn of an attempt, the first or the hedge.
    Attempt(AttemptId, usize, Slot),
    Other(u32),
}

/// The number of the watched run; others count from 1.
const OURS: u32 = 0;

/// A request that waits or is in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) who: Who,
    pub(super) request: Request,
    /// Length of the chain that waits for its task; longer chains go first.
    pub(super) priority: u32,
    /// A unique number.
    pub(super) ticket: u64,
}

impl Who {
    pub(super) fn run(self) -> u32 {
        match self {
            Self::Attempt(..) => OURS,
            Self::Other(other) => other,
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attempt(attempt, turn, Slot::First) => write!(f, "{attempt} turn {turn}"),
            Self::Attempt(attempt, turn, Slot::Second) => write!(f, "{attempt} turn {turn} again"),
            Self::Other(other) => write!(f, "one of run {other}"),
        }
    }
}
