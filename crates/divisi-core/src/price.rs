//! What a model's tokens cost, by class.

use crate::{PicoUsd, Usage};
use serde::{Deserialize, Serialize};

/// Price of one token of each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rates {
    /// Prompt tokens that no cache has to do with.
    pub input: PicoUsd,
    /// Prompt tokens written to the five-minute cache.
    pub cache_write_5m: PicoUsd,
    /// Prompt tokens written to the one-hour cache.
    pub cache_write_1h: PicoUsd,
    /// Prompt tokens read from a cache.
    pub cache_read: PicoUsd,
    /// Output tokens, thinking included.
    pub output: PicoUsd,
}

/// What one model costs at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelPrice {
    /// The rates of a request with a short prompt.
    pub base: Rates,
    /// The rates of a whole request, output too, whose prompt has more tokens
    /// than this; smallest threshold first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<(u64, Rates)>,
}

impl ModelPrice {
    /// The rates of a request with so many prompt tokens, cached ones included.
    pub fn rates(&self, prompt_tokens: u64) -> &Rates {
        let reached = self.above.iter().rev().find(|(threshold, _)| prompt_tokens > *threshold);
        reached.map_or(&self.base, |(_, rates)| rates)
    }

    /// What one request costs that used this much. Not for sums of requests:
    /// each has its own place among the thresholds.
    pub fn cost(&self, usage: &Usage) -> PicoUsd {
        let rates = self.rates(usage.prompt());
        let of = |tokens: u64, rate: PicoUsd| PicoUsd(tokens.saturating_mul(rate.0));
        of(usage.input, rates.input)
            + of(usage.cache_write_5m, rates.cache_write_5m)
            + of(usage.cache_write_1h, rates.cache_write_1h)
            + of(usage.cache_read, rates.cache_read)
            + of(usage.output, rates.output)
    }
}
