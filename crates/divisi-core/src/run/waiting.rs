//! The waiting tasks, and the order in which they start.

use super::{TaskStage, TaskState};
use crate::budget::Budgets;
use crate::event::TaskFacts;
use crate::{PicoUsd, TaskId, Timestamp};
use itertools::Itertools;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;
use std::sync::Arc;

/// Tasks that wait to start.
///
/// Tasks of a phase with its own cap are in pools of their own, and so are tasks of programs: if
/// the money of a phase or the slots of programs are used up, those pools are skipped at once,
/// however many tasks they have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Waiting {
    open: Sorts,
    capped: BTreeMap<Arc<str>, Sorts>,
}

/// Tasks under the same budgets, with and without programs.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sorts {
    models: Pool,
    programs: Pool,
}

/// Tasks under the same budgets and slots.
#[derive(Clone, Debug, Default, PartialEq)]
struct Pool {
    /// Tasks that may start now, by rank, then in order of submission.
    ready: BTreeSet<(Reverse<u32>, TaskId)>,
    /// Tasks that may start later, by that moment.
    resting: BTreeSet<(Timestamp, TaskId)>,
    /// All tasks by their least reservation; kept only if there is a cap.
    by_cost: Option<BTreeSet<(PicoUsd, TaskId)>>,
}

/// The values that decide a task's place. They do not change while it waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) id: TaskId,
    pub(super) rank: u32,
    pub(super) cost: PicoUsd,
    pub(super) phase: Option<&'a Arc<str>>,
    pub(super) is_program: bool,
}

impl TaskState {
    /// The values that decide its place among waiting tasks.
    pub(super) fn place(&self, id: TaskId) -> Place<'_> {
        // A task that cannot start reserves nothing.
        let cost = self.least().unwrap_or_default();
        let TaskFacts {
            phase, is_program, ..
        } = &*self.facts;
        Place {
            id,
            rank: self.facts.rank(),
            cost,
            phase: phase.as_ref(),
            is_program: *is_program,
        }
    }
}

/// The order in which tasks start: first those whose delay is over, then the ready ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    Rested(Timestamp),
    Ready(Reverse<u32>),
}

impl Waiting {
    /// Without tasks. `capped` says whether the run has a cap.
    pub(super) fn empty(capped: bool) -> Self {
        Self {
            open: Sorts::empty(capped),
            capped: BTreeMap::new(),
        }
    }

    /// The same pools without tasks.
    pub(super) fn emptied(&self, capped: bool) -> Self {
        let mut empty = Self::empty(capped);
        for phase in self.capped.keys() {
            empty.cap_phase(phase);
        }
        empty
    }

    /// Creates a pool for tasks of this phase. None of them may be waiting.
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

    /// Adds a task, if it waits at this stage.
    pub(super) fn insert(&mut self, stage: &TaskStage, place: Place<'_>) {
        self.pool(place).insert(stage, place);
    }

    /// Removes a task, if it waited at this stage.
    pub(super) fn remove(&mut self, stage: &TaskStage, place: Place<'_>) {
        self.pool(place).remove(stage, place);
    }

    /// All tasks: the ready ones first, then the delayed ones.
    pub(super) fn all(&self) -> impl Iterator<Item = TaskId> {
        let ready = self
            .pools()
            .flat_map(|(_, _, pool)| pool.ready.iter().map(|(_, id)| *id));
        ready.chain(
            self.pools()
                .flat_map(|(_, _, pool)| pool.resting.iter().map(|(_, id)| *id)),
        )
    }

    /// The tasks that may start at `now`, in order. Phases whose budget allows none of their tasks
    /// are left out.
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

    /// The delayed tasks, earliest first.
    pub(super) fn resting(&self) -> impl Iterator<Item = (Timestamp, TaskId)> {
        self.pools()
            .map(|(_, _, pool)| pool.resting.iter().copied())
            .kmerge()
    }

    /// The tasks that the budgets allow, cheapest first. Empty without a cap.
    pub(super) fn cheapest(&self, budgets: &Budgets) -> impl Iterator<Item = TaskId> {
        self.pools()
            .flat_map(move |(phase, _, pool)| pool.cheapest(budgets.left(phase)))
    }

    /// Whether the budgets allow any of them.
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

/// The tasks that may start, merged in order from several pools.
pub(super) struct Startable<I: Iterator>(Vec<(bool, Peekable<I>)>);

impl<I: Iterator<Item = (Turn, TaskId)>> Startable<I> {
    /// The next one, with or without tasks of programs.
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

    fn insert(&mut self, stage: &TaskStage, Place { id, rank, cost, .. }: Place<'_>) {
        let new = match stage {
            TaskStage::Ready => self.ready.insert((Reverse(rank), id)),
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

    fn remove(&mut self, stage: &TaskStage, Place { id, rank, cost, .. }: Place<'_>) {
        let known = match stage {
            TaskStage::Ready => self.ready.remove(&(Reverse(rank), id)),
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
                .map(|(rank, id)| (Turn::Ready(*rank), *id)),
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
