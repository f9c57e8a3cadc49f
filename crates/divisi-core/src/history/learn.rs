//! Extracts samples from a journal.

use super::shape::Shaping;
use super::{History, Sample};
use crate::event::{TaskFacts, TaskSubmitted};
use crate::{AttemptId, Event, Failure, FailureClass, Millis, Outcome, PicoUsd, Recorded, TaskId};
use crate::{Timestamp, Usage};
use std::collections::BTreeMap;
use std::sync::Arc;

impl History {
    /// Adds samples of the finished tasks of one run. Accepts whole journals and their beginnings:
    /// tasks that have not ended are left out.
    pub fn learn<'a>(&mut self, events: impl IntoIterator<Item = &'a Recorded>) {
        let mut reader = Reader::default();
        for recorded in events {
            reader.read(recorded, self);
        }
    }
}

/// Reads a journal event by event, for journals too long to hold in memory.
#[derive(Debug, Default)]
pub struct Reader {
    flow: Arc<str>,
    started: Timestamp,
    /// The submitted tasks.
    tasks: BTreeMap<TaskId, Open>,
    shape: Shaping,
}

/// A task under way.
#[derive(Debug)]
struct Open {
    work: u64,
    facts: Arc<TaskFacts>,
    /// Whether its results are known to be checked.
    checked: bool,
    /// The sample of the current model; `None` between models.
    part: Option<Sample>,
    /// The attempt in flight, its start, and its cost so far.
    attempt: Option<(AttemptId, Timestamp, PicoUsd)>,
}

impl Reader {
    /// Reads the next event; samples that it completes are added to `history`.
    pub fn read(&mut self, recorded: &Recorded, history: &mut History) {
        let at = recorded.at;
        match &recorded.event {
            Event::RunStarted(started) => {
                self.flow = started.name.clone();
                self.started = at;
            }
            Event::TaskSubmitted(submitted) => {
                // A timer is no round of a loop.
                if submitted.facts.wait.is_none() {
                    self.shape.add(&submitted.edges);
                }
                self.tasks
                    .insert(submitted.task, Open::new(submitted, self.started));
            }
            Event::TaskClaimed {
                task,
                facts: Some(facts),
            } => {
                if let Some(open) = self.tasks.get_mut(task) {
                    open.facts = facts.clone();
                }
            }
            Event::AttemptScheduled { attempt, model, .. } => {
                let flow = self.flow.clone();
                if let Some(open) = self.tasks.get_mut(&attempt.task) {
                    history.extend(open.begin(&flow, *attempt, model.as_ref(), at));
                }
            }
            Event::TurnEnded { attempt, turn } => {
                if let Some(open) = self.tasks.get_mut(&attempt.task) {
                    match turn.judges {
                        true => open.judged(turn.cost),
                        false => open.used(*attempt, &turn.usage, turn.cost, true),
                    }
                }
            }
            Event::AttemptReported {
                attempt,
                usage,
                cost,
                unconfirmed,
                ..
            } => {
                if let Some(open) = self.tasks.get_mut(&attempt.task) {
                    open.used(*attempt, usage, cost.saturating_sub(*unconfirmed), false);
                }
            }
            Event::AttemptEnded {
                attempt,
                failure,
                usage,
                cost,
                unconfirmed,
                estimated,
                waited,
                ..
            } => {
                if let Some(open) = self.tasks.get_mut(&attempt.task) {
                    // A reservation is only an upper bound and a reply that broke off only a part,
                    // so they are no evidence of the cost of such tasks.
                    if !estimated {
                        open.used(*attempt, usage, cost.saturating_sub(*unconfirmed), false);
                    }
                    history.extend(open.end(*attempt, failure.as_deref(), *waited, at));
                }
            }
            Event::TaskEnded { task, outcome } => {
                // A task that a resume tries again is claimed, not submitted again.
                if let Some(open) = self.tasks.get_mut(task) {
                    history.extend(open.finish(outcome));
                }
            }
            Event::FlowEnded { result: Ok(_) } => {
                history.add_shape(self.shape.done(self.flow.clone(), self.started));
            }
            Event::RunResumed(_)
            | Event::CaughtUp { .. }
            | Event::PhaseStarted { .. }
            | Event::Logged { .. }
            | Event::TaskClaimed { facts: None, .. }
            | Event::TurnScheduled { .. }
            | Event::TurnHedged { .. }
            | Event::HedgeEnded { .. }
            | Event::AttemptSuspended { .. }
            | Event::SuspensionAnswered { .. }
            | Event::Refused { .. }
            | Event::Uncaught { .. }
            | Event::RetryPlanned { .. }
            | Event::Estimated { .. }
            | Event::CapChanged { .. }
            | Event::WidthChanged { .. }
            | Event::SoftLimitReached { .. }
            | Event::ParkingStarted { .. }
            | Event::RunParked { .. }
            | Event::WaitStarted { .. }
            | Event::RunWoken
            | Event::FlowEnded { result: Err(_) }
            | Event::RunEnded { .. } => {}
        }
    }
}

impl Extend<Sample> for History {
    fn extend<I: IntoIterator<Item = Sample>>(&mut self, samples: I) {
        samples.into_iter().for_each(|sample| self.add(sample));
    }
}

impl Open {
    fn new(submitted: &TaskSubmitted, started: Timestamp) -> Self {
        let mut work = [0; 8];
        work.copy_from_slice(&submitted.key.0.as_bytes()[..8]);
        Self {
            // Equal tasks, in one run or in two, are separate work.
            work: u64::from_le_bytes(work) ^ u64::from(submitted.occurrence) ^ started.0,
            facts: submitted.facts.clone(),
            checked: submitted.facts.checked,
            part: None,
            attempt: None,
        }
    }

    /// An attempt starts. If its model is another one, the sample of the previous model ends.
    fn begin(
        &mut self,
        flow: &Arc<str>,
        attempt: AttemptId,
        model: Option<&Arc<str>>,
        at: Timestamp,
    ) -> Option<Sample> {
        // Only the program knows which model such a word means.
        let model: Arc<str> = model
            .filter(|_| !self.facts.words)
            .cloned()
            .unwrap_or_default();
        let ended = self.part.take_if(|part| part.model != model);
        let facts = &self.facts;
        let rung = facts
            .models
            .iter()
            .position(|known| *known == model)
            .unwrap_or(0);
        self.part.get_or_insert_with(|| Sample {
            work: self.work,
            flow: flow.clone(),
            label: facts.label.clone(),
            phase: facts.phase.clone(),
            kind: facts.kind.clone(),
            executor: facts.executor.clone(),
            model,
            rung,
            ..Sample::default()
        });
        self.attempt = Some((attempt, at, PicoUsd::ZERO));
        ended
    }

    /// Adds the cost of a judge's verdict.
    fn judged(&mut self, cost: PicoUsd) {
        if let Some(part) = &mut self.part {
            part.check_cost += cost;
        }
    }

    fn used(&mut self, attempt: AttemptId, usage: &Usage, cost: PicoUsd, is_turn: bool) {
        let Some(part) = &mut self.part else { return };
        if is_turn {
            if part.turns == 0 {
                part.prompt_tokens = usage.prompt();
            }
            part.turns += 1;
            part.answer_tokens = usage.output;
        }
        part.usage += *usage;
        part.cost += cost;
        if let Some((current, _, spent)) = &mut self.attempt
            && *current == attempt
        {
            *spent += cost;
        }
    }

    /// An attempt has ended. If it made a result, the sample of its model is complete.
    fn end(
        &mut self,
        attempt: AttemptId,
        failure: Option<&Failure>,
        waited: Millis,
        at: Timestamp,
    ) -> Option<Sample> {
        let (_, since, spent) = self.attempt.take_if(|(current, ..)| *current == attempt)?;
        let part = self.part.as_mut()?;
        part.at = at;
        let class = failure.map(|failure| failure.class);
        if class != Some(FailureClass::Lost) {
            // A lost attempt ended at an unknown time: `at` is the time of the resume.
            part.took.0 += at.since(since).0.saturating_sub(waited.0);
        }
        match class {
            None => {
                part.accepted = self.checked.then_some(true);
                self.part.take()
            }
            Some(FailureClass::Check) => {
                self.checked = true;
                part.accepted = Some(false);
                self.part.take()
            }
            Some(_) => {
                part.lost += spent;
                None
            }
        }
    }

    /// The task has ended. An open part counts only if the task succeeded: work without a result
    /// says nothing about the cost of such a task.
    fn finish(&mut self, outcome: &Outcome) -> Option<Sample> {
        self.attempt = None;
        let part = self.part.take()?;
        match outcome {
            Outcome::Ok { .. } => Some(part),
            Outcome::Failed(_) | Outcome::Skipped { .. } | Outcome::Cancelled => None,
        }
    }
}
