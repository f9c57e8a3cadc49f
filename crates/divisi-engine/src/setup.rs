//! What a run finds around it: models, executors, permissions and limits.

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

/// What a run finds around it. The same for all its tasks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// Who answers, and what tiers mean there.
    pub models: Models,
    /// What carries out tasks, by the name a task asks for.
    pub executors: Executors,
    /// What agents may do besides reading.
    pub permissions: Permissions,
    /// The folder that agents see.
    pub workspace: PathBuf,
    /// What their tools do not write to, beside what they never do. The flow that
    /// runs is added when it starts.
    pub protected: Protected,
    /// Replaces the text that frames every agent.
    pub framing: Option<Arc<str>>,
    /// How large a run may grow.
    pub limits: Limits,
    /// How often and how soon a task is tried again.
    pub retry: RetryPolicy,
    /// Longest time one attempt may take.
    pub timeout: Millis,
    /// Longest time one request may go without any sign of progress. Programs that
    /// carry out tasks are held to it only where their task says so.
    pub idle_timeout: Millis,
    /// Longest time one check that is a command may take.
    pub check_timeout: Millis,
    /// Whether a request that takes far longer than others may be sent a second
    /// time, of tasks that say nothing else. Both are paid for.
    pub hedge: bool,
    /// Requests one attempt may send. An agent that reads its way through a
    /// module needs 10 to 30.
    pub turns_max: u32,
    /// Longest reply in tokens. Vendors stop at it, and budgets reserve it.
    pub reply_tokens_max: u32,
    /// Most that one task may cost, of those that say nothing else.
    pub task_cost_max: Option<PicoUsd>,
    /// What tokens cost.
    pub prices: Arc<Catalogue>,
    /// The sorts of work there are, and the tiers that suffice for them.
    pub kinds: KindTable,
}

/// Longest time of one attempt, where nothing else is said.
pub const TIMEOUT: Millis = Millis::from_secs(30 * 60);

/// Longest time of one request without any sign of progress, where nothing else is
/// said.
pub const IDLE_TIMEOUT: Millis = Millis::from_secs(3 * 60);

/// Requests that one attempt may send, where nothing else is said.
pub const TURNS_MAX: u32 = 50;

/// Longest reply in tokens, where nothing else is said.
pub const REPLY_TOKENS_MAX: u32 = 16_384;

/// Longest time of one check that is a command, where nothing else is said: enough
/// for a test suite, and as long as a command of an agent may ask for.
pub const CHECK_TIMEOUT: Millis = Millis::from_secs(15 * 60);

impl Setup {
    /// Everything at its default, for agents that work in `workspace`.
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

/// Changes to the defaults, one by one.
impl Setup {
    /// The same with these programs, by the names that tasks ask for them by.
    pub fn executors(mut self, executors: Executors) -> Self {
        self.executors = executors;
        self
    }

    /// The same where agents may do this besides reading.
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// The same with another text that frames every agent.
    pub fn framing(mut self, framing: Option<Arc<str>>) -> Self {
        self.framing = framing;
        self
    }

    /// The same with these limits.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The same with other retries.
    pub fn retry(mut self, retry: RetryPolicy) -> Self {
        self.retry = retry;
        self
    }

    /// The same with another longest time of one attempt.
    pub fn timeout(mut self, timeout: Millis) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same with another longest time of one request without any sign of progress.
    pub fn idle_timeout(mut self, idle_timeout: Millis) -> Self {
        self.idle_timeout = idle_timeout;
        self
    }

    /// The same with another longest time of one check that is a command.
    pub fn check_timeout(mut self, check_timeout: Millis) -> Self {
        self.check_timeout = check_timeout;
        self
    }

    /// The same where a slow request may be sent a second time, or not.
    pub fn hedge(mut self, hedge: bool) -> Self {
        self.hedge = hedge;
        self
    }

    /// The same with another number of requests that one attempt may send.
    pub fn turns_max(mut self, turns_max: u32) -> Self {
        self.turns_max = turns_max;
        self
    }

    /// The same with another longest reply.
    pub fn reply_tokens_max(mut self, reply_tokens_max: u32) -> Self {
        self.reply_tokens_max = reply_tokens_max;
        self
    }

    /// The same with another most that one task may cost.
    pub fn task_cost_max(mut self, task_cost_max: Option<PicoUsd>) -> Self {
        self.task_cost_max = task_cost_max;
        self
    }

    /// The same with other prices.
    pub fn prices(mut self, prices: Arc<Catalogue>) -> Self {
        self.prices = prices;
        self
    }

    /// The same with other sorts of work.
    pub fn kinds(mut self, kinds: KindTable) -> Self {
        self.kinds = kinds;
        self
    }
}

/// The sorts of work there are: ours, read when first looked at, or others.
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
