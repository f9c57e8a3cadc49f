//! What can be typed.
//!
//! The help is written to be read: the top page teaches the four patterns on
//! one screen, each command's page has examples, and flags stand in groups.

mod global;
mod help;
mod run_flags;

pub(crate) use global::GlobalFlags;
pub(crate) use help::command;
pub(crate) use run_flags::RunFlags;

use crate::commands::{
    completions, decompose, doctor, init, man, map, pipe, plan, rerun, resume, run, runs, show, types,
};
use clap::{Parser, Subcommand};

/// Orchestrates many LLM agents as one job: parallel, durable, capped in dollars.
#[derive(Debug, Parser)]
#[command(name = "divisi", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: GlobalFlags,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Args),
    Map(map::Args),
    Pipe(pipe::Args),
    Decompose(decompose::Args),
    Resume(resume::Args),
    Rerun(rerun::Args),
    Plan(plan::Args),
    Runs(runs::Args),
    Show(show::Args),
    Init(init::Args),
    Doctor(doctor::Args),
    Types(types::Args),
    Completions(completions::Args),
    Man(man::Args),
}
