//! Measures how long a run was at work, without the time it was parked.

use crate::{Event, Millis, Timestamp};
use serde::{Deserialize, Serialize};

/// The time of a run: at work, and not at work (between executions, while parked, or while waiting
/// for quota).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    began: Option<Timestamp>,
    /// Sum of the ended times at work.
    worked: Millis,
    /// Begin of the current time at work.
    since: Option<Timestamp>,
    latest: Timestamp,
}

impl Span {
    /// Adds the next event, recorded `at`.
    pub fn record(&mut self, at: Timestamp, event: &Event) {
        match event {
            Event::RunStarted(_) | Event::RunResumed(_) => {
                // A crashed process counts as working until its last event.
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

    /// Time at work, up to `now` if it is at work.
    pub fn worked(&self, now: Timestamp) -> Millis {
        Millis(self.worked.0 + self.since.map_or(0, |since| now.since(since).0))
    }

    /// Time not at work between its beginning and `end`.
    pub fn rested(&self, end: Timestamp) -> Millis {
        let whole = self.began.map_or(0, |began| end.since(began).0);
        Millis(whole.saturating_sub(self.worked(end).0))
    }
}
