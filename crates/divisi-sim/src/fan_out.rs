//! How much of a budget can be used.

use crate::Tally;
use crate::chance::Chance;
use crate::flow::Flow;
use crate::scenario::Scenario;
use crate::story::Story;
use crate::watch::ensure;
use crate::world::World;
use divisi_core::event::ParkReason;
use divisi_core::run::Stage;
use divisi_core::{PicoUsd, Run};

/// Attempts under way in a fan-out, at most.
const AT_ONCE: u32 = 1_000;

/// Where the money of a fan-out went until its cap held no more.
///
/// What is claimed: nothing is ever booked or billed over the cap. And a run
/// that parks on its budget leaves less than the least that any of its waiting
/// tasks could go on with, so of a cap that is at least
/// [`CAP_LEAST_BOUNDS`](Self::CAP_LEAST_BOUNDS) times the largest of these, at
/// least [`USABLE_MIN`](Self::USABLE_MIN) is booked. That is more than what is
/// billed, because a request whose answer is lost counts as all it may cost. A
/// task whose reply was cut goes on only with all the room it wants; where none
/// but such tasks are left, more may remain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// Whether it parked because the cap held no more.
    pub exhausted: bool,
    /// Most that it might spend.
    pub cap: PicoUsd,
    /// What it has booked: bills, and the reservations of requests whose
    /// answers were lost.
    pub settled: PicoUsd,
    /// What the vendor asks for.
    pub billed: PicoUsd,
    /// The part of it for replies that were cut, and asked for in vain.
    pub billed_for_cut: PicoUsd,
}

impl Spending {
    /// Share of a cap that must be usable.
    pub const USABLE_MIN: f64 = 0.95;
    /// A cap is at least this many times the most that any request of the run
    /// costs with the shortest room for its reply: less than one of them can
    /// be left, and that is a twentieth.
    pub const CAP_LEAST_BOUNDS: u64 = 20;

    /// What was spent over the cap.
    pub fn overshoot(&self) -> PicoUsd {
        self.settled.max(self.billed).saturating_sub(self.cap)
    }

    /// Share of the cap that was spent when nothing more fitted.
    pub fn usable(&self) -> f64 {
        self.settled.0 as f64 / self.cap.0.max(1) as f64
    }
}

impl World {
    /// The same with a flow that asks for all its tasks at once, and a cap that
    /// holds a part of them.
    pub(crate) fn fan_out(scenario: Scenario, story: Story) -> Self {
        let mut world = Self::new(scenario, story);
        let mut chance = Chance::of(scenario.seed, "fan-out");
        let mut flow = Flow::fan_out(&mut chance, scenario.tasks);
        flow.each(|ask| scenario.strip(ask));
        let percent = |of: PicoUsd, percent: u64| PicoUsd(of.0 / 100 * percent);
        let cap = match chance.within(0..4) {
            // As tight as it may be.
            0 => PicoUsd::ZERO,
            // All of them are under way at once, and in long conversations.
            1 => {
                flow.each(|ask| ask.turns = 5 + (ask.text % 20) as usize);
                percent(
                    flow.sum(|ask| ask.bound(0, None).most()),
                    chance.within(100..160),
                )
            }
            // A part of what they cost.
            _ => percent(flow.sum(|ask| ask.cost_usual()), chance.within(1..40)),
        };
        let cap = cap.max(PicoUsd(flow.least_max().0 * Spending::CAP_LEAST_BOUNDS));
        world.limits.in_flight_max = AT_ONCE;
        world.caps.run = Some(cap);
        world.flow = flow;
        world
    }

    /// Executes a fan-out, and again whenever it is killed, until it parks
    /// because its cap holds no more.
    pub(crate) fn spend(mut self) -> Result<(Tally, Spending), String> {
        let mut run = Run::new();
        while !matches!(run.stage(), Stage::Parked(_) | Stage::Ended(_)) {
            run = self.execute(run, false, false)?;
        }
        self.tally.requests = self.vendor.requests;
        let spending = Spending {
            exhausted: matches!(
                run.stage(),
                Stage::Parked(ParkReason::Budget { phase: None })
            ),
            cap: self.caps.run.unwrap_or_default(),
            settled: run.budget().settled,
            billed: self.vendor.billed,
            billed_for_cut: self.vendor.billed_for_cut,
        };
        ensure!(
            spending.overshoot() == PicoUsd::ZERO,
            "{spending:?} is over its cap"
        );
        let usable = spending.usable();
        ensure!(
            !spending.exhausted || usable >= Spending::USABLE_MIN,
            "{:.1} % of {spending:?} were usable",
            usable * 100.0
        );
        Ok((self.tally, spending))
    }
}
