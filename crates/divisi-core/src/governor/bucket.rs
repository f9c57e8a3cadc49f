//! One limit of a vendor, as a bucket that fills continuously.

use crate::retry::BELIEVED_FOR;
use crate::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// Parts per request or token: a bucket of `n` per minute gains `n` parts each millisecond, so
/// nothing is ever rounded.
const PARTS: i64 = 60_000;

/// Largest amount that is accepted. A larger one is a mistake of the vendor, and would overflow the
/// arithmetic.
const AMOUNT_MAX: u64 = 1_000_000_000_000;

const MINUTE: Millis = Millis(60_000);

/// Assumed time from sending a request to the vendor's counting it: the vendor's bucket begins to
/// fill again when the request arrives, this one when it is sent. A path across an ocean takes some
/// 100 ms, but the next request takes as long, and only the difference counts.
pub(super) const ON_ITS_WAY: Millis = Millis(25);

/// The same after a pause: then connections may have to be opened first, which takes some round
/// trips. It is added once, for the first request after the pause.
const FIRST_ON_ITS_WAY: Millis = Millis(125);

/// One limit and its fill level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bucket {
    /// The user's limit, which no vendor raises. Each process has its own, so it is not shared.
    #[serde(skip)]
    set: Option<Limit>,
    /// The vendor's limit; its capacity is the largest seen so far.
    told: Option<Limit>,
    /// The level in parts. Negative after a reply that was longer than estimated.
    level: i64,
    /// Amount taken without any limit. The time of taking is unknown, and so is how much of it the
    /// vendor has refilled.
    #[serde(default)]
    undated: u64,
    /// The moment up to which it has been filled. May lie in the future.
    filled_at: Timestamp,
    /// How long it has been full; more than [`FIRST_ON_ITS_WAY`] makes no difference.
    full_for: Millis,
}

/// How fast a bucket fills, and how much it holds, in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limit {
    per_minute: u64,
    capacity: i64,
}

/// A vendor's report about one limit, with what the report cannot include.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// Gain per minute.
    pub(super) per_minute: u64,
    /// What was left when the vendor counted the request of this report.
    pub(super) remaining: u64,
    /// What that request took.
    pub(super) own: u64,
    /// Time since that request was sent.
    pub(super) age: Millis,
    /// What later requests have taken since then.
    pub(super) since: u64,
    /// The part of `since` that cannot have arrived before it. For the rest it is unknown whether
    /// the vendor has already counted it.
    pub(super) since_surely: u64,
}

impl Limit {
    pub(super) fn new(per_minute: u64, capacity: u64) -> Self {
        Self {
            per_minute,
            capacity: parts(capacity.max(1)),
        }
    }

    fn gain(&self, span: Millis) -> i64 {
        i64::try_from(self.per_minute.saturating_mul(span.0)).unwrap_or(i64::MAX)
    }
}

impl Bucket {
    /// A full bucket with the user's limit.
    pub(super) fn set(limit: Limit) -> Self {
        Self {
            set: Some(limit),
            told: None,
            level: limit.capacity,
            undated: 0,
            filled_at: Timestamp(0),
            full_for: FIRST_ON_ITS_WAY,
        }
    }

    /// A bucket without a user's limit, made from the vendor's first report.
    pub(super) fn told(now: Timestamp, told: Told) -> Self {
        let limit = told.limit();
        Self {
            set: None,
            told: Some(limit),
            level: told.level(limit, told.since),
            undated: 0,
            filled_at: now,
            full_for: Millis(0),
        }
    }

    /// The bucket as shared by other processes, with this user's limit `set` and with `unshared`,
    /// which this process took and they do not know.
    ///
    /// Of amounts taken at an unknown time, no more than a minute's gain becomes a debt: the rest
    /// has been refilled, or the limit is not the vendor's.
    pub(super) fn adopted(mut self, set: Option<Limit>, unshared: u64) -> Self {
        self.set = set;
        self.undated = self.undated.saturating_add(unshared);
        if let Some(limit) = self.limit() {
            let level = self
                .level
                .saturating_sub(parts(self.undated))
                .max(-limit.gain(MINUTE));
            self.level = level.min(self.level).min(limit.capacity);
            self.undated = 0;
        }
        self
    }

    /// The narrower of the user's and the vendor's limit; `None` if this process knows neither.
    fn limit(&self) -> Option<Limit> {
        match (self.set, self.told) {
            (Some(set), Some(told)) => Some(Limit {
                per_minute: set.per_minute.min(told.per_minute),
                ..set
            }),
            (set, told) => set.or(told),
        }
    }

    /// Applies a vendor's report. The level is never above the reported one plus the gain since.
    pub(super) fn learn(&mut self, now: Timestamp, told: Told) {
        self.fill(now);
        let limit = told.limit();
        let seen = self
            .told
            .map_or(limit.capacity, |before| before.capacity.max(limit.capacity));
        self.told = Some(Limit {
            capacity: seen,
            ..limit
        });
        // Of requests sent together, the one that arrived last reports the lowest number. Requests
        // that overtook it are counted in that number and must not be subtracted again.
        let level = self
            .limit()
            .map_or(self.level, |limit| told.level(limit, told.since_surely));
        let is_whole_truth = self.set.is_none() && told.since == 0;
        self.level = if is_whole_truth {
            level
        } else {
            self.level.min(level)
        };
    }

    /// The moment at which `amount` is available; `None` if it is now.
    ///
    /// An amount larger than the bucket needs a full bucket. If the vendor's limit is the narrower
    /// one, neither the amount nor a debt counts for more than an hour's gain, so no request waits
    /// longer than two hours.
    pub(super) fn ready_at(&mut self, now: Timestamp, amount: u64) -> Option<Timestamp> {
        self.fill(now);
        let limit = self.limit()?;
        let is_told = self.set.is_none_or(|set| limit.per_minute < set.per_minute);
        let believed = if is_told {
            limit.gain(BELIEVED_FOR)
        } else {
            i64::MAX
        };
        self.level = self.level.max(-believed);
        let wanted = parts(amount.max(1)).min(limit.capacity).min(believed);
        let missing = wanted.saturating_sub(self.level);
        let missing = u64::try_from(missing).ok().filter(|missing| *missing > 0)?;
        match limit.per_minute {
            0 => Some(Timestamp(u64::MAX)),
            per_minute => Some(self.filled_at + Millis(missing.div_ceil(per_minute))),
        }
    }

    /// Takes `amount`, which may leave a debt.
    pub(super) fn take(&mut self, now: Timestamp, amount: u64) {
        if amount == 0 {
            return;
        }
        if self.limit().is_none() {
            self.undated = self.undated.saturating_add(amount);
            return;
        }
        self.fill(now);
        // A bucket that has just become full fills ahead of the vendor's, by the time a request is
        // on its way.
        self.filled_at = now.max(self.filled_at) + self.full_for.min(FIRST_ON_ITS_WAY);
        self.full_for = Millis(0);
        self.level = self.level.saturating_sub(parts(amount));
    }

    /// Returns an amount that was taken and not used.
    pub(super) fn give_back(&mut self, now: Timestamp, amount: u64) {
        let Some(limit) = self.limit() else {
            self.undated = self.undated.saturating_sub(amount);
            return;
        };
        self.fill(now);
        self.level = self.level.saturating_add(parts(amount)).min(limit.capacity);
    }

    /// Takes all that is left.
    pub(super) fn drain(&mut self, now: Timestamp) {
        self.fill(now);
        self.level = self.level.min(0);
    }

    /// Its gain per minute.
    pub(super) fn per_minute(&self) -> Option<u64> {
        self.limit().map(|limit| limit.per_minute)
    }

    /// The level in whole requests or tokens.
    #[cfg(test)]
    pub(super) fn left(&self) -> u64 {
        u64::try_from(self.level / PARTS).unwrap_or(0)
    }

    fn fill(&mut self, now: Timestamp) {
        // A bucket that only other processes limit is filled by them.
        let Some(limit) = self.limit().filter(|_| now > self.filled_at) else {
            return;
        };
        let filled = self
            .level
            .saturating_add(limit.gain(now.since(self.filled_at)));
        let surplus = u64::try_from(filled.saturating_sub(limit.capacity)).unwrap_or(0);
        self.full_for.0 = self
            .full_for
            .0
            .saturating_add(surplus.checked_div(limit.per_minute).unwrap_or(0));
        self.level = filled.min(limit.capacity);
        self.filled_at = now;
    }
}

impl Told {
    /// The smallest limit that agrees with the report.
    fn limit(&self) -> Limit {
        Limit::new(self.per_minute, self.remaining.saturating_add(self.own))
    }

    /// The present level of a bucket with this limit, if `since` was taken after the report.
    fn level(&self, limit: Limit, since: u64) -> i64 {
        let gained = limit.gain(Millis(self.age.0.saturating_sub(ON_ITS_WAY.0)));
        parts(self.remaining)
            .saturating_add(gained)
            .saturating_sub(parts(since))
            .min(limit.capacity)
    }
}

fn parts(amount: u64) -> i64 {
    amount.min(AMOUNT_MAX) as i64 * PARTS
}
