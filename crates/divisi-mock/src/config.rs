//! The configuration of a mock.

use crate::fault::Fault;
use crate::latency::Latency;
use crate::refusal::Refusal;
use crate::script::Rule;
use crate::stats::Tokens;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The behaviour of a mock. The default answers every valid request at once.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Tried in order; the first that matches answers. See [`Rule`].
    pub rules: Vec<Rule>,
    /// The latency of every request whose rule sets none.
    pub latency: Latency,
    /// Parts of requests that are refused.
    pub refuses: Vec<Refusal>,
    /// Random faults, the same ones in every run.
    pub fault_rates: FaultRates,
    /// Rate limits, separate for each model.
    pub limits: Limits,
    /// After which requests money runs out.
    pub quota: Option<Quota>,
    /// When a prompt prefix can be read back.
    pub cache: CacheTimes,
    /// Accepted keys; any if empty.
    pub keys: Vec<String>,
    /// Known models; any if empty.
    pub models: Vec<String>,
    /// Prices by model id; a model without a price is free.
    pub prices: BTreeMap<String, Price>,
    /// When a client shall retry after a rate-limit fault: exact in `retry-after-ms`, in whole
    /// seconds in `retry-after`.
    pub retry_after_ms: u64,
    /// Size of one delta of a stream, in characters.
    pub chunk_chars: usize,
    /// Whether its port accepts TLS as well, with HTTP/2.
    pub encrypted: bool,
    /// How many of the last requests `/requests` shows. Zero keeps no bodies: for benchmarks.
    pub requests_kept_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            latency: Latency::default(),
            refuses: Vec::new(),
            fault_rates: FaultRates::default(),
            limits: Limits::default(),
            quota: None,
            cache: CacheTimes::default(),
            keys: Vec::new(),
            models: Vec::new(),
            prices: BTreeMap::new(),
            retry_after_ms: 1000,
            chunk_chars: 48,
            encrypted: false,
            requests_kept_max: 1000,
        }
    }
}

impl Config {
    /// Adds a rule after the existing ones.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }
}

/// Random faults. They depend on the seed, the request and how often it was received, and never on
/// the order of arrival.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultRates {
    /// Another seed affects other requests.
    pub seed: u64,
    /// The faults and their shares.
    pub faults: Vec<FaultRate>,
}

/// The share of requests affected by one fault.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRate {
    /// What happens.
    pub fault: Fault,
    /// From 0 to 1; the shares of all faults add up to at most 1.
    pub rate: f64,
}

/// Token buckets that fill continuously, separate for each model.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The rate at which the request bucket fills; headers report sixty times this as the limit.
    pub requests_per_second: Option<f64>,
    /// The capacity of the request bucket.
    pub requests_burst: u32,
    /// Input tokens; those read from the cache do not count.
    pub input_tokens_per_minute: Option<u64>,
    /// Output tokens, charged when an answer begins; the bucket may become negative.
    pub output_tokens_per_minute: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_second: None,
            requests_burst: 1,
            input_tokens_per_minute: None,
            output_tokens_per_minute: None,
        }
    }
}

impl Limits {
    /// Whether any limit is set.
    pub(crate) fn any(&self) -> bool {
        self.requests_per_second.is_some()
            || self.input_tokens_per_minute.is_some()
            || self.output_tokens_per_minute.is_some()
    }
}

/// Money runs out after a number of accepted requests.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// How many requests are accepted before.
    pub after: u64,
    /// The answer to further requests.
    #[serde(default)]
    pub answer: QuotaAnswer,
    /// For how long; without it, until `POST /control/quota` ends it.
    #[serde(default)]
    pub closed_ms: Option<u64>,
    /// Whether the answer says for how long, in `retry-after`.
    #[serde(default)]
    pub told: bool,
}

/// The two ways in which vendors report that money has run out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaAnswer {
    /// HTTP 402.
    #[default]
    Billing,
    /// HTTP 429 without `retry-after`.
    SpendLimit,
}

/// The price of a model, in picodollars (10⁻¹² USD) per token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Price {
    /// Input neither read from nor written to a cache.
    pub input: u64,
    /// Input written for five minutes, or implicitly.
    pub cache_write_short: u64,
    /// Input written for an hour.
    pub cache_write_long: u64,
    /// Input read from the cache.
    pub cache_read: u64,
    /// Output, thinking included.
    pub output: u64,
}

impl Price {
    /// What these tokens cost, in picodollars.
    pub(crate) fn of(&self, tokens: &Tokens) -> u128 {
        let parts = [
            (self.input, tokens.input),
            (
                self.cache_write_short,
                tokens.cache_write_short + tokens.cache_write_implicit,
            ),
            (self.cache_write_long, tokens.cache_write_long),
            (self.cache_read, tokens.cache_read),
            (self.output, tokens.output),
        ];
        parts
            .iter()
            .map(|(price, tokens)| u128::from(*price) * u128::from(*tokens))
            .sum()
    }
}

/// The rules of the prompt cache.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CacheTimes {
    /// Anthropic's smallest prefix worth an entry, in tokens.
    pub tokens_min: u64,
    /// OpenAI's smallest prefix worth an entry, in tokens.
    pub implicit_tokens_min: u64,
    /// The life of an Anthropic entry without `ttl`.
    pub short_ms: u64,
    /// The life of an Anthropic entry with `ttl: "1h"`.
    pub long_ms: u64,
    /// The life of an OpenAI entry.
    pub implicit_ms: u64,
}

impl Default for CacheTimes {
    fn default() -> Self {
        const MINUTE_MS: u64 = 60_000;
        Self {
            tokens_min: 512,
            implicit_tokens_min: 1024,
            short_ms: 5 * MINUTE_MS,
            long_ms: 60 * MINUTE_MS,
            implicit_ms: 30 * MINUTE_MS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_counts_every_class_once() {
        let price = Price {
            input: 1,
            cache_write_short: 10,
            cache_write_long: 100,
            cache_read: 1_000,
            output: 10_000,
        };
        let tokens = Tokens {
            input: 1,
            cache_write_short: 1,
            cache_write_long: 3,
            cache_write_implicit: 1,
            cache_read: 4,
            output: 5,
            thinking: 5,
        };
        assert_eq!(price.of(&tokens), 54_321);
    }

    #[test]
    fn a_configuration_can_be_written_and_read() {
        let json = r#"{
            "rules": [
                {"when": {"prompt_contains": "audit"}, "times": 1, "fault": "drop_stream"},
                {"when": {"turn_max": 0}, "reply": {"tool_calls": [{"name": "ls", "input": {}}]}},
                {"reply": "echo", "latency": {"first_byte_ms": 5}}
            ],
            "quota": {"after": 3},
            "prices": {"claude-haiku-5-5": {"input": 100000, "output": 500000}}
        }"#;
        let config: Config = serde_json::from_str(json).expect("the JSON above is a configuration");
        let written = serde_json::to_value(&config).expect("a configuration is JSON");
        let read: Config =
            serde_json::from_value(written.clone()).expect("what was written can be read");
        assert_eq!(
            serde_json::to_value(&read).expect("a configuration is JSON"),
            written
        );
        assert_eq!(config.rules.len(), 3);
    }
}
