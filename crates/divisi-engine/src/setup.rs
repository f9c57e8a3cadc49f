//! The setup of a run: models, executors, permissions and limits.

pub use crate::models::{Model, Models, ProviderModels, TIERS};

use crate::executor::Executors;
use crate::mcp::McpServers;
use crate::prices::Catalogue;
use crate::tools::{Permissions, Protected};
use divisi_core::{Kinds, Limits, Millis, PicoUsd, RetryPolicy, Tier};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

/// The setup of a run, the same for all its tasks.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// Providers, models and tiers.
    pub models: Arc<Models>,
    /// Executors by name.
    pub executors: Executors,
    /// The executor of tasks that name none.
    pub executor: Arc<str>,
    /// The executor of tasks that name none, by the tier of their first model.
    pub tier_executors: BTreeMap<Tier, Arc<str>>,
    /// What agents may do besides reading.
    pub permissions: Permissions,
    /// The MCP servers whose tools tasks may select. Each is started once in a run, when the first
    /// task needs it.
    pub mcp: McpServers,
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
    /// Calls of agents, commands and other flows that a script may make, unless its `meta` states
    /// another number. It stops loops without end; plans and programs are not limited by it, and
    /// its default does not limit wide fan-outs.
    pub agents_max: u32,
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

/// Default for the calls of a script: that of Claude Code.
pub const AGENTS_MAX: u32 = 1_000;

/// Most calls of a script that makes many of them at once, where neither its `meta` nor the
/// settings state a number.
pub const AGENTS_WIDE_MAX: u32 = 100_000;

/// Default for the longest reply in tokens.
pub const REPLY_TOKENS_MAX: u32 = 16_384;

/// Default for the longest time of a check command: enough for a test suite, and as long as an
/// agent's command may take.
pub const CHECK_TIMEOUT: Millis = Millis::from_secs(15 * 60);

impl Setup {
    /// A setup with defaults, for agents that work in `workspace`.
    pub fn new(models: Models, workspace: impl Into<PathBuf>) -> Self {
        Self {
            models: models.into(),
            executors: Executors::default(),
            executor: Executors::USUAL.into(),
            tier_executors: BTreeMap::new(),
            permissions: Permissions::default(),
            mcp: McpServers::default(),
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
            agents_max: AGENTS_MAX,
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

    /// Sets the executor of tasks that name none: the usual one, and others by tier.
    pub fn executor(
        mut self,
        usual: impl Into<Arc<str>>,
        by_tier: BTreeMap<Tier, Arc<str>>,
    ) -> Self {
        (self.executor, self.tier_executors) = (usual.into(), by_tier);
        self
    }

    /// Sets what agents may do besides reading.
    pub fn permissions(mut self, permissions: Permissions) -> Self {
        self.permissions = permissions;
        self
    }

    /// Sets the MCP servers.
    pub fn mcp(mut self, servers: McpServers) -> Self {
        self.mcp = servers;
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

    /// Sets the calls that a script may make.
    pub fn agents_max(mut self, agents_max: u32) -> Self {
        self.agents_max = agents_max;
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
