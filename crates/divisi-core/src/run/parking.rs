//! What a run does while it rests.

use super::{Run, Stage};
use crate::event::ParkReason;
use crate::retry::QuotaWait;
use crate::{Event, Timestamp};

impl Run {
    /// Plans to go on without anybody's help, where that may help.
    pub(super) fn wait(&self, now: Timestamp, wait: QuotaWait) -> Vec<Event> {
        match (self.rests_for_quota(), self.wakes_at) {
            (Some(reset), None) => vec![Event::WaitStarted {
                until: wait.until(now, reset, self.wakes),
            }],
            _ => vec![],
        }
    }

    /// Parks a run of which all the rest waits for something outside of the process.
    pub(super) fn rests_for_answers(&self) -> Option<Vec<Event>> {
        let tasks = self.suspended().count() as u32;
        let rests = self.stage == Stage::Running
            && tasks > 0
            && self.in_flight.is_empty()
            && self.waiting.is_empty();
        let reason = ParkReason::Suspended { tasks };
        rests.then(|| {
            vec![
                Event::ParkingStarted {
                    reason: reason.clone(),
                },
                Event::RunParked { reason },
            ]
        })
    }

    /// Goes on when it is time.
    pub(super) fn wake(&self, now: Timestamp) -> Vec<Event> {
        match self.waits_until() {
            Some(until) if until <= now => vec![Event::RunWoken],
            _ => vec![],
        }
    }

    /// When there is quota again, as far as that is known, in a run that is
    /// parked for want of it.
    pub(super) fn rests_for_quota(&self) -> Option<Option<Timestamp>> {
        match &self.stage {
            Stage::Parked(ParkReason::Quota { until, .. }) => Some(*until),
            _ => None,
        }
    }
}
