//! Future events of a process, in order.

use super::Process;
use super::sending::Sending;
use crate::vendor::{Answered, Family};
use divisi_core::governor::{PermitId, Place, RateLimits};
use divisi_core::{AttemptId, Input, Millis, PicoUsd, TaskId, Timestamp};

#[derive(Clone, Debug)]
pub(super) enum Happening {
    /// A request arrives at the vendor.
    Arrives(Sending, Option<PermitId>),
    Reply(Sending, Option<PermitId>, Box<Answered>),
    /// The reply to a request begins.
    Begins(Sending, Option<PermitId>, Box<RateLimits>),
    /// Tools have results, new or recorded ones.
    ToolsDone(AttemptId, bool),
    /// A check has judged a result.
    Checked(AttemptId),
    /// The answer that a task awaits from outside of the process is there.
    Answered(TaskId),
    /// Another run wants to send a request.
    OtherAsks(u32),
    /// The same, after it was parked.
    OtherResumes(u32),
    /// A waiting request of another run is withdrawn.
    GivesUp(Family, Place<u32>, u32),
    Park,
    Cancel,
    /// The user sets another cap.
    Recaps(PicoUsd),
    /// The user sets another number of attempts at a time.
    Widens(u32),
    /// The user buys more quota.
    Pays,
}

impl Process<'_, '_> {
    /// Plans that the user changes the cap and the width of the run, and parks or cancels it, at some
    /// time.
    pub(crate) fn disturb(&mut self) {
        let when = self.chance.within(0..5_000);
        let what = if self.chance.percent(30) {
            Happening::Cancel
        } else {
            Happening::Park
        };
        self.plan(Millis(when), what);
        // Not below what is in hand: then a smaller cap takes nothing back, which the watcher of
        // overshoots would have to know.
        let in_hand = self.run().budget().spent().total() + self.run().budget().reserved;
        let cap = PicoUsd(in_hand.0 * 2 + self.chance.within(1..1_000_000_000));
        let when = self.chance.within(0..5_000);
        self.plan(Millis(when), Happening::Recaps(cap));
        let width = 1 + self.chance.within(0..8) as u32;
        let when = self.chance.within(0..5_000);
        self.plan(Millis(when), Happening::Widens(width));
    }

    /// Advances to the next event or to the end of a wait.
    pub(super) fn time_passes(&mut self) -> Result<(), String> {
        let next = self.agenda.keys().next().map(|(due, _)| *due);
        let wake_at = self.runs.wake_at();
        let alarm = self.alarms.first().map(|(at, _)| *at);
        let Some(now) = next
            .into_iter()
            .chain(wake_at)
            .chain(alarm)
            .chain(self.gates_wake_at())
            .min()
        else {
            return Err(format!("it waits for ever, {:?}", self.run().stage()));
        };
        self.world.now = self.world.now.max(now);
        self.look_at_gates()?;
        self.look_at_clocks()?;
        if next != Some(now) {
            return Ok(());
        }
        let Some((_, happening)) = self.agenda.pop_first() else {
            return Ok(());
        };
        match happening {
            Happening::Arrives(sending, permit) => self.arrive(sending, permit)?,
            Happening::Reply(sending, permit, answered) => {
                self.reply(sending, permit, &answered)?;
            }
            Happening::Begins(sending, permit, limits) => self.begins(sending, permit, &limits)?,
            Happening::ToolsDone(attempt, are_new) => self.tools_are_done(attempt, are_new)?,
            Happening::Checked(attempt) => self.is_checked(attempt)?,
            Happening::Answered(task) => self.is_answered(task),
            Happening::OtherAsks(number) => self.other_asks(number)?,
            Happening::OtherResumes(number) => {
                self.reopen_gates()?;
                self.other_asks(number)?;
            }
            Happening::GivesUp(family, place, number) => {
                self.give_up(family, place)?;
                self.plan(Millis(500), Happening::OtherAsks(number));
            }
            Happening::Park => self.say(Input::Park),
            Happening::Cancel => self.say(Input::Cancel),
            Happening::Recaps(cap) => self.say(Input::Cap(cap)),
            Happening::Widens(width) => self.say(Input::Width(width)),
            Happening::Pays => self.world.vendor.refill(),
        }
        Ok(())
    }

    /// Plans what the user does while the run waits for quota.
    pub(super) fn rest(&mut self, until: Timestamp) {
        let pays = Millis(self.chance.within(1..200_000));
        self.plan(pays, Happening::Pays);
        let (parks, at_the_last_moment) = (self.chance.percent(20), self.chance.percent(50));
        if self.world.scenario.people && parks {
            let wait = until.since(self.world.now);
            let when = if at_the_last_moment {
                wait
            } else {
                Millis(wait.0 / 2)
            };
            self.plan(when, Happening::Park);
        }
    }

    pub(super) fn plan(&mut self, after: Millis, happening: Happening) {
        self.planned += 1;
        self.agenda
            .insert((self.world.now + after, self.planned), happening);
    }
}
