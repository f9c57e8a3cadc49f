//! Latency and overload of a vendor.

use crate::chance::Chance;
use divisi_core::{Millis, Timestamp};

/// Latency of a model family.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The median latency in milliseconds.
    pub(super) middle: u64,
    /// Whether some replies take much longer than most.
    pub(super) uneven: bool,
}

/// The latency of one reply: the median, four times halved, kept or doubled, which approximates a
/// log-normal distribution in whole numbers.
pub(super) fn latency(chance: &mut Chance, pace: Option<Pace>) -> Millis {
    let Pace { middle, uneven } = pace.unwrap_or(Pace {
        middle: 400,
        uneven: true,
    });
    let factors = if uneven { 4 } else { 1 };
    let doubled = (0..factors).fold(middle * 1_000, |took, _| {
        took * chance.within(600..1_667) / 1_000
    });
    // Three in a hundred take twenty times as long.
    let took = doubled / 1_000 * if uneven && chance.percent(3) { 20 } else { 1 };
    Millis(took.max(1))
}

/// Times at which a vendor refuses many requests.
#[derive(Clone, Copy, Debug)]
pub(super) struct Storms {
    pub(super) every: u64,
    pub(super) lasts: u64,
    /// Requests refused per hundred.
    pub(super) refused: u64,
}

impl Storms {
    pub(super) fn new(chance: &mut Chance) -> Self {
        let every = chance.within(3_000..60_000);
        Self {
            every,
            lasts: chance.within(1..every / 2),
            refused: chance.within(20..101),
        }
    }

    /// Whether a request that arrives now is refused.
    pub(super) fn refuse(self, now: Timestamp, chance: &mut Chance) -> bool {
        now.0 % self.every < self.lasts && chance.percent(self.refused)
    }
}
