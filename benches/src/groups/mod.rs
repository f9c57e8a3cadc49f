//! The groups of figures, by name.

mod chain;
mod connections;
mod cpu;
mod fan_out;
mod faults;
mod kill;
mod makespan;
mod pace;
mod patterns;
mod prefix;
mod start;
mod waiting;

use crate::bench::Bench;
use crate::table::{Table, say};
use anyhow::{Result, bail};
use clap::ValueEnum;

/// A group of figures.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// The cost of a task when the model answers at once
    FanOut,
    /// The time of a step in a chain, compared with a sync of the disk
    Chain,
    /// The processor time of a call over HTTP
    Cpu,
    /// Duration of 1,000 calls of 200 ms
    Makespan,
    /// Duration of a synthesis, and of a planner with workers
    Patterns,
    /// A vendor that limits requests
    Pace,
    /// A vendor that is overloaded and drops streams
    Faults,
    /// Many tasks over one long prefix
    Prefix,
    /// A process that is killed and resumed
    Kill,
    /// From the start of the process to its first request
    Start,
    /// The memory of 100,000 waiting tasks
    Waiting,
    /// The cost of a call at growing numbers of connections
    Connections,
}

impl Group {
    fn measure(self, bench: &mut Bench) -> Result<()> {
        match self {
            Self::FanOut => fan_out::measure(bench),
            Self::Chain => chain::measure(bench),
            Self::Cpu => cpu::measure(bench),
            Self::Makespan => makespan::measure(bench),
            Self::Patterns => patterns::measure(bench),
            Self::Pace => pace::measure(bench),
            Self::Faults => faults::measure(bench),
            Self::Prefix => prefix::measure(bench),
            Self::Kill => kill::measure(bench),
            Self::Start => start::measure(bench),
            Self::Waiting => waiting::measure(bench),
            Self::Connections => connections::measure(bench),
        }
    }

    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }
}

/// Runs groups and prints their tables; fails if one could not run.
pub(crate) fn run(bench: &mut Bench, groups: &[Group]) -> Result<()> {
    let groups = if groups.is_empty() {
        Group::value_variants()
    } else {
        groups
    };
    let (mut missed, mut failed) = (0, vec![]);
    for group in groups {
        let name = group.name();
        say(&format!("{name}:"));
        bench.table = Table::default();
        if let Err(error) = group.measure(bench) {
            say(&format!("error: {name} could not run: {error:#}"));
            failed.push(name.clone());
        }
        bench.table.print(&name);
        missed += bench.table.missed();
    }
    say(&format!("aims missed: {missed}"));
    if !failed.is_empty() {
        bail!("some groups could not run: {}", failed.join(", "));
    }
    Ok(())
}

/// The script of a plain fan-out.
const FAN_OUT: &str = include_str!("../../flows/fan_out.js");
