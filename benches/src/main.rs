//! Whole-process benchmarks of divisi, next to a bare loop.
//!
//! Each group prints a Markdown table with the figure of divisi, that of a bare loop doing the same
//! in the same run, and the aim; `docs/benchmarks.md` has the latest tables. A missed aim is
//! marked and is no error: the exit code only says if every group could run.
//!
//! The binary, the mock and the loops over HTTP are separate processes, so that their times and
//! memory can be told apart. Times are the best of several rounds, because other load on the
//! machine can only make a round slower.

mod groups;

mod floor;
mod inside;
mod stand;

mod bench;
mod table;

mod estimates;
mod replay;

use bench::Bench;
use clap::{Parser, Subcommand};
use groups::Group;
use std::path::PathBuf;
use std::process::ExitCode;

/// The same allocator as in `divisi`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whole-process benchmarks of divisi.
#[derive(Parser)]
#[command(args_conflicts_with_subcommands = true, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The groups to run; all of them by default
    groups: Vec<Group>,
    /// Rounds per figure; the best counts
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// The divisi binary; by default the one next to this program
    #[arg(long)]
    divisi: Option<PathBuf>,
    /// Where stores are kept while a group runs; by default the directory of temporary files
    #[arg(long)]
    folder: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Replays a history of real tasks: estimates and ladders against the truth
    Replay(replay::Args),
    /// Simulates flows of agents, and compares their cost with the plans for them
    Estimates(estimates::Args),
    /// Runs tasks through the Rust API in this process, to be profiled
    Tasks(inside::Args),
    /// A bare loop over HTTP
    #[command(hide = true)]
    Loop(floor::http::Args),
    /// A mock with the configuration on stdin
    #[command(hide = true)]
    Mock,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.command {
        Some(Command::Replay(args)) => return replay::run(&args),
        Some(Command::Estimates(args)) => return estimates::run(&args),
        Some(Command::Tasks(args)) => inside::run(&args),
        Some(Command::Loop(args)) => floor::http::run(&args),
        Some(Command::Mock) => stand::mock::serve(),
        None => Bench::new(cli.rounds, cli.divisi, cli.folder)
            .and_then(|mut bench| groups::run(&mut bench, &cli.groups)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            table::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
