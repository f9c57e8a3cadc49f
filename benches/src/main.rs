//! Whole-process benchmarks of divisi, side by side with a bare loop.
//!
//! Prints a Markdown table; `docs/benchmarks.md` holds the latest one. Each
//! figure is the best of several rounds, because whatever else the machine
//! does can only make a round slower.

mod floor;
mod measure;
mod overhead;
mod process;
mod replay;

use clap::{Parser, Subcommand};
use measure::Table;
use std::process::ExitCode;

/// Whole-process benchmarks of divisi.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Runs only groups whose name contains this: overhead, memory, http, start.
    #[arg(default_value = "")]
    filter: String,
    /// Rounds per figure; the best counts.
    #[arg(long, default_value_t = 5)]
    rounds: u32,
    /// The divisi binary; the one beside this program by default.
    #[arg(long)]
    divisi: Option<std::path::PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Replays a history of real tasks: estimates and ladders against the truth.
    Replay(replay::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Command::Replay(args)) = &cli.command {
        return replay::run(args);
    }
    let mut table = Table::default();
    let wanted = |group: &str| group.contains(&cli.filter);
    if wanted("overhead") {
        overhead::tasks(&mut table, cli.rounds);
    }
    if wanted("memory") {
        overhead::memory(&mut table);
    }
    let divisi = cli.divisi.clone().unwrap_or_else(process::beside);
    if wanted("http") {
        process::fan_out_over_http(&mut table, &divisi, cli.rounds);
    }
    if wanted("start") {
        process::start(&mut table, &divisi, cli.rounds);
    }
    table.print();
    ExitCode::SUCCESS
}
