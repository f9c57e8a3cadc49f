//! The known vendors, from `vendors.toml`.

use crate::endpoint::Endpoint;
use crate::secret::Secret;
use crate::wire_format::WireFormat;
use divisi_core::Tier;
use serde::Deserialize;
use std::collections::BTreeMap;

/// A known vendor.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Vendor {
    /// Its name in settings and in `provider:model`.
    pub name: String,
    /// Its wire format.
    pub wire_format: WireFormat,
    /// Base address of its API.
    pub base_url: String,
    /// The variable for another address, such as a gateway's.
    pub base_url_env: String,
    /// The variable that holds the key.
    pub key_env: String,
    /// Patterns of its model ids.
    pub models: Vec<String>,
    /// Model ids by tier.
    pub tiers: BTreeMap<Tier, String>,
}

/// All vendors, in order of preference.
pub fn vendors() -> Vec<Vendor> {
    #[derive(Deserialize)]
    struct List {
        vendor: Vec<Vendor>,
    }
    // A test parses the same file.
    toml::from_str(include_str!("vendors.toml"))
        .map(|list: List| list.vendor)
        .unwrap_or_default()
}

impl Vendor {
    /// Its endpoint, with address and key from the variables given by `variable`.
    pub fn endpoint(&self, variable: impl Fn(&str) -> Option<String>) -> Endpoint {
        let base_url = variable(&self.base_url_env).unwrap_or_else(|| self.base_url.clone());
        let key = variable(&self.key_env).map(Secret::new);
        Endpoint::new(self.name.as_str(), base_url).key(key, self.key_env.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendor_can_be_connected_and_has_every_tier() {
        let vendors = vendors();
        let names: Vec<&str> = vendors.iter().map(|vendor| vendor.name.as_str()).collect();
        assert_eq!(names, ["anthropic", "openai", "openrouter"]);
        for vendor in &vendors {
            let variables = |name: &str| (name == vendor.key_env).then(|| "k".to_owned());
            let endpoint = vendor.endpoint(variables);
            assert!(endpoint.key.is_some());
            assert_eq!(
                vendor.wire_format.connect(endpoint).unwrap().name(),
                vendor.name
            );
            assert_eq!(vendor.tiers.keys().copied().collect::<Vec<_>>(), Tier::ALL);
        }
    }
}
