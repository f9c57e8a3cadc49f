//! The watcher's own accounts, computed from events alone.

use divisi_core::budget::TurnBound;
use divisi_core::event::{Caps, TaskFacts};
use divisi_core::{AttemptId, Event, FailureClass, Outcome, PicoUsd, TaskId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything spent, reserved and permitted.
#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    pub(super) run: Account,
    pub(super) phases: BTreeMap<Arc<str>, Account>,
    tasks: Vec<TaskBook>,
    pub(super) in_flight: BTreeMap<AttemptId, PicoUsd>,
    /// Reserved for suspended attempts.
    pub(super) suspended: BTreeMap<AttemptId, PicoUsd>,
    /// Reserved for hedges.
    pub(super) hedged: BTreeMap<AttemptId, PicoUsd>,
    pub(super) warn_percent: Option<u8>,
    /// Whether this execution has warned that most is spent.
    pub(super) warned: bool,
}

/// The account of the run, of a phase or of a task.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Account {
    pub(super) cap: Option<PicoUsd>,
    pub(super) settled: PicoUsd,
    /// The part of it without a reply.
    pub(super) unconfirmed: PicoUsd,
    /// The cost of replies beyond their reservations.
    pub(super) over: PicoUsd,
    pub(super) reserved: PicoUsd,
    /// Whether its cap was set below what it held, and nothing was reserved since.
    excused: bool,
}

/// The watcher's knowledge of one task.
#[derive(Clone, Debug, Default)]
pub(super) struct TaskBook {
    pub(super) facts: Arc<TaskFacts>,
    pub(super) own: Account,
    /// Results refused by a check.
    pub(super) rung: usize,
    /// How often the current model was unavailable.
    pub(super) outages: u32,
    /// Bound of its next turn, if known.
    next_turn: Option<TurnBound>,
    outcome: Option<Outcome>,
}

impl Account {
    pub(super) fn held(&self) -> PicoUsd {
        self.settled + self.reserved
    }

    pub(super) fn left(&self) -> PicoUsd {
        self.cap.map_or(PicoUsd::MAX, |cap| {
            cap.saturating_sub(self.held() + self.over)
        })
    }

    /// The total spent.
    pub(super) fn spent(&self) -> PicoUsd {
        self.settled + self.over
    }

    /// Whether it is within its cap, or excused.
    pub(super) fn keeps(&self) -> bool {
        self.excused || self.cap.is_none_or(|cap| self.held() <= cap)
    }

    fn allow(&mut self, cap: Option<PicoUsd>) {
        self.cap = cap;
        self.excused = cap.is_some_and(|cap| self.held() > cap);
    }

    fn book(
        &mut self,
        Booking {
            released,
            settled,
            unconfirmed,
            reserved,
        }: Booking,
    ) {
        self.reserved = PicoUsd(self.reserved.0 - released.0) + reserved;
        let within = settled.min(released);
        self.settled += within;
        self.over += settled.saturating_sub(within);
        self.unconfirmed += unconfirmed;
        self.excused &= reserved == PicoUsd::ZERO;
    }
}

/// The effect of one event on all accounts of a task.
#[derive(Clone, Copy, Debug, Default)]
struct Booking {
    released: PicoUsd,
    settled: PicoUsd,
    unconfirmed: PicoUsd,
    reserved: PicoUsd,
}

impl Books {
    pub(super) fn book(&mut self, event: &Event) {
        match event {
            Event::RunStarted(started) => self.allow(&started.caps),
            Event::RunResumed(resumed) => {
                self.allow(&resumed.caps);
                self.tasks
                    .iter_mut()
                    .for_each(|task| task.resume(resumed.reopen_failed));
            }
            Event::PhaseStarted {
                title,
                cap: cap @ Some(_),
            } => {
                self.phases.entry(title.clone()).or_default().allow(*cap);
            }
            Event::TaskSubmitted(submitted) => {
                let mut task = TaskBook {
                    facts: submitted.facts.clone(),
                    ..TaskBook::default()
                };
                task.own.allow(task.facts.cost_max);
                self.tasks.push(task);
            }
            Event::TaskClaimed {
                task,
                facts: Some(facts),
            } => {
                let task = &mut self.tasks[task.index()];
                task.facts = facts.clone();
                task.own.allow(facts.cost_max);
            }
            Event::AttemptScheduled {
                attempt, reserved, ..
            }
            | Event::TurnScheduled {
                attempt, reserved, ..
            } => {
                let released = self
                    .in_flight
                    .insert(*attempt, *reserved)
                    .unwrap_or_default();
                self.of(
                    *attempt,
                    Booking {
                        released,
                        reserved: *reserved,
                        ..Booking::default()
                    },
                );
            }
            Event::TurnHedged { attempt, reserved } => {
                self.hedged.insert(*attempt, *reserved);
                self.of(
                    *attempt,
                    Booking {
                        reserved: *reserved,
                        ..Booking::default()
                    },
                );
            }
            Event::HedgeEnded { attempt, cost } => {
                let released = self.hedged.remove(attempt).unwrap_or_default();
                let booking = Booking {
                    released,
                    settled: *cost,
                    unconfirmed: *cost,
                    ..Booking::default()
                };
                self.of(*attempt, booking);
            }
            Event::TurnEnded { attempt, turn } => {
                let released = self
                    .in_flight
                    .insert(*attempt, PicoUsd::ZERO)
                    .unwrap_or_default();
                self.of(
                    *attempt,
                    Booking {
                        released,
                        settled: turn.cost,
                        ..Booking::default()
                    },
                );
                self.tasks[attempt.task.index()].next_turn = None;
            }
            Event::AttemptReported {
                attempt,
                cost,
                unconfirmed,
                ..
            } => {
                let reserved = self.in_flight.entry(*attempt).or_default();
                let released = (*cost).min(*reserved);
                *reserved = PicoUsd(reserved.0 - released.0);
                let (settled, unconfirmed) = (*cost, *unconfirmed);
                self.of(
                    *attempt,
                    Booking {
                        released,
                        settled,
                        unconfirmed,
                        ..Booking::default()
                    },
                );
            }
            Event::AttemptSuspended {
                attempt,
                suspension,
            } => {
                let released = self.in_flight.remove(attempt).unwrap_or_default();
                let reserved = suspension.reserved;
                self.suspended.insert(*attempt, reserved);
                self.of(
                    *attempt,
                    Booking {
                        released,
                        reserved,
                        ..Booking::default()
                    },
                );
            }
            Event::AttemptEnded {
                attempt,
                cost,
                unconfirmed,
                failure,
                next_turn,
                ..
            } => {
                let known = self
                    .in_flight
                    .remove(attempt)
                    .or_else(|| self.suspended.remove(attempt));
                let released = known.unwrap_or_default();
                let (settled, unconfirmed) = (*cost, *unconfirmed);
                self.of(
                    *attempt,
                    Booking {
                        released,
                        settled,
                        unconfirmed,
                        ..Booking::default()
                    },
                );
                let class = failure.as_ref().map(|failure| failure.class);
                self.tasks[attempt.task.index()].attempt_ended(class, *next_turn);
            }
            Event::TaskEnded { task, outcome } => {
                self.tasks[task.index()].outcome = Some(outcome.clone());
            }
            Event::CapChanged { cap } => {
                self.run.allow(Some(*cap));
                self.warned = false;
            }
            Event::SoftLimitReached { .. } => self.warned = true,
            _ => {}
        }
    }

    pub(super) fn task(&self, id: TaskId) -> &TaskBook {
        &self.tasks[id.index()]
    }

    pub(super) fn phase_of(&self, id: TaskId) -> Option<&Account> {
        self.task(id)
            .facts
            .phase
            .as_ref()
            .and_then(|phase| self.phases.get(phase))
    }

    /// What the run and the phase have left for a task.
    pub(super) fn left(&self, id: TaskId) -> PicoUsd {
        self.run
            .left()
            .min(self.phase_of(id).map_or(PicoUsd::MAX, Account::left))
    }

    fn allow(&mut self, caps: &Caps) {
        (self.warn_percent, self.warned) = (caps.warn_percent, false);
        self.run.allow(caps.run);
        self.phases
            .values_mut()
            .for_each(|account| account.allow(None));
        for (phase, cap) in &caps.phases {
            self.phases
                .entry(phase.clone())
                .or_default()
                .allow(Some(*cap));
        }
    }

    fn of(&mut self, attempt: AttemptId, booking: Booking) {
        let task = &mut self.tasks[attempt.task.index()];
        task.own.book(booking);
        self.run.book(booking);
        if let Some(phase) = &task.facts.phase {
            self.phases.entry(phase.clone()).or_default().book(booking);
        }
    }
}

impl TaskBook {
    /// What its next attempt may cost: the bound of its first request, or that of the request it is
    /// known to wait for, whichever is more.
    pub(super) fn needs(&self) -> TurnBound {
        let first = self
            .facts
            .first_turns
            .get(self.place())
            .copied()
            .unwrap_or_default();
        let next = self.next_turn.unwrap_or_default();
        TurnBound {
            prompt: first.prompt.max(next.prompt),
            reply_token: first.reply_token.max(next.reply_token),
            reply_tokens_max: first.reply_tokens_max.max(next.reply_tokens_max),
            reply_tokens_min: first.reply_tokens_min.max(next.reply_tokens_min),
        }
    }

    /// Index of its next model; fallbacks come last.
    pub(super) fn place(&self) -> usize {
        let TaskFacts {
            models, fallbacks, ..
        } = &*self.facts;
        match (self.outages as usize / 2).min(fallbacks.len()) {
            0 => self.rung.min(models.len().saturating_sub(1)),
            stand_in => models.len() + stand_in - 1,
        }
    }

    fn attempt_ended(&mut self, class: Option<FailureClass>, next_turn: Option<TurnBound>) {
        let place = self.place();
        self.next_turn = next_turn.or(self.next_turn);
        match class {
            Some(FailureClass::Check) => {
                (self.rung, self.outages, self.next_turn) = (self.rung + 1, 0, None);
            }
            Some(FailureClass::Overloaded | FailureClass::Server) => self.outages += 1,
            _ => {}
        }
        self.model_may_change(place);
    }

    fn resume(&mut self, reopen_failed: bool) {
        let place = self.place();
        match self.outcome.take() {
            Some(outcome @ Outcome::Ok { .. }) => self.outcome = Some(outcome),
            Some(failed @ Outcome::Failed(_)) if !reopen_failed => self.outcome = Some(failed),
            Some(_) => (self.rung, self.outages) = (0, 0),
            None => self.outages = 0,
        }
        self.model_may_change(place);
    }

    /// The bound for one model does not apply to another.
    fn model_may_change(&mut self, place: usize) {
        if self.place() != place {
            self.next_turn = None;
        }
    }
}
