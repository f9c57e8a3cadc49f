//! Tracks what an attempt does, how long it waits, and what may be billed for it.
//!
//! One value, because several readers must agree: the timeout, which does not count waits for a
//! permit; the idle timeout, which runs only while a request is out; the budget, which books a
//! reservation only where a reply may still come; and the display.

use crate::event::{Wait, WaitCause};
use crate::{Millis, Timestamp};

/// How many times the idle timeout a server may keep a connection alive without
/// adding to the reply. Models think for minutes, in which some servers send
/// comments; a server that is stuck sends them for ever.
const KEPT_ALIVE_MAX: u64 = 3;

/// Waits kept for one attempt between two replies. More come only from a request that is granted
/// and withdrawn again and again; the total wait is counted in any case.
const WAITS_MAX: usize = 32;

/// The current activity of an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// Preparing, using tools, checking a result or recording: each has a time limit of its own.
    #[default]
    Working,
    /// Waiting for a permit to send a request, since this moment.
    Waiting(Timestamp),
    /// A request is out.
    Asking,
}

/// Requests that may be billed although the run has no reply for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// The first request has left.
    pub first: bool,
    /// The hedge, a second copy of the same request, has left.
    pub second: bool,
}

/// When the requests of an attempt last received bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Signs {
    /// Anything at all, keep-alive comments included.
    pub alive_at: Timestamp,
    /// Last growth of the reply itself.
    pub grew_at: Timestamp,
}

/// The clock of one attempt.
#[derive(Clone, Debug, Default)]
pub(super) struct Clock {
    began_at: Timestamp,
    doing: Doing,
    /// Total of the waits that have ended.
    waited: Millis,
    /// Cause of the current wait, if any.
    cause: Option<WaitCause>,
    /// Waits that have ended since [`Self::take_waits`] was last called.
    waits: Vec<Wait>,
    /// When the request under way was sent, and when it last received bytes.
    asked_at: Timestamp,
    alive_at: Timestamp,
}

impl Clock {
    pub(super) fn begin(&mut self, now: Timestamp) {
        self.began_at = now;
    }

    /// Converts a moment to a span since the attempt's beginning.
    pub(super) fn since_begin(&self, at: Timestamp) -> Millis {
        at.since(self.began_at)
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

    /// Starts a wait. A wait for another cause ends the current one.
    pub(super) fn wait(&mut self, now: Timestamp, cause: WaitCause) {
        if !matches!(self.doing, Doing::Waiting(_)) || self.cause != Some(cause) {
            self.change(now, Doing::Waiting(now));
            self.cause = Some(cause);
        }
    }

    /// The cause of the current wait, if any.
    pub(super) fn cause(&self) -> Option<WaitCause> {
        self.cause
            .filter(|_| matches!(self.doing, Doing::Waiting(_)))
    }

    fn change(&mut self, now: Timestamp, doing: Doing) {
        self.note_wait(now);
        self.waited = self.waited(now);
        self.doing = doing;
    }

    fn note_wait(&mut self, now: Timestamp) {
        let (Doing::Waiting(since), Some(cause)) = (self.doing, self.cause) else {
            return;
        };
        let (from, took) = (since.since(self.began_at), now.since(since));
        if took > Millis(0) && self.waits.len() < WAITS_MAX {
            self.waits.push(Wait { cause, from, took });
        }
    }

    /// Returns the waits since the last call, the current one up to `now` included.
    pub(super) fn take_waits(&mut self, now: Timestamp) -> Vec<Wait> {
        if let Doing::Waiting(_) = self.doing {
            self.change(now, Doing::Waiting(now));
        }
        std::mem::take(&mut self.waits)
    }

    /// Total time spent waiting for permits.
    pub(super) fn waited(&self, now: Timestamp) -> Millis {
        match self.doing {
            Doing::Waiting(since) => Millis(self.waited.0 + now.since(since).0),
            Doing::Working | Doing::Asking => self.waited,
        }
    }

    /// The moment at which the attempt exceeds `timeout`. Waits for a permit are not counted: under
    /// a rate limit the last of many requests may wait for hours.
    pub(super) fn overdue_at(&self, timeout: Millis) -> Option<Timestamp> {
        match self.doing {
            Doing::Waiting(_) => None,
            Doing::Working | Doing::Asking => Some(self.began_at + timeout + self.waited),
        }
    }

    /// The moment at which the request under way has been silent for too long.
    pub(super) fn silent_at(&self, idle_timeout: Millis) -> Option<Timestamp> {
        (self.doing == Doing::Asking).then(|| self.alive_at + idle_timeout)
    }

    /// Updates the last sign of life of the request under way.
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
        clock.wait(Timestamp(20), WaitCause::Limit);
        clock.wait(Timestamp(50), WaitCause::Limit);
        assert_eq!(
            (clock.overdue_at(Millis(100)), clock.waited(Timestamp(60))),
            (None, Millis(40))
        );
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
        clock.note(
            Signs {
                alive_at: Timestamp(105),
                grew_at: Timestamp(0),
            },
            idle,
        );
        assert_eq!(clock.silent_at(idle), Some(Timestamp(115)));
        clock.note(
            Signs {
                alive_at: Timestamp(150),
                grew_at: Timestamp(0),
            },
            idle,
        );
        assert_eq!(clock.silent_at(idle), Some(Timestamp(140)));
        clock.note(
            Signs {
                alive_at: Timestamp(150),
                grew_at: Timestamp(145),
            },
            idle,
        );
        assert_eq!(clock.silent_at(idle), Some(Timestamp(160)));
        clock.work(Timestamp(151));
        assert_eq!(clock.silent_at(idle), None);
    }

    #[test]
    fn waits_are_told_by_cause() {
        let mut clock = Clock::default();
        clock.begin(Timestamp(10));
        clock.wait(Timestamp(20), WaitCause::Prefix);
        clock.wait(Timestamp(30), WaitCause::Limit);
        clock.wait(Timestamp(30), WaitCause::Overload);
        clock.ask(Timestamp(45));
        clock.work(Timestamp(50));
        let wait = |cause, from, took| Wait {
            cause,
            from: Millis(from),
            took: Millis(took),
        };
        let waits = vec![
            wait(WaitCause::Prefix, 10, 10),
            wait(WaitCause::Overload, 20, 15),
        ];
        assert_eq!(
            (clock.take_waits(Timestamp(50)), clock.waited(Timestamp(50))),
            (waits, Millis(25))
        );
        clock.wait(Timestamp(60), WaitCause::Room);
        assert_eq!(
            clock.take_waits(Timestamp(64)),
            [wait(WaitCause::Room, 50, 4)]
        );
        clock.work(Timestamp(65));
        assert_eq!(
            clock.take_waits(Timestamp(70)),
            [wait(WaitCause::Room, 54, 1)]
        );
        assert_eq!(clock.waited(Timestamp(70)), Millis(30));
        for at in 0..2 * WAITS_MAX as u64 {
            clock.wait(Timestamp(100 + 2 * at), WaitCause::Limit);
            clock.work(Timestamp(101 + 2 * at));
        }
        assert_eq!(clock.take_waits(Timestamp(999)).len(), WAITS_MAX);
    }
}
