//! Decides when a request may be sent: one governor for each credential and model family.
//!
//! It keeps a bucket for each limit of the user or the vendor, a limit on requests under way, and a
//! breaker. The headers decide: a reported remainder is lowered by what the report cannot include,
//! and never raised. No bucket counts as larger than the vendor has ever reported it. Nothing a
//! vendor reports blocks for more than an hour by itself, because only a further answer can correct
//! it. Without any limit, 64 requests are sent at once, and each reply that begins doubles that, up
//! to [`IN_FLIGHT_MAX`].
//!
//! [`Queue`] decides which waiting request is next.

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
pub use decision::{Amount, Decision, Ending, Estimate, PermitId, Rate};
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

/// Estimated tokens of a reply before the first one is known. The vendor counts tokens as they are
/// written, so this only spreads the first requests.
const REPLY_TOKENS_FIRST: u64 = 1_000;

/// After a wait longer than this, one request is sent first, and the others when it is answered:
/// the reported limit may no longer hold.
const SURE_MAX: Millis = Millis::from_secs(60);

/// Decides when requests may leave.
#[derive(Clone, Debug)]
pub struct Governor {
    /// Shared with all users of the same credential.
    pace: Pace,
    /// Changes that have not been shared yet.
    news: News,
    /// The user's limits.
    set: [Option<Limit>; KINDS],
    concurrency: Concurrency,
    flight: Flight,
    /// Set when the vendor refused one of this governor's own requests for quota or key.
    closed: Option<Closure>,
    /// Whether one request is to test if the vendor accepts requests again.
    tries: bool,
    /// The last request sent before that test began: replies up to it are no evidence.
    doubted: PermitId,
    /// A `not_before` up to this moment does not hold back the test request.
    waived: Timestamp,
    count_cached: bool,
    /// Running estimate of a reply's tokens.
    reply_tokens: u64,
    /// The limit for which the latest request had to wait; `None` if the vendor asked for the wait.
    limited_by: Option<Rate>,
}

const KINDS: usize = 4;
const REQUESTS: usize = 0;
/// Input and output together.
const TOKENS: usize = 1;
const OUTPUT: usize = 3;

impl Governor {
    /// A governor with the user's limits.
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
            limited_by: None,
        }
    }

    /// Asks whether a request may be sent now.
    ///
    /// After [`Decision::Wait`], asking again at that moment succeeds unless another request asked,
    /// or limits changed, in between.
    pub fn ask(&mut self, now: Timestamp, estimate: Estimate) -> Decision {
        // Only the own closure ends by time. The shared one stays until a request is answered,
        // because the vendor's moment may be wrong.
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
        // The estimate is an upper bound that few replies reach; recent replies predict the usage
        // better.
        let output = estimate.output.min(self.reply_tokens);
        let amounts = [
            1,
            estimate.input.saturating_add(output),
            estimate.input,
            output,
        ];
        let (mut ready_at, mut limited_by) = (not_before, None);
        let buckets = self.pace.buckets.iter_mut().zip(amounts);
        for ((bucket, amount), of) in buckets.zip(Amount::ALL) {
            let Some(bucket) = bucket else {
                continue;
            };
            let at = bucket.ready_at(now, amount).unwrap_or_default();
            if at > ready_at {
                ready_at = at;
                limited_by = bucket
                    .per_minute()
                    .map(|per_minute| Rate { per_minute, of });
            }
        }
        if ready_at > now {
            self.limited_by = limited_by;
            return Decision::Wait(ready_at);
        }
        self.flight.note_arrivals(now, self.pace.taken);
        for (kind, amount) in amounts.into_iter().enumerate() {
            self.take(kind, amount, now);
        }
        Decision::Go(self.flight.leaves(now, amounts, self.pace.taken))
    }

    /// Limits requests under way to `most`, unless the user has set a number; never above
    /// [`IN_FLIGHT_MAX`].
    pub fn limit_in_flight(&mut self, most: u32) {
        self.concurrency.limit(most);
    }

    /// Whether no request is allowed, or none for more than a minute.
    pub fn is_shut(&self, now: Timestamp) -> bool {
        self.closed.is_some() || (self.pace.not_before > now + SURE_MAX && !self.has_waived())
    }

    /// Allows one test request, whatever wait the vendor has asked for: only an answer shows
    /// whether the vendor's statement still holds.
    pub fn reopen(&mut self) {
        self.closed = None;
        self.waived = self.pace.not_before;
        self.doubt();
    }

    /// The limit for which the latest request had to wait, as far as one is known.
    pub fn limited_by(&self) -> Option<Rate> {
        self.limited_by
    }

    /// Whether overload keeps the number of requests under way below its maximum.
    pub fn is_strained(&self) -> bool {
        self.concurrency.is_lowered()
    }

    /// Whether one test request is needed: after a reopening, a closure found in the shared state,
    /// the end of a closure, or a long wait.
    pub fn is_unsure(&self) -> bool {
        self.closed.is_none() && (self.tries || self.pace.closed.is_some())
    }

    /// Whether the begin of a reply should be reported at once rather than with its end.
    pub fn awaits_begun(&self) -> bool {
        self.is_unsure() || self.concurrency.doubles()
    }

    /// Applies the begin of a reply, with the limits in its headers. A request that was sent as a
    /// test reopens the governor.
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

    /// Ends the test if this request was sent after it began.
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

    /// Returns a permit whose request was not sent.
    pub fn withdraw(&mut self, now: Timestamp, permit: PermitId) {
        let Some(grant) = self.flight.ends(permit) else {
            return;
        };
        self.give_back(&grant.amounts, now);
    }

    /// Applies the end of a request: its usage, if it was answered, and the limits in its headers.
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
            // Headers are sent before the output, so they do not count this reply's output tokens.
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
                // A refused request counts as a request at the vendor, but its tokens do not.
                self.give_back(&[0, tokens[0], tokens[1], tokens[2]], now);
                self.hold(now, retry_after.unwrap_or_default());
            }
            Ending::Quota { until } => self.close(Closure { until }),
            Ending::Auth => self.close(Closure { until: None }),
            Ending::Other => {}
        }
        self.learn(&grant, limits, [since, surely], now);
        if matches!(ending, Ending::RateLimited { .. }) {
            // Any limit may have been exceeded, so the level of each was too high.
            self.pace.drain(now);
            self.news.drained_at = Some(now);
            if self.pace.buckets[REQUESTS].is_none() {
                // Without a known limit, only fewer requests at once can help.
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

    /// Whether a test request need not wait for `not_before`.
    fn has_waived(&self) -> bool {
        self.tries && self.pace.not_before <= self.waived
    }

    /// Starts a test: one request must be answered before others are sent.
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

    /// Blocks all requests for this time, if it is plausible and up to [`BELIEVED_FOR`].
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

    /// Replaces the estimated amounts of a request by its usage.
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
        // A moving average over about eight replies.
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
        // If both are known, the combined limit is the narrower of them and adds nothing.
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
