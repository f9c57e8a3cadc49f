//! Decides when a request may leave: one governor for each credential and
//! model family.
//!
//! It keeps a bucket for each limit that the user has set or the vendor has
//! told of, a number of requests that may be under way, and a breaker. Headers
//! are the truth: what a vendor says is left is lowered by what it cannot have
//! known, and never raised above it. A bucket is never taken to be larger than
//! it has been seen. What a vendor says holds nobody back for long on its own:
//! only another answer can put it right. Without any limit, 64 requests leave at once,
//! and each reply that begins doubles that, up to [`IN_FLIGHT_MAX`].
//!
//! Whose turn it is among those who wait, [`Queue`] decides.

mod settings;
mod decision;

mod headers;
mod bucket;
mod flight;
mod concurrency;

mod pace;
mod prefixes;
mod queue;

pub use concurrency::IN_FLIGHT_MAX;
pub use decision::{Decision, Ending, Estimate, PermitId};
pub use headers::{RateLimits, Window};
pub use pace::Pace;
pub use prefixes::{Lead, Leader, PrefixCache};
pub use queue::{Next, Place, Queue};
pub use settings::RateSettings;

use crate::retry::BELIEVED_FOR;
use crate::{Millis, Timestamp, Usage};
use bucket::{Bucket, Limit, Told};
use concurrency::Concurrency;
use flight::{Flight, Grant};
use headers::is_span;
use pace::{Closure, News};

/// Tokens that a reply is taken to have before any has been seen. The vendor
/// counts them as they are written, so this only spreads the first requests.
const REPLY_TOKENS_FIRST: u64 = 1_000;

/// After a wait that is longer than this when somebody asks, one request leaves
/// at first, and the others when it is answered.
const SURE_MAX: Millis = Millis::from_secs(60);

/// Decides when requests may leave.
#[derive(Clone, Debug)]
pub struct Governor {
    /// What it shares with others who use the same credential.
    pace: Pace,
    /// What it has not told them yet.
    news: News,
    /// What the user sets.
    set: [Option<Limit>; KINDS],
    concurrency: Concurrency,
    flight: Flight,
    /// Whether the vendor has said to one of its own requests that it takes no more.
    closed: Option<Closure>,
    /// Whether one request is to find out if it is open.
    tries: bool,
    /// The last to leave before that was in doubt: up to it, replies say nothing of it.
    doubted: PermitId,
    /// Whoever tries need not wait until then: somebody hopes that it is no longer true.
    waived: Timestamp,
    count_cached: bool,
    /// Tokens that a reply is likely to have.
    reply_tokens: u64,
}

const KINDS: usize = 4;
const REQUESTS: usize = 0;
/// In and out together.
const TOKENS: usize = 1;
const OUTPUT: usize = 3;

impl Governor {
    /// A governor that knows what the user has set.
    pub fn new(settings: &RateSettings) -> Self {
        let per_minute = |limit: Option<u64>| limit.map(|limit| Limit::new(limit, limit));
        let burst = |limit: u64| settings.burst.unwrap_or_else(|| limit.div_ceil(60));
        let set = [
            settings
                .requests_per_minute
                .map(|limit| Limit::new(limit, burst(limit))),
            None,
            per_minute(settings.input_tokens_per_minute),
            per_minute(settings.output_tokens_per_minute),
        ];
        Self {
            pace: Pace {
                buckets: set.map(|limit| limit.map(Bucket::set)),
                ..Pace::default()
            },
            news: News::default(),
            set,
            concurrency: Concurrency::new(settings.in_flight),
            flight: Flight::default(),
            closed: None,
            tries: false,
            doubted: PermitId(0),
            waived: Timestamp(0),
            count_cached: settings.count_cached,
            reply_tokens: REPLY_TOKENS_FIRST,
        }
    }

    /// Whether a request may leave now.
    ///
    /// Who is told to wait until a moment gets a permit if they ask again then
    /// and nobody else has asked, or news has come, in between.
    pub fn ask(&mut self, now: Timestamp, estimate: Estimate) -> Decision {
        // The vendor may be wrong about it, so the pace stays closed until one is answered.
        self.closed = self.closed.filter(|closure| !closure.is_over(now));
        if let Some(Closure { until }) = self.closed {
            return Decision::Closed(until);
        }
        let not_before = if self.has_waived() {
            now
        } else {
            self.pace.not_before
        };
        if not_before > now + SURE_MAX {
            self.doubt();
        }
        let allowed = if self.is_unsure() {
            1
        } else {
            self.concurrency.allowed()
        };
        if not_before <= now && self.in_flight() >= allowed {
            return Decision::Full;
        }
        let output = estimate.output.min(self.reply_tokens);
        let amounts = [
            1,
            estimate.input.saturating_add(output),
            estimate.input,
            output,
        ];
        let mut ready_at = not_before;
        for (bucket, amount) in self.pace.buckets.iter_mut().zip(amounts) {
            let at = bucket
                .as_mut()
                .and_then(|bucket| bucket.ready_at(now, amount));
            ready_at = ready_at.max(at.unwrap_or_default());
        }
        if ready_at > now {
            return Decision::Wait(ready_at);
        }
        self.flight.note_arrivals(now, self.pace.taken);
        for (kind, amount) in amounts.into_iter().enumerate() {
            self.take(kind, amount, now);
        }
        Decision::Go(self.flight.leaves(now, amounts, self.pace.taken))
    }

    /// Lets no more than `most` be under way at once, where the user wants no other
    /// number, and never more than [`IN_FLIGHT_MAX`].
    pub fn limit_in_flight(&mut self, most: u32) {
        self.concurrency.limit(most);
    }

    /// Whether nothing leaves any more, or not before some moment that is far away.
    pub fn is_shut(&self, now: Timestamp) -> bool {
        self.closed.is_some() || (self.pace.not_before > now + SURE_MAX && !self.has_waived())
    }

    /// Opens it for one request at first, however long the vendor wants to be left
    /// in peace: until one is answered nobody knows whether that was right.
    pub fn reopen(&mut self) {
        self.closed = None;
        self.waived = self.pace.not_before;
        self.doubt();
    }

    /// Whether fewer may be under way than there is room for, because some were refused for
    /// want of capacity.
    pub fn is_strained(&self) -> bool {
        self.concurrency.is_lowered()
    }

    /// Whether one request has to find out if it is closed: it was opened again,
    /// others have found it closed, or its time or a long wait is over.
    pub fn is_unsure(&self) -> bool {
        self.closed.is_none() && (self.tries || self.pace.closed.is_some())
    }

    /// Whether it is of use to it to learn at once that a reply has begun.
    pub fn awaits_begun(&self) -> bool {
        self.is_unsure() || self.concurrency.doubles()
    }

    /// Learns that the reply to a request has begun, and what the vendor says of its
    /// limits: the vendor takes that many, and it is not closed, if the request left
    /// when that was in doubt.
    pub fn begun(&mut self, now: Timestamp, permit: PermitId, limits: &RateLimits) {
        self.flight.note_arrivals(now, self.pace.taken);
        if let Some(grant) = self.flight.get(permit) {
            let (since, surely) = (
                grant.since(&self.pace.taken),
                grant.since_surely(&self.pace.taken),
            );
            self.learn(&grant.clone(), limits, [since, surely], now);
        }
        self.is_open(permit);
        self.concurrency.begun();
    }

    /// A request that left as `permit` has been taken.
    fn is_open(&mut self, permit: PermitId) {
        if self.is_unsure() && permit > self.doubted {
            (self.tries, self.pace.closed, self.news.closed) = (false, None, None);
            for not_before in [&mut self.pace.not_before, &mut self.news.not_before] {
                if *not_before <= self.waived {
                    *not_before = Timestamp(0);
                }
            }
        }
    }

    /// Takes back a permit that was not used: nothing was sent.
    pub fn withdraw(&mut self, now: Timestamp, permit: PermitId) {
        let Some(grant) = self.flight.ends(permit) else {
            return;
        };
        self.give_back(&grant.amounts, now);
    }

    /// Learns how a request ended: what it used, where it was answered, and
    /// what the vendor says of its limits.
    pub fn done(
        &mut self,
        now: Timestamp,
        permit: PermitId,
        usage: Option<&Usage>,
        ending: Ending,
        limits: &RateLimits,
    ) {
        self.flight.note_arrivals(now, self.pace.taken);
        let in_flight = self.in_flight();
        let Some(grant) = self.flight.ends(permit) else {
            return;
        };
        let mut since = grant.since(&self.pace.taken);
        let mut surely = grant.since_surely(&self.pace.taken);
        if let Some(usage) = usage {
            self.settle(&grant, usage, now);
            // A vendor speaks before it has written the reply.
            for since in [&mut since, &mut surely] {
                since[OUTPUT] = since[OUTPUT].saturating_add(usage.output);
                since[TOKENS] = since[TOKENS].saturating_add(usage.output);
            }
        }
        match ending {
            Ending::Ok => {
                self.is_open(permit);
                self.concurrency.begun();
                self.concurrency.answered(permit, in_flight);
            }
            Ending::Overloaded => self
                .concurrency
                .refused(permit, self.flight.last(), in_flight),
            Ending::RateLimited { retry_after } => {
                let [_, tokens @ ..] = grant.amounts;
                self.give_back(&[0, tokens[0], tokens[1], tokens[2]], now);
                self.hold(now, retry_after.unwrap_or_default());
            }
            Ending::Quota { until } => self.close(Closure { until }),
            Ending::Auth => self.close(Closure { until: None }),
            Ending::Other => {}
        }
        self.learn(&grant, limits, [since, surely], now);
        if matches!(ending, Ending::RateLimited { .. }) {
            // It may have been any of them: what is left of each has been overrated.
            self.pace.drain(now);
            self.news.drained_at = Some(now);
            if self.pace.buckets[REQUESTS].is_none() {
                // Nobody knows the limit, so fewer at once is all that helps.
                self.concurrency
                    .refused(permit, self.flight.last(), in_flight);
            }
        }
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> u32 {
        self.flight.len() as u32
    }

    fn take(&mut self, kind: usize, amount: u64, now: Timestamp) {
        for count in [&mut self.pace.taken[kind], &mut self.news.taken[kind]] {
            *count = count.saturating_add(amount);
        }
        if let Some(bucket) = &mut self.pace.buckets[kind] {
            bucket.take(now, amount);
        }
    }

    /// Whether one request need not wait for as long as the vendor wanted.
    fn has_waived(&self) -> bool {
        self.tries && self.pace.not_before <= self.waived
    }

    /// One request has to find out if it is open.
    fn doubt(&mut self) {
        self.tries = true;
        self.doubted = self.flight.last();
    }

    fn close(&mut self, closure: Closure) {
        self.doubted = self.flight.last();
        for closed in [
            &mut self.closed,
            &mut self.pace.closed,
            &mut self.news.closed,
        ] {
            *closed = Some(closure);
        }
    }

    /// Nobody leaves for so long, as far as that can be meant.
    fn hold(&mut self, now: Timestamp, wait: Millis) {
        if is_span(wait) {
            let until = now + wait.min(BELIEVED_FOR);
            for not_before in [&mut self.pace.not_before, &mut self.news.not_before] {
                *not_before = until.max(*not_before);
            }
        }
    }

    fn give_back(&mut self, amounts: &[u64; KINDS], now: Timestamp) {
        for (bucket, amount) in self.pace.buckets.iter_mut().zip(amounts) {
            if let Some(bucket) = bucket {
                bucket.give_back(now, *amount);
            }
        }
    }

    /// Puts what a request used in the place of what it was likely to use.
    fn settle(&mut self, grant: &Grant, usage: &Usage, now: Timestamp) {
        let cached = if self.count_cached {
            0
        } else {
            usage.cache_read
        };
        let input = usage.prompt().saturating_sub(cached);
        let used = [1, usage.total(), input, usage.output];
        for (kind, (used, foreseen)) in used.into_iter().zip(grant.amounts).enumerate() {
            match &mut self.pace.buckets[kind] {
                Some(bucket) if used < foreseen => bucket.give_back(now, foreseen - used),
                _ => self.take(kind, used.saturating_sub(foreseen), now),
            }
        }
        self.reply_tokens = (self
            .reply_tokens
            .saturating_mul(7)
            .saturating_add(usage.output)
            / 8)
        .max(1);
    }

    fn learn(
        &mut self,
        grant: &Grant,
        limits: &RateLimits,
        [since, surely]: [[u64; KINDS]; 2],
        now: Timestamp,
    ) {
        let RateLimits {
            requests,
            tokens,
            input_tokens,
            output_tokens,
        } = limits;
        // Where both are known, the sum only repeats the narrower of them.
        let known = input_tokens.limit.is_some() || output_tokens.limit.is_some();
        let tokens = if known { &Window::default() } else { tokens };
        for (kind, window) in [requests, tokens, input_tokens, output_tokens]
            .into_iter()
            .enumerate()
        {
            let Some(remaining) = window.remaining else {
                continue;
            };
            let per_minute = window.per_minute();
            let Some(per_minute) = per_minute.or(self.pace.buckets[kind]
                .as_ref()
                .and_then(Bucket::per_minute))
            else {
                if let (0, Some(resets_in)) = (remaining, window.resets_in()) {
                    self.hold(now, resets_in);
                }
                continue;
            };
            let age = now.since(grant.at);
            let (own, since, since_surely) = (grant.amounts[kind], since[kind], surely[kind]);
            let told = Told {
                per_minute,
                remaining,
                own,
                age,
                since,
                since_surely,
            };
            match &mut self.pace.buckets[kind] {
                Some(bucket) => bucket.learn(now, told),
                none => *none = Some(Bucket::told(now, told)),
            }
        }
    }
}

#[cfg(test)]
mod tests;
