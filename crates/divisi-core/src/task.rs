//! The task of one agent.

use crate::approval::Approval;
use crate::check::{Check, Ladder};
use crate::{Millis, PicoUsd};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// One unit of work for one agent, as requested by a flow.
///
/// Everything but the prompt may be left to the run's defaults. Its options are not resolved yet:
/// `model` may be a tier, `agent_type` a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Task {
    /// The prompt: with `context`, all that the agent knows.
    pub prompt: Arc<str>,
    /// Text that many tasks share. It precedes everything of the task itself, so that vendors can
    /// cache it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Arc<str>>,
    /// A short name for display.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Arc<str>>,
    /// The phase it is shown under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Arc<str>>,
    /// The kind of work (`search`, `review`), which decides the model where that is left open, and
    /// the history that an estimate uses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Arc<str>>,
    /// Tiers (`haiku`), model ids, `inherit` or `auto`; the run's default when empty.
    #[serde(skip_serializing_if = "Ladder::is_empty")]
    pub model: Ladder,
    /// Models that replace one that is overloaded or unavailable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<Arc<str>>,
    /// Checks the result must pass, in order. A result that fails one is discarded, and the next
    /// model of the ladder is tried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub check: Vec<Check>,
    /// Most that all its attempts together may cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<PicoUsd>,
    /// How hard the model should think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// JSON Schema of the result. Without one the result is a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Arc<Value>>,
    /// Name of an agent definition: its prompt, tools and model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<Arc<str>>,
    /// Name of the executor: `api`, `shell`, or a name from the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<Arc<str>>,
    /// Names of the tools the agent may use; the run's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Arc<str>>>,
    /// Names of tools it may not use, even if other options allow them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disallowed_tools: Vec<Arc<str>>,
    /// Whether it works in a copy of the repository.
    #[serde(skip_serializing_if = "Isolation::is_none")]
    pub isolation: Isolation,
    /// Files whose content is part of the task's identity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Arc<str>>,
    /// Longest time one attempt may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
    /// Longest time one attempt may go without any sign of progress.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Millis>,
    /// How often a failed attempt may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long the task waits for an overloaded vendor before that uses up retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overload_wait: Option<Millis>,
    /// Whether a request that takes far longer than comparable ones may be sent a second time. Both
    /// are billed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<bool>,
    /// How many requests one attempt may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// What a person may answer, if the task is a question (`executor: 'person'`). Its schema and
    /// its time follow from `schema` and `timeout`, what is shown with it from `context`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<Arc<Approval>>,
    /// Whether a failure is an error of the flow rather than a missing part.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

impl Task {
    /// Name of the executor that runs the prompt as a shell command, used by `shell()` in scripts.
    pub const SHELL: &'static str = "shell";

    /// Name of the executor that asks a person, used by `approve()` in scripts.
    pub const PERSON: &'static str = "person";

    /// Longest title taken from the prompt of a task without a label.
    const TITLE_CHARS_MAX: usize = 60;

    /// A task with this prompt and defaults otherwise.
    pub fn new(prompt: impl Into<Arc<str>>) -> Self {
        Self {
            prompt: prompt.into(),
            ..Self::default()
        }
    }

    /// A question to a person.
    pub fn question(question: impl Into<Arc<str>>, approval: Approval) -> Self {
        Self {
            executor: Some(Self::PERSON.into()),
            schema: approval.schema().map(Arc::new),
            approval: Some(Arc::new(approval)),
            ..Self::new(question)
        }
    }

    /// Whether its prompt is a question to a person.
    pub fn is_question(&self) -> bool {
        self.executor.as_deref() == Some(Self::PERSON)
    }

    /// Whether its prompt is a shell command.
    pub fn is_shell(&self) -> bool {
        self.executor.as_deref() == Some(Self::SHELL)
    }

    /// Its name for display: the label, or the beginning of the prompt.
    pub fn title(&self) -> String {
        let text = self.label.as_deref().unwrap_or(&self.prompt);
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or_default();
        match line.char_indices().nth(Self::TITLE_CHARS_MAX) {
            Some((end, _)) => format!("{}…", line[..end].trim_end()),
            None => line.to_owned(),
        }
    }

    /// Sets the model: a tier or a model id.
    pub fn model(mut self, model: impl Into<Arc<str>>) -> Self {
        self.model = Ladder(vec![model.into()]);
        self
    }

    /// Sets the label.
    pub fn label(mut self, label: impl Into<Arc<str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Sets the phase.
    pub fn phase(mut self, phase: impl Into<Arc<str>>) -> Self {
        self.phase = Some(phase.into());
        self
    }

    /// Sets the JSON Schema of the result.
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(Arc::new(schema));
        self
    }

    /// Sets the executor.
    pub fn executor(mut self, executor: impl Into<Arc<str>>) -> Self {
        self.executor = Some(executor.into());
        self
    }

    /// Sets the context, a text that many tasks share.
    pub fn context(mut self, context: impl Into<Arc<str>>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Sets the kind of work.
    pub fn kind(mut self, kind: impl Into<Arc<str>>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Sets a ladder of models: each further one is tried if a check refuses the result before.
    pub fn ladder<M: Into<Arc<str>>>(mut self, models: impl IntoIterator<Item = M>) -> Self {
        self.model = Ladder(models.into_iter().map(Into::into).collect());
        self
    }

    /// Adds a check that the result must pass.
    pub fn check(mut self, check: Check) -> Self {
        self.check.push(check);
        self
    }

    /// Sets the most it may cost.
    pub fn max_cost(mut self, max_cost: PicoUsd) -> Self {
        self.max_cost = Some(max_cost);
        self
    }

    /// Sets the effort.
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// Sets the agent definition, by name.
    pub fn agent_type(mut self, agent_type: impl Into<Arc<str>>) -> Self {
        self.agent_type = Some(agent_type.into());
        self
    }

    /// Sets the tools, replacing the default ones.
    pub fn tools<T: Into<Arc<str>>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        self.tools = Some(tools.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the isolation.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// Sets the longest time of one attempt.
    pub fn timeout(mut self, timeout: Millis) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the number of retries.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// Sets the number of requests that one attempt may send.
    pub fn max_turns(mut self, max_turns: u32) -> Self {
        self.max_turns = Some(max_turns);
        self
    }

    /// Sets whether a failure is an error of the flow.
    pub fn required(mut self, required: bool) -> Self {
        self.required = required;
        self
    }
}

/// The effort of a model, in the vendors' steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Effort {
    /// Least.
    Low,
    /// Between.
    Medium,
    /// More.
    High,
    /// Much more.
    Xhigh,
    /// All there is.
    Max,
}

impl Effort {
    /// Every step, weakest first.
    pub const ALL: [Self; 5] = [Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max];

    /// The vendors' word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Effort {
    type Err = UnknownEffort;
    fn from_str(word: &str) -> Result<Self, UnknownEffort> {
        Self::ALL
            .into_iter()
            .find(|e| e.as_str() == word)
            .ok_or_else(|| UnknownEffort(word.to_owned()))
    }
}

/// A word that is no effort.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no effort: it is one of low, medium, high, xhigh, max")]
pub struct UnknownEffort(pub String);

/// The place in which a task works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// In the run's workspace, shared with other tasks.
    #[default]
    None,
    /// In a new git worktree, for this task alone.
    Worktree,
}

impl Isolation {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}
