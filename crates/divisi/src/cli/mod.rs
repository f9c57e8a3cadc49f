//! What can be typed.
//!
//! The help is written to be read: the top page teaches the four patterns on
//! one screen, each command's page has examples, and flags stand in groups.

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
