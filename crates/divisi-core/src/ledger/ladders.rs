//! The record of ladders, rung by rung, and what their last model alone would have cost.

use super::{Entry, Kind, Ledger};
use crate::check::LadderWorth;
use crate::event::TaskFacts;
use crate::{AttemptId, Failure, FailureClass, ModelPrice, PicoUsd, TaskId, Timestamp};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The record of one ladder for tasks of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LadderRecord {
    /// The kind of the tasks, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<Arc<str>>,
    /// Its rungs, lowest first.
    pub rungs: Vec<RungRecord>,
    /// Comparison with the last model alone; `None` if no task was decided, or if that model has no
    /// price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<Instead>,
}

/// The record of one rung.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RungRecord {
    /// Its model.
    pub model: Arc<str>,
    /// Results it made.
    pub tried: u64,
    /// Results that were taken.
    pub accepted: u64,
    /// Cost of its attempts, failed ones included, checks excluded.
    pub cost: PicoUsd,
    /// Cost of judging its results.
    pub checks: PicoUsd,
    /// Cost of the same tokens at the list price of the next rung's model; `None` on the last rung,
    /// or without a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<PicoUsd>,
}

/// Compares a ladder with its last model alone.
///
/// For each decided task the work of the deciding rung counts: as paid on the last rung, otherwise
/// its tokens at the price of the last model. That is an estimate: the last model might have needed
/// more tokens or fewer. Checks and refused results are the extra cost of the ladder; the last
/// model alone is assumed to need no check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Instead {
    /// Number of decided tasks.
    pub tasks: u64,
    /// Their cost on the ladder, checks and refused results included.
    pub ladder: PicoUsd,
    /// Their estimated cost on its last model.
    pub last_model: PicoUsd,
}

impl RungRecord {
    /// Whether trying this model before the next one pays; `None` while it has made no result.
    pub fn worth(&self) -> Option<LadderWorth> {
        LadderWorth::of(
            self.accepted,
            self.tried,
            self.cost + self.checks,
            self.above?,
        )
    }
}

/// The attempts at tasks with ladders.
#[derive(Clone, Debug, Default)]
pub(super) struct Tries(BTreeMap<AttemptId, Try>);

/// One attempt: its rung, and whether its result was taken.
#[derive(Clone, Copy, Debug)]
struct Try {
    rung: usize,
    /// Whether its result was taken; `None` while there is none.
    accepted: Option<bool>,
}

impl Tries {
    pub(super) fn begin(
        &mut self,
        attempt: AttemptId,
        model: Option<&str>,
        facts: Option<&Arc<TaskFacts>>,
    ) {
        let Some(facts) = facts.filter(|facts| facts.checked && facts.models.len() > 1) else {
            return;
        };
        let place = facts
            .models
            .iter()
            .position(|known| Some(&**known) == model);
        let before = AttemptId {
            number: attempt.number.saturating_sub(1),
            ..attempt
        };
        // A fallback model counts for the rung it replaces.
        let rung = place
            .or_else(|| Some(self.0.get(&before)?.rung))
            .unwrap_or(0);
        self.0.insert(
            attempt,
            Try {
                rung,
                accepted: None,
            },
        );
    }

    pub(super) fn end(&mut self, attempt: AttemptId, failure: Option<&Failure>) {
        let Some(tried) = self.0.get_mut(&attempt) else {
            return;
        };
        tried.accepted = match failure.map(|failure| failure.class) {
            None => Some(true),
            Some(FailureClass::Check) => Some(false),
            Some(_) => None,
        };
    }
}

/// The work on one task.
#[derive(Default)]
struct Work<'a> {
    entries: Vec<(usize, &'a Entry)>,
    /// The rung whose result was last taken or refused.
    decided: Option<(usize, bool)>,
}

impl Work<'_> {
    /// The deciding rung, once a result was taken or no rung is left.
    fn decided_on(&self, last: usize) -> Option<usize> {
        self.decided
            .filter(|(rung, accepted)| *accepted || *rung == last)
            .map(|(rung, _)| rung)
    }
}

type Key<'a> = (Option<&'a Arc<str>>, &'a [Arc<str>]);

impl Ledger {
    /// The records of checked tasks with several models, by kind and ladder. `price` gives the
    /// price of a model at a time.
    pub fn ladders(
        &self,
        price: impl Fn(&Arc<str>, Timestamp) -> Option<ModelPrice>,
    ) -> Vec<LadderRecord> {
        let mut work: BTreeMap<TaskId, Work<'_>> = BTreeMap::new();
        for entry in &self.entries {
            if let Some(tried) = self.tries.0.get(&entry.attempt) {
                work.entry(entry.attempt.task)
                    .or_default()
                    .entries
                    .push((tried.rung, entry));
            }
        }
        let mut records: BTreeMap<Key<'_>, LadderRecord> = BTreeMap::new();
        for (attempt, tried) in &self.tries.0 {
            let Some(record) = self.record_of(attempt.task, &mut records) else {
                continue;
            };
            if let (Some(rung), Some(accepted)) = (record.rungs.get_mut(tried.rung), tried.accepted)
            {
                rung.tried += 1;
                rung.accepted += u64::from(accepted);
                work.entry(attempt.task).or_default().decided = Some((tried.rung, accepted));
            }
        }
        for (task, work) in &work {
            if let Some(record) = self.record_of(*task, &mut records) {
                record.add(work, &price);
            }
        }
        records.into_values().collect()
    }

    fn record_of<'a, 'r>(
        &'a self,
        task: TaskId,
        records: &'r mut BTreeMap<Key<'a>, LadderRecord>,
    ) -> Option<&'r mut LadderRecord> {
        let facts = self.tasks.get(&task)?;
        let rung = |model: &Arc<str>| RungRecord {
            model: model.clone(),
            ..RungRecord::default()
        };
        Some(
            records
                .entry((facts.kind.as_ref(), &facts.models))
                .or_insert_with(|| LadderRecord {
                    kind: facts.kind.clone(),
                    rungs: facts.models.iter().map(rung).collect(),
                    instead: None,
                }),
        )
    }
}

impl LadderRecord {
    fn add(
        &mut self,
        work: &Work<'_>,
        price: &impl Fn(&Arc<str>, Timestamp) -> Option<ModelPrice>,
    ) {
        for (place, entry) in &work.entries {
            let above = self.rungs.get(place + 1).map(|next| next.model.clone());
            let Some(rung) = self.rungs.get_mut(*place) else {
                continue;
            };
            if entry.kind == Kind::Judgement {
                rung.checks += entry.cost;
                continue;
            }
            rung.cost += entry.cost;
            if let Some(price) = above.and_then(|above| price(&above, entry.at)) {
                rung.above = Some(rung.above.unwrap_or_default() + price.cost(&entry.usage));
            }
        }
        if let Some(task) = self.instead_of(work, price) {
            let so_far = self.instead.unwrap_or_default();
            self.instead = Some(Instead {
                tasks: so_far.tasks + 1,
                ladder: so_far.ladder + task.ladder,
                last_model: so_far.last_model + task.last_model,
            });
        }
    }

    /// Compares one task with the last model alone.
    fn instead_of(
        &self,
        work: &Work<'_>,
        price: &impl Fn(&Arc<str>, Timestamp) -> Option<ModelPrice>,
    ) -> Option<Instead> {
        let last = self.rungs.len().checked_sub(1)?;
        let decided = work.decided_on(last)?;
        let of_it = work
            .entries
            .iter()
            .filter(|(rung, e)| *rung == decided && e.kind != Kind::Judgement);
        let last_model = of_it.map(|(_, entry)| match decided == last {
            true => Some(entry.cost),
            false => Some(price(&self.rungs[last].model, entry.at)?.cost(&entry.usage)),
        });
        let ladder = work.entries.iter().map(|(_, entry)| entry.cost).sum();
        Some(Instead {
            tasks: 1,
            ladder,
            last_model: last_model.sum::<Option<PicoUsd>>()?,
        })
    }
}
