//! Orders the requests that wait for one [`Governor`].
//!
//! Runs take turns, one request each. Within a run, the longer chain goes first, then the earlier
//! request. The first request blocks all behind it, however small they are: letting small ones pass
//! would delay it, and a large request among many small ones would never be sent.

use super::{Decision, Ending, Estimate, Governor, PermitId, RateLimits};
use crate::{Timestamp, Usage};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A governor with its waiting requests. `R` identifies runs; `T` is the caller's handle of a
/// waiting request.
///
/// Each operation takes time logarithmic in the number of waiting requests.
#[derive(Clone, Debug)]
pub struct Queue<R, T> {
    governor: Governor,
    lines: BTreeMap<R, Line<T>>,
    /// Runs with waiting requests, by turn.
    turns: BTreeSet<(u64, R)>,
    /// Number of turns and places handed out.
    given: u64,
    waiting: usize,
}

/// The waiting requests of one run. An empty line is removed.
#[derive(Clone, Debug)]
struct Line<T> {
    turn: u64,
    waiting: BTreeMap<(Reverse<u32>, u64), (Estimate, T)>,
}

/// Identifies a waiting request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<R> {
    run: R,
    at: (Reverse<u32>, u64),
}

/// The result for the first waiting request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// It may be sent, and has left the queue. Further ones may be allowed too.
    Through(T, PermitId),
    /// It is refused, and has left the queue: no request is allowed, or none before this moment.
    /// The others are refused too.
    Closed(T, Option<Timestamp>),
    /// It must wait until this moment, unless the governor's state changes.
    Wait(Timestamp),
    /// It must wait until a request ends.
    Full,
    /// The queue is empty.
    Nobody,
}

impl<R: Copy + Ord, T> Queue<R, T> {
    /// An empty queue for `governor`.
    pub fn new(governor: Governor) -> Self {
        Self {
            governor,
            lines: BTreeMap::new(),
            turns: BTreeSet::new(),
            given: 0,
            waiting: 0,
        }
    }

    /// Number of waiting requests.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether no request waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Asks for a request that is not in the queue. `None` if others wait: then it must be entered.
    pub fn ask(&mut self, now: Timestamp, estimate: Estimate) -> Option<Decision> {
        self.is_empty().then(|| self.governor.ask(now, estimate))
    }

    /// Enters a request. `priority` is the rank of its task; the largest goes
    /// first. [`Queue::next_through`] must be called next, because it may be first.
    pub fn enter(&mut self, run: R, priority: u32, estimate: Estimate, waiter: T) -> Place<R> {
        self.given += 1;
        let at = (Reverse(priority), self.given);
        let line = self.lines.entry(run).or_insert_with(|| {
            self.turns.insert((self.given, run));
            Line {
                turn: self.given,
                waiting: BTreeMap::new(),
            }
        });
        line.waiting.insert(at, (estimate, waiter));
        self.waiting += 1;
        Place { run, at }
    }

    /// Whether the request at this place is first.
    pub fn is_next(&self, place: Place<R>) -> bool {
        self.first()
            .is_some_and(|(run, at, _)| (run, at) == (place.run, place.at))
    }

    /// Removes a waiting request; `None` if it has been allowed or refused already.
    /// [`Queue::next_through`] must be called next.
    pub fn leave(&mut self, place: Place<R>) -> Option<T> {
        let line = self.lines.get_mut(&place.run)?;
        let (_, waiter) = line.waiting.remove(&place.at)?;
        self.waiting -= 1;
        if line.waiting.is_empty() {
            self.turns.remove(&(line.turn, place.run));
            self.lines.remove(&place.run);
        }
        Some(waiter)
    }

    /// Allows or refuses the first request, or says when to call again. To be called until it does
    /// neither.
    pub fn next_through(&mut self, now: Timestamp) -> Next<T> {
        let Some((run, at, estimate)) = self.first() else {
            return Next::Nobody;
        };
        let answer = match self.governor.ask(now, estimate) {
            Decision::Go(permit) => Ok(permit),
            Decision::Closed(until) => Err(until),
            Decision::Wait(until) => return Next::Wait(until),
            Decision::Full => return Next::Full,
        };
        let Some(waiter) = self.leave(Place { run, at }) else {
            return Next::Nobody;
        };
        self.pass_turn(run);
        match answer {
            Ok(permit) => Next::Through(waiter, permit),
            Err(until) => Next::Closed(waiter, until),
        }
    }

    /// Allows every request whose turn it is, or refuses all while the vendor accepts none:
    /// `answer` gets a permit, or the moment of the reopening. It returns a permit that its request
    /// no longer needs. Returns when to call again, if only time has to pass.
    pub fn let_through(
        &mut self,
        now: Timestamp,
        mut answer: impl FnMut(T, Result<PermitId, Option<Timestamp>>) -> Option<PermitId>,
    ) -> Option<Timestamp> {
        loop {
            let unused = match self.next_through(now) {
                Next::Through(waiter, permit) => answer(waiter, Ok(permit)),
                Next::Closed(waiter, until) => answer(waiter, Err(until)),
                Next::Wait(until) => return Some(until),
                Next::Full | Next::Nobody => return None,
            };
            unused
                .into_iter()
                .for_each(|permit| self.withdraw(now, permit));
        }
    }

    /// Returns a permit whose request was not sent. [`Queue::next_through`] must be called next.
    pub fn withdraw(&mut self, now: Timestamp, permit: PermitId) {
        self.governor.withdraw(now, permit);
    }

    /// Applies the end of a request, as [`Governor::done`] does. [`Queue::next_through`] must be
    /// called next.
    pub fn done(
        &mut self,
        now: Timestamp,
        permit: PermitId,
        usage: Option<&Usage>,
        ending: Ending,
        limits: &RateLimits,
    ) {
        self.governor.done(now, permit, usage, ending, limits);
    }

    /// The governor.
    pub fn governor(&self) -> &Governor {
        &self.governor
    }

    /// The governor, for adopting and sharing its pace.
    pub fn governor_mut(&mut self) -> &mut Governor {
        &mut self.governor
    }

    /// The first request: its run, its place and its estimate.
    fn first(&self) -> Option<(R, (Reverse<u32>, u64), Estimate)> {
        let (_, run) = self.turns.first()?;
        let (at, (estimate, _)) = self.lines.get(run)?.waiting.first_key_value()?;
        Some((*run, *at, *estimate))
    }

    /// Moves a run behind the other runs.
    fn pass_turn(&mut self, run: R) {
        let Some(line) = self.lines.get_mut(&run) else {
            return;
        };
        self.given += 1;
        self.turns.remove(&(line.turn, run));
        self.turns.insert((self.given, run));
        line.turn = self.given;
    }
}

#[cfg(test)]
mod tests;
