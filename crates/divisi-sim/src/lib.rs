//! Whole runs in virtual time, each made from one seed.
//!
//! A seed makes a flow, a vendor with its whims, people who park, cancel, edit
//! and resume, and kills at the worst moments. The core decides, a driver like
//! the engine's carries it out, and a watcher checks at every event what divisi
//! promises: nothing is spent over the cap, no recorded reply is asked for
//! again, no task is lost, nothing waits for ever, a replay is the run that was
//! live. In the end a calm execution must come to what the flow means.
//!
//! One seed is one story, on every machine. [`simulate`] tells the story of a
//! seed only when it broke something, cut down to what it takes to break it.
//!
//! Left out on purpose: threads, IO and real time, which are the engine's; and
//! whatever a script does besides asking for tasks.
//!
//! Read in this order: [`scenario`] says what a seed brings, `flow` and
//! `script` what is asked for, `vendor` who answers, `process` what drives it
//! until it stops or is killed, `watch` what must hold, `world` what is left
//! when a process is gone, `story` how it is told.

mod ask;
mod chance;
mod flow;
mod process;
pub mod scenario;
mod script;
mod story;
mod vendor;
mod watch;
mod world;

pub use scenario::Scenario;

use divisi_core::event::ParkReason;
use divisi_core::{Event, FailureClass, PicoUsd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use story::Story;
use world::World;

/// What one simulation has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events recorded.
    pub events: u64,
    /// Requests sent.
    pub requests: u64,
    /// Kills survived.
    pub kills: u64,
    /// Executions of the flow.
    pub executions: u64,
    /// Replies that found too little room.
    pub cut: u64,
    /// Results that a check refused.
    pub refusals: u64,
    /// Attempts on a model that stood in for another.
    pub stand_ins: u64,
    /// Times that no budget held anything more.
    pub parks: u64,
    /// Most attempts under way at once.
    pub at_once: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        let Self { events, requests, kills, executions, cut, refusals, stand_ins, parks, at_once } = other;
        self.events += events;
        self.requests += requests;
        self.kills += kills;
        self.executions += executions;
        self.cut += cut;
        self.refusals += refusals;
        self.stand_ins += stand_ins;
        self.parks += parks;
        self.at_once = self.at_once.max(at_once);
    }
}

impl Tally {
    /// Counts an event that has become durable.
    fn count(&mut self, event: &Event) {
        self.events += 1;
        let counted = match event {
            Event::TurnEnded { turn, .. } if watch::is_cut(&turn.reply) => &mut self.cut,
            Event::AttemptEnded { failure: Some(failure), .. } if failure.class == FailureClass::Check => {
                &mut self.refusals
            }
            Event::AttemptScheduled { model: Some(model), .. } if ask::stands_in(model) => {
                &mut self.stand_ins
            }
            Event::RunParked { reason: ParkReason::Budget { .. } } => &mut self.parks,
            _ => return,
        };
        *counted += 1;
    }
}

/// Where the money of a run went that its cap has ended.
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

/// A promise that was broken, and how it came to that.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The simplest scenario of the seed that breaks it too.
    pub scenario: Scenario,
    /// What does not hold.
    pub what: String,
    /// Everything that happened, a line each.
    pub story: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { scenario, what, story } = self;
        write!(f, "seed {} breaks a promise: {what}\n\n{scenario:#?}\n\n{story}", scenario.seed)
    }
}

/// Plays the story of `seed`.
pub fn simulate(seed: u64) -> Result<Tally, Box<Broken>> {
    let play = |scenario, story| World::new(scenario, story).play();
    attempt(Scenario::of(seed), play)
}

/// Lets `tasks` tasks of `seed` spend a cap that does not hold them all.
pub fn spend(seed: u64, tasks: u32) -> Result<(Tally, Spending), Box<Broken>> {
    let spend = |scenario, story| World::fan_out(scenario, story).spend();
    attempt(Scenario::fan_out(seed, tasks), spend)
}

/// Plays a scenario; if that breaks something, the simplest that does, too.
fn attempt<T>(
    scenario: Scenario,
    play: impl Fn(Scenario, Story) -> Result<T, String>,
) -> Result<T, Box<Broken>> {
    let play = |scenario, story| caught(|| play(scenario, story));
    play(scenario, Story::untold()).map_err(|_| {
        let mut scenario = scenario;
        while let Some(simpler) = scenario.simpler().find(|simpler| play(*simpler, Story::untold()).is_err())
        {
            scenario = simpler;
        }
        let story = Story::told();
        let what = play(scenario, story.clone()).err().unwrap_or_else(|| "not the second time".into());
        Box::new(Broken { scenario, what, story: story.text() })
    })
}

fn caught<T>(play: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let told = panic.downcast_ref::<String>().cloned();
        Err(told.or_else(|| panic.downcast_ref::<&str>().map(|&told| told.into())).unwrap_or_default())
    })
}
