//! Simulates whole runs in virtual time, each from one seed.
//!
//! A seed determines a flow, a vendor with limits and faults, other runs that use the same vendor,
//! a user who parks, cancels, edits and resumes, and kills at the worst moments. The simulated run
//! is driven by the shipped code: the core's [`RunLoop`] decides, its [`Attempt`] says what each
//! attempt does next, and its queue, governor and prefix cache let requests leave. Watchers check
//! at every event what divisi promises: nothing is spent over the cap of the run, of a phase or of
//! a task; no recorded reply is requested again and no recorded tool run again; each task runs on
//! the right model; no task is lost; nothing waits for ever; a replay equals the live run and gives
//! its answers in the same order; no request leaves through a closed gate or faster than the
//! settings permit, and one that may leave does; while a run waits, each other run passes it at
//! most once. A timer fires once, at its time or as soon after as a process drives the run, and
//! takes no slot. A request is sent and paid for at most twice, and a run that waits for quota resumes
//! at the announced time, unless the user parks it. In the end an undisturbed execution must
//! produce the flow's intended result.
//!
//! One seed gives one story, on every machine. [`simulate`] returns the story of a seed only when a
//! promise was broken, reduced to the simplest scenario that breaks it. [`spend`] measures how much
//! of a budget a seed can use.
//!
//! The rules of attempts, gates, hedges and the loop are the core's; none is copied here. Modelled
//! are:
//!
//! - the vendor: latencies, refusals, bills, the cache, and requests that are never answered
//!   (`vendor`);
//! - the flow with its timers, and the requests and replies of its tasks (`flow`, `script`,
//!   `ask`);
//! - the store, as a list of events that is written and read as on a disk, and kills of a process
//!   before, after or amid the effects of an append (`world`, `process`);
//! - the user, other runs at the same gates, and tools and checks that take some time (`process`).
//!
//! Left out: threads, IO and real time, which belong to the engine; the measurement of slow
//! requests ([`Durations`]): here any request may be slow; the rate limits that several processes
//! share, since there is only one process at a time; worktrees; and everything that a script does
//! besides requesting tasks. The other runs exist only as far as gates know them.
//!
//! Read in this order: [`scenario`] is what a seed decides, `ask`, `flow` and `script` what is
//! requested, `vendor` how it is answered, `process` what runs until it stops or is killed, `watch`
//! what must hold, `world` what remains when a process is gone, `executions` how processes follow
//! each other, `fan_out` how much of a budget is used, `story` how a run is written down, `tally`
//! what is counted.
//!
//! [`RunLoop`]: divisi_core::run_loop::RunLoop
//! [`Attempt`]: divisi_core::attempt::Attempt
//! [`Durations`]: divisi_core::attempt::Durations

mod ask;
mod chance;
mod executions;
mod fan_out;
mod flow;
mod process;
pub mod scenario;
mod script;
mod story;
mod tally;
mod vendor;
mod watch;
pub mod what_if;
mod world;

pub use fan_out::Spending;
pub use scenario::Scenario;
pub use tally::Tally;

use std::panic::{AssertUnwindSafe, catch_unwind};
use story::Story;
use world::World;

/// A broken promise and the events before it.
#[derive(Clone, Debug)]
pub struct Broken {
    /// The simplest scenario of the seed that also breaks it.
    pub scenario: Scenario,
    /// The violated condition.
    pub what: String,
    /// All events, one per line.
    pub story: String,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            scenario,
            what,
            story,
        } = self;
        write!(
            f,
            "seed {} breaks a promise: {what}\n\n{scenario:#?}\n\n{story}",
            scenario.seed
        )
    }
}

/// Simulates the scenario of `seed`.
pub fn simulate(seed: u64) -> Result<Tally, Box<Broken>> {
    let play = |scenario, story| World::new(scenario, story).play();
    attempt(Scenario::of(seed), play)
}

/// Lets `tasks` tasks of `seed` spend a cap that is too small for all of them.
pub fn spend(seed: u64, tasks: u32) -> Result<(Tally, Spending), Box<Broken>> {
    let spend = |scenario, story| World::fan_out(scenario, story).spend();
    attempt(Scenario::fan_out(seed, tasks), spend)
}

/// Plays a scenario; on a broken promise, finds the simplest scenario that breaks one.
fn attempt<T>(
    scenario: Scenario,
    play: impl Fn(Scenario, Story) -> Result<T, String>,
) -> Result<T, Box<Broken>> {
    let play = |scenario, story| caught(|| play(scenario, story));
    play(scenario, Story::untold()).map_err(|_| {
        let mut scenario = scenario;
        while let Some(simpler) = scenario
            .simpler()
            .find(|simpler| play(*simpler, Story::untold()).is_err())
        {
            scenario = simpler;
        }
        let story = Story::told();
        let what = play(scenario, story.clone())
            .err()
            .unwrap_or_else(|| "not the second time".into());
        Box::new(Broken {
            scenario,
            what,
            story: story.text(),
        })
    })
}

fn caught<T>(play: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|panic| {
        let told = panic.downcast_ref::<String>().cloned();
        Err(told
            .or_else(|| panic.downcast_ref::<&str>().map(|&told| told.into()))
            .unwrap_or_default())
    })
}
