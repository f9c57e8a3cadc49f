//! One request and, where it takes long, its hedge: the first good answer is used, and the other
//! request is abandoned.

use crate::Timestamp;
use crate::budget::TurnBound;

/// Which of the two copies of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The first, which is always sent.
    First,
    /// The hedge, sent because the first takes far longer than comparable requests.
    Second,
}

/// Where the two requests are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exchange {
    pub(super) bound: TurnBound,
    /// Longest reply in tokens, where the budget allows less than was asked for.
    pub(super) room: Option<u32>,
    /// When the first copy was sent.
    pub(super) sent_at: Option<Timestamp>,
    /// When to check next whether it is slow.
    pub(super) look_at: Option<Timestamp>,
    pub(super) first: First,
    pub(super) second: Second,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum First {
    #[default]
    None,
    /// Waits for a permit.
    Waiting,
    Out,
    /// Failed, while the hedge is still under way.
    Failed {
        maybe_billed: bool,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Second {
    #[default]
    None,
    /// Ordered, and not granted by the run yet.
    Wanted,
    /// Waits for a permit.
    Waiting,
    Out,
    /// Ended or refused. There is no third copy.
    Over,
}

impl Exchange {
    pub(super) fn new(bound: TurnBound) -> Self {
        Self {
            bound,
            ..Self::default()
        }
    }
}
