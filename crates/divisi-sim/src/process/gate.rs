//! The gates of a process: one queue of the core per model family.

use super::attempt::{At, failed};
use super::sending::{Sending, Who};
use super::{Happening, Process};
use crate::vendor::{Answered, Family, Reply, Request, Vendor};
use crate::watch::{GateWatch, ensure};
use divisi_core::attempt::{Input as Step, Slot};
use divisi_core::event::WaitCause;
use divisi_core::governor::{
    Decision, Ending, Estimate, Governor, PermitId, Place, Queue, RateLimits,
};
use divisi_core::retry::Told;
use divisi_core::run::{AttemptEnd, Stage};
use divisi_core::{FailureClass, Timestamp};

/// The gate of one family.
pub(super) struct Gate {
    queue: Queue<u32, Sending>,
    /// When to look again, if time alone suffices.
    wake_at: Option<Timestamp>,
    /// The failure that closed it.
    closed_by: FailureClass,
    watch: GateWatch,
}

impl Gate {
    pub(super) fn new(vendor: &mut Vendor, family: Family, now: Timestamp) -> Self {
        let settings = vendor.settings(family);
        Self {
            queue: Queue::new(Governor::new(&settings)),
            wake_at: None,
            closed_by: FailureClass::Quota,
            watch: GateWatch::new(settings, vendor.is_known(family, now), now),
        }
    }
}

impl Process<'_, '_> {
    /// A request wants to leave.
    pub(super) fn enter(
        &mut self,
        who: Who,
        request: Request,
        priority: u32,
    ) -> Result<(), String> {
        self.planned += 1;
        let sending = Sending {
            who,
            request,
            priority,
            ticket: self.planned,
        };
        let Some(family) = request.family else {
            return Err(format!("{who} has no gate"));
        };
        let (now, estimate) = (self.world.now, estimate(request));
        let Some(gate) = self.gates.get_mut(&family) else {
            return Ok(());
        };
        let asked = gate.queue.ask(now, estimate);
        match asked {
            Some(Decision::Go(permit)) => return self.through(family, sending, permit),
            Some(Decision::Closed(until)) => return self.turn_away(sending, until),
            Some(Decision::Wait(until)) => gate.wake_at = Some(until),
            Some(Decision::Full) | None => {}
        }
        let run = who.run();
        gate.watch.waits(run, priority, sending.ticket, estimate);
        self.world.tally.waited += 1;
        self.world.story.tell(now, || format!("waits     {who}"));
        let place = gate.queue.enter(run, priority, estimate, sending);
        let is_next = asked.is_none() && gate.queue.is_next(place);
        match who {
            Who::Attempt(attempt, _, slot) => {
                self.at(attempt, slot, At::InLine(family, place));
                let cause = match asked {
                    Some(Decision::Wait(_)) => WaitCause::Limit,
                    Some(_) | None => WaitCause::Room,
                };
                if slot == Slot::First {
                    self.step(attempt, Step::Held(cause))?;
                }
            }
            Who::Other(other) => {
                if self.chance.percent(10) {
                    let patience = self.chance.within(1..3_000);
                    self.plan(
                        divisi_core::Millis(patience),
                        Happening::GivesUp(family, place, other),
                    );
                }
            }
        }
        // The new request needs less than those it passed, so it may fit now; no other position has
        // changed.
        if is_next {
            self.let_through(family)
        } else {
            Ok(())
        }
    }

    /// A request gets its permit.
    fn through(
        &mut self,
        family: Family,
        sending: Sending,
        permit: PermitId,
    ) -> Result<(), String> {
        match sending.who {
            Who::Attempt(attempt, _, slot) => {
                self.at(attempt, slot, At::Permit(family, permit));
                self.step(attempt, Step::Permit(slot))
            }
            // It was withdrawn at that very moment.
            Who::Other(_) if self.chance.percent(3) => self.give_back(family, permit),
            Who::Other(_) => self.depart(sending, Some(permit)),
        }
    }

    /// Opens the gates: the user resumes, so requests refused before may succeed now.
    pub(super) fn reopen_gates(&mut self) -> Result<(), String> {
        let now = self.world.now;
        for family in Family::ALL {
            if let Some(gate) = self.gates.get_mut(&family)
                && gate.queue.governor().is_shut(now)
            {
                self.world
                    .story
                    .tell(now, || format!("reopens   {family:?}"));
                gate.queue.governor_mut().reopen();
                gate.watch.reopens(now);
                self.let_through(family)?;
            }
        }
        Ok(())
    }

    /// Withdraws a waiting request.
    pub(super) fn give_up(&mut self, family: Family, place: Place<u32>) -> Result<(), String> {
        let Some(gate) = self.gates.get_mut(&family) else {
            return Ok(());
        };
        if let Some(sending) = gate.queue.leave(place) {
            self.world.story.tell(self.world.now, || {
                format!("leaves    the line: {}", sending.who)
            });
            gate.watch
                .goes_away(sending.who.run(), sending.priority, sending.ticket)?;
        }
        self.let_through(family)
    }

    /// Lets requests leave that waited for this time.
    pub(super) fn look_at_gates(&mut self) -> Result<(), String> {
        for family in Family::ALL {
            let due = |gate: &Gate| gate.wake_at.is_some_and(|due| due <= self.world.now);
            if self.gates.get(&family).is_some_and(due) {
                self.let_through(family)?;
            }
        }
        Ok(())
    }

    /// When the next gate is due.
    pub(super) fn gates_wake_at(&self) -> Option<Timestamp> {
        self.gates.values().filter_map(|gate| gate.wake_at).min()
    }

    /// Checks that no request waits that could leave.
    pub(super) fn watch_gates(&self) -> Result<(), String> {
        let now = self.world.now;
        let rests = |gate: &Gate| {
            gate.watch
                .at_rest(gate.queue.governor(), gate.queue.len(), gate.wake_at, now)
        };
        self.gates.values().try_for_each(rests)
    }

    /// A request arrives at the vendor, even if its reply is not awaited any more.
    pub(super) fn arrive(
        &mut self,
        sending: Sending,
        permit: Option<PermitId>,
    ) -> Result<(), String> {
        let (now, before) = (self.world.now, self.world.vendor.billed);
        let answered = self.world.vendor.answer(now, sending.request);
        let billed = self.world.vendor.billed;
        let bill = billed.saturating_sub(before);
        match sending.who {
            Who::Attempt(attempt, _, Slot::First) if self.is_under_way(attempt) => {
                self.watch().billed(attempt, bill, billed)?;
            }
            Who::Attempt(attempt, _, Slot::Second) => {
                self.watch().second_billed(attempt, bill, billed)?;
            }
            Who::Attempt(..) | Who::Other(_) => {}
        }
        match (sending.who, answered.reply) {
            // It will never be answered.
            (
                Who::Attempt(attempt, _, slot),
                Reply::Lost {
                    class: FailureClass::Timeout,
                },
            ) if permit.is_some() && self.is_out(attempt, slot, sending.ticket) => {
                self.falls_silent(attempt, slot);
                return Ok(());
            }
            (_, Reply::Answer { .. }) => {
                let begins = divisi_core::Millis(self.chance.within(0..answered.after.0 + 1));
                self.plan(
                    begins,
                    Happening::Begins(sending, permit, Box::new(answered.limits)),
                );
            }
            _ => {}
        }
        self.plan(
            answered.after,
            Happening::Reply(sending, permit, Box::new(answered)),
        );
        Ok(())
    }

    /// The reply to a request begins: it was not refused.
    pub(super) fn begins(
        &mut self,
        sending: Sending,
        permit: Option<PermitId>,
        limits: &RateLimits,
    ) -> Result<(), String> {
        let now = self.world.now;
        if let Who::Attempt(attempt, _, slot) = sending.who {
            if !self.is_out(attempt, slot, sending.ticket) {
                return Ok(());
            }
            self.prefix_is(attempt, true)?;
        }
        let (Some(permit), Some(family)) = (permit, sending.request.family) else {
            return Ok(());
        };
        let Some(gate) = self.gates.get_mut(&family) else {
            return Ok(());
        };
        if gate.queue.governor().awaits_begun() {
            let was_unsure = gate.queue.governor().is_unsure();
            gate.queue.governor_mut().begun(now, permit, limits);
            if was_unsure && !gate.queue.governor().is_unsure() {
                gate.watch.begins();
            }
            return self.let_through(family);
        }
        Ok(())
    }

    /// Handles the end of a request.
    pub(super) fn reply(
        &mut self,
        sending: Sending,
        permit: Option<PermitId>,
        answered: &Answered,
    ) -> Result<(), String> {
        let (now, who) = (self.world.now, sending.who);
        if let Who::Attempt(attempt, _, slot) = who
            && !self.is_out(attempt, slot, sending.ticket)
        {
            // It was abandoned.
            return Ok(());
        }
        if let (Some(permit), Some(family)) = (permit, sending.request.family)
            && let Some(gate) = self.gates.get_mut(&family)
        {
            let (usage, ending) = match answered.reply {
                Reply::Answer { usage, .. } => (Some(usage), Ending::Ok),
                Reply::Lost { class } => (None, Ending::of(class, Told::default(), now)),
                Reply::Refusal { class, told } => (None, Ending::of(class, told, now)),
            };
            self.world
                .story
                .tell(now, || format!("answered  {who} {ending:?}"));
            self.world.tally.limited += u64::from(matches!(ending, Ending::RateLimited { .. }));
            self.world.tally.warm += u64::from(usage.is_some_and(|usage| usage.cache_read > 0));
            gate.watch.ends(now, ending)?;
            if let Reply::Refusal {
                class: class @ (FailureClass::Quota | FailureClass::Auth),
                ..
            } = answered.reply
            {
                gate.closed_by = class;
            }
            gate.queue
                .done(now, permit, usage.as_ref(), ending, &answered.limits);
            self.let_through(family)?;
        }
        match who {
            // Permits given above may have ended it.
            Who::Attempt(attempt, _, slot) if self.is_out(attempt, slot, sending.ticket) => {
                self.hear(attempt, slot, answered.reply)
            }
            Who::Attempt(..) => Ok(()),
            Who::Other(other) => {
                self.other_hears(other, answered.reply);
                Ok(())
            }
        }
    }

    /// Abandons a request in flight.
    pub(super) fn abandon(&mut self, family: Family, permit: PermitId) -> Result<(), String> {
        let now = self.world.now;
        if let Some(gate) = self.gates.get_mut(&family) {
            gate.watch.ends(now, Ending::Other)?;
            gate.queue
                .done(now, permit, None, Ending::Other, &RateLimits::default());
        }
        self.let_through(family)
    }

    /// Returns an unused permit.
    pub(super) fn give_back(&mut self, family: Family, permit: PermitId) -> Result<(), String> {
        let now = self.world.now;
        if let Some(gate) = self.gates.get_mut(&family) {
            gate.queue.withdraw(now, permit);
        }
        self.let_through(family)
    }

    /// Lets all requests leave that can.
    pub(super) fn let_through(&mut self, family: Family) -> Result<(), String> {
        let now = self.world.now;
        let Some(gate) = self.gates.get_mut(&family) else {
            return Ok(());
        };
        let mut answered = vec![];
        gate.wake_at = gate.queue.let_through(now, |sending, answer| {
            answered.push((sending, answer));
            None
        });
        for (sending, answer) in &answered {
            let run = sending.who.run();
            match answer {
                Ok(_) => gate.watch.turn_of(run, sending.priority, sending.ticket)?,
                Err(_) => gate
                    .watch
                    .goes_away(run, sending.priority, sending.ticket)?,
            }
        }
        // They wait no longer; each holds its permit until its attempt is informed.
        for (sending, answer) in &answered {
            if let Who::Attempt(attempt, _, slot) = sending.who {
                let permit = |permit: &PermitId| At::Permit(family, *permit);
                self.at(attempt, slot, answer.as_ref().map_or(At::Nowhere, permit));
            }
        }
        for (sending, answer) in answered {
            match (answer, sending.who) {
                (Ok(permit), Who::Attempt(attempt, _, slot))
                    if self.has_permit(attempt, slot, family, permit) =>
                {
                    self.step(attempt, Step::Permit(slot))?;
                }
                // Returned while another attempt was informed.
                (Ok(_), Who::Attempt(..)) => {}
                (Ok(permit), Who::Other(_)) => self.through(family, sending, permit)?,
                (Err(until), _) => self.turn_away(sending, until)?,
            }
        }
        Ok(())
    }

    /// Sends a request.
    pub(super) fn depart(
        &mut self,
        sending: Sending,
        permit: Option<PermitId>,
    ) -> Result<(), String> {
        let (now, who) = (self.world.now, sending.who);
        if let Some(gate) = sending
            .request
            .family
            .and_then(|family| self.gates.get_mut(&family))
        {
            gate.watch.leaves(now)?;
        }
        self.world.story.tell(now, || format!("leaves    {who}"));
        if let Who::Attempt(attempt, turn, _) = who {
            let Request { room, bound, .. } = sending.request;
            ensure!(
                self.is_under_way(attempt),
                "{attempt} asks although it has ended"
            );
            let parks = matches!(self.run().stage(), Stage::Parking(_) | Stage::Parked(_));
            ensure!(
                !parks || permit.is_none(),
                "{attempt} asks although the run parks"
            );
            let request = self.request(attempt, turn);
            let watch = &mut self.runs.observer_mut().watch;
            watch.request(attempt, request, room, bound)?;
        }
        let path = self.world.vendor.path();
        self.plan(path, Happening::Arrives(sending, permit));
        Ok(())
    }

    /// Refuses a request at a closed gate.
    fn turn_away(&mut self, sending: Sending, until: Option<Timestamp>) -> Result<(), String> {
        let (now, who) = (self.world.now, sending.who);
        self.world.tally.turned_away += 1;
        self.world
            .story
            .tell(now, || format!("turned    {who} away until {until:?}"));
        let Some(gate) = sending
            .request
            .family
            .and_then(|family| self.gates.get(&family))
        else {
            return Ok(());
        };
        gate.watch.turned_away(now)?;
        let (class, retry_after) = (gate.closed_by, until.map(|until| until.since(now)));
        match who {
            Who::Attempt(attempt, _, slot) => {
                let end = AttemptEnd {
                    retry_after,
                    ..failed(class)
                };
                self.is_turned_away(attempt, slot, end)?;
            }
            Who::Other(other) => {
                let told = Told {
                    retry_after,
                    should_retry: None,
                };
                self.other_hears(other, Reply::Refusal { class, told });
            }
        }
        Ok(())
    }

    /// Requests that have left arrive at the vendor even if the process is gone.
    pub(super) fn all_arrive(&mut self) -> Result<(), String> {
        for ((at, _), happening) in std::mem::take(&mut self.agenda) {
            if let Happening::Arrives(sending, _) = happening {
                self.world.vendor.answer(at, sending.request);
            }
        }
        self.gates.values().try_for_each(|gate| gate.watch.over())
    }
}

/// The engine's estimate of a request before its reply: deliberately high.
fn estimate(request: Request) -> Estimate {
    Estimate {
        input: request.input * 5 / 4,
        output: request.room.into(),
    }
}
