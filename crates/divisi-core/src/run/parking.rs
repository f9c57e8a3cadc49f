//! When a run parks by itself, and what a parked run does.

use super::{Run, Stage, TaskState};
use crate::event::ParkReason;
use crate::retry::QuotaWait;
use crate::{Event, Failure, Timestamp};

impl Run {
    /// Plans to continue without the user, if the run is parked for want of quota.
    pub(super) fn wait(&self, now: Timestamp, wait: QuotaWait) -> Vec<Event> {
        match (self.rests_for_quota(), self.wakes_at) {
            (Some(reset), None) => vec![Event::WaitStarted {
                until: wait.until(now, reset, self.wakes),
            }],
            _ => vec![],
        }
    }

    /// Parks a run whose remaining tasks are all suspended.
    pub(super) fn rests_for_answers(&self) -> Option<Vec<Event>> {
        let tasks = self.suspended().count() as u32;
        let rests = self.stage == Stage::Running
            && tasks > 0
            && self.in_flight.is_empty()
            && self.waiting.is_empty()
            && self.timers.is_empty();
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

    /// Continues once the wait is over.
    pub(super) fn wake(&self, now: Timestamp) -> Vec<Event> {
        match self.waits_until() {
            Some(until) if until <= now => vec![Event::RunWoken],
            _ => vec![],
        }
    }

    /// If the run is parked for want of quota, when that is reset, as far as known.
    pub(super) fn rests_for_quota(&self) -> Option<Option<Timestamp>> {
        match &self.stage {
            Stage::Parked(ParkReason::Quota { until, .. }) => Some(*until),
            _ => None,
        }
    }

    /// The reason to park when an attempt of `task` has ended with this failure and its cohort has
    /// no prospects.
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
