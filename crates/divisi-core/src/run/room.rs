//! How long replies were, and what room for one the next request gets by that
//! ([`Headroom`]).

use super::{Run, TaskState};
use crate::budget::{Grant, Headroom, TurnBound};
use crate::{PicoUsd, TaskId};

/// How long replies were, in buckets of a quarter of an octave.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lengths {
    count: u32,
    buckets: [u32; Self::BUCKETS],
    /// What follows from them, because it is asked for more often than a reply comes.
    enough: Option<u32>,
}

impl Default for Lengths {
    fn default() -> Self {
        Self {
            count: 0,
            buckets: [0; Self::BUCKETS],
            enough: None,
        }
    }
}

impl Lengths {
    /// Buckets up to a million tokens; longer replies count as that long.
    const BUCKETS: usize = 76;
    const TOKENS_MAX: u32 = (1 << 20) - 1;
    /// One reply in so many may be longer than what is called enough.
    const LONGER_ONE_IN: u32 = 100;

    pub(super) fn add(&mut self, tokens: u32) {
        self.count = self.count.saturating_add(1);
        let bucket = &mut self.buckets[Self::bucket(tokens)];
        *bucket = bucket.saturating_add(1);
        self.enough = self.work_out();
    }

    /// Room that is enough for 99 replies of a hundred; `None` while there was none.
    ///
    /// Few replies say little about the longest, so the fewer there were, the more is added:
    /// three times as much for one, nearly a third for a hundred.
    pub(super) fn enough(&self) -> Option<u32> {
        self.enough
    }

    fn work_out(&self) -> Option<u32> {
        let mut longer = self.count / Self::LONGER_ONE_IN;
        let is_enough = |(_, count): &(usize, &u32)| {
            let is_last = **count > longer;
            longer = longer.saturating_sub(**count);
            is_last
        };
        let (bucket, _) = self.buckets.iter().enumerate().rfind(is_enough)?;
        let tokens = Self::longest_of(bucket);
        Some(tokens + 3 * tokens / self.count.isqrt())
    }

    fn bucket(tokens: u32) -> usize {
        let tokens = tokens.min(Self::TOKENS_MAX);
        match tokens.checked_ilog2() {
            Some(octave @ 2..) => {
                (octave as usize - 2) * 4 + 4 + (tokens >> (octave - 2) & 3) as usize
            }
            _ => tokens as usize,
        }
    }

    /// The longest reply that is counted in a bucket.
    fn longest_of(bucket: usize) -> u32 {
        match bucket.checked_sub(4) {
            None => bucket as u32,
            Some(place) => ((4 + place as u32 % 4 + 1) << (place / 4)) - 1,
        }
    }
}

impl TaskState {
    /// The least that its next attempt may ever reserve. It does not change while the task
    /// waits, whatever is learnt of its siblings.
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
    /// What the next attempt of a task is granted of `left`; `None` while that does not
    /// hold it.
    pub(super) fn grant(&self, id: TaskId, left: PicoUsd) -> Option<Grant> {
        let task = &self.tasks[id];
        let wanted = task.wanted()?;
        let usual = || self.usual(task, wanted);
        self.headroom(task, left).grant(task.bound(), wanted, usual)
    }

    /// What the next request of an attempt under way is granted of `left`.
    ///
    /// It may be any of many turns, or one to a judge: how short most replies are says
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

    /// Whether `left` holds the next attempt of a task.
    pub(super) fn fits(&self, id: TaskId, left: PicoUsd) -> bool {
        let task = &self.tasks[id];
        task.wanted()
            .is_some_and(|wanted| self.usual(task, wanted).reserved <= left)
    }

    /// The least that the next attempt of a task may reserve; `None` where it cannot start.
    pub(super) fn least_start(&self, id: TaskId) -> Option<PicoUsd> {
        let task = &self.tasks[id];
        let usual = self.usual(task, task.wanted()?);
        Some(usual.reserved.min(task.bound().least()))
    }

    /// What the next attempt of a task reserves for a usual reply, or for the request it is
    /// known to wait for, whichever is more: it would be turned down otherwise, and the
    /// attempt begin again and again.
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

    /// Tokens that are enough for nearly all replies of the siblings of a task on its model.
    fn enough(&self, task: &TaskState) -> Option<u32> {
        self.siblings
            .lengths(task.sibling, task.next_place())?
            .enough()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_lies_between_its_neighbours() {
        for tokens in (0..5_000).chain([70_000, Lengths::TOKENS_MAX]) {
            let bucket = Lengths::bucket(tokens);
            assert!(tokens <= Lengths::longest_of(bucket), "{tokens}");
            assert!(
                bucket == 0 || tokens > Lengths::longest_of(bucket - 1),
                "{tokens}"
            );
        }
        assert_eq!(Lengths::bucket(u32::MAX), Lengths::BUCKETS - 1);
    }

    #[test]
    fn what_is_enough_is_sure_of_itself_once_there_are_many() {
        let mut lengths = Lengths::default();
        assert_eq!(lengths.enough(), None);
        lengths.add(100);
        assert_eq!(lengths.enough(), Some(4 * 111), "four times the only one");
        (0..99).for_each(|_| lengths.add(100));
        assert_eq!(lengths.enough(), Some(111 + 333 / 10));
        lengths.add(9_000);
        assert_eq!(
            lengths.enough(),
            Some(111 + 333 / 10),
            "one of a hundred may be longer"
        );
        lengths.add(9_000);
        assert!(lengths.enough() > Some(9_000));
    }
}
