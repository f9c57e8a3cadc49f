//! The order in which a flow is answered.
//!
//! A flow is deterministic only if it gets the same answers in the same order. So while a run
//! catches up, answers from the journal are given in recorded order. If the next recorded outcome
//! has not been requested yet, the flow runs on before later ones are given.

use crate::run::{Stage, TaskStage, TaskState};
use crate::{Run, TaskId};
use std::collections::BTreeMap;

/// The waiters of the flow, and the outcomes not given to it yet.
#[derive(Clone, Debug)]
pub(super) struct Delivery<W> {
    /// Indexed by task number.
    waiting: Vec<Option<W>>,
    /// Outcomes of earlier executions that have not been given, in recorded order.
    recorded: BTreeMap<u32, TaskId>,
    /// Outcomes of this execution, in order, to be given now.
    fresh: Vec<TaskId>,
    /// The answers given so far. Consecutive refusals share one entry of `told`, because a flow can
    /// cause any number of them.
    answered: u64,
    told: Vec<Told>,
}

/// An answer given to the flow.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// Number of answers before it.
    before: u64,
    /// The task, unless it was a refusal.
    task: Option<TaskId>,
    /// After this answer, the number of the first outcome from which on none has been given.
    given: u32,
}

impl<W> Delivery<W> {
    pub(super) fn new() -> Self {
        Self {
            waiting: vec![],
            recorded: BTreeMap::new(),
            fresh: vec![],
            answered: 0,
            told: vec![],
        }
    }

    /// Collects the outcomes of the journal when an execution begins.
    pub(super) fn remember(&mut self, run: &Run) {
        let order = |(id, task): (TaskId, &TaskState)| match task.stage() {
            TaskStage::Ended { order, .. } => Some((*order, id)),
            _ => None,
        };
        self.recorded = run.all_tasks().filter_map(order).collect();
    }

    /// Registers `waiter` for `task`. With `is_known` its outcome, if any, is from before this
    /// batch.
    pub(super) fn wait(&mut self, run: &Run, task: TaskId, waiter: W, is_known: bool) {
        let place = task.0 as usize;
        if place >= self.waiting.len() {
            self.waiting.resize_with(place + 1, || None);
        }
        self.waiting[place] = Some(waiter);
        let has_outcome = run.task(task).is_some_and(|task| task.outcome().is_some());
        // While the run catches up, recorded outcomes are given in order.
        if has_outcome && is_known && *run.stage() != Stage::Replaying {
            self.fresh.push(task);
        }
    }

    /// `task` has its outcome. If that comes while the run catches up, because it was known at
    /// submission, it is queued behind the earlier recorded ones: the next replay will give it in
    /// this place.
    pub(super) fn ended(&mut self, run: &Run, task: TaskId) {
        match (run.stage(), run.task(task).map(TaskState::stage)) {
            (Stage::Replaying, Some(TaskStage::Ended { order, .. })) => {
                self.recorded.insert(*order, task);
            }
            _ => self.fresh.push(task),
        }
    }

    /// A task was refused, which answers its waiter at once.
    pub(super) fn refused(&mut self) {
        let given = self.last().given;
        if self.told.is_empty() || self.last().task.is_some() {
            self.told.push(Told {
                before: self.answered,
                task: None,
                given,
            });
        }
        self.answered += 1;
    }

    /// The task of the last of the first `answered` answers, and the number of the first outcome
    /// that had not been given by then.
    pub(super) fn after(&self, answered: u64) -> (Option<TaskId>, u32) {
        let entries = self.told.partition_point(|told| told.before < answered);
        let Told { task, given, .. } = self.told[..entries].last().copied().unwrap_or_default();
        (task, given)
    }

    fn last(&self) -> Told {
        self.told.last().copied().unwrap_or_default()
    }

    /// Number of answers given.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether the flow has processed every answer given and the journal has no further one for it.
    /// Otherwise the next answers of the journal are queued.
    pub(super) fn is_quiet(&mut self, answered: u64) -> bool {
        if answered != self.answered {
            return false;
        }
        let next = self.next_recorded();
        self.fresh.extend(next);
        self.fresh.is_empty()
    }

    /// Whether anything waits for `task`.
    pub(super) fn is_waited_for(&self, task: TaskId) -> bool {
        self.waiting
            .get(task.0 as usize)
            .is_some_and(Option::is_some)
    }

    /// Whether the flow has processed every answer there is.
    pub(super) fn has_told_all(&self, answered: u64) -> bool {
        answered == self.answered && self.fresh.is_empty()
    }

    /// The recorded outcomes that may be given now: the first one with a waiter, and those that
    /// directly follow it.
    fn next_recorded(&mut self) -> Vec<TaskId> {
        let asked_for = |task: &TaskId| self.is_waited_for(*task);
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

    /// The outcomes that are to be given now.
    pub(super) fn answers(&mut self, run: &Run) -> Vec<(W, TaskId)> {
        let mut answers = vec![];
        for task in std::mem::take(&mut self.fresh) {
            let Some(TaskStage::Ended { order, .. }) = run.task(task).map(TaskState::stage) else {
                continue;
            };
            if let Some(waiter) = self.waiting.get_mut(task.0 as usize).and_then(Option::take) {
                let given = self.last().given.max(order + 1);
                self.told.push(Told {
                    before: self.answered,
                    task: Some(task),
                    given,
                });
                self.answered += 1;
                answers.push((waiter, task));
            }
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_without_end_are_counted_and_not_kept() {
        let mut delivery = Delivery::<()>::new();
        (0..1_000).for_each(|_| delivery.refused());
        assert_eq!((delivery.answered(), delivery.told.len()), (1_000, 1));
        assert_eq!(
            [0, 1, 500, 1_000].map(|answered| delivery.after(answered)),
            [(None, 0); 4]
        );
    }
}
