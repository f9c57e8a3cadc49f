//! A request on its way to the vendor, and whose it is.

use crate::vendor::Request;
use divisi_core::AttemptId;
use divisi_core::attempt::Slot;
use std::fmt;

/// Whose request it is: the run's, or another one's of the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The request of this turn of an attempt, the first or the second time.
    Attempt(AttemptId, usize, Slot),
    Other(u32),
}

/// The number of the run that is watched; others count from 1.
const OURS: u32 = 0;

/// A request that waits, or is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    pub(super) who: Who,
    pub(super) request: Request,
    /// The longer the chain behind it, the sooner it is its turn.
    pub(super) priority: u32,
    /// Tells it apart from all others.
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
