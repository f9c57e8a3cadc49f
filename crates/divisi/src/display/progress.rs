//! What is known of a run while it goes on.
//!
//! The run itself is the same state that a replay leads to. Beside it stands
//! only what a display needs at every frame and could not look up as fast, and
//! what is no fact.

use divisi_core::budget::Spent;
use divisi_core::event::TaskSubmitted;
use divisi_core::outcome::Remedy;
use divisi_core::run::TaskState;
use divisi_core::{
    AttemptId, Event, Failure, FailureClass, IllegalEvent, Outcome, Recorded, Run, RunId, TaskId, Timestamp,
};
use divisi_engine::{Signal, WaitsFor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of a run while it goes on.
pub(crate) struct Progress {
    pub(crate) id: RunId,
    pub(crate) run: Run,
    /// When the current execution of the flow began.
    pub(crate) began: Timestamp,
    /// What earlier executions had spent.
    pub(crate) spent_before: Spent,
    pub(crate) phases: Vec<PhaseProgress>,
    phase_of: BTreeMap<Arc<str>, usize>,
    pub(crate) under_way: BTreeMap<AttemptId, UnderWay>,
    pub(crate) resting: BTreeMap<TaskId, Rest>,
    /// Why the latest attempt of a task failed, until it is said what follows.
    failing: BTreeMap<TaskId, FailureClass>,
}

/// A progress group, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PhaseProgress {
    pub(crate) title: Arc<str>,
    pub(crate) ended: u32,
    pub(crate) failed: u32,
    pub(crate) total: u32,
}

/// An attempt under way.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay {
    pub(crate) since: Timestamp,
    /// About so many tokens of the current reply have arrived.
    pub(crate) writing: u64,
    /// The tool at work.
    pub(crate) tool: Option<Arc<str>>,
    /// What its next request waits for.
    pub(crate) waits: Option<Wait>,
}

/// A request that may not leave yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) why: Why,
    /// When the next one may leave, or this one does at the latest.
    pub(crate) until: Option<Timestamp>,
}

/// Why a request may not leave yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    Limit,
    Room,
    Cache,
}

/// A task that waits to be tried again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rest {
    pub(crate) due: Timestamp,
    pub(crate) why: FailureClass,
}

impl Progress {
    /// What is known of a run that stands like this.
    pub(crate) fn new(id: RunId, run: Run) -> Self {
        Self {
            id,
            began: run.started_at(),
            run,
            spent_before: Spent::default(),
            phases: vec![],
            phase_of: BTreeMap::new(),
            under_way: BTreeMap::new(),
            resting: BTreeMap::new(),
            failing: BTreeMap::new(),
        }
    }

    /// Learns a fact. Fails, and changes nothing, if it cannot follow.
    pub(crate) fn apply(&mut self, recorded: &Recorded) -> Result<(), IllegalEvent> {
        let at = recorded.at;
        self.run.apply(at, &recorded.event)?;
        match &recorded.event {
            Event::RunStarted(_) => self.began = at,
            Event::RunResumed(_) => self.begin_again(at),
            Event::PhaseStarted { title, .. } => {
                self.phase(title);
            }
            Event::TaskSubmitted(submitted) => self.submitted(submitted),
            Event::TaskClaimed { task, .. } => self.claimed(*task),
            Event::AttemptScheduled { attempt, .. } => {
                self.resting.remove(&attempt.task);
                self.under_way.insert(*attempt, UnderWay { since: at, writing: 0, tool: None, waits: None });
            }
            Event::TurnScheduled { attempt, .. } | Event::TurnEnded { attempt, .. } => {
                if let Some(under_way) = self.under_way.get_mut(attempt) {
                    under_way.writing = 0;
                    under_way.tool = None;
                    under_way.waits = None;
                }
            }
            Event::AttemptEnded { attempt, failure, .. } => self.attempt_ended(*attempt, failure.as_deref()),
            Event::AttemptSuspended { attempt, .. } => _ = self.under_way.remove(attempt),
            Event::RetryPlanned { task, due } => self.retry_planned(*task, *due),
            Event::TaskEnded { task, outcome } => self.ended(*task, outcome),
            Event::CaughtUp { .. }
            | Event::Estimated { .. }
            | Event::SoftLimitReached { .. }
            | Event::Logged { .. }
            | Event::Refused { .. }
            | Event::Uncaught { .. }
            | Event::ParkingStarted { .. }
            | Event::TurnHedged { .. }
            | Event::HedgeEnded { .. }
            | Event::RunParked { .. }
            | Event::WaitStarted { .. }
            | Event::RunWoken
            | Event::FlowEnded { .. }
            | Event::RunEnded { .. } => {}
        }
        Ok(())
    }

    /// Learns something that is no fact. What has ended meanwhile is ignored.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let (attempt, writing, tool, waits) = match signal {
            Signal::Writing { attempt, tokens } => (attempt, tokens, None, None),
            Signal::Held { attempt, until } => {
                (attempt, 0, None, Some(Wait { why: Why::Cache, until: Some(until) }))
            }
            Signal::Waiting { attempt, why, until } => {
                let why = match why {
                    WaitsFor::Limit => Why::Limit,
                    WaitsFor::Room => Why::Room,
                };
                (attempt, 0, None, Some(Wait { why, until }))
            }
            Signal::Tool { attempt, what } => (attempt, 0, Some(what), None),
        };
        if let Some(under_way) = self.under_way.get_mut(&attempt) {
            under_way.writing = writing;
            under_way.tool = tool;
            under_way.waits = waits;
        }
    }

    /// How many requests are out, and how many tools and programs are at work. What
    /// waits for its turn is neither.
    pub(crate) fn at_work(&self) -> (usize, usize) {
        let asks =
            |attempt: AttemptId| self.run.task(attempt.task).is_some_and(|task| task.model().is_some());
        let busy = self.under_way.iter().filter(|(_, under_way)| under_way.waits.is_none());
        let (asking, working): (Vec<_>, Vec<_>) =
            busy.partition(|(attempt, under_way)| under_way.tool.is_none() && asks(**attempt));
        (asking.len(), working.len())
    }

    /// The name of a task, for people.
    pub(crate) fn label(&self, task: TaskId) -> String {
        self.run.task(task).map_or_else(|| task.to_string(), |state| label(task, state))
    }

    /// What this execution has spent.
    pub(crate) fn spent(&self) -> Spent {
        self.run.budget().spent().since(self.spent_before)
    }

    fn begin_again(&mut self, at: Timestamp) {
        self.began = at;
        self.spent_before = self.run.budget().spent();
        self.phases.clear();
        self.phase_of.clear();
        self.under_way.clear();
        self.resting.clear();
        self.failing.clear();
    }

    fn phase(&mut self, title: &Arc<str>) -> &mut PhaseProgress {
        let index = *self.phase_of.entry(title.clone()).or_insert_with(|| {
            self.phases.push(PhaseProgress { title: title.clone(), ended: 0, failed: 0, total: 0 });
            self.phases.len() - 1
        });
        &mut self.phases[index]
    }

    fn submitted(&mut self, submitted: &TaskSubmitted) {
        if let Some(title) = &submitted.facts.phase {
            self.phase(title).total += 1;
        }
    }

    fn claimed(&mut self, id: TaskId) {
        let Some(task) = self.run.task(id) else { return };
        let Some(title) = task.facts().phase.clone() else { return };
        let (ended, failed) = (task.outcome().is_some(), matches!(task.outcome(), Some(Outcome::Failed(_))));
        let phase = self.phase(&title);
        phase.total += 1;
        phase.ended += u32::from(ended);
        phase.failed += u32::from(failed);
    }

    fn attempt_ended(&mut self, attempt: AttemptId, failure: Option<&Failure>) {
        self.under_way.remove(&attempt);
        if let Some(failure) = failure {
            self.failing.insert(attempt.task, failure.class);
        }
    }

    fn retry_planned(&mut self, task: TaskId, due: Timestamp) {
        let Some(why) = self.failing.remove(&task) else { return };
        match why.remedy() {
            Remedy::Retry | Remedy::Wait => {
                self.resting.insert(task, Rest { due, why });
            }
            // These wait for nothing of their own.
            Remedy::Repeat | Remedy::Park | Remedy::GiveUp => {}
        }
    }

    fn ended(&mut self, id: TaskId, outcome: &Outcome) {
        self.failing.remove(&id);
        self.resting.remove(&id);
        let title = self.run.task(id).and_then(|task| task.facts().phase.clone());
        if let Some(title) = title {
            let phase = self.phase(&title);
            phase.ended += 1;
            phase.failed += u32::from(matches!(outcome, Outcome::Failed(_)));
        }
    }
}

/// The name of a task, for people: its label, or else its number.
pub(crate) fn label(id: TaskId, state: &TaskState) -> String {
    let label = super::text::line(&state.facts().label);
    if label.is_empty() { id.to_string() } else { label }
}
