//! Tasks that wait to be tried, and in which order they go.

use super::TaskStage;
use crate::budget::Budgets;
use crate::{PicoUsd, TaskId, Timestamp};
use itertools::Itertools;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::sync::Arc;

/// Tasks that wait to be tried.
///
/// Those of a phase with a cap of its own wait by themselves, and so do those of
/// programs: a phase whose money is used up, and programs where as many as may are at
/// work, are passed by at once, however many wait.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Waiting {
    open: Sorts,
    capped: BTreeMap<Arc<str>, Sorts>,
}

/// Tasks that the same budget holds, by what carries them out.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sorts {
    models: Pool,
    programs: Pool,
}

/// Tasks that the same budget holds, and that the same slots take.
#[derive(Clone, Debug, Default, PartialEq)]
struct Pool {
    /// Those that may start, longest chain first, then in order of submission.
    ready: BTreeSet<(Reverse<u32>, TaskId)>,
    /// Those that may start at a later moment.
    resting: BTreeSet<(Timestamp, TaskId)>,
    /// All of them by the least they may reserve; kept only where there is a cap.
    by_cost: Option<BTreeSet<(PicoUsd, TaskId)>>,
}

/// A task as its place in the order depends on it. None of this changes while it waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) id: TaskId,
    pub(super) priority: u32,
    pub(super) cost: PicoUsd,
    pub(super) phase: Option<&'a Arc<str>>,
    pub(super) is_program: bool,
}

/// The order in which tasks start: the rested first, then the ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    Rested(Timestamp),
    Ready(Reverse<u32>),
}

impl Waiting {
    /// Nothing waits. `capped` tells whether there is a cap for the run.
    pub(super) fn empty(capped: bool) -> Self {
        Self {
            open: Sorts::empty(capped),
            capped: BTreeMap::new(),
        }
    }

    /// From now on the tasks of this phase wait by themselves. None of them may
    /// wait at this moment.
    pub(super) fn cap_phase(&mut self, phase: &Arc<str>) {
        self.capped
            .entry(phase.clone())
            .or_insert_with(|| Sorts::empty(true));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pools().all(|(_, _, pool)| pool.is_empty())
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.pools()
            .map(|(_, _, pool)| pool.ready.len() + pool.resting.len())
            .sum()
    }

    /// Takes a task in; at this stage it waits, or nothing happens.
    pub(super) fn insert(&mut self, stage: &TaskStage, place: Place<'_>) {
        self.pool(place).insert(stage, place);
    }

    /// Takes a task out; at this stage it waited, or nothing happens.
    pub(super) fn remove(&mut self, stage: &TaskStage, place: Place<'_>) {
        self.pool(place).remove(stage, place);
    }

    /// Everyone, those that may start first.
    pub(super) fn all(&self) -> impl Iterator<Item = TaskId> {
        let ready = self
            .pools()
            .flat_map(|(_, _, pool)| pool.ready.iter().map(|(_, id)| *id));
        ready.chain(
            self.pools()
                .flat_map(|(_, _, pool)| pool.resting.iter().map(|(_, id)| *id)),
        )
    }

    /// Those that may start at `now`, in order. Phases whose budget holds none
    /// of theirs are left out.
    pub(super) fn startable(
        &self,
        now: Timestamp,
        budgets: &Budgets,
    ) -> Startable<impl Iterator<Item = (Turn, TaskId)>> {
        let any_fits = |(phase, _, pool): &(Option<&Arc<str>>, bool, &Pool)| {
            !pool.is_empty() && pool.any_fits(budgets.left(*phase))
        };
        let pools = self.pools().filter(any_fits);
        Startable(
            pools
                .map(|(_, is_program, pool)| (is_program, pool.startable(now).peekable()))
                .collect(),
        )
    }

    /// Those that rest, the first to be done first.
    pub(super) fn resting(&self) -> impl Iterator<Item = (Timestamp, TaskId)> {
        self.pools()
            .map(|(_, _, pool)| pool.resting.iter().copied())
            .kmerge()
    }

    /// Those that the budgets hold one of, cheapest first. None where there is no cap.
    pub(super) fn cheapest(&self, budgets: &Budgets) -> impl Iterator<Item = TaskId> {
        self.pools()
            .flat_map(move |(phase, _, pool)| pool.cheapest(budgets.left(phase)))
    }

    /// Whether the budgets hold any of them.
    pub(super) fn any_fits(&self, budgets: &Budgets) -> bool {
        self.pools()
            .any(|(phase, _, pool)| pool.any_fits(budgets.left(phase)))
    }

    fn pools(&self) -> impl Iterator<Item = (Option<&Arc<str>>, bool, &Pool)> {
        let capped = self
            .capped
            .iter()
            .map(|(phase, sorts)| (Some(phase), sorts));
        let all = std::iter::once((None, &self.open)).chain(capped);
        all.flat_map(|(phase, sorts)| {
            [
                (phase, false, &sorts.models),
                (phase, true, &sorts.programs),
            ]
        })
    }

    fn pool(&mut self, place: Place<'_>) -> &mut Pool {
        let sorts = place
            .phase
            .and_then(|phase| self.capped.get_mut(phase))
            .unwrap_or(&mut self.open);
        if place.is_program {
            &mut sorts.programs
        } else {
            &mut sorts.models
        }
    }
}

/// Tasks that may start, in order, of several pools.
pub(super) struct Startable<I: Iterator>(Vec<(bool, Peekable<I>)>);

impl<I: Iterator<Item = (Turn, TaskId)>> Startable<I> {
    /// The next one; with or without those of programs.
    pub(super) fn next(&mut self, with_programs: bool) -> Option<TaskId> {
        let may = self
            .0
            .iter_mut()
            .filter(|(is_program, _)| with_programs || !is_program);
        let first = may
            .filter_map(|(_, pool)| Some((*pool.peek()?, pool)))
            .min_by_key(|(first, _)| *first);
        first.and_then(|(_, pool)| pool.next()).map(|(_, id)| id)
    }
}

impl Sorts {
    fn empty(capped: bool) -> Self {
        Self {
            models: Pool::empty(capped),
            programs: Pool::empty(capped),
        }
    }
}

impl Pool {
    fn empty(capped: bool) -> Self {
        Self {
            by_cost: capped.then(BTreeSet::new),
            ..Self::default()
        }
    }

    fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.resting.is_empty()
    }

    fn insert(
        &mut self,
        stage: &TaskStage,
        Place {
            id, priority, cost, ..
        }: Place<'_>,
    ) {
        let new = match stage {
            TaskStage::Ready => self.ready.insert((Reverse(priority), id)),
            TaskStage::Resting(due) => self.resting.insert((*due, id)),
            TaskStage::Unclaimed
            | TaskStage::InFlight(_)
            | TaskStage::Suspended(_)
            | TaskStage::Between
            | TaskStage::Ended { .. } => false,
        };
        if let (true, Some(by_cost)) = (new, &mut self.by_cost) {
            by_cost.insert((cost, id));
        }
    }

    fn remove(
        &mut self,
        stage: &TaskStage,
        Place {
            id, priority, cost, ..
        }: Place<'_>,
    ) {
        let known = match stage {
            TaskStage::Ready => self.ready.remove(&(Reverse(priority), id)),
            TaskStage::Resting(due) => self.resting.remove(&(*due, id)),
            TaskStage::Unclaimed
            | TaskStage::InFlight(_)
            | TaskStage::Suspended(_)
            | TaskStage::Between
            | TaskStage::Ended { .. } => false,
        };
        if let (true, Some(by_cost)) = (known, &mut self.by_cost) {
            by_cost.remove(&(cost, id));
        }
    }

    fn startable(&self, now: Timestamp) -> impl Iterator<Item = (Turn, TaskId)> {
        let rested = self.resting.iter().take_while(move |(due, _)| *due <= now);
        let rested = rested.map(|(due, id)| (Turn::Rested(*due), *id));
        rested.chain(
            self.ready
                .iter()
                .map(|(priority, id)| (Turn::Ready(*priority), *id)),
        )
    }

    fn cheapest(&self, left: PicoUsd) -> impl Iterator<Item = TaskId> {
        let by_cost = self.by_cost.iter().flatten();
        by_cost
            .take_while(move |(cost, _)| *cost <= left)
            .map(|(_, id)| *id)
    }

    fn any_fits(&self, left: PicoUsd) -> bool {
        match &self.by_cost {
            Some(by_cost) => by_cost.first().is_some_and(|(cost, _)| *cost <= left),
            None => !self.is_empty(),
        }
    }
}
