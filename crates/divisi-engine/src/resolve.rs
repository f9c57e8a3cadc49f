//! Resolves a flow's tasks into what can be executed.
//!
//! A flow names `haiku`, `Explore`, `src/main.rs`; these become a model id, an agent definition and
//! a digest. The resolved task has a key; a task that cannot be resolved gets its outcome before it
//! starts.

mod ahead;
mod redacted;
mod remembered;

use crate::agents::{AgentDefinition, Agents};
use crate::attempt::{Assignment, Brief, FINDINGS_BYTES_MAX, SharedDurations, bound, opening};
use crate::choose::choose;
use crate::clock::wall_clock;
use crate::executor::{Cost, ModelUse, Registered};
use crate::mcp::Servers;
use crate::models::{AUTO, Model};
use crate::setup::Setup;
use crate::tools::Selection;
use crate::toolset::Toolset;
use divisi_core::budget::TurnBound;
use divisi_core::check::{Check, Judge};
use divisi_core::choice::Choice;
use divisi_core::content::{Blob, Content};
use divisi_core::event::TaskFacts;
use divisi_core::key::KeyParts;
use divisi_core::run::Submission;
use divisi_core::{
    Digest, Failure, FailureClass, Isolation, Key, Millis, Outcome, RetryPolicy, Task, Tier,
    Timestamp,
};
use divisi_files::Refusal;
use redacted::redacted;
use remembered::{Known, Remembered, ToolWords, Version};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// The default judge: reading and grading is light work.
const JUDGE_TIER: &str = "haiku";

/// Largest input file of a task. Hashing it takes about a second, in which no other task of the
/// flow is resolved; no agent reads as much.
const INPUT_BYTES_MAX: u64 = 1 << 30;

/// Resolves tasks.
pub struct Resolver {
    setup: Arc<Setup>,
    agents: Agents,
    /// The MCP servers of the run.
    servers: Arc<Servers>,
    /// The tools of a task without tools of its own.
    tools: Result<Arc<Toolset>, Failure>,
    /// Models resolved so far.
    known: Remembered<Known>,
    /// Toolsets resolved so far.
    toolsets: Remembered<(ToolWords, Arc<Toolset>)>,
    /// Versions of programs asked for so far.
    versions: Remembered<Version>,
    durations: Arc<SharedDurations>,
    /// Model words of tasks that another model carries out than their flow says.
    replaced: BTreeMap<Key, Arc<str>>,
}

const DAY_MILLIS: u64 = 24 * 3_600_000;

/// What is recorded as the executor of timers. No task can name it.
const TIMER: &str = "timer";

/// A resolved task.
pub struct Resolved {
    /// The submission for the run.
    pub submission: Submission,
    /// The text of the task, if it is long.
    pub blob: Option<Blob>,
    /// What to execute; `None` for a task that has its outcome already, and for a timer.
    pub assignment: Option<Arc<Assignment>>,
    /// Whether a secret was removed from the task.
    pub is_cut: bool,
}

impl Resolver {
    /// A resolver for this setup. Reads the agent definitions.
    pub fn new(setup: Arc<Setup>) -> Self {
        let agents = Agents::load(&setup.workspace, etcetera::home_dir().ok().as_deref());
        let servers = Arc::new(Servers::new(&setup.mcp, &setup.workspace));
        Self {
            agents,
            tools: Toolset::all(&setup, servers.clone()).map(Arc::new),
            servers,
            known: Remembered::default(),
            toolsets: Remembered::default(),
            versions: Remembered::default(),
            durations: Arc::default(),
            replaced: BTreeMap::new(),
            setup,
        }
    }

    /// The same resolver, with other models for these tasks.
    pub(crate) fn replacing(self, replaced: BTreeMap<Key, Arc<str>>) -> Self {
        Self { replaced, ..self }
    }

    /// The setup.
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// The MCP servers of the run.
    pub(crate) fn servers(&self) -> &Arc<Servers> {
        &self.servers
    }

    /// Whether [`Resolver::resolve`] blocks for this task: it reads files, or asks a program for its
    /// version.
    pub fn blocks(&self, task: &Task) -> bool {
        let agent = task
            .agent_type
            .as_deref()
            .and_then(|name| self.agents.get(name).ok());
        let name = self.executor_of(task, agent.map(|agent| &**agent));
        let executor = self.setup.executors.get(name);
        let asks = executor.is_some_and(|(name, executor)| {
            executor.program.is_some() && self.version_of(name).is_none()
        });
        asks || !task.inputs.is_empty()
    }

    /// Resolves `task`. Reads its input files, and asks the program of its executor for its version
    /// if that is not known yet.
    ///
    /// A task that asks for something that does not exist resolves to a failure, so that it has an
    /// outcome in the journal, too. `priority` is the length of the longest chain of tasks known to
    /// wait for it.
    pub fn resolve(&self, task: Task, priority: u32) -> Resolved {
        let kept = (!self.replaced.is_empty()).then(|| task.clone());
        let resolved = self.resolve_as_written(task, priority);
        let key = resolved.submission.key;
        let Some((task, word)) = kept.zip(self.replaced.get(&key)) else {
            return resolved;
        };
        let mut replaced = self.resolve_as_written(task.model(word.clone()), priority);
        // It stays the task that its flow asked for.
        replaced.submission.key = key;
        replaced
    }

    fn resolve_as_written(&self, task: Task, priority: u32) -> Resolved {
        let resolved = self.assign(&task).and_then(|parts| {
            let version = self.version(&parts)?;
            Ok((parts, version))
        });
        match resolved {
            Ok((parts, version)) => self.accepted(task, parts, &version, priority),
            Err(failure) => self.settled(task, Outcome::Failed(failure)),
        }
    }

    /// The version of what carries out a task; empty for built-in agents.
    fn version(&self, parts: &Parts) -> Result<Arc<str>, Failure> {
        let Some(program) = &parts.executor.program else {
            return Ok("".into());
        };
        let executor = parts.executor_name.clone();
        self.version_of(&executor).unwrap_or_else(|| {
            let said = program.version();
            let known = said.clone();
            self.versions.add(Version { executor, said });
            known
        })
    }

    fn version_of(&self, executor: &str) -> Option<Result<Arc<str>, Failure>> {
        self.versions
            .find(|known| (&*known.executor == executor).then(|| known.said.clone()))
    }

    /// A task whose outcome is known before it starts.
    pub fn settled(&self, task: Task, outcome: Outcome) -> Resolved {
        let words: Vec<Arc<str>> = task
            .model
            .0
            .iter()
            .chain(&task.agent_type)
            .cloned()
            .collect();
        let executor = self.executor_of(&task, None);
        // Unresolved words are part of the key as they were written.
        let key = Key::of(&KeyParts {
            models: &words,
            ..key_parts(&task, executor)
        });
        let executor = Arc::<str>::from(executor);
        let (task, is_cut) = redacted(task);
        let facts = TaskFacts {
            label: task.title().into(),
            phase: task.phase.clone(),
            executor,
            ..TaskFacts::default()
        };
        let (spec, blob) = spec(&task);
        Resolved {
            submission: Submission::new(key, facts, spec, Some(outcome)),
            blob,
            assignment: None,
            is_cut,
        }
    }

    /// A timer of a script: a task that no executor carries out, because the run itself gives its
    /// outcome after this time.
    pub fn timer(&self, delay: Millis) -> Resolved {
        let task = Task {
            label: Some(format!("wait {delay}").into()),
            executor: Some(TIMER.into()),
            ..Task::new(format!("{} ms", delay.0))
        };
        let mut resolved = self.settled(task, Outcome::Cancelled);
        resolved.submission.outcome = None;
        resolved.submission.facts.wait = Some(delay);
        resolved
    }

    fn assign(&self, task: &Task) -> Result<Parts, Failure> {
        let agent = task
            .agent_type
            .as_deref()
            .map(|name| self.agent(name))
            .transpose()?;
        let name = self.executor_of(task, agent.as_deref());
        let (executor_name, registered) = self
            .setup
            .executors
            .get(name)
            .ok_or_else(|| self.no_executor(name))?;
        let inputs = task
            .inputs
            .iter()
            .map(|path| self.digest(path))
            .collect::<Result<_, _>>()?;
        let choice = match task.kind.is_some() || self.leaves_model_open(task, agent.as_deref()) {
            true => Some(self.choose(task, agent.as_deref())?),
            false => None,
        };
        // Evaluated only where the model was left open.
        let tier = choice.as_ref().map_or(Tier::Sonnet, |choice| choice.tier);
        if let Some(program) = &registered.program {
            program.accepts(task, &self.setup.permissions)?;
        }
        if registered.spec.polls.is_some() && !task.check.is_empty() {
            let message = format!(
                "results that are polled of `{name}` are not checked; a `schema` is held to"
            );
            return Err(Failure::new(FailureClass::BadRequest, message));
        }
        let models = match registered.spec.models {
            ModelUse::Asks => self.ladder(task, agent.as_deref(), tier)?,
            ModelUse::Names | ModelUse::Tiers | ModelUse::None => Models::default(),
        };
        let (words, other_words) = match registered.spec.models {
            ModelUse::Names => (named_rungs(task), task.fallback.clone()),
            ModelUse::Tiers => self.tiers(task, agent.as_deref(), tier),
            ModelUse::Asks | ModelUse::None => (vec![], vec![]),
        };
        let tools = self.tools_of(task, agent.as_deref())?;
        let judges = task
            .check
            .iter()
            .map(|check| self.judge(check))
            .collect::<Result<_, _>>()?;
        Ok(Parts {
            executor_name: executor_name.clone(),
            executor: registered.clone(),
            models,
            words,
            other_words,
            judges,
            choice,
            agent,
            tools,
            inputs,
        })
    }

    /// The models of a task: its ladder and its fallbacks.
    fn ladder(
        &self,
        task: &Task,
        agent: Option<&AgentDefinition>,
        tier: Tier,
    ) -> Result<Models, Failure> {
        let model = |word: &Option<&str>| self.model(*word, tier);
        let Words { rungs, fallbacks } = Words::of(task, agent);
        let mut rungs = rungs.iter().map(model).collect::<Result<Vec<_>, _>>()?;
        // With a check, a single model gets a second try that includes the findings.
        if let ([only], false) = (rungs.as_slice(), task.check.is_empty()) {
            rungs.push(only.clone());
        }
        let fallbacks = fallbacks.iter().map(model).collect::<Result<_, _>>()?;
        Ok(Models { rungs, fallbacks })
    }

    /// The ladder and the fallbacks of a task whose executor knows tiers and ids of its vendor.
    fn tiers(
        &self,
        task: &Task,
        agent: Option<&AgentDefinition>,
        tier: Tier,
    ) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        let word = |word: &Option<&str>| match self.setup.models.wanted(*word).1 {
            AUTO => tier.as_str().into(),
            other => Arc::<str>::from(other),
        };
        let Words { rungs, fallbacks } = Words::of(task, agent);
        let mut rungs: Vec<_> = rungs.iter().map(word).collect();
        if let ([only], false) = (rungs.as_slice(), task.check.is_empty()) {
            rungs.push(only.clone());
        }
        (rungs, fallbacks.iter().map(word).collect())
    }

    fn judge(&self, check: &Check) -> Result<Option<Model>, Failure> {
        match check {
            Check::Judge(judge) => self.model(Some(word_of(judge)), Tier::Haiku).map(Some),
            // Reported before anything is paid for.
            Check::Command(_) => {
                let permissions = self.setup.permissions;
                permissions.to_run("a check wants to run a shell command, which is not allowed")?;
                Ok(None)
            }
            Check::Schema(_) => Ok(None),
        }
    }

    /// Fails if `task` may ask a model that does not exist or whose cost cannot be bounded: one of its
    /// ladder, a fallback, or a judge. Other errors of the task are ignored. Reads no file.
    pub fn priced(&self, task: &Task) -> Result<(), Failure> {
        let agent = task
            .agent_type
            .as_deref()
            .and_then(|name| self.agents.get(name).ok());
        let agent = agent.map(|agent| &**agent);
        let tier = match self.leaves_model_open(task, agent) {
            true => self
                .choose(task, agent)
                .map_or(Tier::Sonnet, |choice| choice.tier),
            false => Tier::Sonnet,
        };
        let now = wall_clock();
        let priced = |(word, tier)| {
            let model = self.setup.models.find_for(word, tier)?;
            self.setup.prices.known(&model, now)
        };
        let executor = self.setup.executors.spec(self.executor_of(task, agent));
        let words = match executor.map(|spec| spec.models) {
            Some(ModelUse::Asks) => Words::of(task, agent),
            Some(ModelUse::Names | ModelUse::Tiers | ModelUse::None) | None => Words::default(),
        };
        let words = words
            .rungs
            .into_iter()
            .chain(words.fallbacks)
            .map(|word| (word, tier));
        let judges = task.check.iter().filter_map(|check| match check {
            Check::Judge(judge) => Some((Some(word_of(judge)), Tier::Haiku)),
            Check::Schema(_) | Check::Command(_) => None,
        });
        words.chain(judges).try_for_each(priced)
    }

    /// The name of the executor of `task`: its own, or that of the tier of its first model, or the
    /// run's.
    fn executor_of<'a>(&'a self, task: &'a Task, agent: Option<&AgentDefinition>) -> &'a str {
        let Setup {
            executor,
            tier_executors,
            models,
            ..
        } = &*self.setup;
        if let Some(name) = task.executor.as_deref() {
            return name;
        }
        if tier_executors.is_empty() {
            return executor;
        }
        let word = Words::of(task, agent).rungs.first().copied().flatten();
        let tier = match models.wanted(word).1 {
            AUTO => self.choose(task, agent).ok().map(|choice| choice.tier),
            known => known.parse().ok().or_else(|| models.find(word).ok()?.tier),
        };
        tier.and_then(|tier| tier_executors.get(&tier))
            .unwrap_or(executor)
    }

    /// Whether any of its model words is `auto`.
    fn leaves_model_open(&self, task: &Task, agent: Option<&AgentDefinition>) -> bool {
        let by_agent = agent.and_then(|agent| agent.model.as_deref());
        let is_auto = |word: &str| {
            let word = if word == "inherit" {
                by_agent
            } else {
                Some(word)
            };
            self.setup.models.wanted(word).1 == AUTO
        };
        let words = task.model.0.iter().chain(&task.fallback);
        (task.model.is_empty() && is_auto("inherit")) || words.into_iter().any(|word| is_auto(word))
    }

    /// Chooses the kind of work of a task.
    fn choose(&self, task: &Task, agent: Option<&AgentDefinition>) -> Result<Choice, Failure> {
        choose(
            &self.setup.kinds,
            task,
            agent,
            self.provider_of(task, agent),
        )
    }

    /// The provider of a task's first model word.
    fn provider_of<'a>(&'a self, task: &'a Task, agent: Option<&'a AgentDefinition>) -> &'a str {
        let by_agent = agent.and_then(|agent| agent.model.as_deref());
        let word = task
            .model
            .first()
            .filter(|word| *word != "inherit")
            .or(by_agent);
        self.setup.models.wanted(word).0
    }

    /// Resolves `word`; `auto` becomes the tier that suffices.
    fn model(&self, word: Option<&str>, tier: Tier) -> Result<Model, Failure> {
        let now = wall_clock();
        // Prices change with the date, so a resolved model is kept for a day.
        let today = now.0 / DAY_MILLIS;
        let is_it = |known: &Known| {
            known.word.as_deref() == word && known.tier == tier && known.day == today
        };
        if let Some(model) = self
            .known
            .find(|known| is_it(known).then(|| known.model.clone()))
        {
            return Ok(model);
        }
        let model = self.find_model(word, tier, now)?;
        self.known.add(Known {
            word: word.map(Arc::from),
            tier,
            day: today,
            model: model.clone(),
        });
        Ok(model)
    }

    fn find_model(&self, word: Option<&str>, tier: Tier, now: Timestamp) -> Result<Model, Failure> {
        let model = self.setup.models.find_for(word, tier)?;
        self.setup.prices.known(&model, now)?;
        let price = self.setup.prices.charged(&model, now).map(Arc::new);
        Ok(Model { price, ..model })
    }

    fn agent(&self, name: &str) -> Result<Arc<AgentDefinition>, Failure> {
        self.agents.get(name).cloned().map_err(|unknown| {
            Failure::new(FailureClass::Unavailable, unknown.to_string()).hint(unknown.hint())
        })
    }

    /// The tools of the task, else of its agent definition, else all.
    fn tools_of(
        &self,
        task: &Task,
        agent: Option<&AgentDefinition>,
    ) -> Result<Arc<Toolset>, Failure> {
        let by_agent = agent.and_then(|agent| agent.tools.as_ref());
        let allowed: Option<Vec<&str>> = match (&task.tools, by_agent) {
            (Some(tools), _) => Some(tools.iter().map(AsRef::as_ref).collect()),
            (None, Some(tools)) => Some(tools.iter().map(String::as_str).collect()),
            (None, None) => None,
        };
        let by_agent = agent
            .into_iter()
            .flat_map(|agent| agent.disallowed_tools.iter().map(String::as_str));
        let disallowed: Vec<&str> = task
            .disallowed_tools
            .iter()
            .map(AsRef::as_ref)
            .chain(by_agent)
            .collect();
        if allowed.is_none() && disallowed.is_empty() {
            return self.tools.clone();
        }
        let all = self.tools.as_ref().map_err(Clone::clone)?;
        let known = self.toolsets.find(|(words, toolset)| {
            words
                .are(allowed.as_deref(), &disallowed)
                .then(|| toolset.clone())
        });
        if let Some(known) = known {
            return Ok(known);
        }
        let selection = Selection::of(allowed.as_deref(), &disallowed);
        let toolset = Arc::new(all.reselect(&self.setup, selection));
        self.toolsets.add((
            ToolWords::of(allowed.as_deref(), &disallowed),
            toolset.clone(),
        ));
        Ok(toolset)
    }

    fn accepted(&self, task: Task, parts: Parts, version: &str, priority: u32) -> Resolved {
        let Parts {
            executor_name,
            executor,
            models: Models { rungs, fallbacks },
            words,
            other_words,
            judges,
            choice,
            agent,
            tools,
            inputs,
        } = parts;
        let ids = |models: &[Model]| {
            models
                .iter()
                .map(|model| model.id.clone())
                .collect::<Vec<_>>()
        };
        let is_program = executor.is_program();
        let Registered {
            spec: declared,
            program,
        } = executor;
        let models = match declared.models {
            ModelUse::Asks => ids(&rungs),
            ModelUse::Names | ModelUse::Tiers => words,
            ModelUse::None => vec![],
        };
        let stand_ins = match declared.models {
            ModelUse::Asks => ids(&fallbacks),
            ModelUse::Names | ModelUse::Tiers => other_words,
            ModelUse::None => vec![],
        };
        // Another version with the same name counts as another executor.
        let carried_out_by = match format!("{}{version}", declared.identity).as_str() {
            "" => executor_name.clone(),
            identity => format!("{executor_name} {}", Digest::of(identity.as_bytes())).into(),
        };
        let effort = task
            .effort
            .or(agent.as_deref().and_then(|agent| agent.effort));
        let isolation = match (task.isolation, &agent) {
            (Isolation::None, Some(agent)) => agent.isolation,
            (asked_for, _) => asked_for,
        };
        let key = Key::of(&KeyParts {
            models: &models,
            effort,
            agent: agent.as_deref().map(|agent| agent.digest()),
            tools: &tool_words(&task, &tools),
            isolation,
            inputs: &inputs,
            ..key_parts(&task, &carried_out_by)
        });
        let is_open = (program.is_none() || declared.models == ModelUse::Tiers)
            && self.leaves_model_open(&task, agent.as_deref());
        // After the key, which is that of the original text: a changed secret must not look like
        // another task.
        let (task, is_cut) = redacted(task);
        let retry = self.retry(&task);
        let brief = Brief {
            task: &task,
            setup: &self.setup,
            tools: &tools,
            agent: agent.as_deref(),
        };
        let (first_turns, unbounded) = match (declared.cost, &program) {
            (Cost::Metered, None) | (Cost::OneRequest, _) => {
                (first_turns(brief, &rungs, &fallbacks), false)
            }
            (Cost::Limited(_), _) if task.max_cost.or(self.setup.task_cost_max).is_some() => {
                (vec![], true)
            }
            (Cost::UpTo(most) | Cost::Limited(most), _) => (vec![TurnBound::fixed(most)], false),
            (Cost::Free, _) => (vec![], false),
            (Cost::Metered | Cost::Reported, _) => (vec![], true),
        };
        let facts = TaskFacts {
            label: task.title().into(),
            phase: task.phase.clone(),
            chosen: choice
                .as_ref()
                .filter(|_| is_open)
                .map(|choice| choice.why().into()),
            kind: choice.map(|choice| choice.kind),
            is_program,
            executor: executor_name,
            models,
            fallbacks: stand_ins,
            checked: !task.check.is_empty(),
            retry,
            priority,
            depth: 0,
            first_turns,
            cost_max: task.max_cost.or(self.setup.task_cost_max),
            unbounded,
            words: matches!(declared.models, ModelUse::Names | ModelUse::Tiers),
            wait: None,
        };
        let (spec, blob) = spec(&task);
        let turns_max = task
            .max_turns
            .or(agent.as_deref().and_then(|agent| agent.max_turns));
        let assignment = Assignment {
            executor: program,
            cost: declared.cost,
            resumes: declared.resumes,
            may_ask: declared.resumes && declared.asks_permission,
            poll_every: declared.polls,
            models: rungs.into_iter().chain(fallbacks).collect(),
            judges,
            agent,
            tools,
            isolation,
            turns_max: turns_max.unwrap_or(self.setup.turns_max),
            timeout: task.timeout.unwrap_or(self.setup.timeout),
            idle_timeout: task.idle_timeout.unwrap_or(self.setup.idle_timeout),
            hedge: task
                .hedge
                .unwrap_or(self.setup.hedge)
                .then(|| self.durations.clone()),
            setup: self.setup.clone(),
            task,
        };
        Resolved {
            submission: Submission::new(key, facts, spec, None),
            blob,
            assignment: Some(Arc::new(assignment)),
            is_cut,
        }
    }

    /// The retry policy of a task, where it or the settings differ from the run's default.
    fn retry(&self, task: &Task) -> Option<Arc<RetryPolicy>> {
        let usual = &self.setup.retry;
        let asked = RetryPolicy {
            retries_max: task.retries.unwrap_or(usual.retries_max),
            overload_wait_max: task.overload_wait.unwrap_or(usual.overload_wait_max),
            ..usual.clone()
        };
        (asked != RetryPolicy::default()).then(|| Arc::new(asked))
    }

    fn digest(&self, path: &str) -> Result<Digest, Failure> {
        // Links may lead anywhere, because only the digest of a file is used.
        digest(&self.setup.workspace.join(path)).map_err(|refusal| {
            let message =
                format!("cannot read `{path}`, which the task names as an input: {refusal}");
            Failure::new(FailureClass::Unavailable, message)
        })
    }

    fn no_executor(&self, name: &str) -> Failure {
        let known: Vec<&str> = self.setup.executors.names().collect();
        Failure::new(
            FailureClass::Unavailable,
            format!("there is no executor `{name}`"),
        )
        .hint(format!(
            "there are {}; add others as [executors.NAME] in divisi.toml",
            known.join(", ")
        ))
    }
}

/// Bounds of the first request on each model. From the second rung on it may include findings of
/// the longest length.
fn first_turns(brief: Brief<'_>, rungs: &[Model], fallbacks: &[Model]) -> Vec<TurnBound> {
    /// Findings of the longest length.
    static FINDINGS: LazyLock<String> = LazyLock::new(|| "x".repeat(FINDINGS_BYTES_MAX));
    let models = || rungs.iter().chain(fallbacks);
    let Some(first) = models().find(|model| model.price.is_some()) else {
        return vec![];
    };
    // Nothing is ordered again for the first request, so whatever a server may list is covered.
    let unknown = brief.tools.unknown_bytes_max();
    let bytes = |findings: Option<&str>| opening(brief, &first.id, findings).bytes() + unknown;
    let alone = bytes(None);
    let after_another = if models().nth(1).is_some() {
        bytes(Some(FINDINGS.as_str()))
    } else {
        alone
    };
    let bytes = |place| if place == 0 { alone } else { after_another };
    let bounds = models().enumerate();
    bounds
        .map(|(place, model)| {
            bound(
                model.price.as_deref(),
                bytes(place),
                brief.setup.reply_tokens_max,
            )
        })
        .collect()
}

/// The digest of a file's content.
fn digest(path: &Path) -> Result<Digest, Refusal> {
    let file = divisi_files::open(path)?;
    let mut hasher = blake3::Hasher::new();
    // A sparse file can claim to be longer than any disk.
    if file.metadata()?.len() <= INPUT_BYTES_MAX {
        hasher.update_reader(file.take(INPUT_BYTES_MAX + 1))?;
        if hasher.count() <= INPUT_BYTES_MAX {
            return Ok(hasher.finalize().into());
        }
    }
    Err(Refusal::TooLarge(INPUT_BYTES_MAX))
}

/// The resolved parts of a task.
struct Parts {
    executor_name: Arc<str>,
    executor: Registered,
    models: Models,
    /// The ladder of an executor that models words are passed on to.
    words: Vec<Arc<str>>,
    /// Its fallbacks, in the same words.
    other_words: Vec<Arc<str>>,
    judges: Vec<Option<Model>>,
    /// The kind of work, if the flow declares it or the model depends on it.
    choice: Option<Choice>,
    agent: Option<Arc<AgentDefinition>>,
    tools: Arc<Toolset>,
    inputs: Vec<Digest>,
}

/// The models a task may run on.
#[derive(Default)]
struct Models {
    rungs: Vec<Model>,
    fallbacks: Vec<Model>,
}

/// The model words of a task; `None` is the run's default.
#[derive(Default)]
struct Words<'a> {
    rungs: Vec<Option<&'a str>>,
    fallbacks: Vec<Option<&'a str>>,
}

impl<'a> Words<'a> {
    fn of(task: &'a Task, agent: Option<&'a AgentDefinition>) -> Self {
        let by_agent = agent.and_then(|agent| agent.model.as_deref());
        let own = |word: &'a Arc<str>| {
            if &**word == "inherit" {
                by_agent
            } else {
                Some(&**word)
            }
        };
        let rungs = match task.model.0.as_slice() {
            [] => vec![by_agent],
            words => words.iter().map(own).collect(),
        };
        Self {
            rungs,
            fallbacks: task.fallback.iter().map(own).collect(),
        }
    }
}

/// The model word of a judge.
fn word_of(judge: &Judge) -> &str {
    judge.model.as_deref().unwrap_or(JUDGE_TIER)
}

/// The ladder of a task whose model words only its executor understands. With a check, a single
/// word gets a second try that includes the findings.
fn named_rungs(task: &Task) -> Vec<Arc<str>> {
    let words = task.model.0.clone();
    match (words.as_slice(), task.check.is_empty()) {
        ([only], false) => vec![only.clone(), only.clone()],
        _ => words,
    }
}

fn key_parts<'a>(task: &'a Task, executor: &'a str) -> KeyParts<'a> {
    KeyParts {
        prompt: &task.prompt,
        context: task.context.as_deref(),
        schema: task.schema.as_deref(),
        models: &[],
        effort: task.effort,
        executor,
        agent: None,
        tools: &[],
        isolation: task.isolation,
        inputs: &[],
        check: &task.check,
    }
}

/// The tools as part of the identity: their names, and what restricts them.
fn tool_words(task: &Task, tools: &Toolset) -> Vec<Arc<str>> {
    let asked_for = task.tools.iter().flatten().chain(&task.disallowed_tools);
    let narrowed = asked_for.filter(|word| word.contains('(')).cloned();
    let own = tools.names().iter().cloned();
    own.chain(narrowed).chain(tools.mcp_words()).collect()
}

fn spec(task: &Task) -> (Content, Option<Blob>) {
    // Made of texts, numbers and JSON, so serialisation cannot fail.
    let json = serde_json::to_string(task).unwrap_or_default();
    Content::of(json.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Executors;
    use crate::framing;
    use divisi_core::price::Rates;
    use divisi_core::{ModelPrice, PicoUsd};
    use divisi_providers::Scripted;
    use std::fs::File;
    use std::os::unix::fs::symlink;

    #[test]
    fn whatever_the_first_request_holds_is_reserved() {
        let models = crate::setup::Models::one(
            Arc::new(Scripted::demo()),
            &[("sonnet", "m"), ("haiku", "h")],
            &[],
        );
        let resolver = Resolver::new(Arc::new(Setup::new(models, std::env::temp_dir())));
        let base = Rates {
            input: PicoUsd(10),
            output: PicoUsd(50),
            ..Rates::default()
        };
        let price = ModelPrice {
            base,
            ..ModelPrice::default()
        };
        let reserved = |task: Task| {
            let assignment = resolver.resolve(task, 0).assignment.unwrap();
            let model = Model {
                price: Some(Arc::new(price.clone())),
                ..assignment.models[0].clone()
            };
            let turns = first_turns(assignment.brief(), &[model.clone(), model.clone()], &[]);
            let request = opening(assignment.brief(), &model.id, None);
            assert_eq!(
                turns[0],
                bound(Some(&price), request.bytes(), request.max_tokens)
            );
            let longest = (framing::refused("").len() + FINDINGS_BYTES_MAX) as u64;
            assert_eq!(
                turns[1],
                bound(Some(&price), request.bytes() + longest, request.max_tokens)
            );
            turns[0].prompt
        };
        let task = || Task::new("p");
        let plain = reserved(task());
        // Each further byte costs eleven: an account may keep its requests within the United
        // States.
        assert_eq!(reserved(Task::new("p and q")), plain + PicoUsd(6 * 11));
        let context = Task {
            context: Some("shared".into()),
            ..task()
        };
        assert_eq!(reserved(context), plain + PicoUsd(6 * 11));
        for larger in [
            task().schema(serde_json::json!({"type": "object"})),
            Task {
                agent_type: Some("Explore".into()),
                ..task()
            },
        ] {
            assert!(reserved(larger) > plain);
        }
    }

    #[test]
    fn whoever_looks_ahead_counts_the_same_programs_as_the_run() {
        let models = crate::setup::Models::one(Arc::new(Scripted::demo()), &[("sonnet", "m")], &[]);
        let mut setup = Setup::new(models, std::env::temp_dir());
        setup.permissions.run = true;
        let resolver = Resolver::new(Arc::new(setup));
        let is_program = |executor: &str| {
            let task = Task {
                executor: Some(executor.into()),
                ..Task::new("date")
            };
            let ahead = resolver.assigned(&task).unwrap().is_program;
            let run = resolver.resolve(task, 0).submission.facts.is_program;
            assert_eq!(ahead, run, "{executor}");
            run
        };
        assert!(is_program(Task::SHELL));
        assert!(!is_program(Executors::USUAL), "it waits on the network");
        assert!(!is_program("person"), "nothing of this machine is taken");
    }

    #[test]
    fn an_input_is_a_regular_file_of_a_length_that_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "content").unwrap();
        symlink("file", path("link")).unwrap();
        symlink("/dev/zero", path("endless")).unwrap();
        File::create(path("holes"))
            .unwrap()
            .set_len(1 << 42)
            .unwrap();
        let (pipe, mode) = (
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
        );
        rustix::fs::mknodat(rustix::fs::CWD, path("pipe"), pipe, mode, 0).unwrap();
        let said = |name: &str| digest(&path(name)).map_err(|refusal| refusal.to_string());
        assert_eq!(said("file").unwrap(), Digest::of(b"content"));
        assert_eq!(said("link"), said("file"));
        insta::assert_snapshot!(said("endless").unwrap_err(), @"it is a device, not a regular file");
        insta::assert_snapshot!(said("pipe").unwrap_err(), @"it is a named pipe, not a regular file");
        insta::assert_snapshot!(said("holes").unwrap_err(), @"it is larger than 1073741824 bytes");
    }
}
