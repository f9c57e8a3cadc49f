//! Room for the reply of the next request, by the length of its siblings' replies ([`Headroom`]).

use super::{Run, TaskState};
use crate::budget::{Grant, Headroom, TurnBound};
use crate::{PicoUsd, TaskId};

impl TaskState {
    /// The least that its next attempt may ever reserve. It does not change while the task waits,
    /// whatever is learnt about its siblings.
    pub(super) fn least(&self) -> Option<PicoUsd> {
        let (bound, wanted) = (self.bound(), self.wanted()?);
        let least = match self.next_turn {
            Some(_) => bound.least(),
            None => bound.with_room(bound.least_room()).reserved,
        };
        Some(least.min(wanted.reserved))
    }
}

impl Run {
    /// The grant of a task's next attempt out of `left`; `None` while that is too little.
    pub(super) fn grant(&self, id: TaskId, left: PicoUsd) -> Option<Grant> {
        let task = &self.tasks[id];
        let wanted = task.wanted()?;
        let usual = || self.usual(task, wanted);
        self.headroom(task, left).grant(task.bound(), wanted, usual)
    }

    /// The grant of the next request of a running attempt out of `left`.
    ///
    /// It may be one of many turns, or a request to a judge, so the length of most replies says
    /// little about the longest.
    pub(super) fn grant_turn(
        &self,
        task: &TaskState,
        bound: TurnBound,
        wanted: Grant,
        left: PicoUsd,
    ) -> Option<Grant> {
        let usual = || bound.usual(self.enough(task), true);
        self.headroom(task, left).grant(bound, wanted, usual)
    }

    /// Whether `left` is enough for the next attempt of a task.
    pub(super) fn fits(&self, id: TaskId, left: PicoUsd) -> bool {
        let task = &self.tasks[id];
        task.wanted()
            .is_some_and(|wanted| self.usual(task, wanted).reserved <= left)
    }

    /// The least that the next attempt of a task may reserve; `None` if it cannot start.
    pub(super) fn least_start(&self, id: TaskId) -> Option<PicoUsd> {
        let task = &self.tasks[id];
        let usual = self.usual(task, task.wanted()?);
        Some(usual.reserved.min(task.bound().least()))
    }

    /// The reservation of a task's next attempt for a usual reply or, if it is more, for the
    /// request that the task is known to wait for: with less, that request would be denied and the
    /// attempt would start again and again.
    fn usual(&self, task: &TaskState, wanted: Grant) -> Grant {
        let (enough, is_known_longer) = (self.enough(task), task.next_turn.is_some());
        let usual = task.bound().usual(enough, is_known_longer);
        let by_itself = task.next_turn.and_then(|next| {
            let most = next.fit(task.own_left())?.reserved;
            Some(next.usual(enough, is_known_longer).reserved.min(most))
        });
        let reserved = usual.reserved.max(by_itself.unwrap_or_default());
        match reserved < wanted.reserved {
            true => Grant { reserved, ..usual },
            false => wanted,
        }
    }

    fn headroom(&self, task: &TaskState, left: PicoUsd) -> Headroom {
        let open = self.in_flight.len() + self.waiting.count();
        Headroom {
            left,
            unspent: self.budgets.unspent(task.facts.phase.as_ref()),
            at_once: open.clamp(1, self.limits.in_flight_max.max(1) as usize),
        }
    }

    /// Tokens that are enough for nearly all replies to siblings of the task, on its model.
    fn enough(&self, task: &TaskState) -> Option<u32> {
        self.siblings
            .lengths(task.sibling, task.next_place())?
            .enough()
    }
}
