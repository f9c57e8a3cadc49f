//! A run for display: one fold over its events, for displays, lists, bills and pages.
//!
//! A [`RunView`] holds facts and no texts of tasks: prompts, replies and results are read from the
//! store when they are shown. It is serialisable, so that a display need not read the journal from
//! its beginning: it starts from a view at some position, and adds the events after it. It decides
//! and refuses nothing; [`Run`](crate::Run) does.

mod fold;
mod slots;
mod table;
mod task;
#[cfg(test)]
mod tests;
mod width;

pub use table::{Named, Ref, Table};
pub use task::{
    Again, AttemptView, Cause, Rare, RefusedTool, Rest, Status, TaskView, ToolView, TurnView,
    UnderWay, WaitView,
};
pub use width::NarrowedByCap;

use crate::budget::Spent;
use crate::estimate::Estimate;
use crate::event::GroupKind;
use crate::event::{CallSite, FlowSource, Refusal};
use crate::run::{Counts, Span, Stage};
use crate::{Budget, Content, Failure, PicoUsd, Position, Recorded, TaskId, Timestamp, Usage};
use serde::{Deserialize, Serialize};
use slots::FullTimes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most failures compared to find an equal one, the latest first. If a wrong key fails ten thousand
/// tasks, all of them share one entry.
const FAILURES_COMPARED_MAX: usize = 64;

/// A run for display.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RunView {
    /// Number of events applied.
    pub position: Position,
    /// The flow's name.
    pub name: Arc<str>,
    /// The flow of the latest execution, with the run's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowSource>,
    /// Number of the execution, from 1; a resume begins the next.
    pub execution: u32,
    /// Its stage.
    pub stage: Stage,
    /// Most attempts in flight.
    pub in_flight_max: u32,
    /// Most of them that may be programs.
    pub programs_max: u32,
    /// When its first event was recorded.
    pub started_at: Timestamp,
    /// When the current execution began.
    pub began_at: Timestamp,
    /// When it last parked or ended; before that, its start.
    pub ended_at: Timestamp,
    /// Its time at work and its time parked.
    pub span: Span,
    /// When a parked run continues by itself, if its process waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wakes_at: Option<Timestamp>,
    /// The money of the whole run.
    pub money: Budget,
    /// Spent in earlier executions.
    pub spent_before: Spent,
    /// Tokens of all its tasks.
    pub usage: Usage,
    /// Number of tasks of the current execution, by state.
    pub counts: Counts,
    /// Tasks whose outcome was taken from the journal.
    pub reused: u32,
    /// The original cost of those.
    pub saved: PicoUsd,
    /// The latest estimate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// Its phases.
    pub phases: Table<PhaseView>,
    /// The models that were asked or have answered.
    pub models: Table<ModelView>,
    /// Names of executors and kinds, and reasons of skipped tasks.
    pub words: Table<Arc<str>>,
    /// Places in the flow.
    pub sites: Table<CallSite>,
    /// The flow's groups, in recorded order.
    pub groups: Vec<GroupView>,
    /// Failures of tasks and attempts; equal ones are kept once.
    pub failures: Vec<Failure>,
    /// All tasks, by number.
    pub tasks: Vec<TaskView>,
    /// All attempts, in the order of scheduling.
    pub attempts: Vec<AttemptView>,
    /// All replies, in recorded order.
    pub turns: Vec<TurnView>,
    /// All ended waits, in recorded order.
    pub waits: Vec<WaitView>,
    /// All tool calls, in recorded order.
    pub tools: Vec<ToolView>,
    /// Attempts in flight, by task.
    pub under_way: BTreeMap<TaskId, UnderWay>,
    /// Suspended attempts, by task.
    pub suspended: BTreeMap<TaskId, UnderWay>,
    /// Tasks that wait for a retry.
    pub resting: BTreeMap<TaskId, Rest>,
    /// Requests of the flow that were refused in the current execution, and how often.
    pub refused: Vec<(Refusal, u64)>,
    /// The first uncaught exception of the current execution, and their number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncaught: Option<(Arc<str>, u32)>,
    /// What the flow returned, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Result<Content, Box<Failure>>>,
    /// Times at which all slots were taken.
    full: FullTimes,
    /// Times at which no program could start: all slots, or all program slots, were taken.
    full_of_programs: FullTimes,
    /// Number of programs among the attempts in flight.
    programs: u32,
    /// When tasks could last begin to start; none did before.
    running_since: Timestamp,
    /// Number of outcomes recorded.
    outcomes: u32,
    /// Index of each group by its number in the current execution.
    numbers: BTreeMap<u32, Ref>,
    /// Tasks whose attempt has failed and whose next event is not recorded yet.
    failing: BTreeMap<TaskId, Ref>,
    /// Phases that the flow itself has begun.
    announced: BTreeSet<Arc<str>>,
}

/// A phase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseView {
    /// Its title.
    pub title: Arc<str>,
    /// The latest execution that used it.
    pub execution: u32,
    /// Its money.
    pub money: Budget,
    /// Tokens of its tasks.
    pub usage: Usage,
    /// Number of its tasks in the current execution.
    pub total: u32,
    /// Those with an outcome.
    pub ended: u32,
    /// Failed ones.
    pub failed: u32,
}

impl Named for PhaseView {
    type Name = Arc<str>;

    fn named(title: &Arc<str>) -> Self {
        Self {
            title: title.clone(),
            ..Self::default()
        }
    }

    fn name(&self) -> &Arc<str> {
        &self.title
    }
}

/// The replies and the cost of one model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelView {
    /// Its id.
    pub id: Arc<str>,
    /// Number of replies that name it.
    pub replies: u64,
    /// Tokens by the classes that vendors price apart.
    pub usage: Usage,
    /// Money spent on it.
    pub spent: Spent,
}

impl Named for ModelView {
    type Name = Arc<str>;

    fn named(id: &Arc<str>) -> Self {
        Self {
            id: id.clone(),
            ..Self::default()
        }
    }

    fn name(&self) -> &Arc<str> {
        &self.id
    }
}

impl Named for CallSite {
    type Name = Self;

    fn named(site: &Self) -> Self {
        site.clone()
    }

    fn name(&self) -> &Self {
        self
    }
}

/// Tasks that the flow requests together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupView {
    /// The function that requests them.
    pub kind: GroupKind,
    /// Index of the group that contains this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Ref>,
    /// Number of functions or items it was given.
    pub width: u32,
    /// Index of its place in the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Ref>,
}

impl RunView {
    /// The view of a run with these events, in order.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Self {
        let mut view = Self::default();
        events.into_iter().for_each(|recorded| view.apply(recorded));
        view
    }

    /// The task with this number.
    pub fn task(&self, id: TaskId) -> Option<&TaskView> {
        self.tasks.get(id.index())
    }

    /// The tasks requested in the current execution, in order of submission.
    pub fn current(&self) -> impl DoubleEndedIterator<Item = (TaskId, &TaskView)> {
        self.all()
            .filter(|(_, task)| task.execution == self.execution)
    }

    /// The tasks of earlier executions that the current one has not requested.
    pub fn earlier(&self) -> impl DoubleEndedIterator<Item = (TaskId, &TaskView)> {
        self.all()
            .filter(|(_, task)| task.execution != self.execution)
    }

    fn all(&self) -> impl DoubleEndedIterator<Item = (TaskId, &TaskView)> {
        self.tasks
            .iter()
            .enumerate()
            .map(|(index, task)| (TaskId(index as u32), task))
    }

    /// Suspended tasks of the current execution.
    pub fn questions(&self) -> impl Iterator<Item = TaskId> {
        self.suspended
            .keys()
            .copied()
            .filter(|id| self.is_current(*id))
    }

    fn is_current(&self, id: TaskId) -> bool {
        self.task(id)
            .is_some_and(|task| task.execution == self.execution)
    }

    /// The title of its phase.
    pub fn phase_of(&self, task: &TaskView) -> Option<&Arc<str>> {
        Some(&self.phases.get(task.phase?)?.title)
    }

    /// The model named by its latest reply, or else the model of its latest attempt.
    pub fn model_of(&self, task: &TaskView) -> Option<&Arc<str>> {
        Some(&self.models.get(task.model?)?.id)
    }

    /// The models of its ladder.
    pub fn ladder_of(&self, task: &TaskView) -> Vec<&Arc<str>> {
        task.ladder
            .iter()
            .filter_map(|model| Some(&self.models.get(*model)?.id))
            .collect()
    }

    /// Its ended waits.
    pub fn waits_of(&self, id: TaskId) -> impl Iterator<Item = &WaitView> {
        self.waits.iter().filter(move |wait| wait.task == id)
    }

    /// Its failure, without the partial result.
    pub fn failure_of(&self, task: &TaskView) -> Option<&Failure> {
        self.failures
            .get(task.why.filter(|_| task.status == Status::Failed)?.index())
    }

    /// Why it was skipped.
    pub fn skipped_because(&self, task: &TaskView) -> Option<&Arc<str>> {
        self.words
            .get(task.why.filter(|_| task.status == Status::Skipped)?)
    }

    /// Phases that the flow itself has begun, or that have tasks now.
    pub fn shown_phases(&self) -> impl Iterator<Item = (Ref, &PhaseView)> {
        let places = self.phases.iter().enumerate();
        let places = places.map(|(index, phase)| (Ref::last(index + 1), phase));
        places.filter(|(_, phase)| phase.total > 0 || self.announced.contains(&phase.title))
    }

    /// Spent in the current execution.
    pub fn spent(&self) -> Spent {
        self.money.spent().since(self.spent_before)
    }

    /// The overcharges of the current execution.
    pub fn overcharged(&self) -> PicoUsd {
        self.spent().over
    }

    /// When a parked run continues by itself. The journal does not show whether its process still
    /// runs.
    pub fn waits_until(&self) -> Option<Timestamp> {
        self.wakes_at
            .filter(|_| matches!(self.stage, Stage::Parked(_)))
    }
}
