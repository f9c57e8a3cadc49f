//! When a run comes to rest by itself, and what it does while it rests.

use super::{Run, Stage, TaskState};
use crate::event::ParkReason;
use crate::retry::QuotaWait;
use crate::{Event, Failure, Timestamp};

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

    /// Why those that wait are not tried any more once an attempt of `task` has
    /// ended it with this failure, if so.
    pub(super) fn hopeless(&self, task: &TaskState, failure: &Failure) -> Option<ParkReason> {
        let first = self.limits.hopeless_after;
        let failed = self.siblings.hopeless(task.sibling, failure.class, first)?;
        let Failure {
            class,
            message,
            hint,
            ..
        } = failure.clone();
        let phase = task.facts.phase.clone();
        (self.stage == Stage::Running).then_some(ParkReason::Hopeless {
            class,
            failed,
            phase,
            message,
            hint,
        })
    }
}
