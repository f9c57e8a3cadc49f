//! Providers, models, and the meaning of model words.

use crate::globs;
use crate::governor::{Governors, SharedLimits};
use divisi_core::governor::RateSettings;
use divisi_core::nearest::nearest;
use divisi_core::{Failure, FailureClass, ModelPrice, Tier};
use divisi_providers::Provider;
use globset::GlobMatcher;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The word for "the tier that suffices for this task".
pub(crate) const AUTO: &str = "auto";

/// The mark of Claude Code for a long context. No vendor's API knows it.
pub(crate) const LONG_CONTEXT: &str = "[1m]";

/// The providers, and the meaning of model words.
#[derive(Clone)]
pub struct Models {
    /// The model of tasks without a model word; `auto` takes the tier that suffices.
    pub default: Arc<str>,
    /// Name of the default provider.
    pub provider: String,
    /// All providers by name.
    pub providers: BTreeMap<String, ProviderModels>,
}

/// One provider and its models.
#[derive(Clone)]
pub struct ProviderModels {
    /// Sends the requests.
    pub provider: Arc<dyn Provider>,
    /// Model ids by tier.
    pub tiers: BTreeMap<String, Arc<str>>,
    /// Patterns of its model ids.
    pub known: Vec<GlobMatcher>,
    /// Whether its requests are unpriced: a local server, scripted answers.
    pub free: bool,
    /// The gates for requests to its models.
    pub governors: Arc<Governors>,
}

/// A model that can be asked.
#[derive(Clone)]
pub struct Model {
    /// Sends the requests.
    pub provider: Arc<dyn Provider>,
    /// The vendor's model id.
    pub id: Arc<str>,
    /// Its tier, if it has one.
    pub tier: Option<Tier>,
    /// Whether its requests are unpriced.
    pub free: bool,
    /// Its present price; `None` if unknown or not needed.
    pub price: Option<Arc<ModelPrice>>,
    /// The gates for requests to it.
    pub governors: Arc<Governors>,
}

/// The tiers, cheapest first.
pub const TIERS: [&str; 4] = ["haiku", "sonnet", "opus", "fable"];

impl Model {
    /// Length in tokens from which siblings can read a prefix at a lower price; `None` if the
    /// provider has no such cache, or the model is unpriced.
    pub(crate) fn cached_tokens_min(&self) -> Option<u64> {
        self.provider.cached_tokens_min().filter(|_| !self.free)
    }
}

impl Models {
    /// A single provider. `tiers` gives its model ids by tier, `known` the patterns of all its ids.
    pub fn one(provider: Arc<dyn Provider>, tiers: &[(&str, &str)], known: &[&str]) -> Self {
        let name = provider.name().to_owned();
        let models = ProviderModels::new(provider, tiers, known);
        Self {
            default: "sonnet".into(),
            provider: name.clone(),
            providers: BTreeMap::from([(name, models)]),
        }
    }

    /// Resolves `word`: a tier, `inherit`, a model id, or `provider:model`.
    ///
    /// Without a task, `auto` is the balanced tier. Fails with the nearest names if the word is
    /// unknown.
    pub fn find(&self, word: Option<&str>) -> Result<Model, Failure> {
        self.find_for(word, Tier::Sonnet)
    }

    /// The same for a task for which `tier` suffices, which is what `auto` becomes.
    pub fn find_for(&self, word: Option<&str>, tier: Tier) -> Result<Model, Failure> {
        let (name, word) = self.wanted(word);
        let word = if word == AUTO { tier.as_str() } else { word };
        let Some(models) = self.providers.get(name) else {
            let message = format!("there is no provider `{name}`");
            return Err(Failure::new(FailureClass::Unavailable, message));
        };
        let id = models.id(word).ok_or_else(|| models.unknown(word))?;
        let by_id = || {
            Tier::ALL
                .into_iter()
                .find(|tier| models.tiers.get(tier.as_str()) == Some(&id))
        };
        let tier = word.parse().ok().or_else(by_id);
        let (provider, governors) = (models.provider.clone(), models.governors.clone());
        Ok(Model {
            provider,
            id,
            tier,
            free: models.free,
            price: None,
            governors,
        })
    }

    /// The name of the provider of `model`; the first one if several share its gates.
    pub fn name_of(&self, model: &Model) -> Option<&str> {
        let at = self
            .providers
            .iter()
            .find(|(_, models)| Arc::ptr_eq(&models.governors, &model.governors));
        at.map(|(name, _)| name.as_str())
    }

    /// Whether any provider is priced.
    pub fn cost_money(&self) -> bool {
        self.providers.values().any(|provider| !provider.free)
    }

    /// The gates of all providers.
    pub(crate) fn governors(&self) -> impl Iterator<Item = &Arc<Governors>> {
        self.providers.values().map(|models| &models.governors)
    }

    /// The provider that `word` is meant for, and the word for it.
    pub fn wanted<'a>(&'a self, word: Option<&'a str>) -> (&'a str, &'a str) {
        let word = match word {
            None | Some("inherit") => &*self.default,
            Some(word) => word,
        };
        match word.split_once(':') {
            Some((name, model)) if self.providers.contains_key(name) => (name, model),
            _ => (&self.provider, word),
        }
    }
}

impl ProviderModels {
    /// A provider with its tiers and patterns of model ids. An invalid pattern matches nothing.
    pub fn new(provider: Arc<dyn Provider>, tiers: &[(&str, &str)], known: &[&str]) -> Self {
        Self {
            tiers: tiers
                .iter()
                .map(|(tier, id)| ((*tier).to_owned(), (*id).into()))
                .collect(),
            free: provider.is_free(),
            governors: Arc::default(),
            known: known
                .iter()
                .filter_map(|known| globs::compile(known, false).ok())
                .collect(),
            provider,
        }
    }

    /// Marks its requests as unpriced.
    pub fn free(mut self) -> Self {
        self.free = true;
        self
    }

    /// Sets the user's rate limits.
    pub fn limited(mut self, limits: RateSettings) -> Self {
        self.governors = Arc::new(Governors::new(limits));
        self
    }

    /// Shares rate limits with all processes on this machine that use the credential.
    pub fn shared(mut self, limits: SharedLimits) -> Self {
        self.governors = Arc::new(self.governors.shared(limits));
        self
    }

    /// The model id that `word` means: that of a tier, or itself, without what only other programs
    /// write.
    fn id(&self, word: &str) -> Option<Arc<str>> {
        let word = word.strip_suffix(LONG_CONTEXT).unwrap_or(word);
        let tier = self.tiers.get(word).or_else(|| self.latest(word));
        let is_known = |id: &&str| self.known.iter().any(|known| known.is_match(id));
        let beginnings = [self.provider.name(), "models"];
        let shorter = beginnings
            .iter()
            .filter_map(|beginning| word.strip_prefix(beginning)?.strip_prefix('/'));
        let by_name = || [word].into_iter().chain(shorter).find(is_known);
        tier.cloned().or_else(|| by_name().map(Into::into))
    }

    /// The model of a tier that `claude-TIER-latest` means. Anthropic has no such ids.
    fn latest(&self, word: &str) -> Option<&Arc<str>> {
        let tier = word.strip_prefix("claude-")?.strip_suffix("-latest")?;
        self.tiers.get(tier).filter(|id| id.contains("claude-"))
    }

    fn unknown(&self, word: &str) -> Failure {
        let tiers: Vec<String> = self
            .tiers
            .iter()
            .map(|(tier, id)| format!("{tier} ({id})"))
            .collect();
        let name = self.provider.name();
        let words = self.tiers.keys().map(String::as_str);
        let ids = self.tiers.values().map(|id| &**id);
        let meant = nearest(word, words.chain([AUTO, "inherit"]).chain(ids));
        let meant = meant.map_or_else(String::new, |meant| format!("did you mean `{meant}`? "));
        let known: Vec<&str> = self.known.iter().map(|known| known.glob().glob()).collect();
        Failure::new(
            FailureClass::Unavailable,
            format!("provider `{name}` knows no model `{word}`"),
        )
        .hint(format!(
            "{meant}it has {}, and ids like {}",
            tiers.join(", "),
            known.join(", ")
        ))
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tiers = |models: &ProviderModels| models.tiers.clone();
        let providers: BTreeMap<_, _> = self
            .providers
            .iter()
            .map(|(name, m)| (name, tiers(m)))
            .collect();
        f.debug_struct("Models")
            .field("default", &self.default)
            .field("provider", &self.provider)
            .field("providers", &providers)
            .finish()
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider.name(), self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_providers::{Endpoint, WireFormat};

    fn found(word: &str) -> Result<String, String> {
        let endpoint = Endpoint::new("anthropic", "http://127.0.0.1:1");
        let provider = WireFormat::Anthropic.connect(endpoint).unwrap();
        let tiers = [
            ("haiku", "claude-haiku-5-5"),
            ("sonnet", "claude-sonnet-5-5"),
        ];
        let models = Models::one(provider, &tiers, &["claude-*"]);
        let model = models.find(Some(word));
        model
            .map(|model| model.id.to_string())
            .map_err(|failure| failure.message)
    }

    #[test]
    fn words_of_other_programs_are_understood() {
        for (word, id) in [
            ("sonnet", "claude-sonnet-5-5"),
            ("sonnet[1m]", "claude-sonnet-5-5"),
            ("claude-opus-5-5[1m]", "claude-opus-5-5"),
            ("claude-haiku-latest", "claude-haiku-5-5"),
            ("claude-3-5-haiku-latest", "claude-3-5-haiku-latest"),
            ("anthropic/claude-opus-5-5", "claude-opus-5-5"),
            ("models/claude-opus-5-5", "claude-opus-5-5"),
        ] {
            assert_eq!(found(word).as_deref(), Ok(id), "{word}");
        }
        let hint = |word: &str| {
            let endpoint = Endpoint::new("anthropic", "http://127.0.0.1:1");
            let provider = WireFormat::Anthropic.connect(endpoint).unwrap();
            let models = Models::one(provider, &[("sonnet", "claude-sonnet-5-5")], &["claude-*"]);
            let failure = models.find(Some(word)).unwrap_err();
            failure.hint.unwrap_or_default()
        };
        assert!(hint("sonet").starts_with("did you mean `sonnet`? it has "));
        assert!(hint("gpt-0").starts_with("it has "));
        assert!(found("openai/gpt-6-luna").is_err());
        assert!(found("[1m]").is_err());
    }
}
