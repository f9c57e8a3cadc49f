//! Tasks of one sort, and whether there is hope for those of them that wait.
//!
//! A fan-out whose tasks all fail alike costs money and says nothing new after
//! the first few. So the first of every sort are looked at: when all of them
//! have failed for the same class of reason, and none of the others has
//! succeeded meanwhile, those that wait are not tried before a person has been
//! asked.
//!
//! What counts is who started first, not who ended first: a request that is
//! refused comes back long before one that is answered, and would speak for
//! those that are still at work. Only when those that have failed outnumber these,
//! they do: one that hangs must not let all the others be burnt.

use super::Run;
use super::room::Lengths;
use crate::event::{ParkReason, TaskFacts};
use crate::run::{Stage, TaskState};
use crate::{Failure, FailureClass, Outcome};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The tasks of the current execution by sort.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Siblings {
    sorts: BTreeMap<Sort, u32>,
    groups: Vec<Group>,
}

/// Which tasks are siblings: those in the same phase, carried out by the same
/// executor on the same models, and of the same kind.
#[derive(Clone, Debug)]
struct Sort(Arc<TaskFacts>);

/// Where a task belongs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    group: u32,
    /// How many of its siblings had started before it; `None` before it starts.
    order: Option<u32>,
}

/// What is known of siblings.
#[derive(Clone, Debug, Default, PartialEq)]
struct Group {
    /// Without an outcome.
    open: u32,
    in_flight: u32,
    started: u32,
    failed: u32,
    /// How those that have failed did so, where all did for the same reason.
    failed_alike: Option<FailureClass>,
    /// How those of the first that have failed did so, and how many they are.
    first_failed: Option<(FailureClass, u32)>,
    /// Whether the first have failed in several ways.
    is_mixed: bool,
    has_succeeded: bool,
    /// Of their replies, by the place of the model among those of the tasks.
    lengths: Vec<Lengths>,
}

impl Siblings {
    /// A task waits for the first time in this execution.
    pub(super) fn join(&mut self, facts: &Arc<TaskFacts>) -> Place {
        let next = self.groups.len() as u32;
        let group = *self.sorts.entry(Sort(facts.clone())).or_insert(next);
        if group == next {
            self.groups.push(Group::default());
        }
        self.groups[group as usize].open += 1;
        Place { group, order: None }
    }

    /// Nothing counts any more but how long replies were.
    pub(super) fn begin_again(&mut self) {
        for group in &mut self.groups {
            let lengths = std::mem::take(&mut group.lengths);
            *group = Group {
                lengths,
                ..Group::default()
            };
        }
    }

    /// A reply of so many tokens has come from the model at this place.
    pub(super) fn replied(&mut self, place: Place, model: usize, tokens: u32) {
        let lengths = &mut self.groups[place.group as usize].lengths;
        if lengths.len() <= model {
            lengths.resize_with(model + 1, Lengths::default);
        }
        lengths[model].add(tokens);
    }

    /// How long replies to siblings of a task were, from the model that it asks next.
    pub(super) fn lengths(&self, task: &TaskState) -> Option<&Lengths> {
        let group = &self.groups[task.sibling.group as usize];
        group.lengths.get(task.next_place())
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

    /// A task has its outcome. `tried` tells whether that is an attempt's; the
    /// first `first` siblings are those that count.
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
            // What was never tried says nothing of those that wait.
            Outcome::Ok { .. }
            | Outcome::Failed(_)
            | Outcome::Skipped { .. }
            | Outcome::Cancelled => {}
        }
    }

    /// Whether siblings wait, and there is no hope for them, once a task under
    /// way has failed so. Tells how many have failed then.
    fn hopeless(&self, place: Place, class: FailureClass, first: u32) -> Option<u32> {
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

impl Run {
    /// Why those that wait are not tried any more once an attempt of `task` has
    /// ended it with this failure, if so.
    pub(super) fn hopeless(&self, task: &TaskState, failure: &Failure) -> Option<ParkReason> {
        let first = self.limits.hopeless_after;
        let failed = self.siblings.hopeless(task.sibling, failure.class, first)?;
        let Failure {
            class,
            message,
            hint,
            ..
        } = failure.clone();
        let phase = task.facts.phase.clone();
        (self.stage == Stage::Running).then_some(ParkReason::Hopeless {
            class,
            failed,
            phase,
            message,
            hint,
        })
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
