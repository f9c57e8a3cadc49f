//! A task, its attempts and their turns for display: facts, without texts.

use super::table::Ref;
use crate::budget::Spent;
use crate::event::{AnsweredBy, Awaited, Suspension, WaitCause, Worktree};
use crate::{AttemptId, FailureClass, Millis, PicoUsd, TaskId, Timestamp, Usage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One task of a run. Shared names are indices into the tables of the [`RunView`](super::RunView).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskView {
    /// A short name; may be empty.
    pub label: Arc<str>,
    /// Its state.
    pub status: Status,
    /// Index of its phase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Ref>,
    /// Index of its executor, among the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<Ref>,
    /// Index of its kind, among the words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Ref>,
    /// Indices of the models of its ladder, in climbing order.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub ladder: Box<[Ref]>,
    /// The model named by its latest reply, or else the model of its latest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Ref>,
    /// Why it has no result: an index among the failures if it failed, among the words if it was
    /// skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<Ref>,
    /// The latest execution that requested it.
    pub execution: u32,
    /// Whether it is a timer of the flow, which is counted only while it is open.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_timer: bool,
    /// Number of attempts started.
    pub attempts: u32,
    /// Number of replies.
    pub turns: u32,
    /// Its latest attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<Ref>,
    /// Tokens of all its attempts.
    pub usage: Usage,
    /// What they cost.
    pub spent: Spent,
    /// When the flow first requested it.
    pub asked_at: Timestamp,
    /// Since when it waits to start, or did before its last start.
    pub ready_at: Timestamp,
    /// When its latest attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it got its outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Number of outcomes that the run had before its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<u32>,
    /// Number of the first outcome that the flow had not been given when it requested the task.
    pub given: u32,
    /// What the flow had waited for; for a group, its index among the groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Awaited>,
    /// The tasks whose results its prompt or context contains.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub reads: Box<[TaskId]>,
    /// Index of the innermost group that contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Ref>,
    /// Index of its place in the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<Ref>,
    /// Whether it had failed and is tried again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_reopened: bool,
    /// Whether its executor is a program on this machine.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_program: bool,
    /// Whether nothing bounds the cost of its attempts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_open_ended: bool,
    /// Values that few tasks have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rare: Option<Box<Rare>>,
}

impl TaskView {
    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// The worktrees kept from its attempts, because files in them have changed.
    pub fn worktrees(&self) -> &[Worktree] {
        self.rare.as_ref().map_or(&[], |rare| &rare.worktrees)
    }

    /// Tools that its agents called without permission.
    pub fn refused_tools(&self) -> &[RefusedTool] {
        self.rare.as_ref().map_or(&[], |rare| &rare.refused_tools)
    }

    /// What answered the question of its last ended attempt; `None` if that had none.
    pub fn answered_by(&self) -> Option<AnsweredBy> {
        self.rare.as_ref()?.answered_by
    }

    /// What its suspended attempt waits for.
    pub fn suspension(&self) -> Option<&Suspension> {
        self.rare.as_ref()?.suspension.as_ref()
    }
}

/// Values that few tasks have.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rare {
    /// The worktrees kept from its attempts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub worktrees: Vec<Worktree>,
    /// Tools that its agents called without permission.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused_tools: Vec<RefusedTool>,
    /// What its suspended attempt waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspension: Option<Suspension>,
    /// What answered its latest question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_by: Option<AnsweredBy>,
}

/// A tool that agents of a task called without permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RefusedTool {
    /// The tool.
    pub tool: Arc<str>,
    /// The permission that it needs.
    pub permission: Arc<str>,
    /// How often it was called.
    pub count: u32,
}

/// The state of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Known from an earlier execution, and not requested in the current one.
    #[default]
    Unclaimed,
    /// May start as soon as a slot and budget are available.
    Waiting,
    /// Waits for a retry.
    Resting,
    /// An attempt is in flight.
    Running,
    /// Its attempt is suspended.
    Suspended,
    /// Its attempt has ended; what follows is not recorded yet. Only a killed process leaves a task
    /// in this state.
    #[serde(rename = "interrupted", alias = "between")]
    Between,
    /// It has a result.
    Ok,
    /// It failed, and is not tried again.
    Failed,
    /// It was never started.
    Skipped,
    /// The user stopped it.
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
    /// The model it was to ask, as an index among the models.
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
    /// The previous attempt of the same task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Ref>,
    /// Why it follows another attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again: Option<Again>,
}

/// Why a task is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// The previous attempt failed.
    Retry,
    /// The same, and a fallback replaces an unavailable model.
    StandIn,
    /// A check refused the previous result.
    Refused,
    /// The process of the previous attempt died.
    Lost,
    /// The previous attempt was interrupted: the run parked, or the budget was too small.
    Interrupted,
    /// It had failed, and the user wanted it to be tried again.
    Reopened,
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnView {
    /// The attempt it belongs to.
    pub attempt: Ref,
    /// The model that it names, as an index among the models.
    pub model: Ref,
    /// Whether it is a judge's verdict rather than a turn of the conversation.
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
    /// Whether the cost is an estimate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub estimated: bool,
}

/// A wait of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WaitView {
    /// Which task.
    pub task: TaskId,
    /// Its cause.
    #[serde(rename = "for")]
    pub cause: Cause,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// The cause of a task's wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A slot: too many attempts are in flight.
    Slot,
    /// Money: reservations of other attempts must be released.
    Cap,
    /// The delay before a retry.
    Rest,
    /// An answer from outside of the process.
    Question,
    /// A rate limit of the vendor or of the user.
    Limit,
    /// Too many requests are under way.
    Room,
    /// The same, while the vendor is overloaded.
    Overload,
    /// The prefix it shares with other requests is being cached.
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
    /// Length of its result.
    pub bytes: u64,
    /// Whether it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// The exit code of the command that it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
}

/// An attempt in flight, or suspended.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Its index among the attempts.
    pub attempt: Ref,
    /// When it was scheduled.
    pub since: Timestamp,
    /// Reservation of its request.
    pub reserved: PicoUsd,
    /// Reservation of its hedge.
    pub hedged: PicoUsd,
}

/// A task that waits for a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// The earliest moment of the retry.
    pub due: Timestamp,
    /// Why its attempt failed.
    pub why: FailureClass,
}
