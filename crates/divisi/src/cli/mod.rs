//! What can be typed.
//!
//! The help is written to be read: the top page teaches the four patterns on
//! one screen, each command's page has examples, and flags stand in groups.

mod flow_args;
mod global;
mod help;
mod run_flags;

pub(crate) use flow_args::{FlowArgs, Found};
pub(crate) use global::GlobalFlags;
pub(crate) use help::command;
pub(crate) use run_flags::RunFlags;

use crate::commands::{
    answer, check, completions, cost, decompose, doctor, init, man, map, models, pick, pipe, plan, rerun,
    resume, run, runs, show, trust, types,
};
use crate::problem::Problem;
use clap::{Parser, Subcommand};
use std::path::Path;

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
    Check(check::Args),
    Answer(answer::Args),
    Resume(resume::Args),
    Rerun(rerun::Args),
    Plan(plan::Args),
    Pick(pick::Args),
    Runs(runs::Args),
    Show(show::Args),
    Cost(cost::Args),
    Models(models::Args),
    Init(init::Args),
    Doctor(doctor::Args),
    Trust(trust::Args),
    Types(types::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// A path that is kept as text, which must stay the same path. `what` gives it.
pub(crate) fn text_of<'a>(what: &str, path: &'a Path) -> Result<&'a str, Problem> {
    path.to_str().ok_or_else(|| {
        Problem::usage(format!("{what}: the path {} is not UTF-8", path.display()))
            .hint("rename it, or reach it by a link with another name")
    })
}
