//! The command line.
//!
//! The top page of the help shows the four patterns on one screen; each command's page has
//! examples, and flags are grouped.

mod help;

pub(crate) use help::command;

use crate::commands::Command;
use crate::flags::GlobalFlags;
use clap::Parser;

/// Orchestrates many LLM agents as one job: parallel, durable, capped in dollars.
#[derive(Debug, Parser)]
#[command(name = "divisi", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) global: GlobalFlags,
}
