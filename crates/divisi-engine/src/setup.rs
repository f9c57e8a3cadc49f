//! The setup of a run: models, executors, permissions and limits.

use crate::choose::AUTO;
use crate::executor::Executors;
use crate::globs;
use crate::governor::{Governors, SharedLimits};
use crate::prices::Catalogue;
use crate::tools::{Permissions, Protected};
use divisi_core::governor::RateSettings;
use divisi_core::{
    Failure, FailureClass, Kinds, Limits, Millis, ModelPrice, PicoUsd, RetryPolicy, Tier,
};
use divisi_providers::Provider;
use globset::GlobMatcher;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// The setup of a run, the same for all its tasks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// Providers, models and tiers.
    pub models: Models,
    /// Executors by name.
    pub executors: Executors,
    /// What agents may do besides reading.
    pub permissions: Permissions,
    /// The folder that agents work in.
    pub workspace: PathBuf,
    /// Paths that the file tools never write to, in addition to the built-in ones. The flow of the
    /// run is added when it starts.
    pub protected: Protected,
    /// Replaces the built-in system prompt of agents.
    pub framing: Option<Arc<str>>,
    /// Limits on the size of a run.
    pub limits: Limits,
    /// Retries of failed attempts.
    pub retry: RetryPolicy,
    /// Longest time one attempt may take.
    pub timeout: Millis,
    /// Longest time one request may go without receiving anything. For programs it applies only if
    /// their task sets it.
    pub idle_timeout: Millis,
    /// Longest time one check that is a command may take.
    pub check_timeout: Millis,
    /// Whether slow requests of tasks are hedged by default. Both copies are billed.
    pub hedge: bool,
    /// Requests one attempt may send. An agent that reads its way through a module needs 10 to 30.
    pub turns_max: u32,
    /// Longest reply in tokens, which is requested from vendors and reserved in budgets.
    pub reply_tokens_max: u32,
    /// Most that one task may cost by default.
    pub task_cost_max: Option<PicoUsd>,
    /// The price list.
    pub prices: Arc<Catalogue>,
    /// The kinds of work, and the tiers that suffice for them.
    pub kinds: KindTable,
}

/// Default for the longest time of one attempt.
pub const TIMEOUT: Millis = Millis::from_secs(30 * 60);

/// Default for the longest time of one request without receiving anything.
pub const IDLE_TIMEOUT: Millis = Millis::from_secs(3 * 60);

/// Default for the requests of one attempt.
pub const TURNS_MAX: u32 = 50;

/// Default for the longest reply in tokens.
pub const REPLY_TOKENS_MAX: u32 = 16_384;

/// Default for the longest time of a check command: enough for a test suite, and as long as an
/// agent's command may take.
pub const CHECK_TIMEOUT: Millis = Millis::from_secs(15 * 60);

impl Setup {
    /// A setup with defaults, for agents that work in `workspace`.
    pub fn new(models: Models, workspace: impl Into<PathBuf>) -> Self {
        Self {
            models,
            executors: Executors::default(),
            permissions: Permissions::default(),
            workspace: workspace.into(),
            protected: Protected::default(),
            framing: None,
            limits: Limits::default(),
            retry: RetryPolicy::default(),
            timeout: TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            check_timeout: CHECK_TIMEOUT,
            hedge: false,
            turns_max: TURNS_MAX,
            reply_tokens_max: REPLY_TOKENS_MAX,
            task_cost_max: None,
            prices: Arc::default(),
            kinds: KindTable::default(),
        }
    }
}

/// Setters.
impl Setup {
    /// Sets the executors.
    pub fn executors(mut self, executors: Executors) -> Self {
        self.executors = executors;
        self
    }

    /// Sets what agents may do besides reading.
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// Sets the text that replaces the built-in system prompt.
    pub fn framing(mut self, framing: Option<Arc<str>>) -> Self {
        self.framing = framing;
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the retry policy.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// Sets the longest time of one attempt.
    pub fn timeout(mut self, timeout: Millis) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the longest time of one request without receiving anything.
    pub fn idle_timeout(mut self, idle_timeout: Millis) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// Sets the longest time of a check command.
    pub fn check_timeout(mut self, check_timeout: Millis) -> Self {
        self.check_timeout = check_timeout;
        self
    }

    /// Sets whether slow requests are hedged.
    pub fn hedge(mut self, hedge: bool) -> Self {
        self.hedge = hedge;
        self
    }

    /// Sets the number of requests of one attempt.
    pub fn turns_max(mut self, turns_max: u32) -> Self {
        self.turns_max = turns_max;
        self
    }

    /// Sets the longest reply in tokens.
    pub fn reply_tokens_max(mut self, reply_tokens_max: u32) -> Self {
        self.reply_tokens_max = reply_tokens_max;
        self
    }

    /// Sets the most that one task may cost by default.
    pub fn task_cost_max(mut self, task_cost_max: Option<PicoUsd>) -> Self {
        self.task_cost_max = task_cost_max;
        self
    }

    /// Sets the price list.
    pub fn prices(mut self, prices: Arc<Catalogue>) -> Self {
        self.prices = prices;
        self
    }

    /// Sets the kinds of work.
    pub fn kinds(mut self, kinds: KindTable) -> Self {
        self.kinds = kinds;
        self
    }
}

/// The kinds of work: custom ones, or the built-in ones, which are parsed at the first use.
#[derive(Clone, Debug, Default)]
pub struct KindTable(Option<Arc<Kinds>>);

impl From<Kinds> for KindTable {
    fn from(kinds: Kinds) -> Self {
        Self(Some(kinds.into()))
    }
}

impl Deref for KindTable {
    type Target = Kinds;
    fn deref(&self) -> &Kinds {
        self.0.as_deref().unwrap_or_else(|| Kinds::built_in())
    }
}

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
