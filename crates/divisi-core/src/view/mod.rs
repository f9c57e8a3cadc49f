//! A run as it is shown: one fold over its events, for displays, lists, bills and pages.
//!
//! A [`RunView`] holds facts and no texts of tasks: what a prompt, a reply or a result says is
//! read from the store when it is looked at. It is serialisable, so that what shows a run need not
//! read its journal from the beginning: it takes a view up to some position, and the events after
//! that. It decides nothing and refuses nothing; [`Run`](crate::Run) does.

mod fold;
mod slots;
mod table;
mod task;
#[cfg(test)]
mod tests;

pub use table::{Named, Ref, Table};
pub use task::{
    Again, AttemptView, Cause, Rare, RefusedTool, Rest, Status, TaskView, ToolView, TurnView,
    UnderWay, WaitView,
};

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

/// Different failures that are looked through for one that is alike, the latest. Of
/// ten thousand tasks that a wrong key fails, all share one.
const FAILURES_COMPARED_MAX: usize = 64;

/// A run as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RunView {
    /// How many events it has taken in.
    pub position: Position,
    /// The flow's name.
    pub name: Arc<str>,
    /// The flow as the latest execution found it, with the folder that the run belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<FlowSource>,
    /// Which execution of the flow this is, from 1; a resume begins the next.
    pub execution: u32,
    /// Where it stands.
    pub stage: Stage,
    /// How many attempts may be under way.
    pub in_flight_max: u32,
    /// How many of them programs may carry out.
    pub programs_max: u32,
    /// When its first event was recorded.
    pub started_at: Timestamp,
    /// When the current execution began.
    pub began_at: Timestamp,
    /// When it last parked or ended; the start of the run before that.
    pub ended_at: Timestamp,
    /// How long it was at work, and how long at rest.
    pub span: Span,
    /// When it goes on by itself, if it is parked and the process that drives it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wakes_at: Option<Timestamp>,
    /// Its money.
    pub money: Budget,
    /// What earlier executions had spent.
    pub spent_before: Spent,
    /// Tokens of all its tasks.
    pub usage: Usage,
    /// Tasks of the current execution, counted.
    pub counts: Counts,
    /// How many of them were found in the journal with an outcome.
    pub reused: u32,
    /// What those had cost.
    pub saved: PicoUsd,
    /// What it was expected to cost and take, as last said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// Its progress groups.
    pub phases: Table<PhaseView>,
    /// The models that were asked or have answered.
    pub models: Table<ModelView>,
    /// Names of executors and kinds, and reasons of skipped tasks.
    pub words: Table<Arc<str>>,
    /// Places in the flow.
    pub sites: Table<CallSite>,
    /// What the flow asked for together, in the order in which it was recorded.
    pub groups: Vec<GroupView>,
    /// Why tasks and attempts have failed, alike ones once.
    pub failures: Vec<Failure>,
    /// All tasks there ever were, by their numbers.
    pub tasks: Vec<TaskView>,
    /// All attempts, in the order in which they were scheduled.
    pub attempts: Vec<AttemptView>,
    /// All replies, in the order in which they were recorded.
    pub turns: Vec<TurnView>,
    /// All waits that are over, in the order in which they were recorded.
    pub waits: Vec<WaitView>,
    /// All calls of tools, in the order in which they were recorded.
    pub tools: Vec<ToolView>,
    /// Attempts under way, by task.
    pub under_way: BTreeMap<TaskId, UnderWay>,
    /// Attempts that wait for something outside of the process, by task.
    pub suspended: BTreeMap<TaskId, UnderWay>,
    /// Tasks that wait to be tried again.
    pub resting: BTreeMap<TaskId, Rest>,
    /// What the flow asked for in the current execution and was not done, and how often.
    pub refused: Vec<(Refusal, u64)>,
    /// The first exception of the current execution that had no handler, and how many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uncaught: Option<(Arc<str>, u32)>,
    /// What the flow returned, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<Result<Content, Box<Failure>>>,
    /// When as many attempts were under way as may be.
    full: FullTimes,
    /// When no program could start: for that reason, or because as many were at work as may be.
    full_of_programs: FullTimes,
    /// How many of the attempts under way are carried out by programs.
    programs: u32,
    /// When tasks could last begin to start: nothing did before.
    running_since: Timestamp,
    /// How many outcomes have been recorded.
    outcomes: u32,
    /// The places of groups by the numbers that the flow now has for them.
    numbers: BTreeMap<u32, Ref>,
    /// Tasks whose attempt has failed, until it is recorded what follows.
    failing: BTreeMap<TaskId, Ref>,
    /// Titles that the flow itself has begun.
    announced: BTreeSet<Arc<str>>,
}

/// A progress group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhaseView {
    /// Its title.
    pub title: Arc<str>,
    /// The latest execution that has named it.
    pub execution: u32,
    /// Its money.
    pub money: Budget,
    /// Tokens of its tasks.
    pub usage: Usage,
    /// Tasks of the current execution in it.
    pub total: u32,
    /// Those that have an outcome.
    pub ended: u32,
    /// Those of them that have failed.
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

/// What one model has cost.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ModelView {
    /// Its id.
    pub id: Arc<str>,
    /// How many replies name it.
    pub replies: u64,
    /// Tokens by the classes that vendors price apart.
    pub usage: Usage,
    /// What was spent on it.
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

/// Tasks that the flow asks for together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupView {
    /// What asks for them.
    pub kind: GroupKind,
    /// The group that this one is part of, among the groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Ref>,
    /// Functions or items it was given.
    pub width: u32,
    /// Where the flow does so, among the sites.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<Ref>,
}

impl RunView {
    /// The view of a run with these events, in their order.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Self {
        let mut view = Self::default();
        events.into_iter().for_each(|recorded| view.apply(recorded));
        view
    }

    /// One task.
    pub fn task(&self, id: TaskId) -> Option<&TaskView> {
        self.tasks.get(id.index())
    }

    /// All tasks that the current execution asked for, in order of submission.
    pub fn current(&self) -> impl DoubleEndedIterator<Item = (TaskId, &TaskView)> {
        self.all()
            .filter(|(_, task)| task.execution == self.execution)
    }

    /// Tasks of earlier executions that the current one has not asked for.
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

    /// Tasks of the current execution that wait for something outside of the process.
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

    /// The title of its progress group.
    pub fn phase_of(&self, task: &TaskView) -> Option<&Arc<str>> {
        Some(&self.phases.get(task.phase?)?.title)
    }

    /// The id of the model that its latest reply named, or else of the one it was sent to.
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

    /// What it has waited for, as far as that is over.
    pub fn waits_of(&self, id: TaskId) -> impl Iterator<Item = &WaitView> {
        self.waits.iter().filter(move |wait| wait.task == id)
    }

    /// Why it has failed, without what there was of a result.
    pub fn failure_of(&self, task: &TaskView) -> Option<&Failure> {
        self.failures
            .get(task.why.filter(|_| task.status == Status::Failed)?.index())
    }

    /// Why it was never tried.
    pub fn skipped_because(&self, task: &TaskView) -> Option<&Arc<str>> {
        self.words
            .get(task.why.filter(|_| task.status == Status::Skipped)?)
    }

    /// Progress groups that the flow itself has begun, or that have tasks now.
    pub fn shown_phases(&self) -> impl Iterator<Item = (Ref, &PhaseView)> {
        let places = self.phases.iter().enumerate();
        let places = places.map(|(index, phase)| (Ref::last(index + 1), phase));
        places.filter(|(_, phase)| phase.total > 0 || self.announced.contains(&phase.title))
    }

    /// What the current execution has spent.
    pub fn spent(&self) -> Spent {
        self.money.spent().since(self.spent_before)
    }

    /// What replies have cost in the current execution above what was set aside for them.
    pub fn overcharged(&self) -> PicoUsd {
        self.spent().over
    }

    /// When it goes on by itself; whether the process that waits for it still lives, a
    /// journal cannot tell.
    pub fn waits_until(&self) -> Option<Timestamp> {
        self.wakes_at
            .filter(|_| matches!(self.stage, Stage::Parked(_)))
    }
}
