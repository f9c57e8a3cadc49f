//! Price lists in the format of LiteLLM's `model_prices_and_context_window.json`.
//!
//! One object for each model, named with or without its vendor, with dollars per token in fields
//! whose names combine a class of tokens, a threshold and a service. Only chat models of the vendors
//! below are read: other lists and other units are of no use here.

use divisi_core::price::{Factors, Rates, Service, Tariff};
use divisi_core::{ModelPrice, PicoUsd};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The prices of a list, by the list's name of the vendor and the vendor's name of the model.
pub(super) type Prices = BTreeMap<(String, String), ModelPrice>;

/// The list's names of vendors, with those that users and other lists have for them.
const VENDORS: [(&str, &[&str]); 9] = [
    ("anthropic", &["anthropic"]),
    ("openai", &["openai"]),
    ("gemini", &["google", "gemini"]),
    ("xai", &["xai", "x-ai", "grok"]),
    ("mistral", &["mistral", "mistralai"]),
    ("deepseek", &["deepseek"]),
    ("moonshot", &["moonshot", "moonshotai", "kimi"]),
    ("openrouter", &["openrouter"]),
    ("perplexity", &["perplexity"]),
];

/// The services of which the list has rates, with the ends of their fields.
const SERVICES: [(Service, &str); 4] = [
    (Service::Batch, "_batches"),
    (Service::Flex, "_flex"),
    (Service::Priority, "_priority"),
    (Service::Ultrafast, "_ultrafast"),
];

/// The thresholds in use, in thousands of tokens. xAI's include the threshold itself.
const THRESHOLDS: [u64; 6] = [32, 100, 128, 200, 256, 272];

/// Reads a list; `None` if it is no such list.
pub(super) fn read(list: &Value) -> Option<Prices> {
    let models = list.as_object()?;
    let prices: Prices = models
        .iter()
        .filter_map(|(name, entry)| model(name, entry.as_object()?))
        .collect();
    (!prices.is_empty()).then_some(prices)
}

/// The price of `model` at the provider that users call `provider`.
pub(super) fn find<'a>(prices: &'a Prices, provider: &str, model: &str) -> Option<&'a ModelPrice> {
    let at = |vendor: &str| prices.get(&(vendor.to_owned(), model.to_owned()));
    let known = VENDORS.iter().find(|(_, names)| {
        let mut names = names.iter();
        names.any(|name| provider.eq_ignore_ascii_case(name))
    });
    match known {
        Some((vendor, _)) => at(vendor),
        // A gateway is assumed to charge the price of the model's maker.
        None => VENDORS.iter().find_map(|(vendor, _)| at(vendor)),
    }
}

fn model(name: &str, entry: &Map<String, Value>) -> Option<((String, String), ModelPrice)> {
    let vendor = entry.get("litellm_provider")?.as_str()?;
    VENDORS.iter().find(|(known, _)| *known == vendor)?;
    let own = name
        .strip_prefix(vendor)
        .and_then(|rest| rest.strip_prefix('/'));
    let fields = Fields { entry, vendor };
    let usual = fields.tariff("")?;
    let services = SERVICES.iter().filter_map(|(service, end)| {
        let own = fields.tariff(end).filter(|own| *own != usual)?;
        Some((*service, own))
    });
    let price = ModelPrice {
        services: services.collect(),
        search: fields.search(),
        factors: fields.factors(),
        base: usual.base,
        above: usual.above,
    };
    Some(((vendor.to_owned(), own.unwrap_or(name).to_owned()), price))
}

/// The fields of one model.
struct Fields<'a> {
    entry: &'a Map<String, Value>,
    vendor: &'a str,
}

impl Fields<'_> {
    /// The rates of a service, whose fields end with `service`; `None` if it has none.
    fn tariff(&self, service: &str) -> Option<Tariff> {
        let base = self.rates("", service)?;
        let above = THRESHOLDS.iter().filter_map(|thousands| {
            let rates = self.rates(&format!("_above_{thousands}k_tokens"), service)?;
            Some((thousands * 1_000 - u64::from(self.vendor == "xai"), rates))
        });
        Some(Tariff {
            base,
            above: above.collect(),
        })
    }

    /// The rates beyond a threshold; `None` without a price of input and output.
    fn rates(&self, above: &str, service: &str) -> Option<Rates> {
        let field = |name: &str| self.amount(&format!("{name}{above}{service}"));
        // A service or a threshold without a price of the cache has the usual one.
        let or_usual = |name: &str| field(name).or_else(|| self.amount(&format!("{name}{above}")));
        let input = field("input_cost_per_token")?;
        let short = or_usual("cache_creation_input_token_cost").unwrap_or(input);
        let written_long = |life: &str| field(&format!("cache_creation_input_token_cost{life}"));
        let long = written_long("_above_1hr").or_else(|| written_long("_above_12hr"));
        Some(Rates {
            input,
            cache_write_5m: short,
            // Where it is left out, vendors that charge for writes charge twice for long ones.
            cache_write_1h: long.unwrap_or(match (short > input, self.vendor) {
                (true, "anthropic") => PicoUsd(2 * input.0),
                (true, _) => PicoUsd(2 * short.0),
                (false, _) => short,
            }),
            cache_read: or_usual("cache_read_input_token_cost").unwrap_or(input),
            output: field("output_cost_per_token")?,
        })
    }

    fn search(&self) -> Option<PicoUsd> {
        let costs = self.entry.get("search_context_cost_per_query")?;
        amount(costs.get("search_context_size_medium")?)
    }

    /// The factors for a place and for fast replies.
    fn factors(&self) -> Factors {
        let factors = self.entry.get("provider_specific_entry");
        let factor = |name: &str, usual: u32| {
            let factor = factors.and_then(|factors| factors.get(name)?.as_f64());
            factor.map_or(usual, |factor| (factor * 1_000.0).round() as u32)
        };
        let usual = Factors::default();
        Factors {
            us_only: factor("us", usual.us_only),
            fast: factor("fast", usual.fast),
            ..usual
        }
    }

    fn amount(&self, name: &str) -> Option<PicoUsd> {
        amount(self.entry.get(name)?)
    }
}

/// Dollars in picodollars; `None` if they are nothing or no amount.
fn amount(dollars: &Value) -> Option<PicoUsd> {
    let dollars = dollars
        .as_f64()
        .filter(|dollars| (0.0..100.0).contains(dollars))?;
    let amount = PicoUsd((dollars * PicoUsd::DOLLAR.0 as f64).round() as u64);
    (amount > PicoUsd::ZERO).then_some(amount)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rates_thresholds_and_services_are_read() {
        let list = json!({
            "sample_spec": {"input_cost_per_token": "text"},
            "gpt-7": {
                "litellm_provider": "openai",
                "input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06,
                "cache_read_input_token_cost": 5e-08, "cache_creation_input_token_cost": 1.25e-06,
                "input_cost_per_token_above_272k_tokens": 2e-06, "output_cost_per_token_above_272k_tokens": 7.5e-06,
                "cache_read_input_token_cost_above_272k_tokens": 1e-07,
                "input_cost_per_token_priority": 1.75e-06, "output_cost_per_token_priority": 8.75e-06,
                "search_context_cost_per_query": {"search_context_size_medium": 0.01}
            },
            "xai/grok-9": {
                "litellm_provider": "xai", "input_cost_per_token": 2e-06, "output_cost_per_token": 6e-06,
                "input_cost_per_token_above_200k_tokens": 4e-06, "output_cost_per_token_above_200k_tokens": 1.2e-05
            },
            "claude-9": {
                "litellm_provider": "anthropic", "input_cost_per_token": 2e-06, "output_cost_per_token": 1e-05,
                "cache_creation_input_token_cost": 2.5e-06, "provider_specific_entry": {"us": 1.1, "fast": 3}
            },
            "groq/x": {"litellm_provider": "groq", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06}
        });
        let prices = read(&list).unwrap();
        assert_eq!(prices.len(), 3);
        let gpt = find(&prices, "openai", "gpt-7").unwrap();
        assert_eq!(gpt.base.input, PicoUsd(1_000_000));
        assert_eq!(gpt.base.cache_write_1h, PicoUsd(2_500_000));
        assert_eq!(gpt.above[0].0, 272_000);
        assert_eq!(gpt.above[0].1.cache_read, PicoUsd(100_000));
        let (service, priority) = &gpt.services[0];
        assert_eq!(*service, Service::Priority);
        assert_eq!(priority.base.output, PicoUsd(8_750_000));
        assert_eq!(gpt.search, Some(PicoUsd(10_000_000_000)));
        assert_eq!(find(&prices, "x-ai", "grok-9").unwrap().above[0].0, 199_999);
        let claude = find(&prices, "corp", "claude-9").unwrap();
        assert_eq!(claude.base.cache_write_1h, PicoUsd(4_000_000));
        assert_eq!(claude.factors.fast, 3_000);
        assert!(find(&prices, "openai", "claude-9").is_none());
    }

    #[test]
    fn what_is_no_list_is_none() {
        assert!(read(&json!([])).is_none());
        assert!(read(&json!({"a": 1, "b": {"litellm_provider": "openai"}})).is_none());
    }
}
