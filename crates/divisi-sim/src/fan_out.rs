//! Measures how much of a budget can be used.

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

/// Most attempts in flight in a fan-out.
const AT_ONCE: u32 = 1_000;

/// How a fan-out spent its cap.
///
/// Claims: nothing is ever booked or billed over the cap. A run that parks on its budget leaves
/// less than the smallest amount with which any of its waiting tasks could go on. So of a cap that
/// is at least [`CAP_LEAST_BOUNDS`](Self::CAP_LEAST_BOUNDS) times the largest of these amounts, at
/// least [`USABLE_MIN`](Self::USABLE_MIN) is booked. More is booked than billed, since a request
/// whose reply is lost counts with its whole reservation. A task whose reply was cut goes on only
/// with all the room it wants; if only such tasks are left, more may remain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spending {
    /// Whether it parked because the cap was exhausted.
    pub exhausted: bool,
    /// The cap.
    pub cap: PicoUsd,
    /// Booked: bills, and the reservations of requests whose replies were lost.
    pub settled: PicoUsd,
    /// Billed by the vendor.
    pub billed: PicoUsd,
    /// The part of it for replies that were cut and are useless.
    pub billed_for_cut: PicoUsd,
}

impl Spending {
    /// Share of a cap that must be usable.
    pub const USABLE_MIN: f64 = 0.95;
    /// A cap is at least this many times the largest least reservation of the run's requests: less
    /// than one of these can be left, which is a twentieth.
    pub const CAP_LEAST_BOUNDS: u64 = 20;

    /// The amount over the cap.
    pub fn overshoot(&self) -> PicoUsd {
        self.settled.max(self.billed).saturating_sub(self.cap)
    }

    /// Share of the cap that was spent when nothing more fitted.
    pub fn usable(&self) -> f64 {
        self.settled.0 as f64 / self.cap.0.max(1) as f64
    }
}

impl World {
    /// A world whose flow requests all its tasks at once, with a cap for only a part of them.
    pub(crate) fn fan_out(scenario: Scenario, story: Story) -> Self {
        let mut world = Self::new(scenario, story);
        let mut chance = Chance::of(scenario.seed, "fan-out");
        let mut flow = Flow::fan_out(&mut chance, scenario.tasks);
        flow.each(|ask| scenario.strip(ask));
        let percent = |of: PicoUsd, percent: u64| PicoUsd(of.0 / 100 * percent);
        let cap = match chance.within(0..4) {
            // The tightest cap.
            0 => PicoUsd::ZERO,
            // All of them are in flight at once, in long conversations.
            1 => {
                flow.each(|ask| ask.turns = 5 + (ask.text % 20) as usize);
                percent(
                    flow.sum(|ask| ask.bound(0, None).most()),
                    chance.within(100..160),
                )
            }
            // A part of their usual cost.
            _ => percent(flow.sum(|ask| ask.cost_usual()), chance.within(1..40)),
        };
        let cap = cap.max(PicoUsd(flow.least_max().0 * Spending::CAP_LEAST_BOUNDS));
        world.limits.in_flight_max = AT_ONCE;
        world.caps.run = Some(cap);
        world.flow = flow;
        world
    }

    /// Executes a fan-out, again after each kill, until it parks because its cap is exhausted.
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
