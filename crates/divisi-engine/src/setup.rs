//! What a run finds around it: models, executors, permissions and limits.

pub use crate::models::{Model, Models, ProviderModels, TIERS};

use crate::executor::Executors;
use crate::prices::Catalogue;
use crate::tools::{Permissions, Protected};
use divisi_core::{Kinds, Limits, Millis, PicoUsd, RetryPolicy};
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// What a run finds around it. The same for all its tasks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// Who answers, and what tiers mean there.
    pub models: Arc<Models>,
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
            models: models.into(),
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
