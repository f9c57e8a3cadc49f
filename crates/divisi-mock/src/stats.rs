//! Counters.

use crate::ask::Life;
use crate::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// The content of `/stats`: everything since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests by path.
    pub requests: BTreeMap<String, u64>,
    /// Requests by model.
    pub models: BTreeMap<String, u64>,
    /// Answers sent to their end without a fault.
    pub completed: u64,
    /// Answers by HTTP status, counted when they begin.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests that have arrived and are not answered yet.
    pub in_flight: u64,
    /// The most requests in flight at once.
    pub in_flight_max: u64,
    /// Requests that ended without a complete answer: the client left, or a fault broke it.
    pub dropped: u64,
    /// Tokens that the vendor would bill. An answer is billed when it begins, arrived or not.
    pub tokens: Tokens,
    /// The bill for them in picodollars, by the configured prices.
    pub cost_pico: u128,
    /// How often each body was received, by its [digest](crate::body_digest).
    pub received: BTreeMap<String, u64>,
    /// How often each body was answered to the end, by its digest.
    pub answered: BTreeMap<String, u64>,
}

/// Tokens by class. The classes of input do not overlap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Input neither read from the cache nor written to it.
    pub input: u64,
    /// Written for five minutes.
    pub cache_write_short: u64,
    /// Written for an hour.
    pub cache_write_long: u64,
    /// Written implicitly, as OpenAI does.
    pub cache_write_implicit: u64,
    /// Read from the cache.
    pub cache_read: u64,
    /// Output, thinking included.
    pub output: u64,
    /// The part of the output that is thinking.
    pub thinking: u64,
}

impl Tokens {
    /// The whole prompt.
    pub(crate) fn prompt(&self) -> u64 {
        self.fresh() + self.cache_read
    }

    /// The part of the prompt that counts against rate limits.
    pub(crate) fn fresh(&self) -> u64 {
        self.input + self.cache_write_short + self.cache_write_long + self.cache_write_implicit
    }

    pub(crate) fn add_write(&mut self, life: Life, tokens: u64) {
        match life {
            Life::Short => self.cache_write_short += tokens,
            Life::Long => self.cache_write_long += tokens,
            Life::Implicit => self.cache_write_implicit += tokens,
        }
    }

    fn add(&mut self, other: &Self) {
        self.input += other.input;
        self.cache_write_short += other.cache_write_short;
        self.cache_write_long += other.cache_write_long;
        self.cache_write_implicit += other.cache_write_implicit;
        self.cache_read += other.cache_read;
        self.output += other.output;
        self.thinking += other.thinking;
    }
}

/// The counters in use.
#[derive(Default)]
pub(crate) struct Counters {
    requests: BTreeMap<&'static str, u64>,
    models: BTreeMap<String, u64>,
    completed: u64,
    statuses: BTreeMap<u16, u64>,
    in_flight: u64,
    in_flight_max: u64,
    dropped: u64,
    tokens: Tokens,
    cost_pico: u128,
    tallies: HashMap<Digest, Tally>,
}

#[derive(Default)]
struct Tally {
    received: u64,
    answered: u64,
}

impl Counters {
    /// Counts an arrival; returns how often this body has arrived by now.
    pub(crate) fn arrive(&mut self, endpoint: &'static str, digest: Digest) -> u64 {
        self.request(endpoint);
        self.in_flight += 1;
        self.in_flight_max = self.in_flight_max.max(self.in_flight);
        let tally = self.tallies.entry(digest).or_default();
        tally.received += 1;
        tally.received
    }

    pub(crate) fn request(&mut self, endpoint: &'static str) {
        *self.requests.entry(endpoint).or_default() += 1;
    }

    pub(crate) fn model(&mut self, model: &str) {
        match self.models.get_mut(model) {
            Some(count) => *count += 1,
            None => _ = self.models.insert(model.to_owned(), 1),
        }
    }

    /// Counts the beginning of an answer with this cost.
    pub(crate) fn begin(&mut self, status: u16, tokens: &Tokens, cost_pico: u128) {
        *self.statuses.entry(status).or_default() += 1;
        self.tokens.add(tokens);
        self.cost_pico += cost_pico;
    }

    /// Counts the end of a request.
    pub(crate) fn leave(&mut self, digest: Digest, end: End) {
        self.in_flight -= 1;
        match end {
            End::Completed => {
                self.completed += 1;
                self.tallies.entry(digest).or_default().answered += 1;
            }
            End::Refused => {}
            End::Dropped => self.dropped += 1,
        }
    }

    pub(crate) fn report(&self) -> Stats {
        let tallies = |count: fn(&Tally) -> u64| {
            let counts = self
                .tallies
                .iter()
                .map(|(digest, tally)| (digest.to_string(), count(tally)));
            counts.filter(|(_, count)| *count > 0).collect()
        };
        Stats {
            requests: self
                .requests
                .iter()
                .map(|(path, count)| ((*path).to_owned(), *count))
                .collect(),
            models: self.models.clone(),
            completed: self.completed,
            statuses: self.statuses.clone(),
            in_flight: self.in_flight,
            in_flight_max: self.in_flight_max,
            dropped: self.dropped,
            tokens: self.tokens,
            cost_pico: self.cost_pico,
            received: tallies(|tally| tally.received),
            answered: tallies(|tally| tally.answered),
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Refused,
    Dropped,
}
