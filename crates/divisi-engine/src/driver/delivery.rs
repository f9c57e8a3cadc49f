//! Hands outcomes to whoever waits for them.
//!
//! A flow is deterministic only as long as it gets the same answers in the
//! same order. So while a run catches up, answers from the journal are given
//! in the order in which they were recorded, and where an answer that comes
//! between two has not been asked for yet, the flow is heard first.

use super::message::{Answered, TaskEnd, TaskReport, Waiter};
use super::{DriveError, read};
use crate::store::Store;
use divisi_core::content::{Blob, Content};
use divisi_core::run::{Stage, TaskStage, TaskState};
use divisi_core::{Failure, FailureClass, Outcome, Run, TaskId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Hands outcomes to whoever waits for them.
pub(super) struct Delivery {
    store: Arc<dyn Store>,
    answers: Option<Answered>,
    waiting: FxHashMap<TaskId, Waiter>,
    /// Outcomes of earlier executions that have not been given, in recorded order.
    recorded: BTreeMap<u32, TaskId>,
    /// Outcomes recorded in this execution, in order, to be given now.
    fresh: Vec<TaskId>,
    /// Answers the script has been given, and will hear.
    answered: u64,
}

impl Delivery {
    pub(super) fn new(store: Arc<dyn Store>, answers: Option<Answered>) -> Self {
        Self {
            store,
            answers,
            waiting: FxHashMap::default(),
            recorded: BTreeMap::new(),
            fresh: vec![],
            answered: 0,
        }
    }

    /// Learns which outcomes the journal holds when an execution begins.
    pub(super) fn remember(&mut self, run: &Run) {
        let order = |(id, task): (TaskId, &TaskState)| match task.stage() {
            TaskStage::Ended { order, .. } => Some((*order, id)),
            _ => None,
        };
        self.recorded = run.all_tasks().filter_map(order).collect();
    }

    /// `waiter` waits for `task`.
    pub(super) fn wait(&mut self, run: &Run, task: TaskId, waiter: Waiter) {
        self.waiting.insert(task, waiter);
        let known = run.task(task).is_some_and(|task| task.outcome().is_some());
        // While the run catches up, recorded outcomes wait for their turn.
        if known && *run.stage() != Stage::Replaying {
            self.fresh.push(task);
        }
    }

    /// The run takes no more tasks: it is over, or has as many as it may have.
    pub(super) fn refuse(&mut self, run: &Run, waiter: Waiter) {
        let failure = match run.stage() {
            Stage::Ended(_) => Failure::new(FailureClass::Interrupted, "the run is over"),
            _ => {
                let tasks_max = run.limits().tasks_max;
                let message = format!("the run has {tasks_max} tasks, which is as many as it may have");
                Failure::new(FailureClass::Unavailable, message).hint("raise `limits.tasks_max`")
            }
        };
        self.give(waiter, TaskReport::without_task(failure));
    }

    /// Whether the flow is a script, which sees nothing but its answers.
    pub(super) fn is_of_script(&self) -> bool {
        self.answers.is_some()
    }

    /// How many answers the script has been given.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// `task` has its outcome, which is durable, or is heard of by the script only.
    pub(super) fn ended(&mut self, task: TaskId) {
        self.fresh.push(task);
    }

    /// Whether the flow has heard everything it was told, and the journal has
    /// nothing more for it.
    pub(super) fn is_quiet(&mut self, answered: u64) -> bool {
        if answered != self.answered {
            return false;
        }
        let next = self.next_recorded();
        self.fresh.extend(next);
        self.fresh.is_empty()
    }

    /// The recorded outcomes that may be given now: the first that is asked
    /// for, and those right behind it.
    fn next_recorded(&mut self) -> Vec<TaskId> {
        let asked_for = |task: &TaskId| self.waiting.contains_key(task);
        let next: Vec<(u32, TaskId)> = self
            .recorded
            .iter()
            .skip_while(|(_, task)| !asked_for(task))
            .take_while(|(_, task)| asked_for(task))
            .map(|(order, task)| (*order, *task))
            .collect();
        for (order, _) in &next {
            self.recorded.remove(order);
        }
        next.into_iter().map(|(_, task)| task).collect()
    }

    /// Gives what there is to give. Texts that came with the batch are in `blobs`.
    pub(super) async fn deliver(&mut self, run: &Run, blobs: &[Blob]) -> Result<(), DriveError> {
        if self.fresh.is_empty() {
            return Ok(());
        }
        let texts: FxHashMap<_, _> = blobs.iter().map(|blob| (blob.digest, &blob.text)).collect();
        for id in std::mem::take(&mut self.fresh) {
            let Some(task) = run.task(id) else { continue };
            let (Some(outcome), Some(waiter)) = (task.outcome(), self.waiting.remove(&id)) else { continue };
            let end = match outcome {
                Outcome::Ok { value } => TaskEnd::Ok(match value {
                    Content::Stored { digest, .. } if texts.contains_key(digest) => texts[digest].clone(),
                    other => read(&*self.store, other).await?,
                }),
                Outcome::Failed(failure) => TaskEnd::Failed(failure.clone()),
                Outcome::Skipped { reason } => TaskEnd::Skipped(reason.clone()),
                Outcome::Cancelled => TaskEnd::Cancelled,
            };
            let report = TaskReport {
                task: Some(id),
                end,
                model: task.model().cloned(),
                attempts: task.attempts(),
                cost: task.cost(),
                usage: task.usage(),
            };
            self.give(waiter, report);
        }
        Ok(())
    }

    fn give(&mut self, waiter: Waiter, report: TaskReport) {
        match (waiter, &self.answers) {
            (Waiter::Script(call), Some(answers)) => {
                // A script that has ended listens no more, and needs no answer.
                if answers.send((call, report)).is_ok() {
                    self.answered += 1;
                }
            }
            (Waiter::Caller(caller), _) => {
                // A caller that no longer waits has dropped its end.
                let _ = caller.send(report);
            }
            (Waiter::Script(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    #[test]
    fn only_what_the_script_will_hear_counts_as_answered() {
        let (answers, heard) = tokio::sync::mpsc::unbounded_channel();
        let mut delivery = Delivery::new(Arc::new(MemoryStore::new()), Some(answers));
        delivery.refuse(&Run::new(), Waiter::Script(0));
        assert_eq!(delivery.answered(), 1);
        drop(heard);
        delivery.refuse(&Run::new(), Waiter::Script(1));
        assert_eq!(delivery.answered(), 1);
    }
}
