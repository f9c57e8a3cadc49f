//! Hedged requests: a second copy is sent because the first takes far longer than comparable
//! requests.
//!
//! The second may cost as much as the first, so as much is reserved before it is sent. The first
//! good answer is used; the other request is abandoned and may still be billed.

use super::apply::IllegalEvent;
use super::{Run, Stage};
use crate::budget::Spent;
use crate::{AttemptId, Event, PicoUsd};

impl Run {
    /// Orders the hedge of an attempt, if that is allowed.
    pub(super) fn hedge(&self, attempt: AttemptId) -> Vec<Event> {
        let Some(in_flight) = self.in_flight.get(&attempt) else {
            return vec![];
        };
        let hedged = Event::TurnHedged {
            attempt,
            reserved: in_flight.reserved,
        };
        let may_be = self.stage == Stage::Running && in_flight.asks;
        match may_be && self.holds_hedge(attempt, in_flight.reserved) {
            true => vec![hedged],
            false => vec![],
        }
    }

    /// Ends the hedge of an attempt, if it has one. It may be billed up to `most`.
    pub(super) fn end_hedge(&self, attempt: AttemptId, most: PicoUsd) -> Option<Event> {
        let reserved = self.in_flight.get(&attempt)?.hedged?;
        Some(Event::HedgeEnded {
            attempt,
            cost: most.min(reserved),
        })
    }

    /// Puts the end of the hedge, if there is one, before these events.
    pub(super) fn after_hedge(
        &self,
        attempt: AttemptId,
        then: impl IntoIterator<Item = Event>,
    ) -> Vec<Event> {
        self.end_hedge(attempt, PicoUsd::MAX)
            .into_iter()
            .chain(then)
            .collect()
    }

    /// Whether all budgets allow a second copy besides the first, and there is none yet. An unknown
    /// attempt is reported where the event is applied.
    pub(super) fn holds_hedge(&self, attempt: AttemptId, reserved: PicoUsd) -> bool {
        let (Some(in_flight), Some(task)) = (self.in_flight.get(&attempt), self.task(attempt.task))
        else {
            return true;
        };
        let own_left = task.own_left().saturating_sub(in_flight.reserved);
        let left = self.budgets.left(task.facts.phase.as_ref()).min(own_left);
        in_flight.hedged.is_none() && reserved <= left
    }

    pub(super) fn apply_hedged(
        &mut self,
        attempt: AttemptId,
        reserved: PicoUsd,
    ) -> Result<(), IllegalEvent> {
        self.under_way(attempt)?.hedged = Some(reserved);
        self.budgets
            .reserve(self.tasks[attempt.task].facts.phase.as_ref(), reserved);
        Ok(())
    }

    pub(super) fn apply_hedge_ended(
        &mut self,
        attempt: AttemptId,
        cost: PicoUsd,
    ) -> Result<(), IllegalEvent> {
        let Some(reserved) = self.under_way(attempt)?.hedged.take() else {
            return Err(IllegalEvent(format!("{attempt} has no second request")));
        };
        let task = &mut self.tasks[attempt.task];
        let spent = Spent::of(reserved, cost, cost);
        self.budgets
            .settle(task.facts.phase.as_ref(), reserved, spent);
        task.spent += spent;
        Ok(())
    }
}
