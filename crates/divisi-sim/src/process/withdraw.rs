//! What has not left when the run parks or is cancelled does not leave, as in the
//! engine: it ends without a bill.

use super::gate::Who;
use super::{Process, failed};
use crate::watch::ensure;
use divisi_core::event::Recorded;
use divisi_core::run::{Stage, TaskStage, TaskState};
use divisi_core::{AttemptId, FailureClass, Input};

impl Process<'_, '_> {
    /// Whether requests of this one are no longer sent.
    pub(super) fn is_withdrawn(&self, who: Who) -> bool {
        let parks = matches!(self.run.stage(), Stage::Parking(_) | Stage::Parked(_));
        parks && !matches!(who, Who::Other(_))
    }

    /// A request does not leave.
    pub(super) fn withdraw(&mut self, who: Who) -> Result<(), String> {
        self.world.tally.withdrawn += 1;
        self.world.story.tell(self.world.now, || format!("withdraws {who}"));
        match who {
            Who::Attempt(attempt, _) => self.end(attempt, failed(FailureClass::Interrupted)),
            Who::Second(attempt, _) => self.give_up_second(attempt)?,
            Who::Other(_) => {}
        }
        Ok(())
    }

    /// The run parks: what waits at a gate goes away.
    pub(super) fn withdraw_waiting(&mut self) -> Result<(), String> {
        for (attempt, (turn, family, place)) in std::mem::take(&mut self.in_line) {
            self.give_up(family, place)?;
            self.withdraw(Who::Attempt(attempt, turn))?;
        }
        for (attempt, turn) in self.seconds_in_line() {
            self.withdraw(Who::Second(attempt, turn))?;
        }
        Ok(())
    }

    /// The run is about to be cancelled: what has nothing out ends before.
    pub(super) fn withdraw_all(&mut self, batch: &mut Vec<Recorded>) -> Result<(), String> {
        let under_way = |task: &TaskState| match task.stage() {
            TaskStage::InFlight(attempt) => Some(*attempt),
            _ => None,
        };
        let attempts: Vec<AttemptId> = self.run.tasks().filter_map(|(_, task)| under_way(task)).collect();
        for attempt in attempts {
            if !self.has_second_out(attempt) {
                self.decide(Input::HedgeEnded { attempt, billed: false }, batch)?;
            }
            if !self.has_request_out(attempt) {
                let end = Box::new(failed(FailureClass::Interrupted));
                self.decide(Input::AttemptEnded { attempt, end }, batch)?;
                ensure!(!self.is_under_way(attempt), "{attempt} goes on though it was withdrawn");
            }
        }
        Ok(())
    }
}
