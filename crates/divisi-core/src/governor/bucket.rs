//! One limit of a vendor, as a bucket that fills continuously.

use crate::retry::BELIEVED_FOR;
use crate::{Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// Parts that make one request or token: a bucket of `n` per minute gains `n`
/// parts each millisecond, so nothing is ever rounded.
const PARTS: i64 = 60_000;

/// Most of anything that is counted. More is a slip of whoever says so, and
/// would not fit the arithmetic.
const AMOUNT_MAX: u64 = 1_000_000_000_000;

const MINUTE: Millis = Millis(60_000);

/// The vendor's bucket begins to fill again when a request arrives, ours when
/// it leaves. This is how long it is taken to be on its way: a path across an
/// ocean takes some 100 ms, but what follows takes as long, and only the
/// difference counts.
pub(super) const ON_ITS_WAY: Millis = Millis(25);

/// The same after a rest: then there may be connections to make first, which
/// takes some round trips. It is spent once, and then never again while the
/// bucket is in use.
const FIRST_ON_ITS_WAY: Millis = Millis(125);

/// One limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bucket {
    /// As the user sets it, which no vendor raises. Each process has its own.
    #[serde(skip)]
    set: Option<Limit>,
    /// As the vendor tells of it, and as large as it has ever been seen.
    told: Option<Limit>,
    /// May be a debt, where a reply was longer than foreseen.
    level: i64,
    /// What those have taken whom nothing limits: nobody knows when, and so not
    /// how much of it the vendor has let in again.
    #[serde(default)]
    undated: u64,
    /// Up to when it has been filled. May lie ahead of now.
    filled_at: Timestamp,
    /// For how long it has been full, or longer than matters.
    full_for: Millis,
}

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limit {
    per_minute: u64,
    capacity: i64,
}

/// What a vendor says of one limit, and what it cannot know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    /// How much it gains in a minute.
    pub(super) per_minute: u64,
    /// What was left when the request of this answer had been let in.
    pub(super) remaining: u64,
    /// How much that request took.
    pub(super) own: u64,
    /// How long ago that request left.
    pub(super) age: Millis,
    /// What has been taken since it left.
    pub(super) since: u64,
    /// The part of it that cannot have overtaken it on the way: of the rest,
    /// nobody knows whether the vendor has counted it already.
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
    /// A full bucket, as the user sets it.
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

    /// A bucket that nobody has set, as a vendor tells of it for the first time.
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

    /// The bucket as others have left it, for one whose user sets `set` and who
    /// has taken `unshared` that the others do not know of.
    ///
    /// Of what was taken nobody knows when, no more than a minute's worth becomes
    /// a debt: the rest has been let in again, or the limit is not the vendor's.
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

    /// The narrower of what is set and told; `None` for one that only others limit.
    fn limit(&self) -> Option<Limit> {
        match (self.set, self.told) {
            (Some(set), Some(told)) => Some(Limit {
                per_minute: set.per_minute.min(told.per_minute),
                ..set
            }),
            (set, told) => set.or(told),
        }
    }

    /// Learns what the vendor says. It is never taken to have more than that and
    /// what it has gained since the vendor spoke.
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
        // Of requests that left together, the one that arrived last tells the
        // lowest number; what overtook another must not be taken off it twice.
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

    /// The moment at which it has `amount`; `None` if it has it now.
    ///
    /// What is larger than the bucket may leave when the bucket is full. Where the
    /// vendor's limit is the narrower one, it leaves when there is as much as it
    /// brings in an hour, and is not held back for longer than two.
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
        // One that has only just filled up is behind the vendor's already.
        self.filled_at = now.max(self.filled_at) + self.full_for.min(FIRST_ON_ITS_WAY);
        self.full_for = Millis(0);
        self.level = self.level.saturating_sub(parts(amount));
    }

    /// Gives back what was taken and not used.
    pub(super) fn give_back(&mut self, now: Timestamp, amount: u64) {
        let Some(limit) = self.limit() else {
            self.undated = self.undated.saturating_sub(amount);
            return;
        };
        self.fill(now);
        self.level = self.level.saturating_add(parts(amount)).min(limit.capacity);
    }

    /// Takes everything that is left.
    pub(super) fn drain(&mut self, now: Timestamp) {
        self.fill(now);
        self.level = self.level.min(0);
    }

    /// How much it gains in a minute.
    pub(super) fn per_minute(&self) -> Option<u64> {
        self.limit().map(|limit| limit.per_minute)
    }

    /// How much is left, in whole ones.
    #[cfg(test)]
    pub(super) fn left(&self) -> u64 {
        u64::try_from(self.level / PARTS).unwrap_or(0)
    }

    fn fill(&mut self, now: Timestamp) {
        // What only others limit, only they fill.
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
    /// The limit that it shows at the least.
    fn limit(&self) -> Limit {
        Limit::new(self.per_minute, self.remaining.saturating_add(self.own))
    }

    /// What is left now of a bucket with this limit, when `since` has been taken
    /// since the vendor spoke.
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
