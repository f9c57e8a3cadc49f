//! A run: its state, what it decides and how events change it.
//!
//! A run is fed with tasks while it runs, by a script, a plan or a program;
//! it does not know which. It knows nothing of results either, except whether
//! there is one: what a result means for the next task is the flow's business.

mod apply;
mod decide;
mod hedge;
mod input;
mod keys;
mod parking;
mod schedule;
mod room;
mod siblings;
mod span;
mod task_state;
mod tasks;
#[cfg(test)]
mod tests;
mod waiting;

pub use apply::IllegalEvent;
pub use input::{AttemptEnd, Bill, Input, Report, Submission};
pub use span::Span;
pub use task_state::{KeptTurn, Session, TaskStage, TaskState};

use crate::budget::Budgets;
use crate::event::{Caps, FlowSource, GroupBegan, ParkReason, Refusal, RunStatus};
use crate::preflight::Estimate;
use crate::{
    AttemptId, Budget, Content, Digest, Failure, Key, Limits, Outcome, PicoUsd, TaskId, Timestamp,
    Usage,
};
use keys::Keys;
use serde::{Deserialize, Serialize};
use siblings::Siblings;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tasks::Tasks;
use waiting::Waiting;

/// One execution of a flow, as its journal tells it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    name: Arc<str>,
    flow: Option<FlowSource>,
    stage: Stage,
    limits: Limits,
    caps: Caps,
    budgets: Budgets,
    /// Whether it has been said that most of the budget is spent.
    warned: bool,
    usage: Usage,
    tasks: Tasks,
    keys: Keys,
    /// Which execution of the flow this is, from 1; a resume begins the next.
    execution: u32,
    counts: Counts,
    reused: u32,
    saved: PicoUsd,
    waiting: Waiting,
    siblings: Siblings,
    in_flight: BTreeMap<AttemptId, InFlight>,
    /// How many of these are carried out by programs.
    programs: usize,
    /// Attempts that wait for something outside, and what stays reserved for each.
    suspended: BTreeMap<AttemptId, PicoUsd>,
    outcomes: u32,
    phases: Vec<Arc<str>>,
    /// What the flow has asked for together, as last recorded.
    groups: BTreeMap<u32, GroupBegan>,
    logs: u32,
    /// What the current execution asked for and was not done, and how often.
    refused: BTreeMap<Refusal, u64>,
    /// The first exception of the current execution that had no handler, and how many.
    uncaught: Option<(Arc<str>, u32)>,
    /// What replies had cost above their reservations when it began.
    over_before: PicoUsd,
    logged: BTreeSet<Digest>,
    /// What it was expected to cost, and in which execution that was said.
    estimate: Option<(u32, Estimate)>,
    flow_ended: Option<Result<Content, Box<Failure>>>,
    /// When the parked run goes on by itself, if the process that drives it waits.
    wakes_at: Option<Timestamp>,
    /// How often it has gone on by itself since there was quota for a task that
    /// had been refused for want of it.
    wakes: u32,
    started_at: Timestamp,
    ended_at: Timestamp,
    span: Span,
}

/// An attempt under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct InFlight {
    /// Whether its latest request has not been answered yet.
    asks: bool,
    /// Set aside for that one until then.
    reserved: PicoUsd,
    /// What it is said to have cost so far, of what was set aside before.
    reported: PicoUsd,
    /// Set aside for the same request sent a second time, until one of the two
    /// has ended.
    hedged: Option<PicoUsd>,
}

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing has been recorded yet.
    #[default]
    Unstarted,
    /// The flow is executed again; nothing starts until it has caught up.
    Replaying,
    /// Tasks start.
    Running,
    /// Nothing new starts; what is in flight finishes.
    Parking(ParkReason),
    /// Nothing happens until the run is resumed.
    Parked(ParkReason),
    /// Over.
    Ended(RunStatus),
}

/// Tasks of the current execution, by where they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Ended with a result.
    pub ok: u32,
    /// Ended without.
    pub failed: u32,
    /// Never tried.
    pub skipped: u32,
    /// Stopped by a person.
    pub cancelled: u32,
    /// No outcome yet.
    pub open: u32,
}

impl Counts {
    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Ok { .. } => self.ok += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Skipped { .. } => self.skipped += 1,
            Outcome::Cancelled => self.cancelled += 1,
        }
    }

    /// All of them.
    pub fn total(&self) -> u32 {
        self.ok + self.failed + self.skipped + self.cancelled + self.open
    }
}

impl Run {
    /// Progress groups a run may have; more than anyone would scroll through.
    pub const PHASES_MAX: usize = 1_000;

    /// A run of which nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The flow's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The flow as the latest execution found it.
    pub fn flow(&self) -> Option<&FlowSource> {
        self.flow.as_ref()
    }

    /// Where it stands.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// How large it may grow.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Its money.
    pub fn budget(&self) -> &Budget {
        &self.budgets.run
    }

    /// The least cap under which one of the tasks that wait could start; `None`
    /// where nothing waits that more money would help.
    pub fn cap_least(&self) -> Option<PicoUsd> {
        let least = self
            .waiting
            .all()
            .filter_map(|id| self.least_start(id))
            .min()?;
        Some(self.budgets.run.spent().total() + self.budgets.run.reserved + least)
    }

    /// The money of its phases, of those that have spent something or have a cap.
    pub fn phase_budgets(&self) -> impl Iterator<Item = (&Arc<str>, &Budget)> {
        self.budgets.phases.iter()
    }

    /// Tokens of all its tasks, those of earlier executions included.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Tasks of the current execution, counted.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What the flow asked for in the current execution and was not done, and how
    /// often. What agents asked for stands with their tasks.
    pub fn refused(&self) -> impl Iterator<Item = (&Refusal, u64)> {
        self.refused
            .iter()
            .map(|(refusal, count)| (refusal, *count))
    }

    /// The first exception in the flow that had no handler, with its line, and how
    /// many there were, in the current execution.
    pub fn uncaught(&self) -> Option<(&str, u32)> {
        self.uncaught
            .as_ref()
            .map(|(message, count)| (&**message, *count))
    }

    /// What replies have cost in the current execution above what was set aside for them.
    pub fn overcharged(&self) -> PicoUsd {
        self.budgets.run.over.saturating_sub(self.over_before)
    }

    /// How many tasks the current execution found in the journal with an outcome.
    pub fn reused(&self) -> u32 {
        self.reused
    }

    /// Which execution of the flow this is, from 1.
    pub fn execution(&self) -> u32 {
        self.execution
    }

    /// How many attempts are under way.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Tasks of this execution that wait for something outside of the process.
    pub fn suspended(&self) -> impl Iterator<Item = TaskId> {
        self.suspended
            .keys()
            .map(|attempt| attempt.task)
            .filter(|task| self.is_claimed(*task))
    }

    fn is_claimed(&self, task: TaskId) -> bool {
        self.task(task)
            .is_some_and(|task| task.claimed_in == self.execution)
    }

    /// Whether the flow has asked for this before, so that asking again claims a task.
    pub fn knows(&self, key: &Key) -> bool {
        self.keys.next(key).1.is_some()
    }

    /// What the flow has asked for together under this number, as last recorded.
    pub fn group(&self, group: u32) -> Option<&GroupBegan> {
        self.groups.get(&group)
    }

    /// Progress groups in the order in which they began.
    pub fn phases(&self) -> &[Arc<str>] {
        &self.phases
    }

    /// What it was expected to cost and take when the latest execution began
    /// that was estimated; `None` where none was.
    pub fn estimate(&self) -> Option<&Estimate> {
        self.estimate.as_ref().map(|(_, estimate)| estimate)
    }

    /// What the flow returned, or why it failed; `None` while it goes on.
    pub fn result(&self) -> Option<Result<&Content, &Failure>> {
        self.flow_ended
            .as_ref()
            .map(|ended| ended.as_ref().map_err(|failure| failure.as_ref()))
    }

    /// When it goes on by itself, if it is parked and the process that drives it
    /// waits; whether that process still lives, a journal cannot tell.
    pub fn waits_until(&self) -> Option<Timestamp> {
        self.wakes_at
            .filter(|_| matches!(self.stage, Stage::Parked(_)))
    }

    /// When its first event was recorded.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// When it last parked or ended; the start of the run before that.
    pub fn ended_at(&self) -> Timestamp {
        self.ended_at
    }

    /// How long it was at work, and how long at rest.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// One task, if there is one of that number.
    pub fn task(&self, id: TaskId) -> Option<&TaskState> {
        self.tasks.get(id)
    }

    /// All tasks that the current execution asked for, in order of submission.
    pub fn tasks(&self) -> impl Iterator<Item = (TaskId, &TaskState)> {
        self.all_tasks()
            .filter(|(_, task)| task.claimed_in == self.execution)
    }

    /// Tasks of earlier executions that the current one has not asked for.
    pub fn earlier_tasks(&self) -> impl Iterator<Item = (TaskId, &TaskState)> {
        self.all_tasks()
            .filter(|(_, task)| task.claimed_in != self.execution)
    }

    /// All tasks there ever were, those of earlier executions included.
    pub fn all_tasks(&self) -> impl Iterator<Item = (TaskId, &TaskState)> {
        self.tasks.iter()
    }

    /// When to decide again even if nothing happens: the end of the first rest
    /// of a task that the budget holds, or of the whole run's. Never past, once a
    /// tick has nothing to add.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if let Some(until) = self.waits_until() {
            return Some(until);
        }
        if self.stage != Stage::Running || self.slots_free() == 0 {
            return None;
        }
        let mut resting = self.waiting.resting().filter(|(_, id)| self.has_slot(*id));
        if self.in_flight.is_empty() {
            // With less room for its reply, if need be.
            return resting
                .find(|(_, id)| self.is_hopeful(*id))
                .map(|(due, _)| due);
        }
        if !self.waiting.any_fits(&self.budgets) {
            return None;
        }
        let due = |id: TaskId| match self.tasks[id].stage {
            TaskStage::Resting(due) if self.has_slot(id) => Some(due),
            _ => None,
        };
        let mut first = resting.take(Self::BUDGET_SCAN_MAX);
        let fits = |&(_, id): &(Timestamp, TaskId)| {
            let task = &self.tasks[id];
            let left = self.budgets.left(task.facts.phase.as_ref());
            task.wanted().is_none() || self.fits(id, left)
        };
        // Behind too many that are too dear, the cheapest will do.
        first.find(fits).map(|(due, _)| due).or_else(|| {
            let cheapest = self.waiting.cheapest(&self.budgets);
            let mut cheapest = cheapest
                .take(Self::BUDGET_SCAN_MAX)
                .filter_map(|id| Some((due(id)?, id)));
            cheapest.find(fits).map(|(due, _)| due)
        })
    }

    fn slots_free(&self) -> usize {
        // With no slot at all the run would wait for ever.
        (self.limits.in_flight_max.max(1) as usize).saturating_sub(self.in_flight.len())
    }

    fn slots_of_programs_free(&self) -> usize {
        (self.limits.programs_max.max(1) as usize).saturating_sub(self.programs)
    }

    fn has_slot(&self, id: TaskId) -> bool {
        !self.tasks[id].facts.is_program || self.slots_of_programs_free() > 0
    }
}
