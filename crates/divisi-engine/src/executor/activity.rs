//! What an attempt does at a moment, and what may be billed for it.
//!
//! One value, because three readers must agree: the clock for silence, which runs
//! only while a request is out; the budget, which books a reservation only where
//! a reply may still come; and the display.

use std::time::Duration;
use tokio::time::Instant;

/// What an attempt does at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It prepares, uses tools, checks a result or writes down: all of that has
    /// limits of its own.
    #[default]
    Working,
    /// It waits for its turn to send a request, since then.
    Waiting(Instant),
    /// A request is out.
    Asking,
}

/// The activity of one attempt.
#[derive(Debug, Default)]
pub(super) struct Activity {
    doing: Doing,
    /// How long it has waited before.
    waited: Duration,
    owed: Owed,
    /// Whether it may send no further request.
    is_withdrawn: bool,
}

/// What may be billed for an attempt, as far as the driver does not know of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owed {
    /// Its request has left.
    pub(crate) first: bool,
    /// The same request has left a second time.
    pub(crate) second: bool,
}

impl Activity {
    pub(super) fn doing(&self) -> Doing {
        self.doing
    }

    pub(super) fn owed(&self) -> Owed {
        self.owed
    }

    /// How long it has waited for its turn so far.
    pub(super) fn waited(&self) -> Duration {
        let now = match self.doing {
            Doing::Waiting(since) => since.elapsed(),
            Doing::Working | Doing::Asking => Duration::ZERO,
        };
        self.waited + now
    }

    pub(super) fn begin_waiting(&mut self) {
        if !matches!(self.doing, Doing::Waiting(_)) {
            self.doing = Doing::Waiting(Instant::now());
        }
    }

    /// Returns whether it had to wait.
    pub(super) fn end_waiting(&mut self) -> bool {
        self.waited = self.waited();
        matches!(std::mem::take(&mut self.doing), Doing::Waiting(_))
    }

    /// A request leaves now, unless the attempt has been withdrawn.
    pub(super) fn ask(&mut self) -> bool {
        if !self.is_withdrawn {
            self.doing = Doing::Asking;
            self.owed.first = true;
        }
        !self.is_withdrawn
    }

    /// The same request leaves a second time, unless the attempt has been withdrawn.
    pub(super) fn ask_again(&mut self) -> bool {
        self.owed.second |= !self.is_withdrawn;
        !self.is_withdrawn
    }

    /// The request is answered, or has failed. What it has cost is owed until the
    /// driver knows of the reply.
    pub(super) fn answered(&mut self, by_reply: bool) {
        self.doing = Doing::Working;
        self.owed = Owed { first: by_reply, second: false };
    }

    /// The driver has been given the reply.
    pub(super) fn settled(&mut self) {
        self.owed = Owed::default();
    }

    /// From now on no request leaves. Returns what has left already.
    pub(super) fn withdraw(&mut self) -> Owed {
        self.is_withdrawn = true;
        self.owed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_has_left_is_owed_and_only_until_it_is_written_down() {
        let mut activity = Activity::default();
        activity.begin_waiting();
        tokio::time::advance(Duration::from_secs(3)).await;
        activity.begin_waiting();
        assert!(activity.end_waiting());
        assert!(!activity.end_waiting(), "it waits no longer");
        assert_eq!((activity.owed(), activity.waited()), (Owed::default(), Duration::from_secs(3)));
        assert!(activity.ask() && activity.ask_again());
        assert_eq!(activity.owed(), Owed { first: true, second: true });
        activity.answered(true);
        assert_eq!((activity.doing(), activity.owed().first), (Doing::Working, true));
        activity.settled();
        assert_eq!(activity.owed(), Owed::default());
        activity.ask();
        activity.answered(false);
        assert_eq!(activity.owed(), Owed::default(), "an error says itself whether it may be billed");
    }

    #[test]
    fn what_is_withdrawn_sends_nothing_more() {
        let mut activity = Activity::default();
        assert_eq!(activity.withdraw(), Owed::default());
        assert!(!activity.ask() && !activity.ask_again());
        assert_eq!((activity.doing(), activity.owed()), (Doing::Working, Owed::default()));
    }
}
