//! The tasks a flow would request, and their dependencies.

use crate::event::GroupKind;
use crate::price::ModelPrice;
use crate::{Digest, Failure, Millis, PicoUsd, Task, Tier};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The tasks a flow would request, as far as placeholders show.
///
/// Tasks are identified by their index in `tasks`, the order in which the flow requested them; a
/// task waits only for tasks with a smaller index.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The flow's name.
    pub name: Arc<str>,
    /// Its tasks.
    pub tasks: Vec<Node>,
    /// Its groups.
    pub groups: Vec<Group>,
    /// Places at which its shape depends on results.
    pub open: Vec<Remark>,
    /// Prompts with words that result from an unintended conversion, such as `undefined`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub strays: Vec<Remark>,
    /// Tasks whose number depends on results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guesses: Vec<Guess>,
    /// Phases that the flow names and in which no task is planned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreached: Vec<Unreached>,
    /// The tasks whose results the flow returns.
    pub returned: Vec<usize>,
    /// Prompts that a missing result would spoil.
    pub nulls: Vec<NullRead>,
    /// Tasks that read several results without information on which are missing.
    pub uninformed: Vec<usize>,
    /// The tasks whose results are checked by functions of the flow.
    pub checked_by_functions: Vec<usize>,
    /// Caps of phases set by the flow.
    pub phase_caps: BTreeMap<Arc<str>, PicoUsd>,
    /// Probable mistakes of its author.
    pub warnings: Vec<Remark>,
    /// Whether it holds only the beginning of what the flow would request.
    pub ends_early: bool,
    /// The flow's error on placeholders, if that ended it early.
    pub broke_off: Option<Remark>,
}

/// One task of a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The task; `{{t3}}` in a text is the result of the task at index 3.
    pub task: Task,
    /// Its place in the flow.
    pub site: Option<Site>,
    /// The tasks that must end before it is requested, without those that they depend on in turn.
    pub waits: Vec<usize>,
    /// The tasks whose results its prompt or context contains.
    pub reads: Vec<usize>,
    /// The innermost group that contains it: an index in [`Graph::groups`].
    pub group: Option<usize>,
    /// Whether its result is used.
    pub used: Use,
    /// The first task whose request its result may have decided, by index; all later ones may
    /// depend on it, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decides_from: Option<usize>,
    /// Its executor, models and limits, or why it cannot be assigned.
    pub assigned: Result<Assigned, Failure>,
}

/// Whether a result is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// By a later task, a log line, the flow's result, or a decision of the flow.
    Read,
    /// By nothing.
    Unread,
    /// By nothing: the flow does not even wait for it.
    Unawaited,
    /// Its use cannot be traced: numbers, booleans, choices.
    Unknown,
}

/// What a task's options resolve to: executor, models and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Assigned {
    /// Name of the executor.
    pub executor: Arc<str>,
    /// Whether the executor is a program on this machine, which takes a slot of programs
    /// (`limits.programs_max`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_program: bool,
    /// Whether the executor may change files by itself, without divisi's tools.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writes: bool,
    /// Cost of one attempt besides divisi's own requests to models.
    #[serde(default, skip_serializing_if = "AttemptCost::is_free")]
    pub attempt_cost: AttemptCost,
    /// The kind of work it is, declared or inferred.
    pub kind: Arc<str>,
    /// Whether the flow declares the kind.
    pub kind_declared: bool,
    /// The tier that `auto` would use; without it, that of the kind applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffices: Option<Tier>,
    /// The models it may climb, cheapest first; empty for executors without models.
    pub rungs: Vec<Rung>,
    /// Why it starts on the first of them, as a short phrase.
    pub why: String,
    /// Whether its results are checked.
    pub checked: bool,
    /// Approximate tokens of its first request, `shared_tokens` included.
    pub prompt_tokens: u64,
    /// Approximate tokens of the prefix shared with siblings.
    pub shared_tokens: u64,
    /// Whether it may use tools, and so take several turns.
    pub has_tools: bool,
    /// Tools that it asks for and is not given.
    #[serde(default, skip_serializing_if = "Rights::is_full")]
    pub rights: Rights,
    /// Longest reply.
    pub reply_tokens_max: u32,
    /// Requests one attempt may send.
    pub turns_max: u32,
    /// Retries of a failed attempt.
    pub retries_max: u32,
    /// Whether each of its requests may be sent a second time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hedge: bool,
    /// Longest time one attempt may take.
    pub timeout: Millis,
}

/// Tools and rights that a task asks for and is not given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, rename_all = "camelCase")]
pub struct Rights {
    /// Whether it may not change files, although it selects tools that do.
    pub write_withheld: bool,
    /// Whether it may not run commands, although it selects the tool that does.
    pub run_withheld: bool,
    /// The tools that it names and divisi does not have.
    pub lacks: Vec<Arc<str>>,
    /// The tools of MCP servers that it selects, by name or pattern: what they are is known only
    /// once the servers have started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_tools: Vec<Arc<str>>,
    /// Whether it works in a git worktree of its own.
    pub worktree: bool,
}

impl Rights {
    fn is_full(&self) -> bool {
        *self == Self::default()
    }
}

/// Cost of an attempt besides divisi's own requests to models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AttemptCost {
    /// Nothing.
    #[default]
    Free,
    /// At most this.
    UpTo(PicoUsd),
    /// Without a bound.
    Unbounded,
}

impl AttemptCost {
    fn is_free(&self) -> bool {
        *self == Self::Free
    }
}

/// One model of a ladder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rung {
    /// Name of its provider: several may have a model with this id.
    #[serde(default)]
    pub provider: Arc<str>,
    /// The vendor's id.
    pub model: Arc<str>,
    /// Its tier at that provider, if it has one.
    pub tier: Option<Tier>,
    /// Its present price; `None` for an unpriced model.
    pub price: Option<ModelPrice>,
}

/// Tasks that a flow requests together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// The function that requests them.
    pub kind: GroupKind,
    /// Number of functions or items it was given.
    pub width: usize,
    /// Its place in the flow.
    pub site: Option<Site>,
    /// The group that contains this one.
    pub parent: Option<usize>,
    /// Whether the width is a guess, because it depends on a result.
    pub guessed: bool,
    /// Whether a result decides the width, even if the flow declares an expectation.
    pub by_result: bool,
}

/// Tasks whose number depends on results: those of a list, or of the rounds of a loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Guess {
    /// Their indices.
    pub tasks: Vec<usize>,
    /// Elements or rounds in the graph.
    pub counted: usize,
    /// Elements or rounds in past runs, oldest first.
    pub seen: Vec<u32>,
    /// Whether it is a loop.
    pub repeats: bool,
    /// Most rounds, if the flow itself bounds the loop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<usize>,
}

/// A remark about a line of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Remark {
    /// A lower-case phrase.
    pub what: String,
    /// Where.
    pub site: Option<Site>,
}

/// A phase that a flow names and in which no task is planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Unreached {
    /// The phase.
    pub phase: Arc<str>,
    /// The line that names it.
    pub site: Option<Site>,
    /// Whether another result reaches it, so that its tasks belong to another branch.
    pub is_other_branch: bool,
    /// Why, as a phrase.
    pub why: String,
}

/// A prompt that a missing result would spoil.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct NullRead {
    /// Label of the task.
    pub label: String,
    /// Its place in the flow.
    pub site: Option<Site>,
    /// The word in place of the result: `null`, `undefined`, `[object Object]`.
    pub word: String,
    /// The text around it.
    pub excerpt: String,
}

/// A line of a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Site {
    /// The name of its script or file.
    pub script: Arc<str>,
    /// The line, from 1.
    pub line: u32,
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.script, self.line)
    }
}

impl Graph {
    /// Digest of its shape: which tasks are requested at which place, in which group and after
    /// which tasks. The estimate of a run records it, so that its tasks can be compared with those
    /// of a later plan.
    pub fn digest(&self) -> Digest {
        let node = |Node {
                        task,
                        site,
                        waits,
                        reads,
                        group,
                        ..
                    }: &Node| {
            serde_json::to_value((task.title(), site, waits, reads, group)).ok()
        };
        let group =
            |Group {
                 kind,
                 width,
                 site,
                 parent,
                 ..
             }: &Group| { serde_json::to_value((kind, width, site, parent)).ok() };
        let nodes: Vec<_> = self.tasks.iter().map(node).collect();
        let groups: Vec<_> = self.groups.iter().map(group).collect();
        // Made of texts and numbers, so serialisation cannot fail.
        Digest::of(
            serde_json::to_string(&(&self.name, nodes, groups))
                .unwrap_or_default()
                .as_bytes(),
        )
    }
}

impl Node {
    /// Its label, or the beginning of its prompt.
    pub fn label(&self) -> String {
        self.task.title()
    }

    /// Whether a program on this machine executes it.
    pub fn is_program(&self) -> bool {
        self.assigned.as_ref().is_ok_and(|task| task.is_program)
    }
}
