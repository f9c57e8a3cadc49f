//! Whose turn it is among those who wait for one [`Governor`].
//!
//! Runs take turns, one request each. Within a run, the longer chain goes first,
//! then whoever came first. Whoever is next holds up everybody behind, however
//! little those want: what they took would make the first wait longer, and a
//! large request among many small ones would never leave.

use super::{Decision, Ending, Estimate, Governor, PermitId, RateLimits};
use crate::{Timestamp, Usage};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A governor and those who wait for it. `R` tells the runs apart, `T` is what
/// the caller knows one that waits by.
///
/// Each operation takes time logarithmic in how many wait.
#[derive(Clone, Debug)]
pub struct Queue<R, T> {
    governor: Governor,
    lines: BTreeMap<R, Line<T>>,
    /// Runs that somebody waits for, by their turn.
    turns: BTreeSet<(u64, R)>,
    /// How many turns and places have been given out.
    given: u64,
    waiting: usize,
}

/// Those who wait for one run. Nobody keeps an empty one.
#[derive(Clone, Debug)]
struct Line<T> {
    turn: u64,
    waiting: BTreeMap<(Reverse<u32>, u64), (Estimate, T)>,
}

/// Names somebody who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<R> {
    run: R,
    at: (Reverse<u32>, u64),
}

/// What becomes of whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// They may leave, and wait no longer. There may be more of them.
    Through(T, PermitId),
    /// They are turned away, and wait no longer: nothing leaves any more, or not
    /// before this moment. So is everybody else.
    Closed(T, Option<Timestamp>),
    /// It is nobody's turn before this moment, unless news comes.
    Wait(Timestamp),
    /// It is nobody's turn before a request has come back.
    Full,
    /// Nobody waits.
    Nobody,
}

impl<R: Copy + Ord, T> Queue<R, T> {
    /// Nobody waits for `governor` yet.
    pub fn new(governor: Governor) -> Self {
        Self {
            governor,
            lines: BTreeMap::new(),
            turns: BTreeSet::new(),
            given: 0,
            waiting: 0,
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Asks for somebody who has not joined the line. `None` if there is one:
    /// then they must.
    pub fn ask(&mut self, now: Timestamp, estimate: Estimate) -> Option<Decision> {
        self.is_empty().then(|| self.governor.ask(now, estimate))
    }

    /// Joins the line. `priority` is the length of the longest chain of tasks
    /// that wait for this one. If it is their turn at once, [`Queue::next_through`]
    /// is to be called next.
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

    /// Whether it is the turn of whoever waits there.
    pub fn is_next(&self, place: Place<R>) -> bool {
        self.first()
            .is_some_and(|(run, at, _)| (run, at) == (place.run, place.at))
    }

    /// Leaves the line without having been let through; `None` for those who
    /// have been. [`Queue::next_through`] is to be called next.
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

    /// Lets one through whose turn it is, or says when to look again. To be
    /// called until nobody more is let through.
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

    /// Lets all through whose turn it is, and turns all away when it is closed: each
    /// gets a permit, or when it may open again. Those that `answer` does not reach any
    /// more give the permit back. Returns when to look again, if only time has to pass.
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

    /// Takes back a permit that was not used: nothing was sent.
    /// [`Queue::next_through`] is to be called next.
    pub fn withdraw(&mut self, now: Timestamp, permit: PermitId) {
        self.governor.withdraw(now, permit);
    }

    /// Learns how a request ended, as [`Governor::done`] does.
    /// [`Queue::next_through`] is to be called next.
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

    /// What they wait for.
    pub fn governor(&self) -> &Governor {
        &self.governor
    }

    /// The same, to share its pace with others.
    pub fn governor_mut(&mut self) -> &mut Governor {
        &mut self.governor
    }

    /// Whose turn it is, and what they want.
    fn first(&self) -> Option<(R, (Reverse<u32>, u64), Estimate)> {
        let (_, run) = self.turns.first()?;
        let (at, (estimate, _)) = self.lines.get(run)?.waiting.first_key_value()?;
        Some((*run, *at, *estimate))
    }

    /// Gives the next turn to the others.
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
