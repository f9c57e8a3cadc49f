//! Rate limits: buckets that fill continuously, separate for each model.

use crate::config::Limits;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The buckets of all models. Their number is bounded by the models that a test names.
pub(crate) struct RateLimits {
    limits: Limits,
    models: HashMap<String, Buckets>,
}

/// The rate-limit headers of one answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meters {
    pub(crate) requests: Option<Meter>,
    pub(crate) input: Option<Meter>,
    pub(crate) output: Option<Meter>,
}

/// The state of one bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter {
    /// Per minute.
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    /// Time until the bucket is full.
    pub(crate) reset: Duration,
}

impl Meters {
    /// The token limit of which the smaller share is left.
    pub(crate) fn tokens(&self) -> Option<Meter> {
        let left = |meter: &Meter| meter.remaining as f64 / meter.limit.max(1) as f64;
        [self.input, self.output]
            .into_iter()
            .flatten()
            .min_by(|a, b| left(a).total_cmp(&left(b)))
    }

    /// The headers of a 429 on demand when no limits are set.
    pub(crate) fn exhausted(reset: Duration) -> Self {
        Self {
            requests: Some(Meter {
                limit: 50,
                remaining: 0,
                reset,
            }),
            ..Self::default()
        }
    }
}

impl RateLimits {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            models: HashMap::new(),
        }
    }

    /// Takes one request and its input from the buckets of `model`.
    ///
    /// Takes nothing if one of them has too little, and returns how long to wait.
    pub(crate) fn admit(
        &mut self,
        model: &str,
        input_tokens: u64,
        now: Instant,
    ) -> Result<(), Duration> {
        let buckets = self.buckets(model, now);
        let wanted = [
            (&mut buckets.requests, 1.0),
            (&mut buckets.input, input_tokens as f64),
            (&mut buckets.output, 1.0),
        ];
        let wait = wanted
            .iter()
            .filter_map(|(bucket, amount)| bucket.as_ref()?.wait(*amount))
            .max();
        if let Some(wait) = wait {
            return Err(wait);
        }
        let [requests, input, _] = wanted;
        for (bucket, amount) in [requests, input] {
            if let Some(bucket) = bucket {
                bucket.level -= amount;
            }
        }
        Ok(())
    }

    /// Takes the output of an answer that begins.
    pub(crate) fn charge_output(&mut self, model: &str, output_tokens: u64, now: Instant) {
        if let Some(bucket) = &mut self.buckets(model, now).output {
            bucket.level -= output_tokens as f64;
        }
    }

    pub(crate) fn meters(&mut self, model: &str, now: Instant) -> Meters {
        let buckets = self.buckets(model, now);
        let meter = |bucket: &Option<Bucket>| bucket.as_ref().map(Bucket::meter);
        Meters {
            requests: meter(&buckets.requests),
            input: meter(&buckets.input),
            output: meter(&buckets.output),
        }
    }

    fn buckets(&mut self, model: &str, now: Instant) -> &mut Buckets {
        if !self.models.contains_key(model) {
            self.models
                .insert(model.to_owned(), Buckets::new(&self.limits, now));
        }
        let buckets = self.models.get_mut(model).expect("just inserted");
        buckets.fill(now);
        buckets
    }
}

struct Buckets {
    requests: Option<Bucket>,
    input: Option<Bucket>,
    output: Option<Bucket>,
}

impl Buckets {
    fn new(limits: &Limits, now: Instant) -> Self {
        let per_minute = |tokens: u64| Bucket::new(tokens as f64, tokens as f64 / 60.0, now);
        let burst = f64::from(limits.requests_burst.max(1));
        Self {
            requests: limits
                .requests_per_second
                .map(|rate| Bucket::new(burst, rate, now)),
            input: limits.input_tokens_per_minute.map(per_minute),
            output: limits.output_tokens_per_minute.map(per_minute),
        }
    }

    fn fill(&mut self, now: Instant) {
        for bucket in [&mut self.requests, &mut self.input, &mut self.output]
            .into_iter()
            .flatten()
        {
            bucket.fill(now);
        }
    }
}

struct Bucket {
    level: f64,
    capacity: f64,
    per_second: f64,
    filled_at: Instant,
}

impl Bucket {
    fn new(capacity: f64, per_second: f64, now: Instant) -> Self {
        Self {
            level: capacity,
            capacity,
            per_second,
            filled_at: now,
        }
    }

    fn fill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.filled_at);
        self.level = (self.level + elapsed.as_secs_f64() * self.per_second).min(self.capacity);
        self.filled_at = now;
    }

    /// How long until `amount` is available; `None` if it is.
    fn wait(&self, amount: f64) -> Option<Duration> {
        (self.level < amount).then(|| self.time_to_gain(amount - self.level))
    }

    fn time_to_gain(&self, amount: f64) -> Duration {
        /// Also the answer for a bucket that never fills.
        const WAIT_MAX: Duration = Duration::from_secs(24 * 60 * 60);
        Duration::try_from_secs_f64(amount / self.per_second)
            .unwrap_or(WAIT_MAX)
            .min(WAIT_MAX)
    }

    fn meter(&self) -> Meter {
        Meter {
            limit: (self.per_second * 60.0).round() as u64,
            remaining: self.level.max(0.0) as u64,
            reset: self.time_to_gain(self.capacity - self.level),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(limits: Limits) -> (RateLimits, Instant) {
        (RateLimits::new(limits), Instant::now())
    }

    #[test]
    fn a_burst_empties_the_bucket_and_time_fills_it() {
        let (mut rates, now) = limited(Limits {
            requests_per_second: Some(2.0),
            requests_burst: 3,
            ..Limits::default()
        });
        for _ in 0..3 {
            assert_eq!(rates.admit("m", 0, now), Ok(()));
        }
        assert_eq!(rates.admit("m", 0, now), Err(Duration::from_millis(500)));
        assert_eq!(rates.admit("another", 0, now), Ok(()));
        assert_eq!(
            rates.admit("m", 0, now + Duration::from_millis(500)),
            Ok(())
        );
    }

    #[test]
    fn a_refused_request_takes_nothing() {
        let (mut rates, now) = limited(Limits {
            requests_per_second: Some(1.0),
            input_tokens_per_minute: Some(600),
            ..Limits::default()
        });
        assert_eq!(rates.admit("m", 700, now), Err(Duration::from_secs(10)));
        let meters = rates.meters("m", now);
        assert_eq!(meters.requests.map(|meter| meter.remaining), Some(1));
        assert_eq!(meters.input.map(|meter| meter.remaining), Some(600));
    }

    #[test]
    fn output_may_leave_a_debt_that_has_to_be_waited_for() {
        let (mut rates, now) = limited(Limits {
            output_tokens_per_minute: Some(60),
            ..Limits::default()
        });
        rates.charge_output("m", 89, now);
        assert_eq!(rates.admit("m", 0, now), Err(Duration::from_secs(30)));
        assert_eq!(
            rates.meters("m", now).tokens().map(|meter| meter.remaining),
            Some(0)
        );
    }
}
