//! A run: its state, its decisions, and the effect of events.
//!
//! A run is fed with tasks while it runs, by a script, a plan or a program; it does not know which.
//! It uses nothing of a result but whether there is one: what a result means for the next task is
//! up to the flow.

mod apply;
mod decide;
mod hedge;
mod input;
mod keys;
mod parking;
mod schedule;
mod lengths;
mod room;
mod siblings;
mod span;
mod task_state;
mod tasks;
mod timers;
mod questions;
#[cfg(test)]
mod tests;
mod waiting;

pub use apply::IllegalEvent;
pub use input::{AttemptEnd, Bill, Input, Report, Submission};
pub use span::Span;
pub use task_state::{KeptTurn, Session, TaskStage, TaskState};

use crate::budget::Budgets;
use crate::estimate::Estimate;
use crate::event::{Caps, FlowSource, GroupBegan, ParkReason, Refusal, RunStatus};
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

/// One run of a flow, as recorded in its journal.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Run {
    name: Arc<str>,
    flow: Option<FlowSource>,
    stage: Stage,
    limits: Limits,
    caps: Caps,
    /// The cap that was set while the current execution was under way.
    changed_cap: Option<PicoUsd>,
    budgets: Budgets,
    /// Whether `SoftLimitReached` was recorded in this execution.
    warned: bool,
    usage: Usage,
    tasks: Tasks,
    keys: Keys,
    /// Number of the execution, from 1; a resume begins the next.
    execution: u32,
    counts: Counts,
    reused: u32,
    saved: PicoUsd,
    waiting: Waiting,
    /// Open timers of the current execution, by the moment at which they have their outcome.
    timers: BTreeSet<(Timestamp, TaskId)>,
    siblings: Siblings,
    in_flight: BTreeMap<AttemptId, InFlight>,
    /// Number of programs among the attempts in flight.
    programs: usize,
    suspended: BTreeMap<AttemptId, Suspended>,
    /// When suspended attempts stop waiting for their answer.
    expiries: BTreeSet<(Timestamp, AttemptId)>,
    outcomes: u32,
    phases: Vec<Arc<str>>,
    /// The flow's groups, as last recorded.
    groups: BTreeMap<u32, GroupBegan>,
    logs: u32,
    /// What was refused in the current execution, and how often.
    refused: BTreeMap<Refusal, u64>,
    /// The first uncaught exception of the current execution, and their number.
    uncaught: Option<(Arc<str>, u32)>,
    /// Overcharges before this execution.
    over_before: PicoUsd,
    logged: BTreeSet<Digest>,
    /// The latest estimate, with its execution.
    estimate: Option<(u32, Estimate)>,
    flow_ended: Option<Result<Content, Box<Failure>>>,
    /// When a parked run continues by itself, if its process waits.
    wakes_at: Option<Timestamp>,
    /// Number of wakes since quota was last available for a task that had been refused for want of
    /// it.
    wakes: u32,
    started_at: Timestamp,
    ended_at: Timestamp,
    span: Span,
}

/// An attempt in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct InFlight {
    /// Whether its latest request has not been answered yet.
    asks: bool,
    /// Reservation of that request, until it is answered.
    reserved: PicoUsd,
    /// Cost reported so far, already taken out of the reservation.
    reported: PicoUsd,
    /// Reservation of the hedge, until one of the two copies has ended.
    hedged: Option<PicoUsd>,
}

/// A suspended attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Suspended {
    /// Reservation kept for its further cost.
    reserved: PicoUsd,
    /// When it stops waiting for its answer.
    until: Option<Timestamp>,
}

/// The stage of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Nothing has been recorded yet.
    #[default]
    Unstarted,
    /// The flow is executed again; no attempt starts until it has caught up.
    Replaying,
    /// Attempts start.
    Running,
    /// No attempt starts; those in flight finish.
    Parking(ParkReason),
    /// Nothing happens until the run is resumed.
    Parked(ParkReason),
    /// The run has ended.
    Ended(RunStatus),
}

/// Number of tasks of the current execution, by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Ended with a result.
    pub ok: u32,
    /// Ended without a result.
    pub failed: u32,
    /// Never started.
    pub skipped: u32,
    /// Stopped by the user.
    pub cancelled: u32,
    /// Without an outcome yet.
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

    /// The sum.
    pub fn total(&self) -> u32 {
        self.ok + self.failed + self.skipped + self.cancelled + self.open
    }
}

impl Run {
    /// Most phases of a run; more than a user would read.
    pub const PHASES_MAX: usize = 1_000;

    /// A run without events.
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

    /// Its stage.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The limits on its size.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The money of the whole run.
    pub fn budget(&self) -> &Budget {
        &self.budgets.run
    }

    /// The least cap under which one of the waiting tasks could start; `None` if a higher cap would
    /// help none of them.
    pub fn cap_least(&self) -> Option<PicoUsd> {
        let least = self
            .waiting
            .all()
            .filter_map(|id| self.least_start(id))
            .min()?;
        Some(self.budgets.run.spent().total() + self.budgets.run.reserved + least)
    }

    /// The money of phases that have a cap or have spent something.
    pub fn phase_budgets(&self) -> impl Iterator<Item = (&Arc<str>, &Budget)> {
        self.budgets.phases.iter()
    }

    /// The cap that was set while the current execution was under way. A resume that states no
    /// other keeps it.
    pub fn changed_cap(&self) -> Option<PicoUsd> {
        self.changed_cap
    }

    /// Tokens of all its tasks, those of earlier executions included.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// Number of tasks of the current execution, by state.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Requests of the flow that were refused in the current execution, and how often. Refused
    /// tools are listed with their tasks.
    pub fn refused(&self) -> impl Iterator<Item = (&Refusal, u64)> {
        self.refused
            .iter()
            .map(|(refusal, count)| (refusal, *count))
    }

    /// The first uncaught exception of the current execution with its line, and their number.
    pub fn uncaught(&self) -> Option<(&str, u32)> {
        self.uncaught
            .as_ref()
            .map(|(message, count)| (&**message, *count))
    }

    /// The overcharges of the current execution.
    pub fn overcharged(&self) -> PicoUsd {
        self.budgets.run.over.saturating_sub(self.over_before)
    }

    /// Tasks whose outcome the current execution took from the journal.
    pub fn reused(&self) -> u32 {
        self.reused
    }

    /// Which execution of the flow this is, from 1.
    pub fn execution(&self) -> u32 {
        self.execution
    }

    /// Number of attempts in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// What is reserved for this attempt; nothing if it is not in flight.
    pub fn reserved(&self, attempt: AttemptId) -> PicoUsd {
        let in_flight = self.in_flight.get(&attempt);
        in_flight.map_or(PicoUsd::ZERO, |in_flight| in_flight.reserved)
    }

    /// Suspended tasks of this execution.
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

    /// Whether the next request of this key claims a known task.
    pub fn knows(&self, key: &Key) -> bool {
        self.keys.next(key).1.is_some()
    }

    /// The group with this number, as last recorded.
    pub fn group(&self, group: u32) -> Option<&GroupBegan> {
        self.groups.get(&group)
    }

    /// The phases, in the order of their beginning.
    pub fn phases(&self) -> &[Arc<str>] {
        &self.phases
    }

    /// The latest estimate; `None` if there is none.
    pub fn estimate(&self) -> Option<&Estimate> {
        self.estimate.as_ref().map(|(_, estimate)| estimate)
    }

    /// What the flow returned, or why it failed; `None` while it runs.
    pub fn result(&self) -> Option<Result<&Content, &Failure>> {
        self.flow_ended
            .as_ref()
            .map(|ended| ended.as_ref().map_err(|failure| failure.as_ref()))
    }

    /// When a parked run continues by itself, if its process waits. The journal does not show
    /// whether that process still runs.
    pub fn waits_until(&self) -> Option<Timestamp> {
        self.wakes_at
            .filter(|_| matches!(self.stage, Stage::Parked(_)))
    }

    /// When its first event was recorded.
    pub fn started_at(&self) -> Timestamp {
        self.started_at
    }

    /// When it last parked or ended; before that, its start.
    pub fn ended_at(&self) -> Timestamp {
        self.ended_at
    }

    /// Its time at work and its time parked.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The task with this number, if it exists.
    pub fn task(&self, id: TaskId) -> Option<&TaskState> {
        self.tasks.get(id)
    }

    /// The tasks requested in the current execution, in order of submission.
    pub fn tasks(&self) -> impl Iterator<Item = (TaskId, &TaskState)> {
        self.all_tasks()
            .filter(|(_, task)| task.claimed_in == self.execution)
    }

    /// The tasks of earlier executions that the current one has not requested.
    pub fn earlier_tasks(&self) -> impl Iterator<Item = (TaskId, &TaskState)> {
        self.all_tasks()
            .filter(|(_, task)| task.claimed_in != self.execution)
    }

    /// All tasks there ever were, those of earlier executions included.
    pub fn all_tasks(&self) -> impl Iterator<Item = (TaskId, &TaskState)> {
        self.tasks.iter()
    }

    /// Earliest time at which [`Input::Tick`] may decide something: the next affordable retry, a
    /// timer, or the end of the quota wait. Never in the past once a tick has decided nothing.
    pub fn wake_at(&self) -> Option<Timestamp> {
        if let Some(until) = self.waits_until() {
            return Some(until);
        }
        let timed = self.next_timer().into_iter().chain(self.next_expiry());
        timed.chain(self.next_retry()).min()
    }

    /// The time of the next affordable retry.
    fn next_retry(&self) -> Option<Timestamp> {
        if self.stage != Stage::Running || self.slots_free() == 0 {
            return None;
        }
        let mut resting = self.waiting.resting().filter(|(_, id)| self.has_slot(*id));
        if self.in_flight.is_empty() {
            // With nothing in flight, a task may also start with a shorter reply.
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
        // If none of the first ones is affordable, the cheapest of all decides.
        first.find(fits).map(|(due, _)| due).or_else(|| {
            let cheapest = self.waiting.cheapest(&self.budgets);
            let mut cheapest = cheapest
                .take(Self::BUDGET_SCAN_MAX)
                .filter_map(|id| Some((due(id)?, id)));
            cheapest.find(fits).map(|(due, _)| due)
        })
    }

    fn slots_free(&self) -> usize {
        // At least one slot, because without any the run would wait for ever.
        (self.limits.in_flight_max.max(1) as usize).saturating_sub(self.in_flight.len())
    }

    fn slots_of_programs_free(&self) -> usize {
        (self.limits.programs_max.max(1) as usize).saturating_sub(self.programs)
    }

    fn has_slot(&self, id: TaskId) -> bool {
        !self.tasks[id].facts.is_program || self.slots_of_programs_free() > 0
    }
}
