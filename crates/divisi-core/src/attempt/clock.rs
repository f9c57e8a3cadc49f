//! What an attempt does at a moment, for how long, and what may be billed for it.
//!
//! One value, because several readers must agree: the timeout, which does not count
//! what an attempt waits for its turn to send a request; the clock for silence, which
//! runs only while a request is out; the budget, which books a reservation only where
//! a reply may still come; and the display.

use crate::{Millis, Timestamp};

/// How many times the idle timeout a server may keep a connection alive without
/// adding to the reply. Models think for minutes, in which some servers send
/// comments; a server that is stuck sends them for ever.
const KEPT_ALIVE_MAX: u64 = 3;

/// What an attempt does at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// It prepares, uses tools, checks a result or writes down: all of that has
    /// limits of its own.
    #[default]
    Working,
    /// It waits for its turn to send a request, since then.
    Waiting(Timestamp),
    /// A request is out.
    Asking,
}

/// What may be billed for an attempt, as far as the run does not know of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// Its request has left.
    pub first: bool,
    /// The same request has left a second time.
    pub second: bool,
}

/// When the requests of an attempt last showed signs of life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// Anything at all.
    pub alive_at: Timestamp,
    /// The reply grew.
    pub grew_at: Timestamp,
}

/// The clock of one attempt.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    began_at: Timestamp,
    doing: Doing,
    /// How long it has waited before.
    waited: Millis,
    /// When the request that is out has left, and when it last showed a sign of life.
    asked_at: Timestamp,
    alive_at: Timestamp,
}

impl Clock {
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.began_at = now;
    }

    pub(super) fn doing(&self) -> Doing {
        self.doing
    }

    pub(super) fn work(&mut self, now: Timestamp) {
        self.change(now, Doing::Working);
    }

    pub(super) fn ask(&mut self, now: Timestamp) {
        self.change(now, Doing::Asking);
        (self.asked_at, self.alive_at) = (now, now);
    }

    pub(super) fn begin_waiting(&mut self, now: Timestamp) {
        if !matches!(self.doing, Doing::Waiting(_)) {
            self.change(now, Doing::Waiting(now));
        }
    }

    fn change(&mut self, now: Timestamp, doing: Doing) {
        self.waited = self.waited(now);
        self.doing = doing;
    }

    /// How long it has waited for its turn so far.
    pub(super) fn waited(&self, now: Timestamp) -> Millis {
        match self.doing {
            Doing::Waiting(since) => Millis(self.waited.0 + now.since(since).0),
            Doing::Working | Doing::Asking => self.waited,
        }
    }

    /// When it has taken longer than it may. What it waits for its turn is not its own
    /// time: limits may let the last of many wait for hours.
    pub(super) fn overdue_at(&self, timeout: Millis) -> Option<Timestamp> {
        match self.doing {
            Doing::Waiting(_) => None,
            Doing::Working | Doing::Asking => Some(self.began_at + timeout + self.waited),
        }
    }

    /// When its request has been out for too long without a sign of life.
    pub(super) fn silent_at(&self, idle_timeout: Millis) -> Option<Timestamp> {
        (self.doing == Doing::Asking).then(|| self.alive_at + idle_timeout)
    }

    /// Learns what has been heard of the request that is out.
    pub(super) fn note(&mut self, signs: Signs, idle_timeout: Millis) {
        let grew_at = signs.grew_at.max(self.asked_at);
        let kept_alive_until = grew_at + Millis(idle_timeout.0.saturating_mul(KEPT_ALIVE_MAX));
        self.alive_at = grew_at.max(signs.alive_at.min(kept_alive_until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_do_not_count_against_the_timeout() {
        let mut clock = Clock::default();
        clock.begin(Timestamp(10));
        assert_eq!(clock.overdue_at(Millis(100)), Some(Timestamp(110)));
        clock.begin_waiting(Timestamp(20));
        clock.begin_waiting(Timestamp(50));
        assert_eq!((clock.overdue_at(Millis(100)), clock.waited(Timestamp(60))), (None, Millis(40)));
        clock.ask(Timestamp(70));
        assert_eq!(
            (clock.overdue_at(Millis(100)), clock.waited(Timestamp(90))),
            (Some(Timestamp(160)), Millis(50))
        );
    }

    #[test]
    fn a_request_may_be_kept_alive_for_some_time_without_growing() {
        let idle = Millis(10);
        let mut clock = Clock::default();
        assert_eq!(clock.silent_at(idle), None);
        clock.ask(Timestamp(100));
        assert_eq!(clock.silent_at(idle), Some(Timestamp(110)));
        clock.note(Signs { alive_at: Timestamp(105), grew_at: Timestamp(0) }, idle);
        assert_eq!(clock.silent_at(idle), Some(Timestamp(115)));
        clock.note(Signs { alive_at: Timestamp(150), grew_at: Timestamp(0) }, idle);
        assert_eq!(clock.silent_at(idle), Some(Timestamp(140)));
        clock.note(Signs { alive_at: Timestamp(150), grew_at: Timestamp(145) }, idle);
        assert_eq!(clock.silent_at(idle), Some(Timestamp(160)));
        clock.work(Timestamp(151));
        assert_eq!(clock.silent_at(idle), None);
    }
}
