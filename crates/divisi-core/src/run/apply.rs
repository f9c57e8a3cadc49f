//! How recorded events change a run: the only way its state changes.

use super::{InFlight, KeptTurn, Run, Stage, TaskStage, TaskState};
use crate::event::{RunResumed, RunStarted, TaskSubmitted, Turn};
use crate::retry::Tries;
use crate::{AttemptId, Digest, Event, Failure, Outcome, PicoUsd, TaskId, Timestamp, Usage};
use std::cmp::Reverse;

/// An event that cannot follow what has been applied before it.
///
/// A journal that holds one was not written by divisi, or was damaged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal holds an event that cannot follow: {0}")]
pub struct IllegalEvent(pub String);

impl Run {
    /// Makes one recorded event true.
    ///
    /// Live and in replay the same code runs. `at` is when the event was
    /// decided. Fails, and changes nothing, if the event cannot follow.
    pub fn apply(&mut self, at: Timestamp, event: &Event) -> Result<(), IllegalEvent> {
        if matches!(event, Event::RunStarted(_)) != (self.stage == Stage::Unstarted) {
            return Err(IllegalEvent(format!("{event:?} in a run that is {:?}", self.stage)));
        }
        match event {
            Event::RunStarted(started) => self.apply_started(at, started),
            Event::RunResumed(resumed) => self.apply_resumed(resumed)?,
            Event::CaughtUp { .. } => self.stage = Stage::Running,
            Event::PhaseStarted { title } => self.phases.push(title.clone()),
            Event::Logged { message } => {
                self.logged.insert(Digest::of(message.as_bytes()));
            }
            Event::TaskSubmitted(submitted) => self.apply_submitted(submitted)?,
            Event::TaskClaimed { task, facts } => self.apply_claimed(*task, facts.as_deref())?,
            Event::AttemptScheduled { attempt, model, reserved } => {
                self.apply_scheduled(at, *attempt, model.as_ref(), *reserved)?;
            }
            Event::TurnScheduled { attempt, tool_results, reserved } => {
                let in_flight = self.under_way(*attempt)?;
                let released = std::mem::replace(&mut in_flight.reserved, *reserved);
                self.budget.settle(released, PicoUsd::ZERO);
                self.budget.reserve(*reserved);
                if let Some(turn) = self.tasks[attempt.task.index()].turns.last_mut() {
                    turn.tool_results.clone_from(tool_results);
                }
            }
            Event::TurnEnded { attempt, turn } => self.apply_turn(*attempt, turn)?,
            Event::AttemptEnded { attempt, failure, usage, cost, next_turn_max } => {
                self.apply_attempt_ended(*attempt, failure.as_deref(), *usage, *cost, *next_turn_max)?;
            }
            Event::RetryPlanned { task, due } => {
                let id = *task;
                let task = self.known(id)?;
                if !matches!(task.stage, TaskStage::Between) {
                    return Err(IllegalEvent(format!("a retry of {id}, which has not just failed")));
                }
                task.stage = TaskStage::Resting(*due);
                self.resting.insert((*due, id));
            }
            Event::TaskEnded { task, outcome } => self.apply_ended(at, *task, outcome)?,
            Event::ParkingStarted { reason } => self.stage = Stage::Parking(reason.clone()),
            Event::RunParked { reason } => {
                self.stage = Stage::Parked(reason.clone());
                self.ended_at = at;
            }
            Event::FlowEnded { result } => self.flow_ended = Some(result.clone()),
            Event::RunEnded { status } => {
                self.stage = Stage::Ended(*status);
                self.ended_at = at;
            }
        }
        debug_assert!(self.budget.cap.is_none_or(|cap| {
            // A lowered cap may stand below what has been spent already.
            self.budget.reserved == PicoUsd::ZERO || self.budget.settled + self.budget.reserved <= cap
        }));
        Ok(())
    }

    fn apply_started(&mut self, at: Timestamp, started: &RunStarted) {
        self.name = started.name.clone();
        self.flow = Some(started.flow.clone());
        self.limits = started.limits.clone();
        self.budget.cap = started.cap;
        self.execution = 1;
        self.started_at = at;
        self.ended_at = at;
        self.stage = Stage::Running;
    }

    fn apply_resumed(&mut self, resumed: &RunResumed) -> Result<(), IllegalEvent> {
        if !self.in_flight.is_empty() {
            return Err(IllegalEvent("a resume with attempts in flight".into()));
        }
        self.flow = Some(resumed.flow.clone());
        self.limits = resumed.limits.clone();
        self.budget.cap = resumed.cap;
        self.execution += 1;
        self.claims.clear();
        self.counts = super::Counts::default();
        self.reused = 0;
        self.saved = PicoUsd::ZERO;
        self.ready.clear();
        self.resting.clear();
        self.flow_ended = None;
        self.stage = Stage::Replaying;
        for task in &mut self.tasks {
            let kept = match &task.stage {
                TaskStage::Ended { outcome: Outcome::Ok { .. }, .. } => true,
                TaskStage::Ended { outcome: Outcome::Failed(_), .. } => !resumed.reopen_failed,
                // Never tried or stopped by a person: not finished work.
                TaskStage::Ended { outcome: Outcome::Skipped { .. } | Outcome::Cancelled, .. }
                | TaskStage::Unclaimed
                | TaskStage::Ready
                | TaskStage::Resting(_)
                | TaskStage::InFlight(_)
                | TaskStage::Between => false,
            };
            if !kept {
                task.stage = TaskStage::Unclaimed;
                task.tries = Tries::default();
            }
        }
        Ok(())
    }

    fn apply_submitted(&mut self, submitted: &TaskSubmitted) -> Result<(), IllegalEvent> {
        let TaskSubmitted { task: id, key, occurrence, facts, spec } = submitted;
        if id.index() != self.tasks.len() || self.claims.get(key).copied().unwrap_or(0) != *occurrence {
            return Err(IllegalEvent(format!("{id} is submitted out of turn")));
        }
        *self.claims.entry(*key).or_default() += 1;
        self.by_key.insert((*key, *occurrence), *id);
        self.ready.insert((Reverse(facts.priority), *id));
        self.counts.open += 1;
        self.tasks.push(TaskState {
            key: *key,
            occurrence: *occurrence,
            facts: facts.clone(),
            spec: spec.clone(),
            stage: TaskStage::Ready,
            claimed_in: self.execution,
            attempts: 0,
            tries: Tries::default(),
            turns: vec![],
            turns_total: 0,
            next_turn_max: PicoUsd::ZERO,
            model: None,
            usage: Usage::default(),
            cost: PicoUsd::ZERO,
            started_at: None,
            ended_at: None,
        });
        Ok(())
    }

    fn apply_claimed(
        &mut self,
        id: TaskId,
        facts: Option<&crate::event::TaskFacts>,
    ) -> Result<(), IllegalEvent> {
        let execution = self.execution;
        let task = self.known(id)?;
        if task.claimed_in == execution {
            return Err(IllegalEvent(format!("{id} is claimed twice")));
        }
        task.claimed_in = execution;
        if let Some(facts) = facts {
            task.facts = facts.clone();
        }
        let (key, priority, cost) = (task.key, task.facts.priority, task.cost);
        match &task.stage {
            TaskStage::Ended { outcome, .. } => {
                let outcome = outcome.clone();
                self.count(&outcome);
                self.reused += 1;
                self.saved += cost;
            }
            _ => {
                task.stage = TaskStage::Ready;
                self.ready.insert((Reverse(priority), id));
                self.counts.open += 1;
            }
        }
        *self.claims.entry(key).or_default() += 1;
        Ok(())
    }

    fn apply_scheduled(
        &mut self,
        at: Timestamp,
        attempt: AttemptId,
        model: Option<&std::sync::Arc<str>>,
        reserved: PicoUsd,
    ) -> Result<(), IllegalEvent> {
        let id = attempt.task;
        let task = self.known(id)?;
        if attempt != task.next_attempt(id) {
            return Err(IllegalEvent(format!("attempt {attempt} is scheduled out of turn")));
        }
        let (stage, priority) = (task.stage.clone(), task.facts.priority);
        match stage {
            TaskStage::Ready => self.ready.remove(&(Reverse(priority), id)),
            TaskStage::Resting(due) => self.resting.remove(&(due, id)),
            _ => return Err(IllegalEvent(format!("attempt {attempt} of a task that does not wait"))),
        };
        let task = &mut self.tasks[id.index()];
        task.stage = TaskStage::InFlight(attempt);
        task.attempts = attempt.number;
        task.model = model.cloned();
        task.started_at = Some(at);
        self.in_flight.insert(attempt, InFlight { reserved });
        self.budget.reserve(reserved);
        Ok(())
    }

    fn apply_turn(&mut self, attempt: AttemptId, turn: &Turn) -> Result<(), IllegalEvent> {
        let reserved = std::mem::take(&mut self.under_way(attempt)?.reserved);
        self.budget.settle(reserved, turn.cost);
        self.usage += turn.usage;
        let task = &mut self.tasks[attempt.task.index()];
        task.usage += turn.usage;
        task.cost += turn.cost;
        task.model = Some(turn.model.clone());
        task.turns_total += 1;
        task.turns.push(KeptTurn { request: turn.request, reply: turn.reply.clone(), tool_results: None });
        Ok(())
    }

    fn apply_attempt_ended(
        &mut self,
        attempt: AttemptId,
        failure: Option<&Failure>,
        usage: Usage,
        cost: PicoUsd,
        next_turn_max: PicoUsd,
    ) -> Result<(), IllegalEvent> {
        let reserved = self.under_way(attempt)?.reserved;
        self.in_flight.remove(&attempt);
        self.budget.settle(reserved, cost);
        self.usage += usage;
        let task = &mut self.tasks[attempt.task.index()];
        task.usage += usage;
        task.cost += cost;
        task.next_turn_max = next_turn_max;
        task.stage = TaskStage::Between;
        if let Some(failure) = failure {
            task.tries = task.tries.after(failure.class);
        }
        Ok(())
    }

    fn apply_ended(&mut self, at: Timestamp, id: TaskId, outcome: &Outcome) -> Result<(), IllegalEvent> {
        if !self.is_open(id) {
            return Err(IllegalEvent(format!("an outcome of {id}, which is not open")));
        }
        let order = self.outcomes;
        let task = &mut self.tasks[id.index()];
        let priority = task.facts.priority;
        let before = std::mem::replace(&mut task.stage, TaskStage::Ended { outcome: outcome.clone(), order });
        task.ended_at = Some(at);
        if matches!(outcome, Outcome::Ok { .. } | Outcome::Failed(_)) {
            task.turns = vec![];
        }
        match before {
            TaskStage::Ready => {
                self.ready.remove(&(Reverse(priority), id));
            }
            TaskStage::Resting(due) => {
                self.resting.remove(&(due, id));
            }
            _ => {}
        }
        self.outcomes += 1;
        self.counts.open -= 1;
        self.count(outcome);
        Ok(())
    }

    fn count(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Ok { .. } => self.counts.ok += 1,
            Outcome::Failed(_) => self.counts.failed += 1,
            Outcome::Skipped { .. } => self.counts.skipped += 1,
            Outcome::Cancelled => self.counts.cancelled += 1,
        }
    }

    fn known(&mut self, id: TaskId) -> Result<&mut TaskState, IllegalEvent> {
        self.tasks.get_mut(id.index()).ok_or_else(|| IllegalEvent(format!("no task {id}")))
    }

    fn under_way(&mut self, attempt: AttemptId) -> Result<&mut InFlight, IllegalEvent> {
        self.in_flight.get_mut(&attempt).ok_or_else(|| IllegalEvent(format!("{attempt} is not in flight")))
    }
}
