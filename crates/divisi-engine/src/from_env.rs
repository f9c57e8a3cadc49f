//! Models of the vendors whose keys are in the environment.

use crate::models::{Models, ProviderModels};
use divisi_core::governor::RateSettings;
use divisi_providers::{EndpointError, Provider, Vendor, vendors};
use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;

impl Models {
    /// The models of every vendor whose key is in the environment; the first vendor answers model
    /// names without a provider.
    ///
    /// Vendors are tried in the order of [`vendors()`]: `ANTHROPIC_API_KEY`, `OPENAI_API_KEY`,
    /// `OPENROUTER_API_KEY`. The address of each can be changed, for example by
    /// `ANTHROPIC_BASE_URL`. Nothing is sent yet.
    ///
    /// ```no_run
    /// use divisi_engine::{Models, Setup};
    ///
    /// let setup = Setup::new(Models::from_env()?, ".");
    /// # Ok::<_, divisi_engine::FromEnvError>(())
    /// ```
    pub fn from_env() -> Result<Self, FromEnvError> {
        Self::from_variables(|name| env::var(name).ok())
    }

    /// The same with variables from `variable`. An empty one counts as not set.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Result<Self, FromEnvError> {
        let variable = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let vendors = vendors();
        let mut providers = BTreeMap::new();
        let mut first = None;
        for vendor in &vendors {
            let endpoint = vendor.endpoint(variable);
            if endpoint.key.is_none() {
                continue;
            }
            let provider = vendor.wire_format.connect(endpoint)?;
            first.get_or_insert_with(|| vendor.name.clone());
            providers.insert(vendor.name.clone(), of_vendor(vendor, provider));
        }
        let provider = first.ok_or_else(|| {
            FromEnvError::NoKey(vendors.into_iter().map(|vendor| vendor.key_env).collect())
        })?;
        Ok(Self {
            default: "sonnet".into(),
            provider,
            providers,
        })
    }
}

fn of_vendor(vendor: &Vendor, provider: Arc<dyn Provider>) -> ProviderModels {
    let tiers: Vec<(&str, &str)> = vendor
        .tiers
        .iter()
        .map(|(tier, id)| (tier.as_str(), id.as_str()))
        .collect();
    let known: Vec<&str> = vendor.models.iter().map(String::as_str).collect();
    let limits = RateSettings {
        count_cached: vendor.wire_format.counts_cached(),
        ..RateSettings::default()
    };
    ProviderModels::new(provider, &tiers, &known).limited(limits)
}

/// Why the environment gives no models.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FromEnvError {
    /// No key is set.
    #[error("no key of a vendor is set: {}", .0.join(", "))]
    NoKey(Vec<String>),
    /// An address or a key is invalid.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models<const N: usize>(set: [(&str, &str); N]) -> Result<Models, FromEnvError> {
        Models::from_variables(|name| {
            set.iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn vendors_with_keys_answer_and_the_first_by_default() {
        let models = models([
            ("OPENROUTER_API_KEY", "a"),
            ("OPENAI_API_KEY", "b"),
            ("ANTHROPIC_API_KEY", " "),
        ]);
        let models = models.unwrap();
        assert_eq!(
            models.providers.keys().collect::<Vec<_>>(),
            ["openai", "openrouter"]
        );
        assert_eq!(
            format!("{:?}", models.find(None).unwrap()),
            "openai:gpt-6.2-sol"
        );
        let named = models.find(Some("openrouter:haiku")).unwrap();
        assert_eq!(
            format!("{named:?}"),
            "openrouter:anthropic/claude-haiku-5.5"
        );
    }

    #[test]
    fn without_a_key_it_is_said_which_ones_there_are() {
        insta::assert_snapshot!(models([]).unwrap_err(), @"no key of a vendor is set: ANTHROPIC_API_KEY, OPENAI_API_KEY, OPENROUTER_API_KEY");
        let elsewhere = [
            ("ANTHROPIC_API_KEY", "k"),
            ("ANTHROPIC_BASE_URL", "ftp://x.example"),
        ];
        assert!(matches!(models(elsewhere), Err(FromEnvError::Endpoint(_))));
    }
}
