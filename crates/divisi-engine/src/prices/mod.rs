//! Prices of tokens, with their source and date.
//!
//! Of three sources the first that knows a model is used: the user's own prices, then the built-in
//! overlay (`overlay.json`: models of the tiers, and newer prices), then the list of the
//! `genai-prices` crate. The first two take microseconds; the third is decoded at its first use.
//!
//! A list that the user has loaded ([`LoadedList`]) takes the place of the third, and that of the
//! overlay, where it is not older.
//!
//! A model unknown to all of them has no price. It never counts as free: only the models of an
//! unpriced provider do, or a model with a price of zero in the settings.

mod date;
mod names;
mod own;
mod overlay;
mod loaded;
mod litellm;
mod published;

pub use loaded::{About, LoadedList, NoList};
pub use own::{OwnPrices, PatternError};

use crate::models::Model;
use divisi_core::price::Rates;
use divisi_core::{Failure, FailureClass, ModelPrice, PicoUsd, Timestamp};
use divisi_providers::Reply;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A price with its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// The price.
    pub price: ModelPrice,
    /// The source: an address, a list, or the settings.
    pub source: Arc<str>,
    /// The day on which the source was checked, as `2026-11-22`.
    pub checked: Option<Arc<str>>,
    /// The day from which it holds, if the source gives one.
    pub since: Option<Arc<str>>,
}

/// The price list of a run.
#[derive(Debug, Default)]
pub struct Catalogue {
    own: OwnPrices,
    loaded: Option<LoadedList>,
    /// Answers of the loaded and the published list, by provider, model and [`published::slot`].
    asked: Mutex<BTreeMap<(String, String, u64), Option<Quote>>>,
}

/// Most answers kept. A flow uses a handful of models; beyond the limit all are dropped and looked
/// up again.
const ASKED_MAX: usize = 1_000;

impl Catalogue {
    /// The price list with the user's own prices on top.
    pub fn new(own: OwnPrices) -> Self {
        Self {
            own,
            ..Self::default()
        }
    }

    /// The same with a list that the user has loaded.
    pub fn loaded(mut self, list: Option<LoadedList>) -> Self {
        self.loaded = list;
        self
    }

    /// The price of `model` at `provider` and that time; `None` if no source has one.
    ///
    /// A provider without prices of its own, such as a gateway, is assumed to charge the price of
    /// the model's maker.
    pub fn price(&self, provider: &str, model: &str, at: Timestamp) -> Option<ModelPrice> {
        self.quote(provider, model, at).map(|quote| quote.price)
    }

    /// The price with its source, under this name or a simpler spelling of it.
    pub fn quote(&self, provider: &str, model: &str, at: Timestamp) -> Option<Quote> {
        let others = names::others(provider, model);
        let spellings = || {
            [(provider, model)]
                .into_iter()
                .chain(others.iter().copied())
        };
        let listed = |(provider, model)| self.listed(provider, model, at);
        spellings()
            .find_map(|(provider, model)| self.own.quote(provider, model))
            .or_else(|| spellings().find_map(listed))
    }

    /// The price in the lists: the loaded one, if it is not older than the overlay, the overlay, and
    /// the published one.
    fn listed(&self, provider: &str, model: &str, at: Timestamp) -> Option<Quote> {
        let entry = overlay::find(provider, model);
        let newer = self.loaded.as_ref().filter(|list| {
            let day = &list.about().day;
            entry.is_none_or(|entry| entry.yields_to(day))
        });
        let Some(entry) = entry else {
            return self.asked(provider, model, at);
        };
        let ours = entry.quote(at);
        let theirs = newer.and_then(|_| self.asked(provider, model, at));
        // The published list is older than the overlay, and lists lack some factors.
        let theirs = theirs.filter(|quote| quote.checked >= ours.checked);
        Some(match theirs {
            Some(mut theirs) => {
                theirs.price.factors = ours.price.factors;
                theirs
            }
            None => ours,
        })
    }

    /// The price in the loaded or else in the published list. Their answers are kept.
    fn asked(&self, provider: &str, model: &str, at: Timestamp) -> Option<Quote> {
        let key = (provider.to_owned(), model.to_owned(), published::slot(at));
        let asked = || self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = asked().get(&key) {
            return known.clone();
        }
        let loaded = self.loaded.as_ref();
        let quote = loaded
            .and_then(|list| list.quote(provider, model, at))
            .or_else(|| published::quote(provider, model, at));
        let mut asked = asked();
        if asked.len() == ASKED_MAX {
            asked.clear();
        }
        asked.insert(key, quote.clone());
        quote
    }

    /// The price of a model that can be asked: zero at a provider that sends no bill; `None` if the
    /// bill cannot be known.
    pub fn price_of(&self, model: &Model, at: Timestamp) -> Option<ModelPrice> {
        match model.free {
            true => Some(
                self.own
                    .quote(model.provider.name(), &model.id)
                    .unwrap_or_else(free)
                    .price,
            ),
            false => self.price(model.provider.name(), &model.id, at),
        }
    }

    /// The price of a model whose tokens cost something; `None` for one that no vendor bills, unless
    /// the user has given it a price.
    pub fn charged(&self, model: &Model, at: Timestamp) -> Option<ModelPrice> {
        let is_charged = |price: &ModelPrice| !model.free || price.base != Rates::default();
        self.price_of(model, at).filter(is_charged)
    }

    /// The cost of a reply to a request for `model`: at the price of the model that answered, or if
    /// that has none, of the one asked for.
    pub fn cost(&self, model: &Model, reply: &Reply, at: Timestamp) -> Option<PicoUsd> {
        let answered = (!model.free)
            .then(|| self.price(model.provider.name(), &reply.model, at))
            .flatten();
        let price = answered.or_else(|| self.price_of(model, at))?;
        Some(price.billed(&reply.usage, reply.billing))
    }

    /// Fails for a model whose cost cannot be bounded.
    pub fn known(&self, model: &Model, at: Timestamp) -> Result<(), Failure> {
        if self.price_of(model, at).is_some() {
            return Ok(());
        }
        let message = format!(
            "model `{}` of `{}` has no price here",
            model.id,
            model.provider.name()
        );
        Err(
            Failure::new(FailureClass::Unavailable, message).hint(format!(
                "give it one in divisi.toml: prices.\"{}\" = {{ input = 1.0, output = 2.0 }}, \
             in dollars per million tokens, 0 if no vendor bills it",
                model.id
            )),
        )
    }

    /// Every model with a price at that time, by provider and id; first those of the overlay, then
    /// the others of the published list.
    pub fn all(&self, at: Timestamp) -> Vec<(String, String, Quote)> {
        let lists = [
            overlay::models(),
            self.loaded
                .as_ref()
                .map(LoadedList::models)
                .unwrap_or_default(),
            published::models(genai_prices::Calculator::bundled()),
        ];
        let mut known = BTreeSet::new();
        let models = lists.into_iter().flatten();
        let models = models.filter(|model| known.insert(model.clone()));
        let quoted = models.filter_map(|(provider, model)| {
            let quote = self.quote(&provider, &model, at)?;
            Some((provider, model, quote))
        });
        quoted.collect()
    }
}

fn free() -> Quote {
    Quote {
        price: ModelPrice::default(),
        source: "no bill".into(),
        checked: None,
        since: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::{Models, ProviderModels};
    use divisi_core::Usage;
    use divisi_core::price::{Billing, Service, TokenClass};
    use divisi_providers::{Block, Scripted, Stop};

    fn at(date: &str) -> Timestamp {
        date::midnight(date).unwrap()
    }

    fn million(provider: &str, model: &str) -> Option<(String, String)> {
        let price = Catalogue::default().price(provider, model, at("2026-11-22"))?;
        let dollars = |rate: PicoUsd| PicoUsd(rate.0 * 1_000_000).to_string();
        Some((dollars(price.base.input), dollars(price.base.output)))
    }

    #[test]
    fn models_are_found_by_the_names_that_vendors_use() {
        for (provider, model, input, output) in [
            ("anthropic", "claude-haiku-5-5", "$0.1000", "$0.5000"),
            (
                "anthropic",
                "claude-haiku-5-5-20261007",
                "$0.1000",
                "$0.5000",
            ),
            ("openrouter", "anthropic/claude-opus-5.5", "$4.00", "$20.00"),
            (
                "openrouter",
                "anthropic/claude-haiku-5.5-20261007",
                "$0.1000",
                "$0.5000",
            ),
            ("openai", "gpt-6.1-sol-2026-09-29", "$2.00", "$10.00"),
            ("corp-gateway", "claude-sonnet-5-5", "$2.00", "$10.00"),
            // Only the published list has these.
            ("anthropic", "claude-haiku-4-5-20251001", "$1.00", "$5.00"),
            ("openai", "gpt-6-sol", "$2.00", "$10.00"),
            ("google", "gemini-3.1-pro-preview", "$2.00", "$12.00"),
            ("openrouter", "openai/gpt-6-luna", "$0.1000", "$0.5000"),
            ("", "openai/gpt-6-sol", "$2.00", "$10.00"),
            ("", "claude-sonnet-4-6", "$3.00", "$15.00"),
            // Spellings of other programs.
            ("anthropic", "claude-sonnet-5-5[1m]", "$2.00", "$10.00"),
            ("anthropic", "anthropic/claude-opus-5-5", "$4.00", "$20.00"),
            ("gemini", "models/gemini-4-neon", "$3.00", "$15.00"),
            ("google", "gemini/gemini-3.8-flash", "$0.7500", "$3.75"),
            ("xai", "xai/grok-4.7", "$2.00", "$6.00"),
            (
                "openrouter",
                "anthropic/claude-opus-5.5:nitro",
                "$4.00",
                "$20.00",
            ),
            ("openrouter", "openai/gpt-6.2-sol", "$2.00", "$10.00"),
            ("openrouter", "google/gemini-4-hydrogen", "$1.50", "$7.50"),
            // Names that a vendor keeps for models it has replaced.
            ("mistral", "mistral-large-latest", "$0.5000", "$1.50"),
            ("xai", "grok-code-fast-1", "$1.00", "$2.00"),
            ("x-ai", "grok-4-fast", "$1.25", "$2.50"),
            ("anthropic", "claude-mythos-5-2", "$8.00", "$40.00"),
            ("openai", "gpt-6-cyber", "$20.00", "$100.00"),
        ] {
            assert_eq!(
                million(provider, model),
                Some((input.into(), output.into())),
                "{provider} {model}"
            );
        }
    }

    #[test]
    fn every_tier_of_every_vendor_is_one_of_its_models_and_has_a_price_that_is_not_nothing() {
        let catalogue = Catalogue::default();
        for vendor in divisi_providers::vendors() {
            let is_known = |id: &str| {
                let fits =
                    |model: &String| crate::globs::compile(model, false).unwrap().is_match(id);
                vendor.models.iter().any(fits)
            };
            for id in vendor.tiers.values() {
                assert!(is_known(id), "{}: {id}", vendor.name);
                let price = catalogue.price(&vendor.name, id, at("2026-11-22"));
                let price = price.unwrap_or_else(|| panic!("{} {id} has no price", vendor.name));
                for rates in
                    std::iter::once(&price.base).chain(price.above.iter().map(|(_, rates)| rates))
                {
                    assert!(
                        TokenClass::ALL
                            .into_iter()
                            .all(|class| rates.of(class) > PicoUsd::ZERO),
                        "{id}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_nobody_knows_has_no_price() {
        for (provider, model) in [
            ("anthropic", "claude-haiku-9"),
            ("anthropic", "gpt-6-luna-9"),
            ("openai", "not-gpt-6-luna"),
            ("corp", "our-own-model"),
            ("", ""),
            // Free at this provider but billed at others, so only the user can know.
            ("openrouter", "meta-llama/llama-3.3-70b-instruct:free"),
        ] {
            assert_eq!(million(provider, model), None, "{provider} {model}");
        }
    }

    fn model(free: bool) -> Model {
        let provider = ProviderModels::new(std::sync::Arc::new(Scripted::new()), &[], &["*"]);
        let provider = ProviderModels { free, ..provider };
        let providers = BTreeMap::from([("scripted".to_owned(), provider)]);
        let models = Models {
            default: "claude-opus-5-5".into(),
            provider: "scripted".into(),
            providers,
        };
        models.find(None).unwrap()
    }

    fn reply(model: &str) -> Reply {
        Reply {
            model: model.into(),
            blocks: vec![Block::text("x")],
            stop: Stop::EndTurn,
            usage: Usage {
                input: 1_000_000,
                ..Usage::default()
            },
            billing: Billing {
                service: Service::Fast,
                ..Billing::default()
            },
            usage_estimated: false,
            request_id: None,
            rate: Default::default(),
        }
    }

    #[test]
    fn who_answered_decides_the_price() {
        let cost = |answered: &str, free| {
            let cost = Catalogue::default().cost(&model(free), &reply(answered), at("2026-11-22"));
            cost.unwrap().to_string()
        };
        assert_eq!(cost("claude-opus-5-5-20260921", false), "$8.00");
        assert_eq!(cost("claude-fable-5-2", false), "$16.00");
        assert_eq!(cost("who-knows", false), "$8.00");
        assert_eq!(cost("claude-opus-5-5", true), "$0.0000");
    }

    #[test]
    fn what_no_vendor_bills_is_charged_at_a_price_of_the_user() {
        let base = Rates {
            input: PicoUsd(1_000_000),
            ..Rates::default()
        };
        let price = ModelPrice {
            base,
            ..ModelPrice::default()
        };
        let own = OwnPrices::new([("claude-opus-*".to_owned(), price)]).unwrap();
        let (priced, unpriced) = (Catalogue::new(own), Catalogue::default());
        let at = at("2026-11-22");
        let charged = |catalogue: &Catalogue| catalogue.charged(&model(true), at);
        assert_eq!(charged(&priced).map(|price| price.base), Some(base));
        assert_eq!(charged(&unpriced), None);
        let cost = priced.cost(&model(true), &reply("claude-opus-5-5"), at);
        // The reply was served at twice the price.
        assert_eq!(cost, Some(PicoUsd(2 * PicoUsd::DOLLAR.0)));
    }

    #[test]
    fn what_the_overlay_knows_never_waits_for_the_big_list() {
        let catalogue = Catalogue::default();
        for (provider, model) in overlay::models() {
            assert!(
                catalogue
                    .price(&provider, &model, at("2026-11-22"))
                    .is_some()
            );
            let edition = || catalogue.price("", &format!("{model}-20261107"), at("2026-11-22"));
            assert!(!overlay::holds_for_editions(&provider, &model) || edition().is_some());
        }
        assert!(catalogue.asked.lock().unwrap().is_empty());
    }

    #[test]
    fn the_list_remembers_and_forgets() {
        let catalogue = Catalogue::default();
        for n in 0..ASKED_MAX + 2 {
            assert_eq!(
                catalogue.price("openai", &format!("unknown-{n}"), at("2026-11-22")),
                None
            );
        }
        assert_eq!(catalogue.asked.lock().unwrap().len(), 2);
    }

    fn loaded(day: &str) -> Catalogue {
        let list = br#"{
            "claude-opus-5-5": {"litellm_provider": "anthropic", "input_cost_per_token": 3e-06, "output_cost_per_token": 15e-06},
            "mistral/mistral-large-latest": {"litellm_provider": "mistral", "input_cost_per_token": 9e-06, "output_cost_per_token": 9e-06},
            "gpt-7": {"litellm_provider": "openai", "input_cost_per_token": 1e-06, "output_cost_per_token": 5e-06}
        }"#;
        let list = LoadedList::new(list, "prices.json", day).unwrap();
        assert_eq!(list.len(), 3);
        Catalogue::default().loaded(Some(list))
    }

    #[test]
    fn a_list_that_the_user_has_loaded_wins_where_it_is_not_older() {
        let input = |catalogue: &Catalogue, provider: &str, model: &str| {
            let quote = catalogue.quote(provider, model, at("2026-12-24")).unwrap();
            (quote.price.base.input.0, quote.source.to_string())
        };
        let newer = loaded("2026-12-24");
        let from_list = "litellm, loaded from prices.json".to_owned();
        assert_eq!(
            input(&newer, "anthropic", "claude-opus-5-5"),
            (3_000_000, from_list.clone())
        );
        assert_eq!(input(&newer, "openai", "gpt-7"), (1_000_000, from_list));
        assert_eq!(input(&newer, "mistral", "mistral-large-latest").0, 500_000);
        let older = loaded("2026-01-01");
        assert_eq!(input(&older, "anthropic", "claude-opus-5-5").0, 4_000_000);
        let all = newer.all(at("2026-12-24"));
        assert!(all.iter().any(|(_, model, _)| model == "gpt-7"));
        let list = br#"[{"id": "openai", "name": "OpenAI", "api_pattern": "x", "models":
            [{"id": "gpt-7", "match": {"equals": "gpt-7"}, "prices": {"input_mtok": 2, "output_mtok": 5}}]}]"#;
        let list = LoadedList::new(list, "data.json", "2026-12-24").unwrap();
        let newer = Catalogue::default().loaded(Some(list));
        assert_eq!(input(&newer, "openai", "gpt-7").0, 2_000_000);
        assert_eq!(
            LoadedList::new(b"[]x", "x", "2026-12-24").err(),
            Some(NoList)
        );
    }

    #[test]
    fn all_models_are_listed_once_with_a_price() {
        let all = Catalogue::default().all(at("2026-11-22"));
        assert!(all.len() > 1_000, "{}", all.len());
        let names: std::collections::BTreeSet<_> = all.iter().map(|(p, m, _)| (p, m)).collect();
        assert_eq!(names.len(), all.len());
        assert!(
            all.iter()
                .all(|(_, _, quote)| quote.price.base.output > PicoUsd::ZERO)
        );
    }
}
