//! The price list of the `genai-prices` crate, in whole picodollars.
//!
//! The crate computes the price of a request in floating point. Requests with a single class of
//! token give the rates; longer and longer prompts show at which length the rates change. Published
//! prices are decimals with few digits, so the nearest picodollar is the exact price; if none is
//! near, the next higher one is used.

use super::Quote;
use divisi_core::price::{Factors, Rates, Service, Tariff};
use divisi_core::{ModelPrice, PicoUsd, Timestamp};
use genai_prices::{Calculator, PriceCalculation, PriceRequest, Usage, UsageKey};
use std::time::{Duration, SystemTime};

/// The source shown with its prices.
const SOURCE: &str = "genai-prices 0.2.1";

/// The latest day in its data.
const CHECKED: &str = "2026-10-26";

/// Prices change at full quarters of an hour: some models have night rates.
const SLOT_MS: u64 = 15 * 60 * 1_000;

/// No model takes longer prompts.
const PROMPT_TOKENS_MAX: u64 = 1 << 24;

/// Most thresholds of a price. The largest known number is three.
const STEPS_MAX: usize = 8;

/// Identifies a period within which the list's answers do not change.
pub(super) fn slot(at: Timestamp) -> u64 {
    at.0 / SLOT_MS
}

/// The built-in list's price of a model.
pub(super) fn quote(provider: &str, model: &str, at: Timestamp) -> Option<Quote> {
    Some(Quote {
        price: price(Calculator::bundled(), provider, model, at)?,
        source: SOURCE.into(),
        checked: Some(CHECKED.into()),
        since: None,
    })
}

/// A list's price of a model; `None` if it has none for the model's tokens, or if requests have a
/// cost besides tokens.
pub(super) fn price(
    list: &Calculator,
    provider: &str,
    model: &str,
    at: Timestamp,
) -> Option<ModelPrice> {
    let model = Listed::find(list, provider, model, listed_at(provider, at))?;
    let tariff = model.tariff()?;
    if tariff.base.input == PicoUsd::ZERO || tariff.base.output == PicoUsd::ZERO {
        return None;
    }
    let vendor = model.vendor().unwrap_or_default();
    Some(ModelPrice {
        services: model.services(&tariff, &vendor),
        factors: factors(&vendor),
        search: model.search(),
        base: tariff.base,
        above: tariff.above,
    })
}

/// The services of which the list has rates, with the words by which it knows them.
const SERVICES: [(Service, &str, &str); 4] = [
    (Service::Batch, "processing", "batch"),
    (Service::Flex, "service_tier", "flex"),
    (Service::Priority, "service_tier", "priority"),
    (Service::Fast, "service_tier", "fast"),
];

/// The factors of a vendor, for services of which the list has no rates.
fn factors(vendor: &str) -> Factors {
    match vendor {
        // https://ai.google.dev/gemini-api/docs/pricing, all models with the tier.
        "google" => Factors {
            priority: 1_800,
            fast: 1_800,
            ..Factors::default()
        },
        // https://docs.x.ai/developers/pricing#batch-api-pricing
        "x-ai" => Factors {
            batch: 800,
            ..Factors::default()
        },
        _ => Factors::default(),
    }
}

/// Time at which the list has the price that holds at `at`.
///
/// DeepSeek's weekends, in its own time zone, are off-peak since 2026-08-23; the list knows times of
/// the day, but no weekdays. Public holidays, which are off-peak too, count as working days: their
/// prices are an upper bound.
fn listed_at(provider: &str, at: Timestamp) -> Timestamp {
    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
    const BEIJING_MS: u64 = 8 * 60 * 60 * 1_000;
    /// An hour in UTC that is off-peak.
    const OFF_PEAK_MS: u64 = 12 * 60 * 60 * 1_000;
    /// 2026-08-23, since which weekends are off-peak.
    const FIRST: u64 = 1_787_443_200_000;
    // The first of January 1970 was a Thursday.
    let weekday = (at.0.saturating_add(BEIJING_MS) / DAY_MS + 3) % 7;
    match provider == "deepseek" && at.0 >= FIRST && weekday >= 5 {
        true => Timestamp(at.0 - at.0 % DAY_MS + OFF_PEAK_MS),
        false => at,
    }
}

/// All models of a list, by provider and id.
pub(super) fn models(list: &Calculator) -> Vec<(String, String)> {
    let providers = list.providers();
    let models = providers.flat_map(|p| {
        p.models()
            .map(move |m| (p.id().to_owned(), m.id().to_owned()))
    });
    models.collect()
}

/// A model of the list at one time.
#[derive(Clone, Copy)]
struct Listed<'a> {
    list: &'a Calculator,
    provider: Option<&'a str>,
    model: &'a str,
    at: SystemTime,
    /// How it is served, in the list's words.
    context: Option<(&'a str, &'a str)>,
}

impl<'a> Listed<'a> {
    /// The model as sold by `provider`. An unknown provider, such as a gateway, is assumed to have
    /// the price of the model's maker, or to use the names of OpenRouter.
    fn find(
        list: &'a Calculator,
        provider: &'a str,
        model: &'a str,
        at: Timestamp,
    ) -> Option<Self> {
        if model.is_empty() {
            return None;
        }
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(at.0);
        let knows = |id: &str| list.find_provider(Some(id), None).ok().flatten().is_some();
        let of = |provider| Self {
            list,
            provider,
            model,
            at,
            context: None,
        };
        let candidates = match !provider.is_empty() && knows(provider) {
            true => vec![of(Some(provider))],
            false => vec![of(None), of(Some("openrouter"))],
        };
        candidates
            .into_iter()
            .find(|listed| listed.cost(&[(UsageKey::INPUT_TOKENS, 1)]).is_some())
    }

    fn cost(&self, tokens: &[(UsageKey, u64)]) -> Option<PriceCalculation> {
        let usage: Usage = tokens
            .iter()
            .map(|(key, n)| (key.clone(), *n as f64))
            .collect();
        let request = PriceRequest::new(self.model, &usage).with_timestamp(self.at);
        let request = match self.provider {
            Some(provider) => request.with_provider_id(provider),
            None => request,
        };
        let request = match self.context {
            Some((key, value)) => request.with_price_context(key, value),
            None => request,
        };
        self.list.calculate(&request).ok()
    }

    /// The list's name of the vendor.
    fn vendor(&self) -> Option<String> {
        Some(self.cost(&[(UsageKey::INPUT_TOKENS, 1)])?.provider_id)
    }

    /// The services with rates of their own. The list has a service without any at the rates of the
    /// default one, `usual`.
    fn services(&self, usual: &Tariff, vendor: &str) -> Vec<(Service, Tariff)> {
        let own = SERVICES.iter().filter_map(|(service, key, value)| {
            let served = Self {
                context: Some((key, value)),
                ..*self
            };
            let own = served.tariff().filter(|own| own != usual)?;
            Some((*service, own))
        });
        let mut services: Vec<_> = own.collect();
        let of = |service| services.iter().find(|(known, _)| *known == service);
        // Google publishes one table for both.
        if let (true, None, Some((_, batch))) =
            (vendor == "google", of(Service::Flex), of(Service::Batch))
        {
            services.push((Service::Flex, batch.clone()));
        }
        services
    }

    /// Price of a web search, if the list has one.
    fn search(&self) -> Option<PicoUsd> {
        let one = self.cost(&[(UsageKey::WEB_SEARCHES, 1)])?;
        let is_known = one.warnings.is_empty() && one.total_price > 0.0;
        is_known.then(|| per_token(one.total_price, 1))
    }

    /// The rates for all lengths of prompts.
    fn tariff(&self) -> Option<Tariff> {
        let base = self.rates(1)?;
        let mut above = vec![];
        let (mut from, mut rates) = (1, base);
        let last = self.rates(PROMPT_TOKENS_MAX)?;
        while rates != last && above.len() < STEPS_MAX {
            (from, rates) = self.next_step(from, rates)?;
            above.push((from - 1, rates));
        }
        Some(Tariff { base, above })
    }

    /// The rates of a request with a prompt of this length.
    fn rates(&self, prompt: u64) -> Option<Rates> {
        let prompt_of = |keys: &[UsageKey]| {
            let all = [UsageKey::INPUT_TOKENS]
                .into_iter()
                .chain(keys.iter().cloned());
            let cost = self.cost(&all.map(|key| (key, prompt)).collect::<Vec<_>>())?;
            Some(per_token(cost.input_price, prompt))
        };
        let replied = self.cost(&[
            (UsageKey::INPUT_TOKENS, prompt),
            (UsageKey::OUTPUT_TOKENS, prompt),
        ])?;
        // The rest is a price of the request itself.
        let rest = replied.total_price - replied.input_price - replied.output_price;
        if rest.abs() > 1e-9 * replied.total_price {
            return None;
        }
        let written = |key| prompt_of(&[UsageKey::CACHE_WRITE_TOKENS, key]);
        let input = prompt_of(&[])?;
        let cache_write_5m = written(UsageKey::CACHE_WRITE_5M_TOKENS)?;
        Some(Rates {
            input,
            cache_write_5m,
            cache_write_1h: self.long_write(
                input,
                cache_write_5m,
                written(UsageKey::CACHE_WRITE_1H_TOKENS)?,
            ),
            cache_read: prompt_of(&[UsageKey::CACHE_READ_TOKENS])?,
            output: per_token(replied.output_price, prompt),
        })
    }

    /// The list lacks the price of some long cache writes and would use that of short ones. Vendors
    /// that charge for writes charge twice the input for an hour (Anthropic) or twice the short
    /// write for twelve (OpenAI).
    fn long_write(&self, input: PicoUsd, short: PicoUsd, long: PicoUsd) -> PicoUsd {
        match short > input && long <= short {
            true if self.model.contains("claude") => PicoUsd(2 * input.0),
            true => PicoUsd(2 * short.0),
            false => long,
        }
    }

    /// The shortest prompt longer than `from` with other rates than `rates`, and these other rates.
    fn next_step(&self, from: u64, rates: Rates) -> Option<(u64, Rates)> {
        let (mut same, mut other) = (from, PROMPT_TOKENS_MAX);
        while other - same > 1 {
            let middle = same + (other - same) / 2;
            if self.rates(middle)? == rates {
                same = middle;
            } else {
                other = middle;
            }
        }
        Some((other, self.rates(other)?))
    }
}

/// The price of one token, of `tokens` that cost `dollars` together.
fn per_token(dollars: f64, tokens: u64) -> PicoUsd {
    /// Larger than floating-point errors, and smaller than any difference between prices.
    const SLACK: f64 = 1e-3;
    let rate = dollars / tokens as f64 * PicoUsd::DOLLAR.0 as f64;
    let near = rate.round();
    PicoUsd(if (rate - near).abs() < SLACK {
        near
    } else {
        rate.ceil()
    } as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(provider: &str, model: &str, day: &str) -> ModelPrice {
        quote(provider, model, super::super::date::midnight(day).unwrap())
            .unwrap()
            .price
    }

    /// Converts dollars per million tokens, in the order of the classes.
    fn rates(dollars: [&str; 5]) -> Rates {
        let [input, cache_write_5m, cache_write_1h, cache_read, output] =
            dollars.map(|text| PicoUsd(PicoUsd::parse_dollars(text).unwrap().0 / 1_000_000));
        Rates {
            input,
            cache_write_5m,
            cache_write_1h,
            cache_read,
            output,
        }
    }

    #[test]
    fn the_source_names_the_version_that_is_built_in() {
        let lock = concat!(env!("CARGO_MANIFEST_DIR"), "/../../Cargo.lock");
        let lock = std::fs::read_to_string(lock).unwrap();
        let (name, version) = SOURCE.split_once(' ').unwrap();
        assert!(lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")));
    }

    #[test]
    fn rates_and_steps_are_as_published() {
        let haiku = price("anthropic", "claude-haiku-5-5", "2026-11-01");
        assert_eq!(haiku.base, rates(["0.10", "0.125", "0.20", "0.01", "0.50"]));
        assert_eq!(
            haiku.above,
            [(100_000, rates(["0.50", "0.625", "1.00", "0.05", "2.50"]))]
        );
        let luna = price("openai", "gpt-6-luna", "2026-11-01");
        assert_eq!(
            luna.above,
            [(272_000, rates(["0.20", "0.25", "0.50", "0.02", "0.75"]))]
        );
    }

    #[test]
    fn long_writes_that_are_left_out_are_not_taken_for_short_ones() {
        let of = |provider, model| price(provider, model, "2026-11-01").base.cache_write_1h;
        assert_eq!(
            of("openrouter", "anthropic/claude-opus-5.5"),
            rates(["8", "0", "0", "0", "0"]).input
        );
        assert_eq!(
            of("openai", "gpt-6.1-terra"),
            rates(["2.5", "0", "0", "0", "0"]).input
        );
        // Gemini charges nothing for a cache write besides the input.
        assert_eq!(
            of("google", "gemini-4-argon"),
            rates(["2", "0", "0", "0", "0"]).input
        );
    }

    #[test]
    fn services_have_their_published_rates() {
        let service = |price: &ModelPrice, service| {
            let own = price.services.iter().find(|(known, _)| *known == service);
            own.map(|(_, tariff)| tariff.base)
        };
        let mini = price("openai", "gpt-4.1", "2026-11-01");
        let priority = service(&mini, Service::Priority).unwrap();
        assert_eq!(priority.input, rates(["3.5", "0", "0", "0", "0"]).input);
        assert_eq!(
            priority.cache_read,
            rates(["0.875", "0", "0", "0", "0"]).input
        );
        // The batch table publishes no cached input, which keeps its price.
        let batch = service(&mini, Service::Batch).unwrap();
        assert_eq!(batch.input, rates(["1", "0", "0", "0", "0"]).input);
        assert_eq!(batch.cache_read, mini.base.cache_read);
        assert_eq!(service(&mini, Service::Flex), None);
        let flash = price("google", "gemini-3.8-flash", "2026-11-01");
        assert_eq!(flash.factors.priority, 1_800);
        let cent = PicoUsd::DOLLAR.0 / 100;
        assert_eq!(flash.search, Some(PicoUsd(cent * 14 / 10)));
        assert_eq!(mini.search, Some(PicoUsd(cent)));
    }

    #[test]
    fn weekends_in_beijing_are_off_peak() {
        let input = |time: &str| {
            let time: jiff::Timestamp = time.parse().unwrap();
            let at = Timestamp(u64::try_from(time.as_millisecond()).unwrap());
            quote("deepseek", "deepseek-flash", at)
                .unwrap()
                .price
                .base
                .input
        };
        let (peak, off_peak) = (
            rates(["0.3", "0", "0", "0", "0"]),
            rates(["0.15", "0", "0", "0", "0"]),
        );
        assert_eq!(input("2026-11-30T02:00:00Z"), peak.input, "Monday");
        assert_eq!(input("2026-11-30T05:00:00Z"), off_peak.input);
        assert_eq!(input("2026-11-29T02:00:00Z"), off_peak.input, "Sunday");
        assert_eq!(input("2026-11-28T07:00:00Z"), off_peak.input, "Saturday");
        assert_eq!(input("2026-11-27T07:00:00Z"), peak.input, "Friday");
    }

    #[test]
    fn prices_change_by_the_day() {
        let input = |day| price("google", "gemini-4-argon", day).base.input;
        assert_eq!(input("2026-11-30"), rates(["2", "0", "0", "0", "0"]).input);
        assert_eq!(input("2026-12-01"), rates(["4", "0", "0", "0", "0"]).input);
    }

    #[test]
    fn fractions_of_a_picodollar_count_as_a_whole_one() {
        assert_eq!(per_token(0.1, 1_000_000), PicoUsd(100_000));
        assert_eq!(
            per_token(0.041_666_666_666_666_664, 1_000_000),
            PicoUsd(41_667)
        );
        assert_eq!(per_token(0.3, 3), PicoUsd(100_000_000_000));
    }
}
