//! What is shown of a task, its attempts and their turns: facts, and no texts.

use super::table::Ref;
use crate::budget::Spent;
use crate::event::{Awaited, Suspension, WaitCause, Worktree};
use crate::{AttemptId, FailureClass, Millis, PicoUsd, TaskId, Timestamp, Usage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One task of a run. Names that tasks share are places in the tables of the
/// [`RunView`](super::RunView).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskView {
    /// A short name; may be empty.
    pub label: Arc<str>,
    /// Where it stands.
    pub status: Status,
    /// Its progress group, among the phases.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Ref>,
    /// What carries it out, among the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<Ref>,
    /// The sort of work it is, among the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Ref>,
    /// The models of its ladder, in the order in which they are climbed.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub ladder: Box<[Ref]>,
    /// The model that its latest reply named, or else the one it was sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Ref>,
    /// Why it has no result: among the failures where it failed, among the words
    /// where it was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Ref>,
    /// The latest execution that asked for it.
    pub execution: u32,
    /// How many attempts have started.
    pub attempts: u32,
    /// How many replies it has had.
    pub turns: u32,
    /// The latest of its attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<Ref>,
    /// Tokens of all its attempts.
    pub usage: Usage,
    /// What they cost.
    pub spent: Spent,
    /// When the flow first asked for it.
    pub asked_at: Timestamp,
    /// Since when it waits to start, or did before it started last.
    pub ready_at: Timestamp,
    /// When its latest attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it got its outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How many outcomes the run had before its own, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
    /// The flow had been given none of the outcomes from this one on when it asked.
    pub given: u32,
    /// What it had waited for; the number of a group is its place among the groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Awaited>,
    /// The tasks whose results stand in its prompt or context.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub reads: Box<[TaskId]>,
    /// The innermost group that it is part of, among the groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Ref>,
    /// Where the flow asks for it, among the sites.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<Ref>,
    /// Whether it had failed for good and is tried again all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_reopened: bool,
    /// Whether a program on this machine carries it out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_program: bool,
    /// Whether nothing bounds what its attempts cost.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_open_ended: bool,
    /// What few tasks have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rare: Option<Box<Rare>>,
}

impl TaskView {
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The worktrees of its attempts that were kept, because there is work in them.
    pub fn worktrees(&self) -> &[Worktree] {
        self.rare.as_ref().map_or(&[], |rare| &rare.worktrees)
    }

    /// Tools that its agents called and the run does not permit.
    pub fn refused_tools(&self) -> &[RefusedTool] {
        self.rare.as_ref().map_or(&[], |rare| &rare.refused_tools)
    }

    /// What it waits for outside of the process, while its attempt is suspended.
    pub fn suspension(&self) -> Option<&Suspension> {
        self.rare.as_ref()?.suspension.as_ref()
    }
}

/// What few tasks have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rare {
    /// The worktrees of its attempts that were kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worktrees: Vec<Worktree>,
    /// Tools that its agents called and the run does not permit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_tools: Vec<RefusedTool>,
    /// What it waits for outside of the process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspension: Option<Suspension>,
}

/// A tool that agents of a task called and the run does not permit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedTool {
    /// The tool.
    pub tool: Arc<str>,
    /// The permission that it takes.
    pub permission: Arc<str>,
    /// How often it was called.
    pub count: u32,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Known from an earlier execution; the current one has not asked for it.
    #[default]
    Unclaimed,
    /// May start as soon as there is room.
    Waiting,
    /// Is tried again later.
    Resting,
    /// An attempt is under way.
    Running,
    /// Its attempt waits for something outside of the process.
    Suspended,
    /// Its attempt has ended; what follows is not recorded yet.
    Between,
    /// It has a result.
    Ok,
    /// Every attempt it was allowed has failed.
    Failed,
    /// It was never tried.
    Skipped,
    /// A person stopped it.
    Cancelled,
}

impl Status {
    /// Whether it has an outcome.
    pub fn has_ended(self) -> bool {
        matches!(
            self,
            Self::Ok | Self::Failed | Self::Skipped | Self::Cancelled
        )
    }
}

/// One attempt at a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptView {
    /// Which one.
    pub id: AttemptId,
    /// The model that it was to ask, among the models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Ref>,
    /// When it was scheduled.
    pub began_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Why it failed, among the failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Ref>,
    /// What it cost.
    pub cost: PicoUsd,
    /// The attempt of the same task before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ref>,
    /// Why there is one more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
}

/// Why a task is tried once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// The attempt before has failed, as its failure says.
    Retry,
    /// The same, and another model stands in for one that is out of order.
    StandIn,
    /// A check has refused the result before.
    Refused,
    /// The process that carried out the attempt before has died.
    Lost,
    /// The attempt before was stopped: the run parked, or money had to be waited for.
    Interrupted,
    /// It had failed for good, and a person wants it to be tried again.
    Reopened,
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnView {
    /// The attempt it belongs to.
    pub attempt: Ref,
    /// The model that it names, among the models.
    pub model: Ref,
    /// Whether it judges the attempt's result rather than works on it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub judges: bool,
    /// When its request was sent.
    pub sent_at: Timestamp,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub began_at: Option<Timestamp>,
    /// When it was recorded.
    pub ended_at: Timestamp,
    /// From sending to the last byte.
    pub took: Millis,
    /// What it cost.
    pub cost: PicoUsd,
}

/// Something that a task has waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitView {
    /// Which task.
    pub task: TaskId,
    /// For what.
    #[serde(rename = "for")]
    pub cause: Cause,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// What a task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// That fewer attempts are under way.
    Slot,
    /// That money set aside for others comes free.
    Cap,
    /// That it may be tried again.
    Rest,
    /// What is outside of the process: an answer.
    Question,
    /// That the vendor's limits, or the user's own, allow one more request.
    Limit,
    /// That one of the requests under way comes back.
    Room,
    /// The same, where the vendor has no capacity for more.
    Overload,
    /// That the vendor has cached what its prompt shares with others.
    Prefix,
}

impl From<WaitCause> for Cause {
    fn from(cause: WaitCause) -> Self {
        match cause {
            WaitCause::Limit => Self::Limit,
            WaitCause::Room => Self::Room,
            WaitCause::Overload => Self::Overload,
            WaitCause::Prefix => Self::Prefix,
        }
    }
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolView {
    /// The attempt it belongs to.
    pub attempt: Ref,
    /// The tool, among the words.
    pub name: Ref,
    /// When it began.
    pub from: Timestamp,
    /// How long it took.
    pub took: Millis,
    /// Length of what the model was given.
    pub bytes: u64,
    /// Whether it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// The exit code of the command that it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
}

/// An attempt under way, or suspended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Which one, among the attempts.
    pub attempt: Ref,
    /// When it was scheduled.
    pub since: Timestamp,
    /// Set aside for its request.
    pub reserved: PicoUsd,
    /// Set aside for the same request sent a second time.
    pub hedged: PicoUsd,
}

/// A task that waits to be tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// Not before this moment.
    pub due: Timestamp,
    /// Why its attempt failed.
    pub why: FailureClass,
}
