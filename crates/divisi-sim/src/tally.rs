//! Counters of a simulation.

use crate::{ask, watch};
use divisi_core::event::ParkReason;
use divisi_core::{Event, FailureClass};

/// Counters of one simulation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events recorded.
    pub events: u64,
    /// Requests sent.
    pub requests: u64,
    /// Kills.
    pub kills: u64,
    /// Executions of the flow.
    pub executions: u64,
    /// Replies cut for lack of room.
    pub cut: u64,
    /// Results refused by a check.
    pub refusals: u64,
    /// Attempts on a fallback model.
    pub stand_ins: u64,
    /// Requests that had to wait at a gate.
    pub waited: u64,
    /// Requests not sent because the run parked.
    pub withdrawn: u64,
    /// Requests that waited for another one to write their prefix.
    pub held: u64,
    /// Attempts that timed out.
    pub timeouts: u64,
    /// Answers given while no process drove the run.
    pub answered: u64,
    /// Suspended attempts whose results a process asked for.
    pub polled: u64,
    /// Requests refused by a closed gate.
    pub turned_away: u64,
    /// Requests refused by a limit of the vendor.
    pub limited: u64,
    /// Replies that read a prefix from the vendor's cache.
    pub warm: u64,
    /// Times that the budget was exhausted.
    pub parks: u64,
    /// Hedges.
    pub hedges: u64,
    /// Times that a run resumed by itself when quota was expected again.
    pub wakes: u64,
    /// Timers that fired.
    pub fired: u64,
    /// Those of them that were due before their process began.
    pub fired_late: u64,
    /// Races that a timer won.
    pub timed_out: u64,
    /// Most attempts in flight at once.
    pub at_once: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self {
            events,
            requests,
            kills,
            executions,
            cut,
            refusals,
            stand_ins,
            waited,
            withdrawn,
            held,
            timeouts,
            answered,
            polled,
            turned_away,
            limited,
            warm,
            parks,
            hedges,
            wakes,
            fired,
            fired_late,
            timed_out,
            at_once,
        } = other;
        self.events += events;
        self.requests += requests;
        self.kills += kills;
        self.executions += executions;
        self.cut += cut;
        self.refusals += refusals;
        self.stand_ins += stand_ins;
        self.waited += waited;
        self.withdrawn += withdrawn;
        self.held += held;
        self.timeouts += timeouts;
        self.answered += answered;
        self.polled += polled;
        self.turned_away += turned_away;
        self.limited += limited;
        self.warm += warm;
        self.parks += parks;
        self.hedges += hedges;
        self.wakes += wakes;
        self.fired += fired;
        self.fired_late += fired_late;
        self.timed_out += timed_out;
        self.at_once = self.at_once.max(at_once);
    }
}

impl Tally {
    /// Counts an event that has become durable.
    pub(crate) fn count(&mut self, event: &Event) {
        self.events += 1;
        let counted = match event {
            Event::TurnEnded { turn, .. } if watch::is_cut(&turn.reply) => &mut self.cut,
            Event::AttemptEnded {
                failure: Some(failure),
                ..
            } if failure.class == FailureClass::Check => &mut self.refusals,
            Event::AttemptScheduled {
                model: Some(model), ..
            } if ask::stands_in(model) => &mut self.stand_ins,
            Event::RunParked {
                reason: ParkReason::Budget { .. },
            } => &mut self.parks,
            Event::TurnHedged { .. } => &mut self.hedges,
            Event::RunWoken => &mut self.wakes,
            _ => return,
        };
        *counted += 1;
    }
}
