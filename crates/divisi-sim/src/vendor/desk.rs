//! The actual limits of a vendor for one model family, which a governor knows only from settings
//! and headers.

use super::weather::{Pace, Storms};
use crate::chance::Chance;
use crate::scenario::Scenario;
use divisi_core::governor::{RateLimits, RateSettings, Window};
use divisi_core::{Millis, Timestamp};
use std::collections::BTreeMap;

/// Units per request or token: a limit of one per minute gains one unit per millisecond.
const PARTS: i128 = 60_000;

/// Limits, latency and overload of one family.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    pub(super) pace: Pace,
    storms: Option<Storms>,
    requests: Option<Bucket>,
    input: Option<Bucket>,
    output: Option<Bucket>,
    /// Tokens of replies being written, by the time they end.
    writing: BTreeMap<Timestamp, u64>,
    /// Whether the user has configured these limits.
    known: bool,
    /// Whether replies report them.
    told: bool,
}

/// One limit.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    per_minute: u64,
    capacity: u64,
    level: i128,
    filled_at: Timestamp,
}

impl Desk {
    pub(super) fn new(chance: &mut Chance, scenario: Scenario) -> Self {
        let many = if scenario.fan_out { 100 } else { 1 };
        let per_second = chance.within(1..40) * many;
        let requests = Bucket::new(per_second * 60, chance.within(1..2 * per_second + 2));
        let mut tokens = |least: u64| {
            let per_minute = chance.within(least..20 * least) * many;
            chance
                .percent(40)
                .then(|| Bucket::new(per_minute, per_minute))
        };
        let (input, output) = (tokens(20_000), tokens(400));
        let pace = Pace {
            middle: chance.within(20..2_000),
            uneven: scenario.slow,
        };
        let storms = Storms::new(chance);
        Self {
            pace,
            storms: scenario.storms.then_some(storms),
            requests: scenario.limited.then_some(requests),
            input: input.filter(|_| scenario.limited),
            output: output.filter(|_| scenario.limited),
            writing: BTreeMap::new(),
            known: scenario.limits_set,
            told: scenario.headers,
        }
    }

    /// The limits that the user has configured.
    pub(super) fn settings(&self) -> RateSettings {
        let per_minute = |bucket: Option<Bucket>| {
            bucket
                .filter(|_| self.known)
                .map(|bucket| bucket.per_minute)
        };
        RateSettings {
            requests_per_minute: per_minute(self.requests),
            burst: self.requests.map(|bucket| bucket.capacity),
            input_tokens_per_minute: per_minute(self.input),
            output_tokens_per_minute: per_minute(self.output),
            in_flight: None,
            count_cached: false,
        }
    }

    /// Whether a sender that keeps to the settings from now on is never refused. Not with a limit
    /// of output tokens: the length of a reply is not known before.
    pub(super) fn is_known(&mut self, now: Timestamp) -> bool {
        let full =
            |bucket: &mut Option<Bucket>| bucket.as_mut().is_none_or(|bucket| bucket.is_full(now));
        self.known && self.output.is_none() && full(&mut self.requests) && full(&mut self.input)
    }

    /// Whether the burst has room for delayed requests that arrive together with later ones.
    pub(super) fn has_room_for(&self, delay: Millis) -> bool {
        let room =
            |bucket: Bucket| bucket.capacity * 60_000 >= 2 * bucket.per_minute * delay.0 + 60_000;
        self.requests.is_none_or(room)
    }

    /// Removes all troubles that the user does not know.
    pub(super) fn calm(&mut self) {
        self.storms = None;
        if !self.known {
            (self.requests, self.input, self.output) = (None, None, None);
        }
    }

    /// Accepts a request with this many input tokens, or says how long to wait.
    pub(super) fn lets_in(&mut self, now: Timestamp, input: u64) -> Result<(), Option<Millis>> {
        self.written(now);
        let wants = [
            (&mut self.requests, 1),
            (&mut self.input, input),
            (&mut self.output, 1),
        ];
        let wait = wants
            .into_iter()
            .filter_map(|(bucket, amount)| bucket.as_mut()?.wait(now, amount))
            .max();
        if let Some(wait) = wait {
            // Some vendors give whole seconds, some nothing.
            return Err(self.told.then_some(Millis(wait.0.div_ceil(1_000) * 1_000)));
        }
        for (bucket, amount) in [(&mut self.requests, 1), (&mut self.input, input)] {
            bucket
                .iter_mut()
                .for_each(|bucket| bucket.take(now, amount));
        }
        Ok(())
    }

    /// Plans that this many tokens will have been written at that time.
    pub(super) fn writes(&mut self, at: Timestamp, tokens: u64) {
        *self.writing.entry(at).or_default() += tokens;
    }

    /// Whether it is overloaded now.
    pub(super) fn storms(&self, now: Timestamp, chance: &mut Chance) -> bool {
        self.storms.is_some_and(|storms| storms.refuse(now, chance))
    }

    /// What a reply reports about limits.
    pub(super) fn tells(&mut self, now: Timestamp) -> RateLimits {
        if !self.told {
            return RateLimits::default();
        }
        let window = |bucket: &mut Option<Bucket>| {
            bucket
                .as_mut()
                .map(|bucket| bucket.tell(now))
                .unwrap_or_default()
        };
        RateLimits {
            requests: window(&mut self.requests),
            tokens: Window::default(),
            input_tokens: window(&mut self.input),
            output_tokens: window(&mut self.output),
        }
    }

    fn written(&mut self, now: Timestamp) {
        while let Some(entry) = self
            .writing
            .first_entry()
            .filter(|entry| *entry.key() <= now)
        {
            let (at, tokens) = entry.remove_entry();
            self.output
                .iter_mut()
                .for_each(|bucket| bucket.take(at, tokens));
        }
    }
}

impl Bucket {
    fn new(per_minute: u64, capacity: u64) -> Self {
        Self {
            per_minute,
            capacity,
            level: i128::from(capacity) * PARTS,
            filled_at: Timestamp(0),
        }
    }

    fn is_full(&mut self, now: Timestamp) -> bool {
        self.fill(now);
        self.level >= i128::from(self.capacity) * PARTS
    }

    /// How long until it holds this amount; `None` if it does.
    fn wait(&mut self, now: Timestamp, amount: u64) -> Option<Millis> {
        self.fill(now);
        let missing = i128::from(amount) * PARTS - self.level;
        let wait = u64::try_from(missing).ok()?.div_ceil(self.per_minute);
        (wait > 0).then_some(Millis(wait))
    }

    fn take(&mut self, now: Timestamp, amount: u64) {
        self.fill(now);
        self.level -= i128::from(amount) * PARTS;
    }

    fn tell(&mut self, now: Timestamp) -> Window {
        self.fill(now);
        let left = u64::try_from(self.level / PARTS).unwrap_or(0);
        let missing = u64::try_from(i128::from(self.capacity) * PARTS - self.level).unwrap_or(0);
        Window {
            limit: Some(self.per_minute),
            remaining: Some(left),
            resets_in: Some(Millis(missing.div_ceil(self.per_minute))),
        }
    }

    fn fill(&mut self, now: Timestamp) {
        let gained = i128::from(now.since(self.filled_at).0) * i128::from(self.per_minute);
        self.level = (self.level + gained).min(i128::from(self.capacity) * PARTS);
        self.filled_at = self.filled_at.max(now);
    }
}
