//! Dollars allowed, set aside and spent.

use crate::PicoUsd;
use serde::{Deserialize, Serialize};

/// The money of a run: `settled + reserved ≤ cap`, at every event.
///
/// Before a request leaves, the most it can cost is reserved; when its reply
/// has arrived, that is replaced by what it did cost. A request that was sent
/// and never answered settles at its reservation, because it may be billed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Most that may be spent; without one there is no limit.
    pub cap: Option<PicoUsd>,
    /// Set aside for requests under way.
    pub reserved: PicoUsd,
    /// Spent.
    pub settled: PicoUsd,
}

impl Budget {
    /// Whether `amount` may be reserved on top of what is. Nothing always may,
    /// even where a cap has been lowered below what is spent.
    pub fn fits(&self, amount: PicoUsd) -> bool {
        amount == PicoUsd::ZERO || self.cap.is_none_or(|cap| self.settled + self.reserved + amount <= cap)
    }

    /// Sets `amount` aside.
    pub(crate) fn reserve(&mut self, amount: PicoUsd) {
        self.reserved += amount;
    }

    /// Takes back a reservation and books what was spent of it.
    pub(crate) fn settle(&mut self, reserved: PicoUsd, cost: PicoUsd) {
        self.reserved = self.reserved.saturating_sub(reserved);
        self.settled += cost;
    }
}
