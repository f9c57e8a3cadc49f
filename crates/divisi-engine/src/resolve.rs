//! From what a flow asks for to what can be carried out.
//!
//! A flow says `haiku`, `Explore`, `src/main.rs`; here these become a model
//! id, an agent definition and a digest. What results has a key, and whatever
//! cannot be resolved has its outcome before it starts.

use crate::agents::{AgentDefinition, Agents};
use crate::choose::choose;
use crate::executor::{ApiExecutor, CommandExecutor, Executor, ShellExecutor};
use crate::setup::{Model, Setup};
use crate::tools::Selection;
use crate::toolset::Toolset;
use divisi_core::choice::Choice;
use divisi_core::content::{Blob, Content};
use divisi_core::event::TaskFacts;
use divisi_core::key::KeyParts;
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
    /// The sort of work it is, and why it is held to be that.
    pub choice: Choice,
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
        let word = task.model.first().filter(|word| *word != "inherit");
        let word = word.or(agent.as_ref().and_then(|agent| agent.model.as_deref()));
        let (provider, _) = self.setup.models.wanted(word);
        let choice = choose(&self.setup, task, agent.as_ref(), provider)?;
        let (executor_name, executor, model) = match executor {
            "api" => ("api", self.api.clone(), Some(self.model(word, &choice)?)),
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
        Ok(Parts { executor_name: executor_name.into(), executor, model, choice, agent, tools, inputs })
    }

    fn model(&self, word: Option<&str>, choice: &Choice) -> Result<Model, Failure> {
        let model = self.setup.models.find_for(word, choice.tier)?;
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
        let Parts { executor_name, executor, model, choice, agent, tools, inputs } = parts;
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
            choice,
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

/// What is known of a task once all its words are resolved.
struct Parts {
    executor_name: Arc<str>,
    executor: Arc<dyn Executor>,
    model: Option<Model>,
    choice: Choice,
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
