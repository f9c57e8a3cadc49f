//! One limit of a vendor, as a bucket that fills continuously.

use crate::{Millis, Timestamp};

/// Parts that make one request or token: a bucket of `n` per minute gains `n`
/// parts each millisecond, so nothing is ever rounded.
const PARTS: i64 = 60_000;

/// Most of anything that is counted. More is a slip of whoever says so, and
/// would not fit the arithmetic.
const AMOUNT_MAX: u64 = 1_000_000_000_000;

/// The vendor's bucket begins to fill again when a request arrives, ours when
/// it leaves. This is how long it is taken to be on its way: a path across an
/// ocean takes some 100 ms, but what follows takes as long, and only the
/// difference counts.
const ON_ITS_WAY: Millis = Millis(25);

/// One limit.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    per_minute: u64,
    /// The user's own rate, which no vendor raises.
    set: Option<u64>,
    capacity: i64,
    /// May be a debt, where a reply was longer than foreseen.
    level: i64,
    /// Up to when it has been filled. May lie ahead of now.
    filled_at: Timestamp,
    /// For how long it has been full, or longer than matters.
    full_for: Millis,
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
    /// What has been taken since.
    pub(super) since: u64,
}

impl Bucket {
    /// A full bucket, as the user sets it.
    pub(super) fn set(per_minute: u64, capacity: u64) -> Self {
        let capacity = parts(capacity.max(1));
        Self {
            per_minute,
            set: Some(per_minute),
            capacity,
            level: capacity,
            filled_at: Timestamp(0),
            full_for: ON_ITS_WAY,
        }
    }

    /// A bucket that nobody has set, as a vendor tells of it for the first time.
    pub(super) fn told(now: Timestamp, told: Told) -> Self {
        let capacity = parts(told.remaining.saturating_add(told.own).max(1));
        let mut bucket = Self {
            per_minute: told.per_minute,
            set: None,
            capacity,
            level: capacity,
            filled_at: now,
            full_for: Millis(0),
        };
        bucket.level = bucket.by(told);
        bucket
    }

    /// Learns what the vendor says. It is never taken to have more than that.
    pub(super) fn learn(&mut self, now: Timestamp, told: Told) {
        self.fill(now);
        self.per_minute = self.set.map_or(told.per_minute, |set| set.min(told.per_minute));
        if self.set.is_none() {
            // As large as it has ever been seen, and no larger.
            self.capacity = self.capacity.max(parts(told.remaining.saturating_add(told.own)));
        }
        let level = self.by(told);
        let is_whole_truth = self.set.is_none() && told.since == 0;
        self.level = if is_whole_truth { level } else { self.level.min(level) };
    }

    /// The level now, by what the vendor said.
    fn by(&self, told: Told) -> i64 {
        let gained = self.gain(Millis(told.age.0.saturating_sub(ON_ITS_WAY.0)));
        parts(told.remaining).saturating_add(gained).saturating_sub(parts(told.since)).min(self.capacity)
    }

    /// The moment at which it has `amount`; `None` if it has it now.
    ///
    /// What is larger than the bucket may leave when the bucket is full.
    pub(super) fn ready_at(&mut self, now: Timestamp, amount: u64) -> Option<Timestamp> {
        self.fill(now);
        let missing = parts(amount.max(1)).min(self.capacity).saturating_sub(self.level);
        let missing = u64::try_from(missing).ok().filter(|missing| *missing > 0)?;
        match self.per_minute {
            0 => Some(Timestamp(u64::MAX)),
            per_minute => Some(self.filled_at + Millis(missing.div_ceil(per_minute))),
        }
    }

    /// Takes `amount`, which may leave a debt.
    pub(super) fn take(&mut self, now: Timestamp, amount: u64) {
        if amount == 0 {
            return;
        }
        self.fill(now);
        // One that has only just filled up is behind the vendor's already.
        self.filled_at = now.max(self.filled_at) + self.full_for.min(ON_ITS_WAY);
        self.full_for = Millis(0);
        self.level = self.level.saturating_sub(parts(amount));
    }

    /// Gives back what was taken and not used.
    pub(super) fn give_back(&mut self, now: Timestamp, amount: u64) {
        self.fill(now);
        self.level = self.level.saturating_add(parts(amount)).min(self.capacity);
    }

    /// Takes everything that is left.
    pub(super) fn drain(&mut self, now: Timestamp) {
        self.fill(now);
        self.level = self.level.min(0);
    }

    /// How much it gains in a minute.
    pub(super) fn per_minute(&self) -> u64 {
        self.per_minute
    }

    /// How much is left, in whole ones.
    #[cfg(test)]
    pub(super) fn left(&self) -> u64 {
        u64::try_from(self.level / PARTS).unwrap_or(0)
    }

    fn fill(&mut self, now: Timestamp) {
        if now > self.filled_at {
            let filled = self.level.saturating_add(self.gain(now.since(self.filled_at)));
            let surplus = u64::try_from(filled.saturating_sub(self.capacity)).unwrap_or(0);
            self.full_for.0 =
                self.full_for.0.saturating_add(surplus.checked_div(self.per_minute).unwrap_or(0));
            self.level = filled.min(self.capacity);
            self.filled_at = now;
        }
    }

    fn gain(&self, span: Millis) -> i64 {
        i64::try_from(self.per_minute.saturating_mul(span.0)).unwrap_or(i64::MAX)
    }
}

fn parts(amount: u64) -> i64 {
    amount.min(AMOUNT_MAX) as i64 * PARTS
}
