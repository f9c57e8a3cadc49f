//! From what a flow asks for to what can be carried out.
//!
//! A flow says `haiku`, `Explore`, `src/main.rs`; here these become a model
//! id, an agent definition and a digest. What results has a key, and whatever
//! cannot be resolved has its outcome before it starts.

use crate::agents::{AgentDefinition, Agents};
use crate::executor::{ApiExecutor, CommandExecutor, Executor, ShellExecutor};
use crate::framing::system_blocks;
use crate::setup::{Model, Setup};
use crate::tools::Selection;
use crate::toolset::Toolset;
use divisi_core::content::{Blob, Content};
use divisi_core::event::TaskFacts;
use divisi_core::key::KeyParts;
use divisi_core::preflight::{Assigned, Rung};
use divisi_core::price::ModelPrice;
use divisi_core::run::Submission;
use divisi_core::{Digest, Failure, FailureClass, Isolation, Key, Millis, Outcome, PicoUsd, Task};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Turns tasks into what can be carried out.
pub struct Resolver {
    setup: Arc<Setup>,
    /// Whether a cap has to hold, which it can only where there are prices.
    capped: bool,
    agents: Agents,
    api: Arc<dyn Executor>,
    shell: Arc<dyn Executor>,
    commands: BTreeMap<String, Arc<dyn Executor>>,
    /// Tools of a task that says nothing of tools.
    tools: Result<Arc<Toolset>, Failure>,
}

/// A task that can be carried out.
pub struct Assignment {
    /// As the flow asked for it.
    pub task: Task,
    /// What carries it out.
    pub executor: Arc<dyn Executor>,
    /// Which model is asked; `None` where no model is.
    pub model: Option<Model>,
    /// The definition it names.
    pub agent: Option<AgentDefinition>,
    /// The tools it may use.
    pub tools: Arc<Toolset>,
    /// Where it works.
    pub isolation: Isolation,
    /// Requests one attempt may send.
    pub turns_max: u32,
    /// Longest time one attempt may take.
    pub timeout: Millis,
    /// Longest time one attempt may go without any sign of progress.
    pub idle_timeout: Millis,
    /// The surroundings.
    pub setup: Arc<Setup>,
}

/// A task on its way to a driver.
pub struct Resolved {
    /// What the run is told.
    pub submission: Submission,
    /// The text of its specification, if it is long.
    pub blob: Option<Blob>,
    /// What is carried out; `None` for a task that has its outcome already.
    pub assignment: Option<Arc<Assignment>>,
}

impl Resolver {
    /// A resolver for these surroundings. Reads the agent definitions there are.
    ///
    /// Where a run is `capped`, models without a price are refused.
    pub fn new(setup: Arc<Setup>, capped: bool) -> Self {
        let agents = Agents::load(&setup.workspace, etcetera::home_dir().ok().as_deref());
        let command = |(name, line): (&String, &crate::executor::CommandLine)| {
            (name.clone(), Arc::new(CommandExecutor::new(line.clone())) as Arc<dyn Executor>)
        };
        Self {
            agents,
            api: Arc::new(ApiExecutor),
            shell: Arc::new(ShellExecutor),
            commands: setup.executors.iter().map(command).collect(),
            tools: Toolset::all(&setup).map(Arc::new),
            setup,
            capped,
        }
    }

    /// The surroundings.
    pub fn setup(&self) -> &Arc<Setup> {
        &self.setup
    }

    /// Resolves `task`. Reads its declared input files.
    ///
    /// A task that asks for what is not there is resolved to a failure, so
    /// that it, too, has an outcome in the journal. `priority` is the length
    /// of the longest chain of tasks known to wait for it.
    pub fn resolve(&self, task: Task, priority: u32) -> Resolved {
        match self.assign(&task) {
            Ok(parts) => self.accepted(task, parts, priority),
            Err(failure) => self.settled(task, Outcome::Failed(failure)),
        }
    }

    /// A task whose outcome is known before it starts.
    pub fn settled(&self, task: Task, outcome: Outcome) -> Resolved {
        let words: Vec<Arc<str>> = task.model.0.iter().chain(&task.agent_type).cloned().collect();
        let executor = task.executor.as_deref().unwrap_or("api");
        // What could not be resolved stands in the key as it was asked for.
        let key = Key::of(&KeyParts { models: &words, ..key_parts(&task, executor) });
        let facts = TaskFacts {
            label: task.title().into(),
            phase: task.phase.clone(),
            executor: executor.into(),
            ..TaskFacts::default()
        };
        let (spec, blob) = spec(&task);
        Resolved {
            submission: Submission { key, facts, spec, outcome: Some(outcome) },
            blob,
            assignment: None,
        }
    }

    fn assign(&self, task: &Task) -> Result<Parts, Failure> {
        let agent = task.agent_type.as_deref().map(|name| self.agent(name)).transpose()?;
        let executor = task.executor.as_deref().unwrap_or("api");
        let inputs = task.inputs.iter().map(|path| self.digest(path)).collect::<Result<_, _>>()?;
        let (executor_name, executor, model) = match executor {
            "api" => {
                let word = task.model.first().filter(|word| *word != "inherit");
                let word = word.or(agent.as_ref().and_then(|agent| agent.model.as_deref()));
                ("api", self.api.clone(), Some(self.model(word)?))
            }
            "shell" if !self.setup.permissions.run => {
                let message = "the flow wants to run a shell command, which is not allowed";
                return Err(Failure::new(FailureClass::Unavailable, message)
                    .hint("allow it with `--allow run`, or `allow = [\"run\"]` in divisi.toml"));
            }
            "shell" => ("shell", self.shell.clone(), None),
            name => match self.commands.get_key_value(name) {
                Some((name, executor)) => (name.as_str(), executor.clone(), None),
                None => return Err(self.no_executor(name)),
            },
        };
        let tools = self.tools_of(task, agent.as_ref())?;
        Ok(Parts { executor_name: executor_name.into(), executor, model, agent, tools, inputs })
    }

    /// What the words of `task` mean, for a plan.
    pub fn assigned(&self, task: &Task) -> Result<Assigned, Failure> {
        let parts = self.assign(task)?;
        let by_agent = parts.agent.as_ref().and_then(|agent| agent.model.as_deref());
        let words: Vec<&str> = match task.model.first() {
            None | Some("inherit") => vec![by_agent.unwrap_or("inherit")],
            Some(_) => task.model.0.iter().map(AsRef::as_ref).collect(),
        };
        let asks_model = parts.model.is_some();
        let words = if asks_model { words } else { vec![] };
        let turns_max = task.max_turns.or(parts.agent.as_ref().and_then(|agent| agent.max_turns));
        let has_tools = asks_model && !parts.tools.offered().is_empty();
        Ok(Assigned {
            executor: parts.executor_name.clone(),
            kind: task.kind.clone().unwrap_or_else(|| "unknown".into()),
            kind_declared: task.kind.is_some(),
            rungs: words.iter().map(|word| self.rung(word)).collect::<Result<_, _>>()?,
            why: why(task, by_agent, asks_model),
            checked: !task.check.is_empty(),
            prompt_tokens: self.prompt_tokens(task, &parts),
            shared_tokens: task.context.as_ref().map_or(0, |context| tokens_of(context.len())),
            has_tools,
            reply_tokens_max: self.setup.reply_tokens_max,
            turns_max: turns_max.unwrap_or(self.setup.turns_max),
            retries_max: task.retries.unwrap_or(self.setup.retry.retries_max),
            timeout: task.timeout.unwrap_or(self.setup.timeout),
        })
    }

    fn rung(&self, word: &str) -> Result<Rung, Failure> {
        let model = self.model(Some(word))?;
        Ok(Rung { tier: self.setup.models.tier(word, &model.id), price: price_of(&model), model: model.id })
    }

    /// About how many tokens the first request has. What stands in the place of
    /// results is counted as it stands in `task`.
    fn prompt_tokens(&self, task: &Task, parts: &Parts) -> u64 {
        let offered = parts.tools.offered();
        let framing = self.setup.framing.as_deref();
        let blocks = system_blocks(framing, parts.agent.as_ref(), !offered.is_empty(), task.schema.is_some());
        let schema = |schema: &serde_json::Value| schema.to_string().len();
        let tools =
            offered.iter().map(|tool| tool.name.len() + tool.description.len() + schema(&tool.input_schema));
        let texts = [Some(&task.prompt), task.context.as_ref()].into_iter().flatten().map(|text| text.len());
        let bytes = texts
            .chain(blocks.iter().map(String::len))
            .chain(tools)
            .chain(task.schema.iter().map(|value| schema(value)));
        tokens_of(bytes.sum())
    }

    fn model(&self, word: Option<&str>) -> Result<Model, Failure> {
        let model = self.setup.models.find(word)?;
        let priced = model.free || self.setup.prices.cost_max(&model.id, 0, 0).is_some();
        if self.capped && !priced {
            let message = format!("model `{}` has no price here, so no cap can hold", model.id);
            return Err(Failure::new(FailureClass::Unavailable, message)
                .hint("take a model with a price, or run without a cap"));
        }
        Ok(model)
    }

    fn agent(&self, name: &str) -> Result<AgentDefinition, Failure> {
        self.agents.get(name).cloned().map_err(|unknown| {
            Failure::new(FailureClass::Unavailable, unknown.to_string()).hint(unknown.hint())
        })
    }

    /// The tools a task asks for, or else its agent definition, or else all.
    fn tools_of(&self, task: &Task, agent: Option<&AgentDefinition>) -> Result<Arc<Toolset>, Failure> {
        let by_agent = agent.and_then(|agent| agent.tools.as_ref());
        let allowed: Option<Vec<&str>> = match (&task.tools, by_agent) {
            (Some(tools), _) => Some(tools.iter().map(AsRef::as_ref).collect()),
            (None, Some(tools)) => Some(tools.iter().map(String::as_str).collect()),
            (None, None) => None,
        };
        let by_agent = agent.into_iter().flat_map(|agent| agent.disallowed_tools.iter().map(String::as_str));
        let disallowed: Vec<&str> = task.disallowed_tools.iter().map(AsRef::as_ref).chain(by_agent).collect();
        if allowed.is_none() && disallowed.is_empty() {
            return self.tools.clone();
        }
        let all = self.tools.as_ref().map_err(Clone::clone)?;
        Ok(Arc::new(all.reselect(&self.setup, Selection::of(allowed.as_deref(), &disallowed))))
    }

    fn accepted(&self, task: Task, parts: Parts, priority: u32) -> Resolved {
        let Parts { executor_name, executor, model, agent, tools, inputs } = parts;
        let models: Vec<Arc<str>> = model.iter().map(|model| model.id.clone()).collect();
        let effort = task.effort.or(agent.as_ref().and_then(|agent| agent.effort));
        let isolation = match (task.isolation, &agent) {
            (Isolation::None, Some(agent)) => agent.isolation,
            (asked_for, _) => asked_for,
        };
        let key = Key::of(&KeyParts {
            models: &models,
            effort,
            agent: agent.as_ref().map(AgentDefinition::digest),
            tools: &tool_words(&task, &tools),
            isolation,
            inputs: &inputs,
            ..key_parts(&task, &executor_name)
        });
        let retry = task.retries.map(|retries_max| {
            Arc::new(divisi_core::RetryPolicy { retries_max, ..self.setup.retry.clone() })
        });
        let retry = retry.or_else(|| {
            (self.setup.retry != divisi_core::RetryPolicy::default())
                .then(|| Arc::new(self.setup.retry.clone()))
        });
        let facts = TaskFacts {
            label: task.title().into(),
            phase: task.phase.clone(),
            executor: executor_name,
            models,
            retry,
            priority,
            first_turn_max: model.as_ref().map_or(PicoUsd::ZERO, |model| self.first_turn_max(&task, model)),
        };
        let (spec, blob) = spec(&task);
        let turns_max = task.max_turns.or(agent.as_ref().and_then(|agent| agent.max_turns));
        let assignment = Assignment {
            executor,
            model,
            agent,
            tools,
            isolation,
            turns_max: turns_max.unwrap_or(self.setup.turns_max),
            timeout: task.timeout.unwrap_or(self.setup.timeout),
            idle_timeout: task.idle_timeout.unwrap_or(self.setup.idle_timeout),
            setup: self.setup.clone(),
            task,
        };
        Resolved {
            submission: Submission { key, facts, spec, outcome: None },
            blob,
            assignment: Some(Arc::new(assignment)),
        }
    }

    /// Upper bound of what the first request costs; nothing for a model
    /// without a price.
    fn first_turn_max(&self, task: &Task, model: &Model) -> PicoUsd {
        // Framing and tool descriptions come on top of what the task says.
        const FRAME_BYTES_MAX: usize = 16 * 1024;
        let bytes =
            task.prompt.len() + task.context.as_ref().map_or(0, |context| context.len()) + FRAME_BYTES_MAX;
        let reply = self.setup.reply_tokens_max;
        self.setup.prices.cost_max(&model.id, bytes as u64, reply).unwrap_or_default()
    }

    fn digest(&self, path: &str) -> Result<Digest, Failure> {
        match std::fs::read(self.setup.workspace.join(path)) {
            Ok(bytes) => Ok(Digest::of(&bytes)),
            Err(error) => Err(Failure::new(
                FailureClass::Unavailable,
                format!("cannot read `{path}`, which the task names as an input: {error}"),
            )),
        }
    }

    fn no_executor(&self, name: &str) -> Failure {
        let known: Vec<&str> =
            ["api", "shell"].into_iter().chain(self.commands.keys().map(String::as_str)).collect();
        Failure::new(FailureClass::Unavailable, format!("there is no executor `{name}`"))
            .hint(format!("there are {}; add others as [executors.NAME] in divisi.toml", known.join(", ")))
    }
}

/// About how many tokens a text of so many bytes has.
fn tokens_of(bytes: usize) -> u64 {
    bytes.div_ceil(3) as u64
}

/// What the model costs now.
fn price_of(_model: &Model) -> Option<ModelPrice> {
    None
}

/// Why a task starts on its first model.
fn why(task: &Task, by_agent: Option<&str>, asks_model: bool) -> String {
    match (task.model.first(), by_agent) {
        _ if !asks_model => "no model is asked".to_owned(),
        (Some(word), _) if word != "inherit" && task.model.0.len() > 1 => {
            format!("the flow's ladder begins with {word}")
        }
        (Some(word), _) if word != "inherit" => format!("the flow asks for {word}"),
        (_, Some(word)) => {
            format!("the definition of `{}` says {word}", task.agent_type.as_deref().unwrap_or_default())
        }
        (_, None) => "the run's model".to_owned(),
    }
}

/// What is known of a task once all its words are resolved.
struct Parts {
    executor_name: Arc<str>,
    executor: Arc<dyn Executor>,
    model: Option<Model>,
    agent: Option<AgentDefinition>,
    tools: Arc<Toolset>,
    inputs: Vec<Digest>,
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
    }
}

/// The tools as part of the identity: their names, and what narrows them.
fn tool_words(task: &Task, tools: &Toolset) -> Vec<Arc<str>> {
    let asked_for = task.tools.iter().flatten().chain(&task.disallowed_tools);
    let narrowed = asked_for.filter(|word| word.contains('(')).cloned();
    tools.names().into_iter().chain(narrowed).collect()
}

fn spec(task: &Task) -> (Content, Option<Blob>) {
    // A task is made of texts, numbers and JSON values: nothing that cannot be written.
    let json = serde_json::to_string(task).unwrap_or_default();
    Content::of(json.into())
}
