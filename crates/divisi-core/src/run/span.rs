//! How long a run was at work, apart from its rests.

use crate::{Event, Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// The time of a run: driven, and at rest between executions, while parked or while
/// it waits for a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    began: Option<Timestamp>,
    /// Of the times at work that are over.
    worked: Millis,
    /// Since when it is at work, if it is.
    since: Option<Timestamp>,
    latest: Timestamp,
}

impl Span {
    /// Takes in the next event, which was recorded `at`.
    pub fn record(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::RunStarted(_) | Event::RunResumed(_) => {
                // A process that died was at work up to what it wrote last.
                self.close(self.latest);
                self.began.get_or_insert(at);
                self.since = Some(at);
            }
            Event::RunWoken => self.since = Some(at),
            Event::WaitStarted { .. } | Event::RunParked { .. } | Event::RunEnded { .. } => {
                self.close(at);
            }
            _ => {}
        }
        self.latest = at;
    }

    fn close(&mut self, at: Timestamp) {
        if let Some(since) = self.since.take() {
            self.worked.0 += at.since(since).0;
        }
    }

    /// When the latest event was recorded.
    pub fn latest(&self) -> Timestamp {
        self.latest
    }

    /// How long it has been at work, up to `now` if it still is.
    pub fn worked(&self, now: Timestamp) -> Millis {
        Millis(self.worked.0 + self.since.map_or(0, |since| now.since(since).0))
    }

    /// How long it has rested between its beginning and `end`.
    pub fn rested(&self, end: Timestamp) -> Millis {
        let whole = self.began.map_or(0, |began| end.since(began).0);
        Millis(whole.saturating_sub(self.worked(end).0))
    }
}
