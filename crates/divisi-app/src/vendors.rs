//! The vendors that divisi knows; what is known stands in `vendors.toml`.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A vendor that divisi knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vendor {
    /// What it is called in settings and in `provider:model`.
    pub name: String,
    /// The API that it speaks.
    pub kind: Kind,
    /// Where it is reached.
    pub base_url: String,
    /// The variable that leads elsewhere, such as to a gateway.
    pub base_url_env: String,
    /// The variable that holds the key.
    pub key_env: String,
    /// Patterns of its model ids.
    pub models: Vec<String>,
    /// Model ids by tier.
    pub tiers: BTreeMap<String, String>,
}

/// The APIs that divisi speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Anthropic's Messages.
    Anthropic,
    /// OpenAI's Responses.
    Openai,
    /// OpenAI's Chat Completions, which most other servers speak.
    OpenaiChat,
}

/// All of them, in the order in which they are preferred.
pub fn vendors() -> Vec<Vendor> {
    #[derive(Deserialize)]
    struct List {
        vendor: Vec<Vendor>,
    }
    // A test reads the same file.
    toml::from_str(include_str!("vendors.toml")).map(|list: List| list.vendor).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_has_a_price_that_is_not_nothing() {
        use divisi_core::{PicoUsd, price::TokenClass};
        let catalogue = divisi_engine::prices::Catalogue::default();
        for vendor in vendors() {
            for id in vendor.tiers.values() {
                let price = catalogue.price(&vendor.name, id, crate::clock::now());
                let price = price.unwrap_or_else(|| panic!("{} {id} has no price", vendor.name));
                for rates in std::iter::once(&price.base).chain(price.above.iter().map(|(_, rates)| rates)) {
                    let rate = |class| rates.of(class);
                    assert!(TokenClass::ALL.into_iter().all(|class| rate(class) > PicoUsd::ZERO), "{id}");
                }
            }
        }
    }

    #[test]
    fn every_vendor_has_every_tier_among_its_models() {
        let vendors = vendors();
        assert_eq!(vendors.len(), 3);
        for vendor in vendors {
            for tier in divisi_engine::setup::TIERS {
                let id = &vendor.tiers[tier];
                let known = vendor
                    .models
                    .iter()
                    .any(|model| globset::Glob::new(model).unwrap().compile_matcher().is_match(id));
                assert!(known, "{}: {id}", vendor.name);
            }
        }
    }
}
