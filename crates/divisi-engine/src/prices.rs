//! What tokens cost: published list prices of the models that tiers stand for.
//!
//! Coarse on purpose: one price per class and model. A model without a price
//! is reported as unpriced, never as free.

use divisi_core::price::{ModelPrice, Rates};
use divisi_core::{PicoUsd, Usage};

/// The price list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Prices;

/// Price of one million tokens, in cents of a dollar.
struct Price {
    model: &'static str,
    input: u64,
    output: u64,
    /// A cache read costs this many thousandths of fresh input.
    read_permille: u64,
}

/// List prices as of 2026-11.
const PRICES: &[Price] = &[
    Price { model: "claude-haiku-5-5", input: 10, output: 50, read_permille: 100 },
    Price { model: "claude-sonnet-5-5", input: 200, output: 1_000, read_permille: 50 },
    Price { model: "claude-opus-5-5", input: 400, output: 2_000, read_permille: 50 },
    Price { model: "claude-fable-5-2", input: 800, output: 4_000, read_permille: 25 },
    Price { model: "gpt-6-luna", input: 10, output: 50, read_permille: 100 },
    Price { model: "gpt-6.1-terra", input: 100, output: 500, read_permille: 50 },
    Price { model: "gpt-6.1-sol", input: 200, output: 1_000, read_permille: 50 },
    Price { model: "gpt-6-astra", input: 1_000, output: 5_000, read_permille: 100 },
];

/// Picodollars of one token where a million cost one cent.
const PICO_PER_CENT_PER_MILLION: u64 = 10_000;

impl Prices {
    /// What `model` costs; `None` when nobody told us its price.
    pub fn price(self, model: &str) -> Option<ModelPrice> {
        let price = PRICES.iter().find(|price| model.starts_with(price.model))?;
        let input = price.input * PICO_PER_CENT_PER_MILLION;
        let base = Rates {
            input: PicoUsd(input),
            cache_write_5m: PicoUsd(input * 5 / 4),
            cache_write_1h: PicoUsd(input * 2),
            cache_read: PicoUsd(input * price.read_permille / 1_000),
            output: PicoUsd(price.output * PICO_PER_CENT_PER_MILLION),
        };
        Some(ModelPrice { base, above: vec![] })
    }

    /// What `usage` costs on `model`; `None` when nobody told us its price.
    pub fn cost(self, model: &str, usage: &Usage) -> Option<PicoUsd> {
        Some(self.price(model)?.cost(usage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_tokens_cost_their_list_price() {
        let million = |usage| Prices.cost("claude-sonnet-5-5-20260928", &usage).unwrap().to_string();
        assert_eq!(million(Usage { input: 1_000_000, ..Usage::default() }), "$2.00");
        assert_eq!(million(Usage { output: 1_000_000, ..Usage::default() }), "$10.00");
        assert_eq!(million(Usage { cache_write_5m: 1_000_000, ..Usage::default() }), "$2.50");
        assert_eq!(million(Usage { cache_read: 1_000_000, ..Usage::default() }), "$0.1000");
        assert_eq!(Prices.cost("llama", &Usage::default()), None);
    }
}
