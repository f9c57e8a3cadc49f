//! Checks that the run parks for hopeless tasks, and only for those.
//!
//! Keeps its own record of which tasks of each sort started first.

use super::ensure;
use divisi_core::event::{ParkReason, TaskFacts};
use divisi_core::{Event, FailureClass, Outcome, TaskId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What tasks of one sort have in common.
type Sort = (Option<Arc<str>>, Arc<str>, Option<Arc<str>>, Vec<Arc<str>>);

/// Watches failing tasks.
#[derive(Clone, Debug, Default)]
pub(super) struct Circuit {
    sorts: BTreeMap<TaskId, Sort>,
    /// Tasks with an outcome that the next execution keeps, and whether it is a success.
    done: BTreeMap<TaskId, bool>,
    /// The tasks of each sort in the order in which they started in this execution.
    started: BTreeMap<Sort, Vec<TaskId>>,
    waiting: BTreeSet<TaskId>,
    in_flight: BTreeSet<TaskId>,
    /// Suspended tasks, which are under way in every execution.
    suspended: BTreeSet<TaskId>,
    /// The ends of tasks that were tried in this execution; `None` is a success.
    ended: BTreeMap<TaskId, Option<FailureClass>>,
    first: usize,
    is_running: bool,
    /// Why the next event must park the run.
    due: Option<FailureClass>,
}

impl Circuit {
    /// Called before an event is applied, and while a journal is read.
    pub(super) fn book(&mut self, event: &Event) -> Result<(), String> {
        let parks = match event {
            Event::ParkingStarted {
                reason: ParkReason::Hopeless { class, .. },
            } => Some(*class),
            // If both reasons apply, this one is recorded.
            Event::ParkingStarted {
                reason: ParkReason::Overcharged { .. },
            } => self.due,
            _ => None,
        };
        ensure!(
            self.due == parks,
            "the circuit opens for {parks:?}, and should for {:?}",
            self.due
        );
        self.due = None;
        match event {
            Event::RunStarted(started) => self.begin(started.limits.hopeless_after, true),
            Event::RunResumed(resumed) => {
                self.begin(resumed.limits.hopeless_after, false);
                self.done.retain(|_, ok| *ok || !resumed.reopen_failed);
            }
            Event::CaughtUp { .. } | Event::RunWoken => self.is_running = true,
            Event::ParkingStarted { .. } => self.is_running = false,
            Event::TaskSubmitted(submitted) => self.join(submitted.task, Some(&submitted.facts)),
            Event::TaskClaimed { task, facts } => self.join(*task, facts.as_ref()),
            Event::AttemptScheduled { attempt, .. } => {
                self.waiting.remove(&attempt.task);
                self.starts(attempt.task);
            }
            Event::AttemptSuspended { attempt, .. } => _ = self.suspended.insert(attempt.task),
            Event::AttemptEnded { attempt, .. } => _ = self.suspended.remove(&attempt.task),
            Event::RetryPlanned { task, .. } => {
                self.in_flight.remove(task);
                self.waiting.insert(*task);
            }
            Event::TaskEnded { task, outcome } => self.end(*task, outcome),
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, first: u32, is_running: bool) {
        let (sorts, done) = (
            std::mem::take(&mut self.sorts),
            std::mem::take(&mut self.done),
        );
        let suspended = std::mem::take(&mut self.suspended);
        *self = Self {
            sorts,
            done,
            suspended,
            first: first as usize,
            is_running,
            ..Self::default()
        };
    }

    fn join(&mut self, task: TaskId, facts: Option<&Arc<TaskFacts>>) {
        if let Some(facts) = facts {
            let TaskFacts {
                phase,
                executor,
                kind,
                models,
                ..
            } = &**facts;
            self.sorts.insert(
                task,
                (
                    phase.clone(),
                    executor.clone(),
                    kind.clone(),
                    models.clone(),
                ),
            );
        }
        if self.suspended.contains(&task) {
            self.starts(task);
        } else if !self.done.contains_key(&task) {
            self.waiting.insert(task);
        }
    }

    fn starts(&mut self, task: TaskId) {
        self.in_flight.insert(task);
        let started = self.started.entry(self.sorts[&task].clone()).or_default();
        if !started.contains(&task) {
            started.push(task);
        }
    }

    fn end(&mut self, task: TaskId, outcome: &Outcome) {
        self.waiting.remove(&task);
        if let Outcome::Ok { .. } | Outcome::Failed(_) = outcome {
            self.done.insert(task, outcome.is_ok());
        }
        let was_tried = self.in_flight.remove(&task);
        let class = match outcome {
            Outcome::Ok { .. } if was_tried => None,
            Outcome::Failed(failure) if was_tried => Some(failure.class),
            _ => return,
        };
        self.ended.insert(task, class);
        self.due = class.filter(|class| self.is_running && self.is_hopeless(task, *class));
    }

    fn is_hopeless(&self, task: TaskId, class: FailureClass) -> bool {
        let sort = &self.sorts[&task];
        let started = self
            .started
            .get(sort)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let alike = |task: &TaskId| self.ended.get(task) == Some(&Some(class));
        let succeeded = |task: &TaskId| self.ended.get(task) == Some(&None);
        let of_sort = |other: &&TaskId| self.sorts.get(other) == Some(sort);
        let beside = self.in_flight.iter().filter(of_sort).count();
        let failed: Vec<_> = started
            .iter()
            .filter(|task| matches!(self.ended.get(task), Some(Some(_))))
            .collect();
        let firsts = started.len() >= self.first && started[..self.first].iter().all(alike);
        let outnumber =
            failed.iter().all(|task| alike(task)) && failed.len() >= self.first + beside;
        self.first > 0
            && (firsts || outnumber)
            && !started.iter().any(succeeded)
            && self.waiting.iter().any(|other| of_sort(&other))
    }
}
