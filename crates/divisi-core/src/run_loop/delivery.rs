//! In which order a flow is answered.
//!
//! A flow is deterministic only as long as it gets the same answers in the
//! same order. So while a run catches up, answers from the journal are given
//! in the order in which they were recorded, and where an answer that comes
//! between two has not been asked for yet, the flow is heard first.

use crate::run::{Stage, TaskStage, TaskState};
use crate::{Run, TaskId};
use std::collections::BTreeMap;

/// What waits for outcomes, and the outcomes that have not been given.
#[derive(Clone, Debug)]
pub(super) struct Delivery<W> {
    /// By task, whose ids are numbers in a row.
    waiting: Vec<Option<W>>,
    /// Outcomes of earlier executions that have not been given, in recorded order.
    recorded: BTreeMap<u32, TaskId>,
    /// Outcomes recorded in this execution, in order, to be given now.
    fresh: Vec<TaskId>,
    /// How many answers the flow has been given, and what they were. A refusal that
    /// follows another is no entry of its own: a flow can ask for any number of them.
    answered: u64,
    told: Vec<Told>,
}

/// An answer that the flow has been given.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// How many answers came before it.
    before: u64,
    /// Whose outcome it was, if it was one.
    task: Option<TaskId>,
    /// The first outcome from which on none had been given after it.
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

    /// Learns which outcomes the journal holds when an execution begins.
    pub(super) fn remember(&mut self, run: &Run) {
        let order = |(id, task): (TaskId, &TaskState)| match task.stage() {
            TaskStage::Ended { order, .. } => Some((*order, id)),
            _ => None,
        };
        self.recorded = run.all_tasks().filter_map(order).collect();
    }

    /// `waiter` waits for `task`, whose outcome, if there is one, `is_known` from before.
    pub(super) fn wait(&mut self, run: &Run, task: TaskId, waiter: W, is_known: bool) {
        let place = task.0 as usize;
        if place >= self.waiting.len() {
            self.waiting.resize_with(place + 1, || None);
        }
        self.waiting[place] = Some(waiter);
        let has_outcome = run.task(task).is_some_and(|task| task.outcome().is_some());
        // While the run catches up, recorded outcomes wait for their turn.
        if has_outcome && is_known && *run.stage() != Stage::Replaying {
            self.fresh.push(task);
        }
    }

    /// `task` has its outcome. One that comes while the run catches up, because it was
    /// known when the task was asked for, waits for its turn behind those recorded
    /// before: the next replay will give it there.
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

    /// The task whose outcome was the last of so many answers, and the first outcome
    /// from which on none had been given with them.
    pub(super) fn after(&self, answered: u64) -> (Option<TaskId>, u32) {
        let entries = self.told.partition_point(|told| told.before < answered);
        let Told { task, given, .. } = self.told[..entries].last().copied().unwrap_or_default();
        (task, given)
    }

    fn last(&self) -> Told {
        self.told.last().copied().unwrap_or_default()
    }

    /// How many answers the flow has been given.
    pub(super) fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether the flow has heard everything it was told, and the journal has
    /// nothing more for it. Otherwise the next answers of the journal are due.
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

    /// Whether the flow has heard everything it can be told.
    pub(super) fn has_told_all(&self, answered: u64) -> bool {
        answered == self.answered && self.fresh.is_empty()
    }

    /// The recorded outcomes that may be given now: the first that is asked
    /// for, and those right behind it.
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
