//! Checks that timers fire once, at their time, in order, and without a slot.
//!
//! Keeps its own record, from events alone: a timer is due a certain time after it was first
//! requested, whatever happens in between.

use super::ensure;
use divisi_core::run::Stage;
use divisi_core::{Content, Event, Outcome, Run, TaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Watches timers.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<TaskId, Timestamp>,
    /// Timers that fired, which never fire again.
    fired: BTreeSet<TaskId>,
    /// Timers that the flow of this execution waits for, by the time at which they are due.
    open: BTreeSet<(Timestamp, TaskId)>,
    flow_has_ended: bool,
}

impl Timers {
    /// Called before an event is applied, and while a journal is read.
    pub(super) fn book(&mut self, now: Timestamp, event: &Event) -> Result<(), String> {
        match event {
            Event::TaskSubmitted(submitted) => {
                if let Some(wait) = submitted.facts.wait {
                    self.due.insert(submitted.task, now + wait);
                    self.open.insert((now + wait, submitted.task));
                }
            }
            Event::TaskClaimed { task, .. } => {
                if let Some(due) = self.due.get(task).filter(|_| !self.fired.contains(task)) {
                    self.open.insert((*due, *task));
                }
            }
            Event::RunResumed(_) => (self.flow_has_ended, self.open) = (false, BTreeSet::new()),
            Event::FlowEnded { .. } => self.flow_has_ended = true,
            Event::AttemptScheduled { attempt, .. } => {
                let is_timer = self.due.contains_key(&attempt.task);
                ensure!(!is_timer, "{attempt} starts, and its task is a timer");
            }
            Event::TaskEnded { task, outcome } => {
                let Some(due) = self.due(*task) else {
                    return Ok(());
                };
                if let Outcome::Ok { value } = outcome {
                    self.may_fire(now, *task, due, value)?;
                    self.fired.insert(*task);
                }
                self.open.remove(&(due, *task));
            }
            _ => {}
        }
        Ok(())
    }

    fn may_fire(
        &self,
        now: Timestamp,
        task: TaskId,
        due: Timestamp,
        value: &Content,
    ) -> Result<(), String> {
        ensure!(!self.fired.contains(&task), "the timer {task} fires twice");
        ensure!(
            due <= now,
            "the timer {task} fires at {}, and is due at {}",
            now.0,
            due.0
        );
        ensure!(
            self.open.first() == Some(&(due, task)),
            "the timer {task} fires before {:?}",
            self.open.first()
        );
        ensure!(
            *value == Content::Inline("null".into()),
            "the timer {task} has a result"
        );
        ensure!(
            !self.flow_has_ended,
            "the timer {task} fires, and the flow has ended"
        );
        Ok(())
    }

    /// When it is due, if it is a timer.
    pub(super) fn due(&self, task: TaskId) -> Option<Timestamp> {
        self.due.get(&task).copied()
    }

    /// Called when the run has decided all that it can: no timer that is due has been passed over.
    pub(super) fn at_rest(&self, run: &Run, now: Timestamp) -> Result<(), String> {
        let (running, first) = (*run.stage() == Stage::Running, self.open.first());
        let late = first.filter(|(due, _)| running && *due <= now);
        ensure!(
            late.is_none(),
            "the timer {late:?} has not fired at {}",
            now.0
        );
        Ok(())
    }
}
