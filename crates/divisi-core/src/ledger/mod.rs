//! Where the money of a run went: a fold over its events, entry by entry.
//!
//! A [`Ledger`] holds what was recorded and nothing else; what it confirms and what
//! it does not are together, to the last unit, what the run has settled. What entries would have
//! cost otherwise is a question to a price list: see [`Review`].

mod ladders;
mod review;

pub use ladders::{Instead, LadderRecord, RungRecord};
pub use review::{ClassCost, Review};

use crate::budget::Spent;
use crate::estimate::Estimate;
use crate::event::{Recorded, TaskFacts, Turn};
use crate::price::is_same_model;
use crate::run::Span;
use crate::{AttemptId, Event, Millis, PicoUsd, TaskId, Timestamp, Usage};
use ladders::Tries;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What one reply, or one attempt besides its replies, has cost.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Which attempt it belongs to.
    pub attempt: AttemptId,
    /// What it stands for.
    pub kind: Kind,
    /// The model that was asked; `None` where no model was, and for judges.
    pub asked: Option<Arc<str>>,
    /// The model that the reply names.
    pub answered: Option<Arc<str>>,
    /// Tokens.
    pub usage: Usage,
    /// What it cost, by the prices of then.
    pub cost: PicoUsd,
    /// When that was recorded.
    pub at: Timestamp,
}

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A reply; which one of its attempt, from 1.
    Turn(u32),
    /// A reply that judges the attempt's result.
    Judgement,
    /// A request whose reply never came, settled at what was reserved for it.
    Unanswered,
    /// What an executor has counted for itself.
    Executor,
}

/// Tries of a task, told apart by whether they had to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Try {
    /// The first attempt of a task.
    First,
    /// A later one: after a failure, or going on after an interruption.
    Again,
    /// Requests without a reply, in whichever attempt.
    Unanswered,
}

/// What several entries come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Total {
    /// Replies received.
    pub replies: u64,
    /// Tokens.
    pub usage: Usage,
    /// Money that replies and executors have cost.
    pub cost: PicoUsd,
    /// Set aside for requests whose reply never came: at most this much was billed
    /// besides.
    pub unconfirmed: PicoUsd,
}

/// A model that was asked for, and another that answered.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Substitution {
    /// The model that was asked for.
    pub asked: Arc<str>,
    /// The model that the replies name.
    pub answered: Arc<str>,
}

/// Where the money of a run went.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    tasks: BTreeMap<TaskId, Arc<TaskFacts>>,
    under_way: BTreeMap<AttemptId, UnderWay>,
    saved: PicoUsd,
    reused: u64,
    tries: Tries,
    estimate: Option<Estimate>,
    span: Span,
    is_over: bool,
    spent: Spent,
}

/// An attempt as far as it has come.
#[derive(Clone, Debug)]
struct UnderWay {
    model: Option<Arc<str>>,
    reserved: PicoUsd,
    /// Set aside for the same request sent a second time.
    hedged: PicoUsd,
    turns: u32,
    /// Whether it waits for something outside of the process that drives the run.
    is_suspended: bool,
}

impl Ledger {
    /// The ledger of a run with these events, in their order.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Self {
        let mut ledger = Self::default();
        for recorded in events {
            ledger.record(recorded.at, &recorded.event);
        }
        ledger
    }

    /// Enters one more event.
    pub fn record(&mut self, at: Timestamp, event: &Event) {
        self.span.record(at, event);
        self.is_over = matches!(event, Event::RunEnded { .. });
        match event {
            Event::Estimated { estimate } => self.estimate = Some(**estimate),
            Event::TaskSubmitted(submitted) => {
                self.tasks.insert(submitted.task, submitted.facts.clone());
            }
            Event::TaskClaimed {
                task,
                facts: Some(facts),
            } => {
                self.tasks.insert(*task, facts.clone());
            }
            Event::CaughtUp { saved, reused, .. } => {
                self.saved += *saved;
                self.reused += u64::from(*reused);
            }
            Event::AttemptScheduled {
                attempt,
                model,
                reserved,
                ..
            } => {
                let begun = UnderWay {
                    model: model.clone(),
                    reserved: *reserved,
                    hedged: PicoUsd::ZERO,
                    turns: 0,
                    is_suspended: false,
                };
                self.under_way.insert(*attempt, begun);
                self.tries
                    .begin(*attempt, model.as_deref(), self.tasks.get(&attempt.task));
            }
            Event::TurnScheduled {
                attempt, reserved, ..
            } => {
                if let Some(begun) = self.under_way.get_mut(attempt) {
                    begun.reserved = *reserved;
                }
            }
            Event::TurnHedged { attempt, reserved } => {
                if let Some(begun) = self.under_way.get_mut(attempt) {
                    begun.hedged = *reserved;
                }
            }
            Event::AttemptSuspended {
                attempt,
                suspension,
            } => {
                if let Some(begun) = self.under_way.get_mut(attempt) {
                    begun.reserved = suspension.reserved;
                    begun.is_suspended = true;
                }
            }
            Event::HedgeEnded { attempt, cost } => self.given_up(at, *attempt, *cost),
            Event::TurnEnded { attempt, turn } => self.turn(at, *attempt, turn),
            Event::AttemptReported {
                attempt,
                usage,
                cost,
                unconfirmed,
                ..
            } => {
                self.reported(at, *attempt, *usage, *cost, *unconfirmed);
            }
            Event::AttemptEnded {
                attempt,
                failure,
                usage,
                cost,
                unconfirmed,
                ..
            } => {
                self.end(at, *attempt, *usage, *cost, *unconfirmed);
                self.tries.end(*attempt, failure.as_deref());
            }
            Event::RunStarted(_)
            | Event::RunResumed(_)
            | Event::PhaseStarted { .. }
            | Event::Logged { .. }
            | Event::Refused { .. }
            | Event::Uncaught { .. }
            | Event::SuspensionAnswered { .. }
            | Event::TaskClaimed { facts: None, .. }
            | Event::RetryPlanned { .. }
            | Event::TaskEnded { .. }
            | Event::SoftLimitReached { .. }
            | Event::ParkingStarted { .. }
            | Event::RunParked { .. }
            | Event::WaitStarted { .. }
            | Event::RunWoken
            | Event::FlowEnded { .. }
            | Event::RunEnded { .. } => {}
        }
    }

    fn turn(&mut self, at: Timestamp, attempt: AttemptId, turn: &Turn) {
        let Turn {
            model,
            usage,
            cost,
            judges,
            ..
        } = turn;
        let open_ended = self.is_open_ended(attempt);
        let begun = self.under_way.get_mut(&attempt);
        let (asked, number) = begun.map_or((None, 1), |begun| {
            let reserved = std::mem::take(&mut begun.reserved);
            self.spent += Spent::of_attempt(open_ended, reserved, *cost, PicoUsd::ZERO);
            begun.turns += 1;
            (begun.model.clone(), begun.turns)
        });
        // The journal does not say which model was to judge.
        let (asked, kind) = if *judges {
            (None, Kind::Judgement)
        } else {
            (asked, Kind::Turn(number))
        };
        let answered = Some(model.clone());
        self.entries.push(Entry {
            attempt,
            kind,
            asked,
            answered,
            usage: *usage,
            cost: *cost,
            at,
        });
    }

    /// Of two requests for the same, the one whose reply is not used.
    fn given_up(&mut self, at: Timestamp, attempt: AttemptId, cost: PicoUsd) {
        self.spent += Spent {
            unconfirmed: cost,
            ..Spent::default()
        };
        if let Some(begun) = self.under_way.get_mut(&attempt) {
            begun.hedged = PicoUsd::ZERO;
        }
        if cost != PicoUsd::ZERO {
            let asked = self
                .under_way
                .get(&attempt)
                .and_then(|begun| begun.model.clone());
            let (kind, usage) = (Kind::Unanswered, Usage::default());
            self.entries.push(Entry {
                attempt,
                kind,
                asked,
                answered: None,
                usage,
                cost,
                at,
            });
        }
    }

    /// Whether nothing bounds what an attempt costs: then all of it is what it may cost.
    fn is_open_ended(&self, attempt: AttemptId) -> bool {
        self.tasks
            .get(&attempt.task)
            .is_some_and(|facts| facts.is_open_ended())
    }

    fn end(
        &mut self,
        at: Timestamp,
        attempt: AttemptId,
        usage: Usage,
        cost: PicoUsd,
        unconfirmed: PicoUsd,
    ) {
        self.reported(at, attempt, usage, cost, unconfirmed);
        self.under_way.remove(&attempt);
    }

    /// What an attempt has used besides its turns, of what is set aside for it.
    fn reported(
        &mut self,
        at: Timestamp,
        attempt: AttemptId,
        usage: Usage,
        cost: PicoUsd,
        unconfirmed: PicoUsd,
    ) {
        let open_ended = self.is_open_ended(attempt);
        let begun = self.under_way.get_mut(&attempt);
        let (asked, reserved) = begun.map_or((None, PicoUsd::ZERO), |begun| {
            let reserved = cost.min(begun.reserved);
            begun.reserved = begun.reserved.saturating_sub(reserved);
            (begun.model.clone(), reserved)
        });
        self.spent += Spent::of_attempt(open_ended, reserved, cost, unconfirmed);
        let parts = [
            (Kind::Unanswered, Usage::default(), unconfirmed),
            (Kind::Executor, usage, cost.saturating_sub(unconfirmed)),
        ];
        for (kind, usage, cost) in parts {
            if usage != Usage::default() || cost != PicoUsd::ZERO {
                let asked = asked.clone();
                self.entries.push(Entry {
                    attempt,
                    kind,
                    asked,
                    answered: None,
                    usage,
                    cost,
                    at,
                });
            }
        }
    }

    /// Every entry, in the order in which they were recorded.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What is known of a task, as last said.
    pub fn facts(&self, task: TaskId) -> Option<&TaskFacts> {
        self.tasks.get(&task).map(|facts| &**facts)
    }

    /// What all of it comes to.
    pub fn total(&self) -> Total {
        self.entries
            .iter()
            .fold(Total::default(), |total, entry| total.and(entry))
    }

    /// The money of all of it, by how sure it is.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    /// Books every request under way as unanswered, as a resume does: the process
    /// that sent them has died.
    pub fn end_in_flight(&mut self) {
        let at = self.span.latest();
        let died: Vec<_> = self
            .under_way
            .iter()
            .filter(|(_, begun)| !begun.is_suspended)
            .map(|(attempt, begun)| (*attempt, begun.reserved, begun.hedged))
            .collect();
        for (attempt, reserved, hedged) in died {
            self.given_up(at, attempt, hedged);
            self.end(at, attempt, Usage::default(), reserved, reserved);
        }
    }

    /// How many results later executions of the flow took from the journal, and
    /// what those had cost, added up over all of its executions.
    pub fn reused(&self) -> (u64, PicoUsd) {
        (self.reused, self.saved)
    }

    /// What the run was expected to cost, as last said; `None` where nobody did.
    pub fn estimate(&self) -> Option<&Estimate> {
        self.estimate.as_ref()
    }

    /// Whether the run has ended; what it has cost is all there is then.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// How long it was at work, in all executions together, up to its latest event.
    pub fn took(&self) -> Millis {
        self.span.worked(self.span.latest())
    }

    /// How long it rested between its first event and its latest.
    pub fn rested(&self) -> Millis {
        self.span.rested(self.span.latest())
    }

    /// What the entries come to that have the same `key`.
    pub fn by<K: Ord>(&self, key: impl Fn(&Entry) -> K) -> BTreeMap<K, Total> {
        let mut totals: BTreeMap<K, Total> = BTreeMap::new();
        for entry in &self.entries {
            let total = totals.entry(key(entry)).or_default();
            *total = total.and(entry);
        }
        totals
    }

    /// The progress group that an entry belongs to.
    pub fn phase(&self, entry: &Entry) -> Option<Arc<str>> {
        self.tasks.get(&entry.attempt.task)?.phase.clone()
    }

    /// Replies by another model than the one that was asked, and how many.
    pub fn substitutions(&self) -> BTreeMap<Substitution, u64> {
        let mut found = BTreeMap::new();
        for entry in &self.entries {
            if let Some(substitution) = entry.substitution() {
                *found.entry(substitution).or_default() += 1;
            }
        }
        found
    }
}

impl Entry {
    /// The model it is priced by: the one that answered, or else the one asked.
    pub fn model(&self) -> Option<&Arc<str>> {
        self.answered
            .as_ref()
            .filter(|model| !model.is_empty())
            .or(self.asked.as_ref())
    }

    /// Whether the task had to be tried again.
    pub fn attempt(&self) -> Try {
        match (self.kind, self.attempt.number) {
            (Kind::Unanswered, _) => Try::Unanswered,
            (Kind::Turn(_) | Kind::Judgement | Kind::Executor, 1) => Try::First,
            (Kind::Turn(_) | Kind::Judgement | Kind::Executor, _) => Try::Again,
        }
    }

    /// Whether a model gave it: then its tokens have a price.
    pub fn is_reply(&self) -> bool {
        matches!(self.kind, Kind::Turn(_) | Kind::Judgement)
    }

    /// Its models, if another than the one asked has answered.
    pub fn substitution(&self) -> Option<Substitution> {
        let (asked, answered) = (self.asked.as_ref()?, self.answered.as_ref()?);
        let other = !is_same_model(asked, answered);
        other.then(|| Substitution {
            asked: asked.clone(),
            answered: answered.clone(),
        })
    }
}

impl Total {
    fn and(self, entry: &Entry) -> Self {
        let (cost, unconfirmed) = match entry.kind {
            Kind::Unanswered => (PicoUsd::ZERO, entry.cost),
            Kind::Turn(_) | Kind::Judgement | Kind::Executor => (entry.cost, PicoUsd::ZERO),
        };
        Self {
            replies: self.replies + u64::from(entry.is_reply()),
            usage: self.usage + entry.usage,
            cost: self.cost + cost,
            unconfirmed: self.unconfirmed + unconfirmed,
        }
    }
}

#[cfg(test)]
mod tests;
