//! The tasks a flow would ask for, and how they hang together.

use crate::event::GroupKind;
use crate::price::ModelPrice;
use crate::{Digest, Failure, Millis, PicoUsd, Task, Tier};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The tasks a flow would ask for, as far as placeholders show.
///
/// Tasks are named by their place in `tasks`, which is the order in which the
/// flow asked for them; whatever a task waits for has a smaller place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Graph {
    /// The flow's name.
    pub name: Arc<str>,
    /// What it asks for.
    pub tasks: Vec<Node>,
    /// What it asks for together.
    pub groups: Vec<Group>,
    /// Where its shape depends on results nobody has yet.
    pub open: Vec<Remark>,
    /// The tasks whose results are in what the flow returns.
    pub returned: Vec<usize>,
    /// Prompts that a task without a result would spoil.
    pub nulls: Vec<NullRead>,
    /// Tasks that read several results and would not be told that one is missing.
    pub uninformed: Vec<usize>,
    /// The tasks whose results functions of the flow check.
    pub checked_by_functions: Vec<usize>,
    /// Most that the tasks of a phase may cost together, where the flow says so.
    pub phase_caps: BTreeMap<Arc<str>, PicoUsd>,
    /// What its author has probably not meant.
    pub warnings: Vec<Remark>,
    /// Whether it holds only the first of what the flow would ask for.
    pub ends_early: bool,
    /// What the flow failed with on placeholders, where that is why it ends early.
    pub broke_off: Option<Remark>,
}

/// One task of a graph.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// As the flow asks for it; `{{t3}}` in a text stands for the result of the
    /// task at place 3.
    pub task: Task,
    /// Where the flow asks for it.
    pub site: Option<Site>,
    /// The tasks that have to end before it is asked for; those behind them
    /// are left out.
    pub waits: Vec<usize>,
    /// The tasks whose results stand in its prompt or context.
    pub reads: Vec<usize>,
    /// The innermost group it is part of: a place in [`Graph::groups`].
    pub group: Option<usize>,
    /// Whether anything reads its result.
    pub used: Use,
    /// What its words mean here, or why they mean nothing.
    pub assigned: Result<Assigned, Failure>,
}

/// Whether anything reads a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// A later task, a log line or the flow's result holds it.
    Read,
    /// Nothing does.
    Unread,
    /// It leaves no trace that could be followed: numbers, booleans, choices.
    Unknown,
}

/// What a task's words mean: executor, models and limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assigned {
    /// What carries it out.
    pub executor: Arc<str>,
    /// Whether that may change files by itself, without tools of ours.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writes: bool,
    /// What one attempt of it may cost besides requests to models of ours.
    #[serde(default, skip_serializing_if = "AttemptCost::is_free")]
    pub attempt_cost: AttemptCost,
    /// The kind of work it is, declared or inferred.
    pub kind: Arc<str>,
    /// Whether the flow declares the kind.
    pub kind_declared: bool,
    /// The models it may climb, cheapest first; none where no model is asked.
    pub rungs: Vec<Rung>,
    /// Why it starts on the first of them: a short phrase.
    pub why: String,
    /// Whether a check decides over its results.
    pub checked: bool,
    /// About how many tokens its first request has, `shared_tokens` included.
    pub prompt_tokens: u64,
    /// About how many of them are a prefix that siblings share.
    pub shared_tokens: u64,
    /// Whether it may use tools, and so take several turns.
    pub has_tools: bool,
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

/// What an attempt may cost besides requests to models of ours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptCost {
    /// Nothing.
    #[default]
    Free,
    /// This at most.
    UpTo(PicoUsd),
    /// Anything.
    Unbounded,
}

impl AttemptCost {
    fn is_free(&self) -> bool {
        *self == Self::Free
    }
}

/// One model of a ladder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// The name of the provider that is asked for it: several may have one of this id.
    #[serde(default)]
    pub provider: Arc<str>,
    /// The vendor's id.
    pub model: Arc<str>,
    /// The tier it stands for there, if it stands for one.
    pub tier: Option<Tier>,
    /// Its price now; `None` where nobody sends a bill.
    pub price: Option<ModelPrice>,
}

/// Tasks that a flow asks for together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// What asks for them.
    pub kind: GroupKind,
    /// Functions or items it was given.
    pub width: usize,
    /// Where the flow does so.
    pub site: Option<Site>,
    /// The group that this one is part of.
    pub parent: Option<usize>,
    /// The width is a guess, because it depends on a result.
    pub guessed: bool,
    /// A result decides the width, however well the flow can foretell it.
    pub by_result: bool,
}

/// What is to be said of a line of a flow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remark {
    /// A lower-case phrase.
    pub what: String,
    /// Where.
    pub site: Option<Site>,
}

/// A prompt that a task without a result would spoil.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NullRead {
    /// Label of the task that would be asked.
    pub label: String,
    /// Where the flow asks for it.
    pub site: Option<Site>,
    /// The word that would stand there: `null`, `undefined`, `[object Object]`.
    pub word: String,
    /// The text around it.
    pub excerpt: String,
}

/// A line of a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
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
    /// Names its shape: what is asked for where, together with what, and after what. A run
    /// that was estimated says it, so that its tasks can be held against those of a plan
    /// made later.
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
        // Made of texts and numbers: nothing that cannot be written.
        Digest::of(
            serde_json::to_string(&(&self.name, nodes, groups))
                .unwrap_or_default()
                .as_bytes(),
        )
    }

    /// Counts the results that prompts hold, which stand in them as `{{t3}}`:
    /// `result_tokens` says about how long the result of a task is.
    pub fn count_results(&mut self, result_tokens: impl Fn(&Assigned) -> u64) {
        let results: Vec<u64> = self
            .tasks
            .iter()
            .map(|node| node.assigned.as_ref().map_or(0, &result_tokens))
            .collect();
        for node in &mut self.tasks {
            if let Ok(assigned) = &mut node.assigned {
                assigned.prompt_tokens += node.reads.iter().map(|read| results[*read]).sum::<u64>();
            }
        }
    }
}

impl Node {
    /// What people call it: its label, or the beginning of its prompt.
    pub fn label(&self) -> String {
        self.task.title()
    }
}
