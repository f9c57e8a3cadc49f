//! Built-in dated prices: the models of the tiers, and prices newer than the published list. The
//! data is `overlay.json`, which is written for readers.

use super::{Quote, date};
use divisi_core::price::{Factors, Rates, Service, Tariff, is_same_model, per_token};
use divisi_core::{ModelPrice, PicoUsd, Timestamp};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The format of the file.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Overlay {
    /// Explains the numbers to readers of the file.
    #[serde(rename = "about")]
    _about: Vec<String>,
    models: Vec<Entry>,
}

/// One model under all its names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    /// Ids by provider.
    names: BTreeMap<String, String>,
    /// Whether it holds for these ids only, not for other editions of the model.
    #[serde(default)]
    exact: bool,
    source: Arc<str>,
    /// The day on which the source was checked.
    checked: Arc<str>,
    /// Where the public lists differ, or lack the model.
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    factors: Factors,
    #[serde(default, deserialize_with = "dollars")]
    search: Option<PicoUsd>,
    /// Oldest first. The first also applies to earlier times.
    prices: Vec<Dated>,
}

#[derive(Deserialize)]
struct Dated {
    /// The day from which it holds; only the first may be without.
    from: Option<Arc<str>>,
    #[serde(flatten)]
    base: PerMillion,
    #[serde(default)]
    above: Vec<Above>,
    /// Rates of a service that are no multiple of the others.
    #[serde(default)]
    services: BTreeMap<Service, Served>,
}

#[derive(Deserialize)]
struct Served {
    #[serde(flatten)]
    base: PerMillion,
    #[serde(default)]
    above: Vec<Above>,
}

#[derive(Deserialize)]
struct Above {
    tokens: u64,
    #[serde(flatten)]
    rates: PerMillion,
}

/// Dollars per million tokens. Cache writes without a price cost as much as input.
#[derive(Deserialize)]
struct PerMillion {
    #[serde(deserialize_with = "rate")]
    input: PicoUsd,
    #[serde(default, deserialize_with = "rate_if_any")]
    cache_write_5m: Option<PicoUsd>,
    #[serde(default, deserialize_with = "rate_if_any")]
    cache_write_1h: Option<PicoUsd>,
    #[serde(deserialize_with = "rate")]
    cache_read: PicoUsd,
    #[serde(deserialize_with = "rate")]
    output: PicoUsd,
}

/// Parsed at the first use. A test parses the same file.
static OVERLAY: LazyLock<Overlay> =
    LazyLock::new(|| serde_json::from_str(include_str!("overlay.json")).unwrap_or_default());

/// The overlay's price of a model.
#[cfg(test)]
pub(super) fn quote(provider: &str, model: &str, at: Timestamp) -> Option<Quote> {
    find(provider, model).map(|entry| entry.quote(at))
}

/// The overlay's entry of a model.
pub(super) fn find(provider: &str, model: &str) -> Option<&'static Entry> {
    // A suffix after a colon is another way of serving the model, at another price.
    if model.is_empty() || model.contains(':') {
        return None;
    }
    let sells = OVERLAY
        .models
        .iter()
        .any(|entry| entry.names.contains_key(provider));
    let names = || {
        OVERLAY.models.iter().flat_map(|entry| {
            let mine = entry
                .names
                .iter()
                .filter(|(name, _)| !sells || *name == provider);
            mine.map(move |(_, id)| (entry, id))
        })
    };
    let named = names().find(|(_, id)| *id == model);
    let edition = || names().find(|(entry, id)| !entry.exact && is_same_model(id, model));
    let (entry, _) = named.or_else(edition)?;
    Some(entry)
}

/// All its models, by provider and id.
pub(super) fn models() -> Vec<(String, String)> {
    let names = OVERLAY.models.iter().flat_map(|entry| &entry.names);
    names
        .map(|(provider, id)| (provider.clone(), id.clone()))
        .collect()
}

/// Whether the price of this model holds for its other editions, too.
#[cfg(test)]
pub(super) fn holds_for_editions(provider: &str, model: &str) -> bool {
    let has = |entry: &&Entry| entry.names.get(provider).is_some_and(|id| id == model);
    let entry = OVERLAY.models.iter().find(has);
    entry.is_some_and(|entry| !entry.exact)
}

impl Entry {
    /// Whether a list of that day is to be preferred. Names that a vendor keeps for replaced models
    /// are wrong in public lists, so for those it never is.
    pub(super) fn yields_to(&self, day: &str) -> bool {
        let is_alias = self.exact && self.note.is_some();
        !is_alias && day >= &*self.checked
    }

    pub(super) fn quote(&self, at: Timestamp) -> Quote {
        let begun = |dated: &&Dated| dated.begins() <= at;
        // Cannot be empty: a test checks that every model has a price.
        let dated = self
            .prices
            .iter()
            .rev()
            .find(begun)
            .unwrap_or(&self.prices[0]);
        Quote {
            price: ModelPrice {
                base: dated.base.rates(),
                above: steps(&dated.above),
                factors: self.factors,
                services: dated
                    .services
                    .iter()
                    .map(|(service, served)| (*service, served.tariff()))
                    .collect(),
                search: self.search,
            },
            source: self.source.clone(),
            checked: Some(self.checked.clone()),
            since: dated.from.clone(),
        }
    }
}

impl Served {
    fn tariff(&self) -> Tariff {
        Tariff {
            base: self.base.rates(),
            above: steps(&self.above),
        }
    }
}

fn steps(above: &[Above]) -> Vec<(u64, Rates)> {
    above
        .iter()
        .map(|above| (above.tokens, above.rates.rates()))
        .collect()
}

impl Dated {
    fn begins(&self) -> Timestamp {
        self.from
            .as_deref()
            .and_then(date::midnight)
            .unwrap_or_default()
    }
}

impl PerMillion {
    fn rates(&self) -> Rates {
        let Self {
            input,
            cache_write_5m,
            cache_write_1h,
            cache_read,
            output,
        } = *self;
        let cache_write_5m = cache_write_5m.unwrap_or(input);
        Rates {
            input,
            cache_write_5m,
            cache_write_1h: cache_write_1h.unwrap_or(cache_write_5m),
            cache_read,
            output,
        }
    }
}

fn rate_if_any<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PicoUsd>, D::Error> {
    rate(deserializer).map(Some)
}

/// An amount of dollars.
fn dollars<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PicoUsd>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let amount = PicoUsd::parse_dollars(&text);
    let amount = amount.ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no price")));
    amount.map(Some)
}

/// Parses a decimal text, which avoids binary fractions.
fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PicoUsd, D::Error> {
    let text = String::deserialize(deserializer)?;
    let rate = PicoUsd::parse_dollars(&text).and_then(per_token);
    rate.ok_or_else(|| {
        serde::de::Error::custom(format!("`{text}` is no price of a million tokens"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_sound() {
        let overlay: Overlay = serde_json::from_str(include_str!("overlay.json")).unwrap();
        assert!(!overlay.models.is_empty());
        for entry in &overlay.models {
            let name = format!("{:?}", entry.names);
            assert!(!entry.names.is_empty());
            assert!(entry.source.starts_with("https://"), "{name}");
            assert!(date::midnight(&entry.checked).is_some(), "{name}");
            let dates = || {
                entry
                    .prices
                    .iter()
                    .map(|dated| dated.from.as_deref().map(date::midnight))
            };
            assert!(
                dates().flatten().all(|day| day.is_some()),
                "{name}: a date is none"
            );
            assert!(dates().count() > 0 && dates().is_sorted(), "{name}");
            for dated in &entry.prices {
                let rates = dated.base.rates();
                assert!(
                    rates.cache_read <= rates.input && rates.cache_write_5m <= rates.cache_write_1h,
                    "{name}"
                );
                assert!(rates.input <= rates.output, "{name}");
                assert!(
                    dated
                        .above
                        .iter()
                        .all(|above| above.rates.rates().input > rates.input),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_name_that_holds_for_itself_only_prices_no_other_edition() {
        let at = date::midnight("2026-11-30").unwrap();
        assert!(quote("mistral", "mistral-large-latest", at).is_some());
        assert!(quote("mistral", "mistral-large-2411", at).is_none());
        assert!(quote("mistral", "mistral-large-4-2610", at).is_some());
    }

    /// Whether the entry says where the lists differ.
    fn is_noted(provider: &str, model: &str) -> bool {
        let has = |entry: &&Entry| entry.names.get(provider).is_some_and(|id| id == model);
        OVERLAY
            .models
            .iter()
            .find(has)
            .is_some_and(|entry| entry.note.is_some())
    }

    #[test]
    fn it_agrees_with_the_big_list_where_both_know() {
        let at = date::midnight("2026-11-30").unwrap();
        let mut both = 0;
        for (provider, model) in models() {
            // Exact names are here because the list is wrong, or older.
            if is_noted(&provider, &model) || !holds_for_editions(&provider, &model) {
                continue;
            }
            let ours = quote(&provider, &model, at).unwrap().price;
            let Some(theirs) = super::super::published::quote(&provider, &model, at) else {
                continue;
            };
            both += 1;
            let list = theirs.price;
            for (ours, theirs) in [(&ours.base, &list.base)].into_iter().chain(
                ours.above
                    .iter()
                    .map(|(_, rates)| rates)
                    .zip(list.above.iter().map(|(_, rates)| rates)),
            ) {
                let classes = |rates: &Rates| {
                    (
                        rates.input,
                        rates.cache_write_5m,
                        rates.cache_read,
                        rates.output,
                    )
                };
                assert_eq!(classes(ours), classes(theirs), "{provider} {model}");
            }
            let steps = |price: &ModelPrice| {
                price
                    .above
                    .iter()
                    .map(|(tokens, _)| *tokens)
                    .collect::<Vec<_>>()
            };
            assert_eq!(steps(&ours), steps(&list), "{provider} {model}");
        }
        assert!(both >= 10, "{both}");
    }
}
