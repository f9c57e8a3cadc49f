//! Who answers, and what words for models mean there.

use crate::globs;
use crate::governor::{Governors, SharedLimits};
use divisi_core::governor::RateSettings;
use divisi_core::{Failure, FailureClass, ModelPrice, Tier};
use divisi_providers::Provider;
use globset::GlobMatcher;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The word for "the tier that suffices for this task".
pub(crate) const AUTO: &str = "auto";

/// The providers there are, and what a task's word for a model means.
#[derive(Clone)]
pub struct Models {
    /// Taken when a task names no model; `auto` takes the tier that suffices.
    pub default: Arc<str>,
    /// Answers what names no provider.
    pub provider: String,
    /// All providers by name.
    pub providers: BTreeMap<String, ProviderModels>,
}

/// One provider and what it calls its models.
#[derive(Clone)]
pub struct ProviderModels {
    /// Sends the requests.
    pub provider: Arc<dyn Provider>,
    /// Model ids by tier.
    pub tiers: BTreeMap<String, Arc<str>>,
    /// Patterns of the model ids it has.
    pub known: Vec<GlobMatcher>,
    /// Whether nobody sends a bill: a server of one's own, scripted answers.
    pub free: bool,
    /// Say when requests to its models may leave.
    pub governors: Arc<Governors>,
}

/// A model that can be asked.
#[derive(Clone)]
pub struct Model {
    /// Sends the requests.
    pub provider: Arc<dyn Provider>,
    /// The vendor's id of it.
    pub id: Arc<str>,
    /// The tier it stands for, if it stands for one.
    pub tier: Option<Tier>,
    /// Whether nobody sends a bill for it.
    pub free: bool,
    /// What it costs when it is asked; `None` where that is not known, or not asked for.
    pub price: Option<Arc<ModelPrice>>,
    /// Say when requests to it may leave.
    pub governors: Arc<Governors>,
}

/// The tiers, cheapest first.
pub const TIERS: [&str; 4] = ["haiku", "sonnet", "opus", "fable"];

impl Model {
    /// The fewest tokens of a prefix that siblings can read for less; `None` where nobody
    /// can, or nobody sends a bill: then there is nothing to save.
    pub(crate) fn cached_tokens_min(&self) -> Option<u64> {
        self.provider.cached_tokens_min().filter(|_| !self.free)
    }
}

impl Models {
    /// One provider for everything. `tiers` gives its model ids, `known` the
    /// patterns of all ids it has.
    pub fn one(provider: Arc<dyn Provider>, tiers: &[(&str, &str)], known: &[&str]) -> Self {
        let name = provider.name().to_owned();
        let models = ProviderModels::new(provider, tiers, known);
        Self {
            default: "sonnet".into(),
            provider: name.clone(),
            providers: BTreeMap::from([(name, models)]),
        }
    }

    /// What `word` means: a tier, `inherit`, a model id, or `provider:model`.
    ///
    /// `auto` means the balanced tier here, where no task is known. Fails with
    /// the nearest names when nobody knows it.
    pub fn find(&self, word: Option<&str>) -> Result<Model, Failure> {
        self.find_for(word, Tier::Sonnet)
    }

    /// The same for a task for which `tier` suffices, which is what `auto` means.
    pub fn find_for(&self, word: Option<&str>, tier: Tier) -> Result<Model, Failure> {
        let (name, word) = self.wanted(word);
        let word = if word == AUTO { tier.as_str() } else { word };
        let Some(models) = self.providers.get(name) else {
            let message = format!("there is no provider `{name}`");
            return Err(Failure::new(FailureClass::Unavailable, message));
        };
        let id = match models.tiers.get(word) {
            Some(id) => id.clone(),
            None if models.known.iter().any(|known| known.is_match(word)) => word.into(),
            None => return Err(models.unknown(word)),
        };
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

    /// The name of the provider that `model` is at; the first of those that are
    /// limited together.
    pub fn name_of(&self, model: &Model) -> Option<&str> {
        let at = self
            .providers
            .iter()
            .find(|(_, models)| Arc::ptr_eq(&models.governors, &model.governors));
        at.map(|(name, _)| name.as_str())
    }

    /// Whether somebody may send a bill.
    pub fn cost_money(&self) -> bool {
        self.providers.values().any(|provider| !provider.free)
    }

    /// What lets requests to all of them leave.
    pub(crate) fn governors(&self) -> impl Iterator<Item = &Arc<Governors>> {
        self.providers.values().map(|models| &models.governors)
    }

    /// The provider that `word` is meant for, and what it is asked for.
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
    /// A provider with its tiers and the patterns of the ids it has. A pattern
    /// that is none matches nothing.
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

    /// The same where nobody sends a bill.
    pub fn free(mut self) -> Self {
        self.free = true;
        self
    }

    /// The same with limits that the user has set.
    pub fn limited(mut self, limits: RateSettings) -> Self {
        self.governors = Arc::new(Governors::new(limits));
        self
    }

    /// The same in step with all on this machine who use the credential.
    pub fn shared(mut self, limits: SharedLimits) -> Self {
        self.governors = Arc::new(self.governors.shared(limits));
        self
    }

    fn unknown(&self, word: &str) -> Failure {
        let tiers: Vec<String> = self
            .tiers
            .iter()
            .map(|(tier, id)| format!("{tier} ({id})"))
            .collect();
        let name = self.provider.name();
        let known: Vec<&str> = self.known.iter().map(|known| known.glob().glob()).collect();
        Failure::new(
            FailureClass::Unavailable,
            format!("provider `{name}` knows no model `{word}`"),
        )
        .hint(format!(
            "it has {}, and ids like {}",
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
