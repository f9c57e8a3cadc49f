//! The state of a mock between two resets.

use crate::ask::Ask;
use crate::cache::{Cache, Plan};
use crate::config::{Config, FaultRates};
use crate::digest::{Dice, Digest};
use crate::fault::{ErrorKind, Failure, Fault};
use crate::kept::{Kept, Received};
use crate::limits::{Meters, RateLimits};
use crate::quota::Wall;
use crate::script::Rule;
use crate::stats::{Counters, End, Stats, Tokens};
use axum::body::Bytes;
use axum::http::HeaderMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The state shared by the handlers.
pub(crate) struct Memory {
    config: Arc<Config>,
    session: RwLock<Arc<Session>>,
}

impl Memory {
    pub(crate) fn new(config: Config) -> Self {
        let config = Arc::new(config);
        Self {
            session: RwLock::new(Arc::new(Session::new(Arc::clone(&config)))),
            config,
        }
    }

    /// The current session. A request keeps the one in which it arrived.
    pub(crate) fn session(&self) -> Arc<Session> {
        Arc::clone(&self.session.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn reset(&self) {
        let fresh = Arc::new(Session::new(Arc::clone(&self.config)));
        *self.session.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

/// The state of a mock. Every lock is held for a few lines and never across an await.
pub(crate) struct Session {
    pub(crate) config: Arc<Config>,
    rule_uses: Vec<AtomicU32>,
    cache: Mutex<Cache>,
    limits: Mutex<RateLimits>,
    wall: Mutex<Wall>,
    counters: Mutex<Counters>,
    kept: Mutex<Kept>,
}

impl Session {
    pub(crate) fn new(config: Arc<Config>) -> Self {
        Self {
            rule_uses: config.rules.iter().map(|_| AtomicU32::new(0)).collect(),
            cache: Mutex::new(Cache::new(config.cache)),
            limits: Mutex::new(RateLimits::new(config.limits)),
            wall: Mutex::new(Wall::new(config.quota)),
            counters: Mutex::default(),
            kept: Mutex::new(Kept::new(config.requests_kept_max)),
            config,
        }
    }

    /// Counts an arrival. The ticket counts its end.
    pub(crate) fn arrive(
        self: &Arc<Self>,
        endpoint: &'static str,
        digest: Digest,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Ticket {
        hold(&self.kept).keep(endpoint, digest, headers, body);
        let attempt = hold(&self.counters).arrive(endpoint, digest);
        Ticket {
            session: Arc::clone(self),
            digest,
            attempt,
            open: true,
        }
    }

    /// Counts a request that is not for a model.
    pub(crate) fn count_request(&self, endpoint: &'static str) {
        hold(&self.counters).request(endpoint);
    }

    pub(crate) fn count_model(&self, model: &str) {
        hold(&self.counters).model(model);
    }

    /// Lets a request through quota and rate limits, and plans its use of the cache.
    pub(crate) fn admit(&self, ask: &Ask<'_>) -> Result<Plan, Failure> {
        let now = Instant::now();
        let plan = hold(&self.cache).plan(ask.model, &ask.blocks, now);
        if self.config.limits.any() {
            let admitted = hold(&self.limits).admit(ask.model, plan.usage.fresh(), now);
            admitted.map_err(|wait| Failure::usual(ErrorKind::RateLimit, wait))?;
        }
        let passed = hold(&self.wall).pass(now);
        passed.map_err(|(kind, retry_after)| Failure {
            retry_after,
            ..Failure::usual(kind, Duration::ZERO)
        })?;
        Ok(plan)
    }

    /// The first rule that matches and is not used up; its use is counted.
    pub(crate) fn rule(&self, ask: &Ask<'_>) -> Option<&Rule> {
        let rules = self.config.rules.iter().zip(&self.rule_uses);
        rules
            .filter(|(rule, _)| ask.matches(&rule.when))
            .find(|(rule, uses)| take(uses, rule.times))
            .map(|(rule, _)| rule)
    }

    /// The rate-limit headers, if there are limits and the model is known.
    pub(crate) fn meters(&self, model: &str) -> Option<Meters> {
        (self.config.limits.any() && !model.is_empty())
            .then(|| hold(&self.limits).meters(model, Instant::now()))
    }

    /// Charges an answer that begins, and makes what it writes to the cache readable.
    pub(crate) fn begin(&self, model: &str, plan: &Plan, usage: &Tokens) {
        let now = Instant::now();
        hold(&self.cache).commit(plan, now);
        if self.config.limits.any() {
            hold(&self.limits).charge_output(model, usage.output, now);
        }
        let cost_pico = self
            .config
            .prices
            .get(model)
            .map_or(0, |price| price.of(usage));
        hold(&self.counters).begin(200, usage, cost_pico);
    }

    /// Opens the quota for good, or closes it at once.
    pub(crate) fn set_quota(&self, open: bool) {
        *hold(&self.wall) = if open { Wall::Open } else { Wall::closed() };
    }

    pub(crate) fn stats(&self) -> Stats {
        hold(&self.counters).report()
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        hold(&self.kept).report()
    }
}

/// Counts one more use unless there were `times` already.
fn take(uses: &AtomicU32, times: Option<u32>) -> bool {
    let Some(times) = times else { return true };
    let one_more = |used| (used < times).then_some(used + 1);
    uses.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
        .is_ok()
}

/// Ignores a poisoned lock: the counters of a failed test may still be read.
fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One request that is being answered. If dropped without an end, it counts as dropped.
pub(crate) struct Ticket {
    session: Arc<Session>,
    pub(crate) digest: Digest,
    /// How often this body was received, this time included.
    attempt: u64,
    open: bool,
}

impl Ticket {
    /// The id in the headers of the answer.
    pub(crate) fn request_id(&self) -> String {
        format!("req_{}_{}", self.digest, self.attempt)
    }

    /// The random fault of this request, if there is one.
    pub(crate) fn random_fault(&self) -> Option<Fault> {
        let FaultRates { seed, faults } = &self.session.config.fault_rates;
        if faults.is_empty() {
            return None;
        }
        let draw = Dice::seeded(seed ^ self.digest.0.rotate_left(self.attempt as u32)).fraction();
        let mut reach = 0.0;
        faults
            .iter()
            .find(|share| {
                reach += share.rate;
                draw < reach
            })
            .map(|share| share.fault)
    }

    /// Counts an answer that was sent completely.
    pub(crate) fn complete(mut self) {
        self.leave(End::Completed);
    }

    /// Counts an error that is sent instead of an answer.
    pub(crate) fn refuse(mut self, status: u16) {
        hold(&self.session.counters).begin(status, &Tokens::default(), 0);
        self.leave(End::Refused);
    }

    fn leave(&mut self, end: End) {
        self.open = false;
        hold(&self.session.counters).leave(self.digest, end);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.open {
            self.leave(End::Dropped);
        }
    }
}
