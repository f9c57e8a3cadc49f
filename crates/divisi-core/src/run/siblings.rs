//! Cohorts of similar tasks, and whether their waiting tasks have any prospects.
//!
//! A fan-out whose tasks all fail alike costs money, and after the first few there is nothing to
//! learn from it. So the first tasks of every cohort are watched: if all of them failed for the
//! same class of reason, and no other one has succeeded meanwhile, the waiting ones are not started
//! before the user has decided.
//!
//! The order of starting counts, not that of ending: a refused request returns long before an
//! answered one, and would decide while others still run. If failures outnumber running attempts,
//! failures decide: one hung request must not let the rest of the fan-out be spent.

use super::lengths::Lengths;
use crate::event::TaskFacts;
use crate::{FailureClass, Outcome};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tasks of the current execution by cohort.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Siblings {
    sorts: BTreeMap<Sort, u32>,
    groups: Vec<Group>,
}

/// Identity of a cohort: tasks in the same phase, of the same kind, with the same executor and the
/// same models.
#[derive(Clone, Debug)]
struct Sort(Arc<TaskFacts>);

/// A task's cohort, and its order in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    group: u32,
    /// Number of its siblings that started before it; `None` before it starts.
    order: Option<u32>,
}

/// The state of a cohort.
#[derive(Clone, Debug, Default, PartialEq)]
struct Group {
    /// Tasks without an outcome.
    open: u32,
    in_flight: u32,
    started: u32,
    failed: u32,
    /// Class of all failures, if they have the same one.
    failed_alike: Option<FailureClass>,
    /// Class of failures among the first tasks, and their number.
    first_failed: Option<(FailureClass, u32)>,
    /// Whether the first tasks failed with several classes.
    is_mixed: bool,
    has_succeeded: bool,
    /// Lengths of their replies, by the model's index in the tasks' ladder.
    lengths: Vec<Lengths>,
}

impl Siblings {
    /// Adds a task that waits for the first time in this execution.
    pub(super) fn join(&mut self, facts: &Arc<TaskFacts>) -> Place {
        let next = self.groups.len() as u32;
        let group = *self.sorts.entry(Sort(facts.clone())).or_insert(next);
        if group == next {
            self.groups.push(Group::default());
        }
        self.groups[group as usize].open += 1;
        Place { group, order: None }
    }

    /// Resets all cohorts for the next execution, except for the lengths of replies.
    pub(super) fn begin_again(&mut self) {
        for group in &mut self.groups {
            let lengths = std::mem::take(&mut group.lengths);
            *group = Group {
                lengths,
                ..Group::default()
            };
        }
    }

    /// Records the length of a reply by the model with this index.
    pub(super) fn replied(&mut self, place: Place, model: usize, tokens: u32) {
        let lengths = &mut self.groups[place.group as usize].lengths;
        if lengths.len() <= model {
            lengths.resize_with(model + 1, Lengths::default);
        }
        lengths[model].add(tokens);
    }

    /// Lengths of the siblings' replies by the model with this index.
    pub(super) fn lengths(&self, place: Place, model: usize) -> Option<&Lengths> {
        self.groups[place.group as usize].lengths.get(model)
    }

    /// An attempt starts.
    pub(super) fn started(&mut self, place: &mut Place) {
        let group = &mut self.groups[place.group as usize];
        group.in_flight += 1;
        if place.order.is_none() {
            place.order = Some(group.started);
            group.started += 1;
        }
    }

    /// An attempt has ended.
    pub(super) fn stopped(&mut self, place: Place) {
        self.groups[place.group as usize].in_flight -= 1;
    }

    /// A task has its outcome. `tried` says whether an attempt gave it; only the first `first`
    /// siblings are watched.
    pub(super) fn ended(&mut self, place: Place, outcome: &Outcome, tried: bool, first: u32) {
        let group = &mut self.groups[place.group as usize];
        group.open -= 1;
        match outcome {
            Outcome::Ok { .. } if tried => group.has_succeeded = true,
            Outcome::Failed(failure) if tried => {
                let alike = group.failed == 0 || group.failed_alike == Some(failure.class);
                group.failed_alike = alike.then_some(failure.class);
                group.failed += 1;
                let is_first = place.order.is_some_and(|order| order < first);
                match &mut group.first_failed {
                    _ if !is_first => {}
                    None => group.first_failed = Some((failure.class, 1)),
                    Some((class, failed)) if *class == failure.class => *failed += 1,
                    Some(_) => group.is_mixed = true,
                }
            }
            // Tasks that were never started are no evidence.
            Outcome::Ok { .. }
            | Outcome::Failed(_)
            | Outcome::Skipped { .. }
            | Outcome::Cancelled => {}
        }
    }

    /// Whether waiting siblings have no prospects once a running task fails with this class.
    /// Returns the number of failures, including this one.
    pub(super) fn hopeless(&self, place: Place, class: FailureClass, first: u32) -> Option<u32> {
        let group = &self.groups[place.group as usize];
        let (alike, failed) = group.first_failed.unwrap_or((class, 0));
        let own = u32::from(place.order.is_some_and(|order| order < first));
        let firsts = !group.is_mixed && alike == class && failed + own >= first;
        let outnumber = (group.failed == 0 || group.failed_alike == Some(class))
            && group.failed + 1 >= first.saturating_add(group.in_flight - 1);
        let waiting = group.open - group.in_flight;
        let hopeless = first > 0 && !group.has_succeeded && (firsts || outnumber) && waiting > 0;
        hopeless.then_some(group.failed + 1)
    }
}

impl Ord for Sort {
    fn cmp(&self, Self(other): &Self) -> Ordering {
        let TaskFacts {
            phase,
            executor,
            kind,
            models,
            ..
        } = &*self.0;
        let by_phase = phase
            .cmp(&other.phase)
            .then_with(|| executor.cmp(&other.executor));
        by_phase
            .then_with(|| kind.cmp(&other.kind))
            .then_with(|| models.cmp(&other.models))
    }
}

impl PartialOrd for Sort {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sort {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Sort {}
