//! One request and, where it takes long, the same once more: the first good answer
//! wins, and the other request is given up.

use crate::Timestamp;
use crate::budget::TurnBound;

/// Which of the two requests for the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The one that is always sent.
    First,
    /// The same, sent again because the first takes far longer than others.
    Second,
}

/// Where the two requests are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Exchange {
    pub(super) bound: TurnBound,
    /// The longest reply, where the budget leaves less than was wanted.
    pub(super) room: Option<u32>,
    /// When the first one left.
    pub(super) sent_at: Option<Timestamp>,
    /// When to look whether it takes long.
    pub(super) look_at: Option<Timestamp>,
    pub(super) first: First,
    pub(super) second: Second,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum First {
    #[default]
    None,
    /// For a permit.
    Waiting,
    Out,
    /// While the second one is out.
    Failed {
        maybe_billed: bool,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Second {
    #[default]
    None,
    /// The run is asked for it.
    Wanted,
    /// For a permit.
    Waiting,
    Out,
    /// There is no third one.
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
