//! Other runs of the same process, as far as gates know them: requests that arrive, wait, and are
//! sent or withdrawn.

use super::sending::Who;
use super::{Happening, Process};
use crate::vendor::{Family, Reply, Request};
use divisi_core::budget::TurnBound;
use divisi_core::{FailureClass, Millis};

impl Process<'_, '_> {
    /// Begins the other runs, each with some requests at once.
    pub(super) fn others_begin(&mut self) {
        for number in 1..=self.world.scenario.others {
            // A few of them are large.
            let left = if self.chance.percent(5) {
                400
            } else {
                self.chance.within(1..40) as u32
            };
            self.others.insert(number, left);
            let at_once = self.chance.within(1..64).min(left.into());
            let begin = self.chance.within(0..3_000);
            (0..at_once).for_each(|_| self.plan(Millis(begin), Happening::OtherAsks(number)));
        }
    }

    /// Another run wants to send a request.
    pub(super) fn other_asks(&mut self, number: u32) -> Result<(), String> {
        let Some(left) = self.others.get_mut(&number).filter(|left| **left > 0) else {
            return Ok(());
        };
        *left -= 1;
        let request = Request {
            ours: false,
            family: Some(Family::ALL[self.chance.place(Family::ALL.len())]),
            bound: TurnBound::new(divisi_core::PicoUsd(10), divisi_core::PicoUsd(1), 40),
            input: self.chance.within(20..2_000),
            prefix: None,
            room: 40,
            reply_usual: 20,
        };
        let priority = self.chance.within(0..3) as u32;
        self.enter(Who::Other(number), request, priority)
    }

    /// A request of another run has its reply, or was refused.
    pub(super) fn other_hears(&mut self, number: u32, reply: Reply) {
        let rest = match reply {
            Reply::Answer { .. } | Reply::Lost { .. } => self.chance.within(0..300),
            // It has parked; the user resumes it, or begins another one.
            Reply::Refusal {
                class: FailureClass::Quota | FailureClass::Auth,
                ..
            } => {
                let rest = self.chance.within(0..40_000);
                if self.chance.percent(30) {
                    return self.plan(Millis(rest), Happening::OtherResumes(number));
                }
                rest
            }
            Reply::Refusal { told, .. } => told.retry_after.map_or(500, |wait| wait.0),
        };
        self.plan(Millis(rest), Happening::OtherAsks(number));
    }
}
