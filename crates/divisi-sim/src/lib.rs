//! Whole runs in virtual time, each made from one seed.
//!
//! A seed makes a flow, a vendor with its limits and whims, other runs that ask
//! the same vendor, people who park, cancel, edit and resume, and kills at the
//! worst moments. What drives them is what ships: the core's [`RunLoop`] decides and
//! says what follows, its [`Attempt`] says what each attempt does next, its queue,
//! governor and prefix cache let requests leave. Watchers check at every event what divisi
//! promises: nothing is spent over the cap of the run, of a phase or of a task,
//! no recorded reply is asked for again and no recorded tool used again, no task runs on a
//! model that is not its turn, none is lost, nothing waits for ever, a replay is the run
//! that was live and is answered in the same order; nothing leaves through a closed gate or
//! faster than the settings say, what may leave does, and no run waits for more than one of
//! each other. A request that is sent a second time is paid for twice at the most, and a run
//! that rests for want of quota goes on when it has said so, unless a person
//! parks it. In the end a calm execution must come to what the flow means.
//!
//! One seed is one story, on every machine. [`simulate`] tells the story of a
//! seed only when it broke something, cut down to what it takes to break it.
//! [`spend`] asks of a seed how much of a budget can be used.
//!
//! There is no rule here about attempts, gates, hedges or the loop. Modelled are:
//!
//! - the vendor: how long it takes, what it refuses, what it bills, what it caches, and
//!   requests of which nothing is ever heard (`vendor`);
//! - the flow and what its tasks are asked for and answer (`flow`, `script`, `ask`);
//! - the store, as a list of events that is written and read as on a disk, and the death
//!   of a process before, after or amid what follows from an append (`world`, `process`);
//! - people, other runs at the same gates, tools and checks that take some time (`process`).
//!
//! Left out: threads, IO and real time, which are the engine's; when a request is slow
//! ([`Durations`]), in whose place here any may take long; the pace that several processes
//! share, because there is one at a time; worktrees; and whatever a script does besides
//! asking for tasks. The other runs are no more than what a gate knows of them.
//!
//! Read in this order: [`scenario`] says what a seed brings, `ask`, `flow` and
//! `script` what is asked for, `vendor` who answers, `process` what is done for the run
//! until it stops or is killed, `watch` what must hold, `world` what is left
//! when a process is gone, `executions` how one follows the other, `fan_out` how much of a budget is used, `story` how
//! it is told, `tally` what is counted.
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
