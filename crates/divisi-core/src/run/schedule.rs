//! Decides what follows from time alone: which tasks start, and when the run parks or ends.

use super::{Run, Stage, TaskStage};
use crate::budget::{Budgets, Grant};
use crate::event::{ParkReason, Refusal, RunStatus};
use crate::{Event, Failure, FailureClass, Outcome, PicoUsd, TaskId, Timestamp};
use std::sync::Arc;

impl Run {
    /// Most waiting tasks examined in one decision for one that the budget allows. Enough that
    /// smaller tasks behind larger ones usually keep their order, and few enough that a decision
    /// stays cheap.
    pub const BUDGET_SCAN_MAX: usize = 128;

    pub(super) fn tick(&self, now: Timestamp) -> Vec<Event> {
        // The order matters: nothing starts in a run that ends, and the warning precedes further
        // spending.
        if let Some(events) = self.ending() {
            return events;
        }
        let timers = self.due_timers(now);
        if !timers.is_empty() {
            return timers;
        }
        let expired = self.expired(now);
        if !expired.is_empty() {
            return expired;
        }
        if let Some(warning) = self.soft_limit() {
            return vec![warning];
        }
        match &self.stage {
            Stage::Running => self.schedule(now),
            Stage::Parking(reason) if self.in_flight.is_empty() => {
                vec![Event::RunParked {
                    reason: reason.clone(),
                }]
            }
            Stage::Parked(_) => self.wake(now),
            _ => vec![],
        }
    }

    /// Ends a run whose flow has ended, once nothing is in flight.
    ///
    /// If the flow has returned, its last tasks still start. If it has failed, their results are of
    /// no use: those not yet started are skipped, and a wait for quota ends.
    fn ending(&self) -> Option<Vec<Event>> {
        let ended = self.flow_ended.as_ref()?;
        let goes_on = match self.stage {
            Stage::Replaying | Stage::Running | Stage::Parking(_) => true,
            Stage::Parked(_) => self.waits_until().is_some(),
            Stage::Unstarted | Stage::Ended(_) => false,
        };
        if !goes_on {
            return None;
        }
        let mut events: Vec<Event> = self.needless_timers().collect();
        if ended.is_err() {
            let skip = |task: TaskId| {
                let reason = match self.tasks[task].attempts {
                    0 => "the flow failed before it started",
                    _ => "the flow failed before it was tried again",
                };
                Event::TaskEnded {
                    task,
                    outcome: Outcome::Skipped {
                        reason: reason.into(),
                    },
                }
            };
            events.extend(self.waiting.all().map(skip));
        }
        if self.counts.open as usize > events.len() || !self.in_flight.is_empty() {
            return if events.is_empty() {
                None
            } else {
                Some(events)
            };
        }
        let unsuccessful = self.counts.failed + self.counts.skipped + self.counts.cancelled;
        let whole =
            self.overcharged() == PicoUsd::ZERO && !self.refused.keys().any(Refusal::is_of_work);
        let status = match ended {
            Err(_) => RunStatus::Failed,
            Ok(_) if self.uncaught.is_some() => RunStatus::Failed,
            Ok(_) if unsuccessful == 0 && whole => RunStatus::Ok,
            Ok(_) if self.counts.ok == 0 => RunStatus::Failed,
            Ok(_) => RunStatus::Partial,
        };
        events.push(Event::RunEnded { status });
        Some(events)
    }

    /// Warns once that most of the budget is spent.
    fn soft_limit(&self) -> Option<Event> {
        let (cap, percent) = (self.caps.run?, self.caps.warn_percent?);
        let spent = self.budgets.run.spent().total();
        let reached = u128::from(spent.0) * 100 >= u128::from(cap.0) * u128::from(percent);
        let is_worth_it = reached && spent > PicoUsd::ZERO;
        (is_worth_it && !self.warned && self.stage == Stage::Running)
            .then_some(Event::SoftLimitReached { spent, cap })
    }

    /// Starts tasks in order, passing over those that the budget does not allow. [`Run::grant`]
    /// decides the room for each reply.
    ///
    /// With nothing in flight, no reservation will be released: then the first task that fits with
    /// a shorter reply starts. If there is none, none will ever fit, and the run parks.
    fn schedule(&self, now: Timestamp) -> Vec<Event> {
        let slots_free = self.slots_free();
        if slots_free == 0 {
            return vec![];
        }
        let mut events = vec![];
        // A copy for the reservations of this decision, whose events are not applied yet. Only
        // budgets with a cap matter, so there is little to copy.
        let mut budgets = self.budgets.capped();
        let (mut started, mut too_dear) = (0, 0);
        let mut slots_of_programs = self.slots_of_programs_free();
        let mut startable = self.waiting.startable(now, &self.budgets);
        while let Some(id) = startable.next(slots_of_programs > 0) {
            let out_of_budget =
                too_dear == Self::BUDGET_SCAN_MAX || !self.waiting.any_fits(&budgets);
            if started == slots_free || out_of_budget {
                break;
            }
            let facts = &self.tasks[id].facts;
            if !self.can_start(id) {
                events.push(self.cannot_start(id));
            } else if let Some(grant) = self.grant(id, budgets.left(facts.phase.as_ref())) {
                events.push(self.attempt(id, grant, &mut budgets));
                started += 1;
                slots_of_programs -= usize::from(facts.is_program);
            } else {
                too_dear += 1;
            }
        }
        if events.is_empty() && too_dear == Self::BUDGET_SCAN_MAX {
            // All examined tasks were too dear; smaller ones may follow, so the cheapest starts.
            let rests =
                |id: TaskId| matches!(self.tasks[id].stage, TaskStage::Resting(due) if due > now);
            let smallest = self
                .waiting
                .cheapest(&self.budgets)
                .take(Self::BUDGET_SCAN_MAX);
            let mut smallest = smallest.filter(|id| !rests(*id) && self.has_slot(*id));
            let start = smallest.find_map(|id| {
                if !self.can_start(id) {
                    return Some(self.cannot_start(id));
                }
                let left = budgets.left(self.tasks[id].facts.phase.as_ref());
                let grant = self.grant(id, left)?;
                Some(self.attempt(id, grant, &mut budgets))
            });
            events.extend(start);
        }
        if events.is_empty() && self.in_flight.is_empty() && !self.waiting.is_empty() {
            return self.squeeze_or_park(now);
        }
        events
    }

    /// Starts a task with a shorter reply, ends one that can never start, or parks, when nothing is
    /// in flight and no task fits in full.
    fn squeeze_or_park(&self, now: Timestamp) -> Vec<Event> {
        let rests =
            |id: TaskId| matches!(self.tasks[id].stage, TaskStage::Resting(due) if due > now);
        let mut waiting = self.waiting.all().filter(|id| !rests(*id));
        // Under a cap below what is spent, `schedule` examines no task, so tasks that can never start
        // are ended here.
        let event = waiting.find_map(|id| match self.can_start(id) {
            true => {
                let grant = self.squeezed(id)?;
                Some(self.attempt(id, grant, &mut self.budgets.capped()))
            }
            false => Some(self.cannot_start(id)),
        });
        if let Some(event) = event {
            return vec![event];
        }
        if self.waiting.all().any(|id| self.is_hopeful(id)) {
            return vec![];
        }
        let reason = ParkReason::Budget {
            phase: self.exhausted_phase(),
        };
        vec![
            Event::ParkingStarted {
                reason: reason.clone(),
            },
            Event::RunParked { reason },
        ]
    }

    /// The phase whose cap stops the first waiting task, if the run's own cap would not.
    fn exhausted_phase(&self) -> Option<Arc<str>> {
        let first = &self.tasks[self.waiting.all().next()?];
        first.bound().fit(self.budgets.run.left())?;
        first.facts.phase.clone()
    }

    /// A start with as much room for the reply as the budgets allow.
    fn squeezed(&self, id: TaskId) -> Option<Grant> {
        let task = &self.tasks[id];
        let left = self.budgets.left(task.facts.phase.as_ref());
        let usual = self.grant(id, left);
        usual.or_else(|| task.bound().fit(task.own_left().min(left)))
    }

    /// Whether the next attempt could start with enough money in the run.
    fn can_start(&self, id: TaskId) -> bool {
        self.tasks[id].wanted().is_some() && !self.is_uncovered(id)
    }

    /// Whether its cost has no bound although a cap applies.
    fn is_uncovered(&self, id: TaskId) -> bool {
        let facts = &self.tasks[id].facts;
        facts.is_open_ended() && self.budgets.limit(facts.phase.as_ref())
    }

    /// Ends a task that can never start.
    fn cannot_start(&self, task: TaskId) -> Event {
        let failure = match self.is_uncovered(task) {
            true => Failure::new(
                FailureClass::Budget,
                "what it may cost has no bound, and there is a cap",
            )
            .hint("set `maxCost` of the task, or `cost` of its executor in divisi.toml"),
            false => self.over_own_budget(task, self.tasks[task].bound()),
        };
        Event::TaskEnded {
            task,
            outcome: Outcome::Failed(failure),
        }
    }

    /// Whether a waiting task can start, or be ended, with the present budgets.
    pub(super) fn is_hopeful(&self, id: TaskId) -> bool {
        !self.can_start(id) || self.squeezed(id).is_some()
    }

    /// Starts the next attempt, with its reservation in `budgets`.
    fn attempt(&self, id: TaskId, grant: Grant, budgets: &mut Budgets) -> Event {
        let task = &self.tasks[id];
        let Grant {
            reserved,
            reply_tokens,
        } = grant;
        budgets.reserve(task.facts.phase.as_ref(), reserved);
        let (attempt, model) = (task.next_attempt(id), task.next_model().cloned());
        Event::AttemptScheduled {
            attempt,
            model,
            reserved,
            reply_tokens,
        }
    }
}
