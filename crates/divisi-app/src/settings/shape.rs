//! All settings, with their defaults.

use super::server_words;
use super::values::{AttemptPrice, Dollars, Grant, PerMillion, Span, check_pattern};
use crate::slip;
use divisi_core::choice::{BadKinds, KindChange, Kinds};
use divisi_core::event::Caps;
use divisi_core::governor::RateSettings;
use divisi_core::price::Rates;
use divisi_core::{Limits, Millis, ModelPrice, PicoUsd, RetryPolicy, Tier};
use divisi_engine::executor::{
    AcpExecutor, AgentProgram, ClaudeExecutor, CodexExecutor, CommandLine, Reports,
};
use divisi_engine::setup::{self, KindTable};
use divisi_providers::{Dialect, WireFormat, vendors};
use etcetera::BaseStrategy;
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;

/// The provider or executor that leaves the choice to what is there.
pub(crate) const AUTO: &str = "auto";

/// All settings. The names are those of `divisi.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The default model: a tier, an id, `provider:model`, or `auto`.
    pub model: String,
    /// The default provider; `auto` takes the first that is available.
    pub provider: String,
    /// Cap of a run: at it the run parks. Without one there is no limit. A lower cap in the user's
    /// file applies in every project, too.
    #[serde(alias = "max_cost", skip_serializing_if = "Option::is_none")]
    pub cost_max: Option<Dollars>,
    /// On a terminal, a new run that is expected to cost more is started only after a question.
    pub confirm_above: Dollars,
    /// What agents may do besides reading files.
    pub allow: Vec<Grant>,
    /// The file of the store; by default `divisi/runs.db` in the user's data folder.
    pub store: PathBuf,
    /// Whether model servers on this machine are searched for.
    pub local: bool,
    /// Whether the cost of a run is estimated as it starts.
    pub estimate: bool,
    /// Longest time of one attempt, its tools and checks included.
    pub timeout: Span,
    /// Longest time of one request without receiving anything.
    pub idle_timeout: Span,
    /// Longest time of a check that is a command.
    pub check_timeout: Span,
    /// Whether a request that takes far longer than comparable ones may be sent a second time; both
    /// are billed.
    pub hedge: bool,
    /// Requests one attempt may send.
    #[serde(alias = "max_turns")]
    pub turns_max: u32,
    /// Agents, commands and other flows that a script may call in one run, unless its `meta` states
    /// another number as `maxAgents`. Stops loops without end: at the default, a script that makes
    /// many calls at once may make ten times as many.
    pub agents_max: u32,
    /// Longest reply in tokens. Its full cost is reserved before a request is sent.
    #[serde(alias = "max_reply_tokens")]
    pub reply_tokens_max: u32,
    /// A file with a text that replaces the built-in system prompt of agents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub framing: Option<PathBuf>,
    /// Caps for parts of a run, and when to warn.
    pub budget: Budget,
    /// Limits on the size of a run.
    pub limits: Limits,
    /// `limits.in_flight_max`, if it is not the default: then requests begin with that many at
    /// once.
    #[serde(skip)]
    pub in_flight_said: Option<NonZeroU32>,
    /// Retries of failed attempts.
    pub retry: Retry,
    /// Model ids by tier, before those of the default provider.
    pub tiers: BTreeMap<Tier, String>,
    /// Further providers, and changes to known vendors, by name.
    #[serde(deserialize_with = "providers")]
    pub providers: BTreeMap<String, ProviderSettings>,
    /// Prices that differ from the published ones or are missing there, by patterns of model ids.
    #[serde(deserialize_with = "prices")]
    pub prices: BTreeMap<String, PriceSettings>,
    /// Kinds of work, for the model `auto`: changes to the built-in ones, and new ones, by name.
    pub kinds: BTreeMap<String, KindChange>,
    /// Notices when a run asks something, parks, or is over: about what, and by which ways.
    pub notify: Notify,
    /// The executor of tasks that name none: `api` asks models itself, `claude` is Claude Code,
    /// `codex` is Codex, `acp:` before `claude`, `codex`, `gemini`, `opencode` or `goose` is that
    /// agent by the Agent Client Protocol, and others are below `[executors.NAME]`. `auto` is `api` if
    /// there is a key or a local model, or else `claude` or `codex`, whichever is installed and logged
    /// in.
    pub executor: String,
    /// The executor of tasks that name none, by the tier of their first model.
    pub tier_executors: BTreeMap<Tier, String>,
    /// Programs that carry out tasks, by name: they get the prompt on stdin and print the result.
    #[serde(deserialize_with = "executors")]
    pub executors: BTreeMap<String, ExecutorSettings>,
    /// MCP servers, by name, in addition to those of a project's `.mcp.json`. Tasks that divisi
    /// carries out itself name their tools as `mcp__NAME__TOOL`, also with globs, and the run
    /// permits them with `allow`.
    #[serde(deserialize_with = "mcp_servers")]
    pub mcp: BTreeMap<String, McpSettings>,
}

/// Notices of runs. None by default.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Notify {
    /// The occasions.
    pub on: Vec<Occasion>,
    /// Whether the terminal rings its bell.
    pub bell: bool,
    /// Whether the terminal shows a notification on the desktop (OSC 9 and OSC 777).
    pub desktop: bool,
    /// A program and its arguments. It gets the notice as JSON on its standard input, and `{text}`
    /// in its arguments is replaced by the notice in a line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// An address that gets the notice as JSON with a POST request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
    /// The environment variable with that address, if the address is a secret.
    #[serde(
        skip_serializing_if = "Option::is_none",
        deserialize_with = "address_variable"
    )]
    #[schemars(extend("pattern" = "^[A-Za-z0-9_]*$"))]
    pub webhook_env: Option<String>,
    /// Longest time that the program or the address may take.
    pub timeout: Span,
}

/// What a notice tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// A task waits for the answer of a person.
    Question,
    /// A run parks.
    Parked,
    /// A run is over.
    Finished,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            on: vec![Occasion::Question, Occasion::Parked, Occasion::Finished],
            bell: false,
            desktop: false,
            command: vec![],
            webhook: None,
            webhook_env: None,
            timeout: Span(NOTIFY_TIMEOUT),
        }
    }
}

impl fmt::Debug for Notify {
    /// Omits the address, which may contain a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notify")
            .field("on", &self.on)
            .field("bell", &self.bell)
            .field("desktop", &self.desktop)
            .field("command", &self.command)
            .field("webhook_env", &self.webhook_env)
            .finish_non_exhaustive()
    }
}

/// Default of `notify.timeout`: the end of a run waits as long for a notice under way.
const NOTIFY_TIMEOUT: Millis = Millis::from_secs(10);

/// Caps for parts of a run, and when to warn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Budget {
    /// Default for the most that one task may cost.
    #[serde(alias = "task", skip_serializing_if = "Option::is_none")]
    pub task_cost_max: Option<Dollars>,
    /// Most that the tasks of a phase may cost together, by its title.
    pub phases: BTreeMap<String, Dollars>,
    /// Share of `cost_max` in percent at which to warn; 0 turns the warning off.
    pub warn_percent: u8,
}

impl Default for Budget {
    fn default() -> Self {
        // Early enough to react before the budget is spent.
        Self {
            task_cost_max: None,
            phases: BTreeMap::new(),
            warn_percent: 80,
        }
    }
}

impl Settings {
    /// The caps of a run, and when to warn.
    pub fn caps(&self) -> Caps {
        let phases = self
            .budget
            .phases
            .iter()
            .map(|(title, most)| (title.as_str().into(), most.0));
        let warn_percent = Some(self.budget.warn_percent).filter(|percent| *percent > 0);
        Caps {
            run: self.cost_max.map(|most| most.0),
            phases: phases.collect(),
            warn_percent,
        }
    }
}

/// Retries of failed attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// How often a failed attempt is tried again.
    pub retries_max: u32,
    /// The delay before the first retry; it doubles with each further one.
    pub rest_first: Span,
    /// The longest delay, unless a vendor asks for a longer one.
    pub rest_max: Span,
    /// Attempts that may end for reasons outside the task before the task fails.
    pub waits_max: u32,
    /// How long a task waits for an overloaded vendor before that uses up retries.
    pub overload_wait_max: Span,
}

/// A further provider, or changes to a known vendor.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProviderSettings {
    /// Its wire format. Known vendors have a fixed one; it must be given for others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<WireFormat>,
    /// Base address of the API; by default the vendor's own. A gateway under a vendor's name keeps
    /// its models, tiers, prices and key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The environment variable with the key. The key itself is never part of a file.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "variable"
    )]
    #[schemars(extend("pattern" = "^[A-Za-z0-9_]*$"))]
    pub key_env: Option<String>,
    /// Patterns of its model ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// Its model ids by tier.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tiers: BTreeMap<Tier, String>,
    /// Tiers that suffice for kinds of work at this provider, where they differ.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kinds: BTreeMap<String, Tier>,
    /// Rate limits for each family of its models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<RateLimits>,
    /// Differences of the server from its API, where they are not detected automatically.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub dialect: Dialect,
}

fn is_usual(dialect: &Dialect) -> bool {
    *dialect == Dialect::default()
}

/// Rate limits of a provider. Missing ones are those the vendor reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RateLimits {
    /// Requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<NonZeroU32>,
    /// Requests per second; the narrower of the two limits applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<NonZeroU32>,
    /// Requests that may be sent at once after a pause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<NonZeroU32>,
    /// Prompt tokens per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens_per_minute: Option<NonZeroU64>,
    /// Reply tokens per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_per_minute: Option<NonZeroU64>,
    /// Requests under way at once, for each model family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<NonZeroU32>,
}

impl RateLimits {
    /// The governor's settings for a provider with this `wire_format`.
    pub fn settings(&self, wire_format: WireFormat) -> RateSettings {
        let by_second = self
            .requests_per_second
            .map(|limit| u64::from(limit.get()) * 60);
        let by_minute = self.requests_per_minute.map(|limit| u64::from(limit.get()));
        RateSettings {
            requests_per_minute: [by_second, by_minute].into_iter().flatten().min(),
            burst: self.burst.map(|burst| burst.get().into()),
            input_tokens_per_minute: self.input_tokens_per_minute.map(NonZeroU64::get),
            output_tokens_per_minute: self.output_tokens_per_minute.map(NonZeroU64::get),
            in_flight: self.in_flight.map(NonZeroU32::get),
            count_cached: wire_format.counts_cached(),
        }
    }
}

/// A program that carries out tasks: it gets the prompt on stdin and prints the result.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecutorSettings {
    /// What the program is. By default that of its name: `claude` is Claude Code, `codex` is
    /// Codex, `acp:NAME` speaks the Agent Client Protocol, any other is a command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ExecutorKind>,
    /// The program and its arguments. In those of a command `{model}` is replaced by the task's
    /// model. Agent programs are found by their usual name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment variables set for it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Most that one attempt costs, or `free`. By default the cost that a command reports, or else
    /// nothing; $2.00 for an agent program whose task has no budget of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<AttemptPrice>,
    /// The mode of an agent that speaks the Agent Client Protocol, one of its own. By default that
    /// in which it asks before it changes anything, where divisi knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// How JSON lines in its output report its cost and its result.
    #[serde(default, skip_serializing_if = "is_silent")]
    pub reports: Reports,
}

/// An MCP server: a program that is started once in a run, when a task needs it, or an address.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpSettings {
    /// The program and its arguments. It runs in the workspace and speaks MCP on its standard
    /// input and output. In all texts of a server `${NAME}` is replaced by a variable, and
    /// `${NAME:-TEXT}` by a text if it is not set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Variables set for the program. Of divisi's own it gets those without secrets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The address of a server that speaks MCP over HTTP, in place of `command`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Headers of each request to the address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Longest time of a call; by default a minute. Its start may take two minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Globs of the names of its tools that tasks may use; by default all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Why it cannot be reached, if it is of a kind that divisi does not know.
    #[serde(skip)]
    pub unknown: Option<String>,
}

impl fmt::Debug for McpSettings {
    /// Shows only the names of variables and headers and no address, because they may contain keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("McpSettings")
            .field("command", &self.command)
            .field("env", &self.env.keys().collect::<Vec<_>>())
            .field("headers", &self.headers.keys().collect::<Vec<_>>())
            .field("tools", &self.tools)
            .finish_non_exhaustive()
    }
}

/// What an executor's program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorKind {
    /// Any program that gets the prompt on stdin and prints the result.
    Command,
    /// Claude Code.
    Claude,
    /// Codex.
    Codex,
    /// An agent that speaks the Agent Client Protocol on its standard input and output.
    Acp,
}

impl ExecutorSettings {
    /// What its program is, under this name.
    pub fn kind(&self, name: &str) -> ExecutorKind {
        self.kind.unwrap_or(match name {
            ClaudeExecutor::NAME => ExecutorKind::Claude,
            CodexExecutor::NAME => ExecutorKind::Codex,
            _ if name.starts_with(AcpExecutor::PREFIX) => ExecutorKind::Acp,
            _ => ExecutorKind::Command,
        })
    }

    /// The agent program, which is found as `usual` unless the settings name it.
    pub fn agent_program(&self, usual: &str) -> AgentProgram {
        let command = match self.command.as_slice() {
            [] if self.kind(usual) == ExecutorKind::Acp => {
                AcpExecutor::command_of(usual).unwrap_or_default()
            }
            [] => vec![usual.to_owned()],
            command => command.to_vec(),
        };
        AgentProgram::new(command)
            .env(self.env.clone())
            .cost(match self.cost {
                None => Some(AgentProgram::COST),
                Some(AttemptPrice::UpTo(most)) => Some(most.0),
                Some(AttemptPrice::Free) => None,
            })
    }
}

fn is_silent(reports: &Reports) -> bool {
    *reports == Reports::default()
}

impl From<&ExecutorSettings> for CommandLine {
    fn from(settings: &ExecutorSettings) -> Self {
        let ExecutorSettings {
            kind: _,
            command,
            env,
            cost,
            mode: _,
            reports,
        } = settings;
        let line = Self::new(command.clone())
            .env(env.clone())
            .reports(reports.clone());
        match cost {
            Some(AttemptPrice::UpTo(most)) => line.cost_max(most.0),
            Some(AttemptPrice::Free) | None => line,
        }
    }
}

impl fmt::Debug for ExecutorSettings {
    /// Shows only the names of variables, because their values may be keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let env: Vec<_> = self.env.keys().collect();
        f.debug_struct("ExecutorSettings")
            .field("command", &self.command)
            .field("env", &env)
            .finish_non_exhaustive()
    }
}

/// Price of a model, in dollars per million tokens. Missing classes cost as much as input.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceSettings {
    /// Prompt tokens.
    pub input: PerMillion,
    /// Reply tokens.
    pub output: PerMillion,
    /// Prompt tokens read from the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<PerMillion>,
    /// Prompt tokens written to the cache for five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<PerMillion>,
    /// Prompt tokens written to the cache for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<PerMillion>,
}

impl From<PriceSettings> for ModelPrice {
    fn from(price: PriceSettings) -> Self {
        let or_input = |rate: Option<PerMillion>| rate.unwrap_or(price.input).per_token();
        let base = Rates {
            input: price.input.per_token(),
            cache_write_5m: or_input(price.cache_write_5m),
            cache_write_1h: or_input(price.cache_write_1h),
            cache_read: or_input(price.cache_read),
            output: price.output.per_token(),
        };
        Self {
            base,
            ..Self::default()
        }
    }
}

/// Default of `confirm_above`: more than a usual run costs, and little enough to lose.
const CONFIRM_ABOVE: Dollars = Dollars(PicoUsd(10 * PicoUsd::DOLLAR.0));

impl Default for Settings {
    fn default() -> Self {
        Self {
            model: "sonnet".into(),
            provider: "auto".into(),
            cost_max: None,
            confirm_above: CONFIRM_ABOVE,
            allow: vec![],
            store: default_store(),
            local: true,
            estimate: true,
            timeout: Span(setup::TIMEOUT),
            idle_timeout: Span(setup::IDLE_TIMEOUT),
            check_timeout: Span(setup::CHECK_TIMEOUT),
            hedge: false,
            turns_max: setup::TURNS_MAX,
            agents_max: setup::AGENTS_MAX,
            reply_tokens_max: setup::REPLY_TOKENS_MAX,
            framing: None,
            budget: Budget::default(),
            limits: Limits::default(),
            in_flight_said: None,
            retry: Retry::default(),
            tiers: BTreeMap::new(),
            providers: BTreeMap::new(),
            prices: BTreeMap::new(),
            kinds: BTreeMap::new(),
            notify: Notify::default(),
            executor: AUTO.into(),
            tier_executors: BTreeMap::new(),
            executors: BTreeMap::new(),
            mcp: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The kinds of work.
    pub fn kinds(&self) -> Result<KindTable, BadKinds> {
        if self.kinds.is_empty()
            && self
                .providers
                .values()
                .all(|provider| provider.kinds.is_empty())
        {
            return Ok(KindTable::default());
        }
        let per_provider = self
            .providers
            .iter()
            .map(|(name, provider)| (name.clone(), provider.kinds.clone()));
        Kinds::new(&self.kinds, per_provider.collect()).map(KindTable::from)
    }
}

impl Default for Retry {
    fn default() -> Self {
        let RetryPolicy {
            retries_max,
            rest_first,
            rest_max,
            waits_max,
            overload_wait_max,
        } = RetryPolicy::default();
        Self {
            retries_max,
            rest_first: Span(rest_first),
            rest_max: Span(rest_max),
            waits_max,
            overload_wait_max: Span(overload_wait_max),
        }
    }
}

impl From<&Retry> for RetryPolicy {
    fn from(retry: &Retry) -> Self {
        Self {
            retries_max: retry.retries_max,
            rest_first: retry.rest_first.0,
            rest_max: retry.rest_max.0,
            waits_max: retry.waits_max,
            overload_wait_max: retry.overload_wait_max.0,
        }
    }
}

impl fmt::Debug for ProviderSettings {
    /// Omits the address, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderSettings")
            .field("kind", &self.kind)
            .field("key_env", &self.key_env)
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}

impl ProviderSettings {
    /// Its wire format under this name; `None` if unknown.
    pub fn kind(&self, name: &str) -> Option<WireFormat> {
        self.kind.or_else(|| {
            Some(
                vendors()
                    .into_iter()
                    .find(|vendor| vendor.name == name)?
                    .wire_format,
            )
        })
    }
}

/// Parses providers, and refuses those of unknown wire format.
fn providers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, ProviderSettings>, D::Error> {
    let providers = BTreeMap::<String, ProviderSettings>::deserialize(deserializer)?;
    for pattern in providers
        .values()
        .flat_map(|provider| provider.models.iter().flatten())
    {
        check_pattern(pattern).map_err(D::Error::custom)?;
    }
    match providers
        .iter()
        .find(|(name, provider)| provider.kind(name).is_none())
    {
        None => Ok(providers),
        Some((name, _)) => {
            let known = vendors();
            let near = slip::nearest(name, known.iter().map(|vendor| vendor.name.as_str()));
            let near = near
                .map(|near| format!(", or did you mean `{near}`?"))
                .unwrap_or_default();
            let kinds = WireFormat::ALL.map(|kind| format!("`{kind}`")).join(", ");
            Err(D::Error::custom(format_args!(
                "the provider `{name}` has no `kind`, the API that it speaks: say one of {kinds}{near}"
            )))
        }
    }
}

/// Parses executors, and refuses contradictory costs.
fn executors<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, ExecutorSettings>, D::Error> {
    let executors = BTreeMap::<String, ExecutorSettings>::deserialize(deserializer)?;
    let contradicts = |executor: &ExecutorSettings| match (executor.cost, &executor.reports.cost) {
        (Some(AttemptPrice::Free), Some(field)) => Some(field.clone()),
        _ => None,
    };
    for (name, executor) in &executors {
        if name == AUTO {
            return Err(D::Error::custom(
                "`auto` is the word for whichever executor can work: give this one another name",
            ));
        }
        let is_command = executor.kind(name) == ExecutorKind::Command;
        let is_acp = executor.kind(name) == ExecutorKind::Acp;
        let has_usual = !is_command && (!is_acp || AcpExecutor::command_of(name).is_some());
        if executor.command.is_empty() && !has_usual {
            return Err(D::Error::custom(format_args!(
                "the executor `{name}` has no `command`, the program that it runs"
            )));
        }
        if executor.mode.is_some() && !is_acp {
            return Err(D::Error::custom(format_args!(
                "`{name}` has no `mode`: only agents of `kind = \"acp\"` have one"
            )));
        }
        if !is_command && !is_silent(&executor.reports) {
            return Err(D::Error::custom(format_args!(
                "divisi knows how `{name}` reports: leave out `reports`, or say `kind = \"command\"`"
            )));
        }
        if !is_command && executor.command.iter().any(|word| word.contains("{model}")) {
            return Err(D::Error::custom(format_args!(
                "divisi gives `{name}` its model: leave out `{{model}}`, or say `kind = \"command\"`"
            )));
        }
    }
    match executors.values().find_map(contradicts) {
        None => Ok(executors),
        Some(field) => Err(D::Error::custom(format_args!(
            "a program is not free that says in `{field}` what it costs: leave out one of the two"
        ))),
    }
}

/// Parses MCP servers, and refuses those that no tool can be called of.
fn mcp_servers<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, McpSettings>, D::Error> {
    let servers = BTreeMap::<String, McpSettings>::deserialize(deserializer)?;
    for (name, server) in &servers {
        if !server_words::is_name(name) {
            return Err(D::Error::custom(format_args!(
                "an MCP server cannot be named `{name}`: take letters, digits, `-` and single `_`, {} at most",
                server_words::NAME_BYTES_MAX
            )));
        }
        if server.command.is_empty() != server.url.is_some() {
            return Err(D::Error::custom(format_args!(
                "the MCP server `{name}` has either a `command`, the program that it is, or a `url`"
            )));
        }
        for glob in server.tools.iter().flatten() {
            divisi_engine::globs::compile(glob, false).map_err(|why| {
                D::Error::custom(format_args!(
                    "in `tools` of the MCP server `{name}` the glob {why}"
                ))
            })?;
        }
    }
    Ok(servers)
}

/// Parses prices, and refuses patterns that are too complex.
fn prices<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, PriceSettings>, D::Error> {
    let prices = BTreeMap::<String, PriceSettings>::deserialize(deserializer)?;
    prices
        .keys()
        .try_for_each(|pattern| check_pattern(pattern))
        .map_err(D::Error::custom)?;
    Ok(prices)
}

/// Parses the name of the variable with a key.
fn variable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    const WRONG: &str = "`key_env` is the name of an environment variable, not the key itself";
    name_of_variable(deserializer, WRONG)
}

/// Parses the name of the variable with an address.
fn address_variable<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    const WRONG: &str = "`webhook_env` is the name of an environment variable, not the address";
    name_of_variable(deserializer, WRONG)
}

/// Parses the name of a variable. An invalid one may be a secret by mistake, so the error does not
/// repeat it.
fn name_of_variable<'de, D: Deserializer<'de>>(
    deserializer: D,
    wrong: &str,
) -> Result<Option<String>, D::Error> {
    let name = String::deserialize(deserializer)?;
    match name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        true => Ok(Some(name)),
        false => Err(D::Error::custom(wrong)),
    }
}

/// The folder in which a user's processes share rate limits; `None` without a home folder. Not a
/// setting, because its content is useless after a reboot.
pub(crate) fn limits_folder() -> Option<PathBuf> {
    Some(state_folder()?.join("limits"))
}

/// The folder of divisi's other state; `None` without a home folder.
pub(crate) fn state_folder() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    Some(
        folders
            .state_dir()
            .unwrap_or_else(|| folders.data_dir())
            .join("divisi"),
    )
}

/// One store for all runs of a user, so that they are found from any folder.
fn default_store() -> PathBuf {
    match etcetera::choose_base_strategy() {
        Ok(folders) => folders.data_dir().join("divisi").join("runs.db"),
        // Without a home folder, the current one is used.
        Err(_) => PathBuf::from(".divisi").join("runs.db"),
    }
}
