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
    let scenario = Scenario::of(seed);
    play(scenario, &Story::untold()).map_err(|_| Box::new(simplest(scenario)))
}

/// The simplest scenario that breaks something, told from its beginning.
fn simplest(mut scenario: Scenario) -> Broken {
    while let Some(simpler) = scenario.simpler().find(|simpler| play(*simpler, &Story::untold()).is_err()) {
        scenario = simpler;
    }
    let story = Story::told();
    let what = play(scenario, &story).err().unwrap_or_else(|| "not the second time".into());
    Broken { scenario, what, story: story.text() }
}

fn play(scenario: Scenario, story: &Story) -> Result<Tally, String> {
    catch_unwind(AssertUnwindSafe(|| World::new(scenario, story.clone()).play())).unwrap_or_else(|panic| {
        let told = panic.downcast_ref::<String>().cloned();
        Err(told.or_else(|| panic.downcast_ref::<&str>().map(|&told| told.into())).unwrap_or_default())
    })
}
