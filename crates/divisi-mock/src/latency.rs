//! The latency of answers.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The duration of an answer. An unstreamed answer arrives when its stream would have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// Time until the status line and the first event.
    pub first_byte_ms: u64,
    /// Time between two events of a stream.
    pub chunk_ms: u64,
    /// Time until the last event; if given, it decides the time between events.
    pub total_ms: Option<u64>,
}

impl Latency {
    pub(crate) fn first_byte(&self) -> Duration {
        Duration::from_millis(self.first_byte_ms)
    }

    /// The time between two of `events` events.
    pub(crate) fn gap(&self, events: usize) -> Duration {
        let gaps = events.saturating_sub(1).max(1) as u32;
        match self.total_ms {
            Some(total) => Duration::from_millis(total.saturating_sub(self.first_byte_ms)) / gaps,
            None => Duration::from_millis(self.chunk_ms),
        }
    }

    /// The time in which a stream of `events` events would end.
    pub(crate) fn whole(&self, events: usize) -> Duration {
        match self.total_ms {
            Some(total) => Duration::from_millis(total.max(self.first_byte_ms)),
            None => self.first_byte() + self.gap(events) * events.saturating_sub(1) as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_time_decides_the_time_between_events() {
        let latency = Latency {
            first_byte_ms: 100,
            chunk_ms: 7,
            total_ms: Some(400),
        };
        assert_eq!(latency.gap(4), Duration::from_millis(100));
        assert_eq!(latency.whole(4), Duration::from_millis(400));
        let paced = Latency {
            total_ms: None,
            ..latency
        };
        assert_eq!(paced.gap(4), Duration::from_millis(7));
        assert_eq!(paced.whole(4), Duration::from_millis(121));
    }
}
