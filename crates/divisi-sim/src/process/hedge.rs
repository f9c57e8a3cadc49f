//! Requests that are sent a second time, as the engine sends them: the first good
//! answer wins, and the other one is given up.

use super::gate::Who;
use super::{Happening, Process};
use crate::vendor::{Family, Reply, Request};
use divisi_core::governor::Place;
use divisi_core::{AttemptId, Input, Millis};

/// A request that has left and is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    turn: usize,
    request: Request,
    priority: u32,
}

/// A second request for the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Second {
    turn: usize,
    whereabouts: Whereabouts,
    /// How the first one has failed, whose attempt now waits for this one.
    first: Option<Reply>,
}

/// Where a second request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// The run is asked whether it may be sent.
    Asked,
    InLine(Family, Place<u32>),
    Left,
}

impl Process<'_, '_> {
    /// A request of an attempt has left.
    pub(super) fn has_left(&mut self, who: Who, request: Request, priority: u32) {
        match who {
            Who::Attempt(attempt, turn) => {
                self.asked.insert(attempt, Asked { turn, request, priority });
                let may_hedge = self.world.scenario.hedges && request.family.is_some();
                if may_hedge && !self.asks[&attempt.task].judges(turn) {
                    // Longer than any request is on its way.
                    let patience = Millis(self.patience.within(150..3_000));
                    self.plan(patience, Happening::Slow(attempt, turn));
                }
            }
            Who::Second(attempt, _) => self.second_is(attempt, Whereabouts::Left),
            Who::Other(_) => {}
        }
    }

    pub(super) fn second_is(&mut self, attempt: AttemptId, whereabouts: Whereabouts) {
        if let Some(second) = self.seconds.get_mut(&attempt) {
            second.whereabouts = whereabouts;
        }
    }

    /// An answer has taken long, if it has not come yet.
    pub(super) fn lose_patience(&mut self, attempt: AttemptId, turn: usize) {
        if self.is_under_way(attempt) && self.waits_for(attempt, turn) {
            let second = Second { turn, whereabouts: Whereabouts::Asked, first: None };
            self.seconds.insert(attempt, second);
            self.say(Input::HedgeWanted { attempt });
        }
    }

    /// The request of an attempt may be sent once more, if the answer has not come
    /// meanwhile.
    pub(super) fn send_again(&mut self, attempt: AttemptId) -> Result<(), String> {
        match (self.seconds.get(&attempt), self.asked.get(&attempt)) {
            (Some(Second { turn, .. }), Some(&Asked { request, priority, .. })) => {
                self.enter(Who::Second(attempt, *turn), request, priority)
            }
            _ => Ok(()),
        }
    }

    /// What becomes of a request is known.
    pub(super) fn arrives(&mut self, attempt: AttemptId, turn: usize, reply: Reply) -> Result<(), String> {
        if !self.is_under_way(attempt) || !self.waits_for(attempt, turn) {
            return Ok(());
        }
        let is_answer = matches!(reply, Reply::Answer { .. });
        match self.seconds.get_mut(&attempt) {
            Some(second) if !is_answer && second.whereabouts == Whereabouts::Left => {
                second.first = Some(reply);
                return Ok(());
            }
            Some(_) => self.give_up_second(attempt)?,
            None => {}
        }
        self.asked.remove(&attempt);
        self.hear(attempt, turn, reply);
        Ok(())
    }

    /// What becomes of one that was sent a second time is known.
    pub(super) fn second_arrives(&mut self, attempt: AttemptId, turn: usize, reply: Reply) {
        let is_waited_for = |second: &Second| second.turn == turn && second.whereabouts == Whereabouts::Left;
        if !self.is_under_way(attempt) || !self.seconds.get(&attempt).is_some_and(is_waited_for) {
            return;
        }
        let first = self.seconds.remove(&attempt).and_then(|second| second.first);
        let may_be_billed = |reply| matches!(reply, Reply::Lost { .. });
        let (billed, taken) = match (reply, first) {
            (Reply::Answer { .. }, first) => (first.is_none_or(may_be_billed), Some(reply)),
            (Reply::Refusal { .. } | Reply::Lost { .. }, first) => (may_be_billed(reply), first),
        };
        self.say(Input::HedgeEnded { attempt, billed });
        if let Some(taken) = taken {
            self.asked.remove(&attempt);
            self.hear(attempt, turn, taken);
        }
    }

    /// The second of two requests is no longer of use.
    pub(super) fn give_up_second(&mut self, attempt: AttemptId) -> Result<(), String> {
        let Some(second) = self.seconds.remove(&attempt) else { return Ok(()) };
        self.say(Input::HedgeEnded { attempt, billed: second.whereabouts == Whereabouts::Left });
        match second.whereabouts {
            Whereabouts::InLine(family, place) => self.give_up(family, place),
            Whereabouts::Asked | Whereabouts::Left => Ok(()),
        }
    }

    /// The second requests that wait at a gate.
    pub(super) fn seconds_in_line(&self) -> Vec<(AttemptId, usize)> {
        let waits = |second: &Second| matches!(second.whereabouts, Whereabouts::InLine(..));
        let waiting = self.seconds.iter().filter(|(_, second)| waits(second));
        waiting.map(|(attempt, second)| (*attempt, second.turn)).collect()
    }

    /// Whether a request of the attempt has left and is waited for.
    pub(super) fn has_request_out(&self, attempt: AttemptId) -> bool {
        self.asked.contains_key(&attempt)
    }

    pub(super) fn has_second_out(&self, attempt: AttemptId) -> bool {
        self.seconds.get(&attempt).is_some_and(|second| second.whereabouts == Whereabouts::Left)
    }

    fn waits_for(&self, attempt: AttemptId, turn: usize) -> bool {
        self.asked.get(&attempt).is_some_and(|asked| asked.turn == turn)
    }
}
