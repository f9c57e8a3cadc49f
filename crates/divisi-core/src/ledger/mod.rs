//! Where the money of a run went: a fold over its events, entry by entry.
//!
//! A [`Ledger`] holds only what was recorded; its confirmed and unconfirmed parts add up exactly to
//! what the run has settled. Figures of the whole run are those of its [view](RunView), so that a
//! bill and a display cannot differ. Other prices are applied by [`Review`].

mod ladders;
mod review;

pub use ladders::{Instead, LadderRecord, RungRecord};
pub use review::{ClassCost, Review};

use crate::budget::Spent;
use crate::estimate::Estimate;
use crate::event::{Recorded, TaskFacts, Turn};
use crate::price::is_same_model;
use crate::run::Stage;
use crate::{AttemptId, Event, Millis, PicoUsd, RunView, TaskId, Tier, Timestamp, Usage};
use ladders::Tries;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The cost of one reply, or of an attempt apart from its replies.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its attempt.
    pub attempt: AttemptId,
    /// Its source.
    pub kind: Kind,
    /// The model asked for; `None` where there was none, and for judges.
    pub asked: Option<Arc<str>>,
    /// The model that the reply names.
    pub answered: Option<Arc<str>>,
    /// Tokens.
    pub usage: Usage,
    /// Cost at the prices of that time.
    pub cost: PicoUsd,
    /// Whether tokens and cost are estimated from the texts, because the reply had no counts.
    pub estimated: bool,
    /// Time of the recording.
    pub at: Timestamp,
}

/// The source of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A reply; its number within the attempt, from 1.
    Turn(u32),
    /// A judge's reply.
    Judgement,
    /// What a request without a whole reply may be billed besides what is known of it.
    Unanswered,
    /// What had arrived of a reply that broke off.
    BrokenOff,
    /// Usage reported by an executor.
    Executor,
}

/// Which attempt at a task an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Try {
    /// The first attempt of a task.
    First,
    /// A later attempt: after a failure, or after an interruption.
    Again,
    /// A request without a reply, in any attempt.
    Unanswered,
}

/// The sum of several entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Total {
    /// Replies received.
    pub replies: u64,
    /// Tokens.
    pub usage: Usage,
    /// Cost of replies and executors, and of what had arrived of replies that broke off.
    pub cost: PicoUsd,
    /// What requests whose reply never came whole may have been billed in addition, at most.
    pub unconfirmed: PicoUsd,
    /// The part of the cost that is estimated from texts, because replies had no counts.
    #[serde(skip_serializing_if = "is_nothing")]
    pub estimated: PicoUsd,
}

fn is_nothing(amount: &PicoUsd) -> bool {
    *amount == PicoUsd::ZERO
}

/// A reply by another model than the one asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Substitution {
    /// The model asked for.
    pub asked: Arc<str>,
    /// The model that the replies name.
    pub answered: Arc<str>,
}

/// The entries of a run, with the facts needed to group them.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    entries: Vec<Entry>,
    tasks: BTreeMap<TaskId, Arc<TaskFacts>>,
    under_way: BTreeMap<AttemptId, UnderWay>,
    saved: PicoUsd,
    reused: u64,
    tries: Tries,
    view: RunView,
}

/// An attempt in flight, or suspended.
#[derive(Clone, Debug)]
struct UnderWay {
    model: Option<Arc<str>>,
    turns: u32,
}

impl Ledger {
    /// The ledger of these events, which must be in order.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> Self {
        let mut ledger = Self::default();
        for recorded in events {
            ledger.record(recorded.at, &recorded.event);
        }
        ledger
    }

    /// Adds one event.
    pub fn record(&mut self, at: Timestamp, event: &Event) {
        self.view.fold(at, event);
        match event {
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
            Event::AttemptScheduled { attempt, model, .. } => {
                let begun = UnderWay {
                    model: model.clone(),
                    turns: 0,
                };
                self.under_way.insert(*attempt, begun);
                self.tries
                    .begin(*attempt, model.as_deref(), self.tasks.get(&attempt.task));
            }
            Event::HedgeEnded { attempt, cost } => self.given_up(at, *attempt, *cost),
            Event::TurnEnded { attempt, turn } => self.turn(at, *attempt, turn),
            Event::AttemptReported {
                attempt,
                model,
                usage,
                cost,
                unconfirmed,
                ..
            } => {
                let answered = model.as_ref();
                self.reported(at, *attempt, answered, *usage, (*cost, *unconfirmed, false));
            }
            Event::AttemptEnded {
                attempt,
                failure,
                usage,
                cost,
                unconfirmed,
                estimated,
                ..
            } => {
                self.end(at, *attempt, *usage, (*cost, *unconfirmed, *estimated));
                self.tries.end(*attempt, failure.as_deref());
            }
            Event::RunStarted(_)
            | Event::RunResumed(_)
            | Event::Estimated { .. }
            | Event::TurnScheduled { .. }
            | Event::TurnHedged { .. }
            | Event::AttemptSuspended { .. }
            | Event::PhaseStarted { .. }
            | Event::Logged { .. }
            | Event::Refused { .. }
            | Event::Uncaught { .. }
            | Event::SuspensionAnswered { .. }
            | Event::TaskClaimed { facts: None, .. }
            | Event::RetryPlanned { .. }
            | Event::TaskEnded { .. }
            | Event::CapChanged { .. }
            | Event::WidthChanged { .. }
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
            estimated,
            ..
        } = turn;
        let begun = self.under_way.get_mut(&attempt);
        let (asked, number) = begun.map_or((None, 1), |begun| {
            begun.turns += 1;
            (begun.model.clone(), begun.turns)
        });
        // The journal does not record which model a judge call asked.
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
            estimated: *estimated,
            at,
        });
    }

    /// Books the copy of a hedged request whose reply is not used.
    fn given_up(&mut self, at: Timestamp, attempt: AttemptId, cost: PicoUsd) {
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
                estimated: false,
                at,
            });
        }
    }

    fn end(
        &mut self,
        at: Timestamp,
        attempt: AttemptId,
        usage: Usage,
        cost: (PicoUsd, PicoUsd, bool),
    ) {
        self.reported(at, attempt, None, usage, cost);
        self.under_way.remove(&attempt);
    }

    /// Books usage that an executor reported, or of a reply that broke off.
    fn reported(
        &mut self,
        at: Timestamp,
        attempt: AttemptId,
        answered: Option<&Arc<str>>,
        usage: Usage,
        (cost, unconfirmed, estimated): (PicoUsd, PicoUsd, bool),
    ) {
        let begun = self.under_way.get(&attempt);
        let asked = begun.and_then(|begun| begun.model.clone());
        let known = match estimated {
            true => Kind::BrokenOff,
            false => Kind::Executor,
        };
        let parts = [
            (Kind::Unanswered, Usage::default(), unconfirmed),
            (known, usage, cost.saturating_sub(unconfirmed)),
        ];
        for (kind, usage, cost) in parts {
            if usage != Usage::default() || cost != PicoUsd::ZERO {
                let asked = asked.clone();
                self.entries.push(Entry {
                    attempt,
                    kind,
                    asked,
                    answered: answered.cloned(),
                    usage,
                    cost,
                    estimated: kind == Kind::BrokenOff,
                    at,
                });
            }
        }
    }

    /// All entries, in the order of recording.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The latest facts of a task.
    pub fn facts(&self, task: TaskId) -> Option<&TaskFacts> {
        self.tasks.get(&task).map(|facts| &**facts)
    }

    /// The sum of all entries.
    pub fn total(&self) -> Total {
        self.entries
            .iter()
            .fold(Total::default(), |total, entry| total.and(entry))
    }

    /// The money spent, by how sure it is.
    pub fn spent(&self) -> Spent {
        self.view.money.spent()
    }

    /// Books every request in flight as unanswered, as a resume does after a crash.
    pub fn end_in_flight(&mut self) {
        let at = self.view.span.latest();
        for (attempt, under_way) in self.view.in_flight() {
            self.given_up(at, attempt, under_way.hedged);
            let reserved = under_way.reserved;
            self.end(at, attempt, Usage::default(), (reserved, reserved, false));
        }
        self.view.assume_dead();
    }

    /// Number of results that later executions took from the journal, and their original cost,
    /// summed over all executions.
    pub fn reused(&self) -> (u64, PicoUsd) {
        (self.reused, self.saved)
    }

    /// The latest estimate; `None` if none was recorded.
    pub fn estimate(&self) -> Option<&Estimate> {
        self.view.estimate.as_ref()
    }

    /// Whether the run has ended, so that its cost is final.
    pub fn is_over(&self) -> bool {
        matches!(self.view.stage, Stage::Ended(_))
    }

    /// Time at work, over all executions, up to the latest event.
    pub fn took(&self) -> Millis {
        self.view.span.worked(self.view.span.latest())
    }

    /// Time parked between the first and the latest event.
    pub fn rested(&self) -> Millis {
        self.view.span.rested(self.view.span.latest())
    }

    /// Sums the entries by `key`.
    pub fn by<K: Ord>(&self, key: impl Fn(&Entry) -> K) -> BTreeMap<K, Total> {
        let mut totals: BTreeMap<K, Total> = BTreeMap::new();
        for entry in &self.entries {
            let total = totals.entry(key(entry)).or_default();
            *total = total.and(entry);
        }
        totals
    }

    /// The phase of an entry.
    pub fn phase(&self, entry: &Entry) -> Option<Arc<str>> {
        self.tasks.get(&entry.attempt.task)?.phase.clone()
    }

    /// Replies by another model than the one asked for, with their number.
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
    /// The model whose price applies: the one that answered, or else the one asked for.
    pub fn model(&self) -> Option<&Arc<str>> {
        self.answered
            .as_ref()
            .filter(|model| !model.is_empty())
            .or(self.asked.as_ref())
    }

    /// Which attempt at the task it was.
    pub fn attempt(&self) -> Try {
        match (self.kind, self.attempt.number) {
            (Kind::Unanswered | Kind::BrokenOff, _) => Try::Unanswered,
            (Kind::Turn(_) | Kind::Judgement | Kind::Executor, 1) => Try::First,
            (Kind::Turn(_) | Kind::Judgement | Kind::Executor, _) => Try::Again,
        }
    }

    /// Whether it is a model's reply, whose tokens have a price.
    pub fn is_reply(&self) -> bool {
        matches!(self.kind, Kind::Turn(_) | Kind::Judgement)
    }

    /// The two models, if another one answered.
    pub fn substitution(&self) -> Option<Substitution> {
        let (asked, answered) = (self.asked.as_ref()?, self.answered.as_ref()?);
        // The tier of an agent program, which answers with the model it took for it.
        let is_tier = |tier: Tier| answered.split('-').any(|part| part == tier.as_str());
        let other = !is_same_model(asked, answered) && !asked.parse().is_ok_and(is_tier);
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
            Kind::Turn(_) | Kind::Judgement | Kind::BrokenOff | Kind::Executor => {
                (entry.cost, PicoUsd::ZERO)
            }
        };
        Self {
            replies: self.replies + u64::from(entry.is_reply()),
            usage: self.usage + entry.usage,
            cost: self.cost + cost,
            unconfirmed: self.unconfirmed + unconfirmed,
            estimated: match entry.estimated {
                true => self.estimated + cost,
                false => self.estimated,
            },
        }
    }
}

#[cfg(test)]
mod tests;
