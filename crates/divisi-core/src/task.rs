//! What one agent is asked to do.

use crate::check::{Check, Ladder};
use crate::{Millis, PicoUsd};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// One unit of work for one agent, as a flow asks for it.
///
/// Everything but the prompt may be left to the run's defaults. What is asked
/// for here is not yet resolved: `model` may be a tier, `agent_type` a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Task {
    /// What the agent is told; all it knows, together with `context`.
    pub prompt: Arc<str>,
    /// Text that many tasks share. It stands before everything of the task's
    /// own, so that vendors can cache it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<Arc<str>>,
    /// A short name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Arc<str>>,
    /// The progress group it is shown under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Arc<str>>,
    /// The sort of work it is (`search`, `review`), which decides the model
    /// where that is left open, and which history an estimate looks at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Arc<str>>,
    /// Tiers (`haiku`), model ids, `inherit` or `auto`; the run's default when empty.
    #[serde(skip_serializing_if = "Ladder::is_empty")]
    pub model: Ladder,
    /// What takes the place of a model that is overloaded or out of order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<Arc<str>>,
    /// What a result has to stand, in this order. One that does not is thrown
    /// away, and the next model of the ladder is asked.
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
    /// What carries the task out: `api`, `shell`, or a name from the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<Arc<str>>,
    /// Names of the tools the agent may use; the run's default when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<Arc<str>>>,
    /// Names of tools it may not use, whatever else allows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub disallowed_tools: Vec<Arc<str>>,
    /// Where it works.
    #[serde(skip_serializing_if = "Isolation::is_none")]
    pub isolation: Isolation,
    /// Files whose content belongs to the identity of the task.
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
    /// How long the task waits for a vendor without capacity before that uses
    /// up retries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overload_wait: Option<Millis>,
    /// Whether a request that takes far longer than others may be sent a second
    /// time. Both are paid for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<bool>,
    /// How many requests one attempt may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// Whether a failure is an error of the flow rather than a missing part.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub required: bool,
}

impl Task {
    /// The executor that runs the prompt as a shell command: what `shell()` of a script asks
    /// for.
    pub const SHELL: &'static str = "shell";

    /// Longest name that a prompt gives a task without a label.
    const TITLE_CHARS_MAX: usize = 60;

    /// A task with this prompt and nothing else said.
    pub fn new(prompt: impl Into<Arc<str>>) -> Self {
        Self {
            prompt: prompt.into(),
            ..Self::default()
        }
    }

    /// Whether its prompt is a shell command, and its result what that has printed.
    pub fn is_shell(&self) -> bool {
        self.executor.as_deref() == Some(Self::SHELL)
    }

    /// What people call it: its label, or the beginning of its prompt.
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

    /// The same on this model: a tier or a model id.
    pub fn model(mut self, model: impl Into<Arc<str>>) -> Self {
        self.model = Ladder(vec![model.into()]);
        self
    }

    /// The same under this name.
    pub fn label(mut self, label: impl Into<Arc<str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// The same in this progress group.
    pub fn phase(mut self, phase: impl Into<Arc<str>>) -> Self {
        self.phase = Some(phase.into());
        self
    }

    /// The same with a result that fits this JSON Schema.
    pub fn schema(mut self, schema: Value) -> Self {
        self.schema = Some(Arc::new(schema));
        self
    }

    /// The same by this executor.
    pub fn executor(mut self, executor: impl Into<Arc<str>>) -> Self {
        self.executor = Some(executor.into());
        self
    }

    /// The same behind this text, which many tasks share.
    pub fn context(mut self, context: impl Into<Arc<str>>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// The same as this sort of work.
    pub fn kind(mut self, kind: impl Into<Arc<str>>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// The same first on the first of these models, and on the next where a check refuses
    /// the result.
    pub fn ladder<M: Into<Arc<str>>>(mut self, models: impl IntoIterator<Item = M>) -> Self {
        self.model = Ladder(models.into_iter().map(Into::into).collect());
        self
    }

    /// The same with one more check that a result has to pass.
    pub fn check(mut self, check: Check) -> Self {
        self.check.push(check);
        self
    }

    /// The same for no more than this.
    pub fn max_cost(mut self, max_cost: PicoUsd) -> Self {
        self.max_cost = Some(max_cost);
        self
    }

    /// The same with this much thinking.
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = Some(effort);
        self
    }

    /// The same by the agent that is defined under this name.
    pub fn agent_type(mut self, agent_type: impl Into<Arc<str>>) -> Self {
        self.agent_type = Some(agent_type.into());
        self
    }

    /// The same with these tools and no others.
    pub fn tools<T: Into<Arc<str>>>(mut self, tools: impl IntoIterator<Item = T>) -> Self {
        self.tools = Some(tools.into_iter().map(Into::into).collect());
        self
    }

    /// The same at work in another place.
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// The same with another longest time of one attempt.
    pub fn timeout(mut self, timeout: Millis) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The same tried again so often at the most.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = Some(retries);
        self
    }

    /// The same with another number of requests that one attempt may send.
    pub fn max_turns(mut self, max_turns: u32) -> Self {
        self.max_turns = Some(max_turns);
        self
    }

    /// The same where a failure is an error of the flow, or not.
    pub fn required(mut self, required: bool) -> Self {
        self.required = required;
        self
    }
}

/// How hard a model should think, as vendors name the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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

/// A word that names no effort.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no effort: it is one of low, medium, high, xhigh, max")]
pub struct UnknownEffort(pub String);

/// Where a task does its work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// In the run's own workspace, together with the others.
    #[default]
    None,
    /// In a fresh git worktree of its own.
    Worktree,
}

impl Isolation {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}
