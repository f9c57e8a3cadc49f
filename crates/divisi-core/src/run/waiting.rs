//! Tasks that wait to be tried, and in which order they go.

use super::TaskStage;
use crate::{Budget, PicoUsd, TaskId, Timestamp};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Tasks that wait to be tried.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Waiting {
    /// Those that may start, longest chain first, then in order of submission.
    ready: BTreeSet<(Reverse<u32>, TaskId)>,
    /// Those that may start at a later moment.
    resting: BTreeSet<(Timestamp, TaskId)>,
    /// All of them by what they would reserve; kept only where there is a cap.
    by_cost: Option<BTreeSet<(PicoUsd, TaskId)>>,
}

/// A task as its place in the order depends on it. None of this changes while it waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) id: TaskId,
    pub(super) priority: u32,
    pub(super) cost: PicoUsd,
}

impl Waiting {
    /// Nothing waits. `capped` tells whether what it costs will matter.
    pub(super) fn empty(capped: bool) -> Self {
        Self { by_cost: capped.then(BTreeSet::new), ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.resting.is_empty()
    }

    /// Takes a task in; at this stage it waits, or nothing happens.
    pub(super) fn insert(&mut self, stage: &TaskStage, Place { id, priority, cost }: Place) {
        let new = match stage {
            TaskStage::Ready => self.ready.insert((Reverse(priority), id)),
            TaskStage::Resting(due) => self.resting.insert((*due, id)),
            TaskStage::Unclaimed | TaskStage::InFlight(_) | TaskStage::Between | TaskStage::Ended { .. } => {
                false
            }
        };
        if let (true, Some(by_cost)) = (new, &mut self.by_cost) {
            by_cost.insert((cost, id));
        }
    }

    /// Takes a task out; at this stage it waited, or nothing happens.
    pub(super) fn remove(&mut self, stage: &TaskStage, Place { id, priority, cost }: Place) {
        let known = match stage {
            TaskStage::Ready => self.ready.remove(&(Reverse(priority), id)),
            TaskStage::Resting(due) => self.resting.remove(&(*due, id)),
            TaskStage::Unclaimed | TaskStage::InFlight(_) | TaskStage::Between | TaskStage::Ended { .. } => {
                false
            }
        };
        if let (true, Some(by_cost)) = (known, &mut self.by_cost) {
            by_cost.remove(&(cost, id));
        }
    }

    /// Everyone, those that may start first.
    pub(super) fn all(&self) -> impl Iterator<Item = TaskId> {
        self.ready.iter().map(|(_, id)| *id).chain(self.resting.iter().map(|(_, id)| *id))
    }

    /// Those that may start at `now`, in order: the rested first, then the ready.
    pub(super) fn startable(&self, now: Timestamp) -> impl Iterator<Item = TaskId> {
        let rested = self.resting.iter().take_while(move |(due, _)| *due <= now).map(|(_, id)| *id);
        rested.chain(self.ready.iter().map(|(_, id)| *id))
    }

    /// Those that rest, the first to be done first.
    pub(super) fn resting(&self) -> impl Iterator<Item = (Timestamp, TaskId)> {
        self.resting.iter().copied()
    }

    /// Those that `budget` holds one of, cheapest first. None where there is no cap.
    pub(super) fn cheapest(&self, budget: Budget) -> impl Iterator<Item = TaskId> {
        let by_cost = self.by_cost.iter().flatten();
        by_cost.take_while(move |(cost, _)| budget.fits(*cost)).map(|(_, id)| *id)
    }

    /// Whether `budget` holds any of them.
    pub(super) fn any_fits(&self, budget: &Budget) -> bool {
        match &self.by_cost {
            Some(by_cost) => by_cost.first().is_some_and(|(cost, _)| budget.fits(*cost)),
            None => !self.is_empty(),
        }
    }
}
