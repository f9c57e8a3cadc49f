//! The `divisi` command.

mod cli;
mod commands;

mod display;
mod follow;
mod launch;
mod estimate;
mod stop;

mod plan_file;
mod again;
mod place;
mod preflight;
mod what_if;

mod context;
mod prices;
mod providers;
mod settings;

mod clock;
mod exit;
mod log;
mod output;
mod problem;
mod slip;

use clap::FromArgMatches;
use cli::Cli;
use exit::Exit;
use problem::Problem;
use std::process::ExitCode;

/// Many small things made on one thread and let go on another: what the
/// system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help that nobody reads, or a complaint with nowhere to go.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(problem) => {
            problem.print();
            problem.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<Exit, Problem> {
    let context = context::Context::new(cli.global)?;
    log::start(&context);
    // One thread: what costs time here is waiting, and to hand each reply from
    // one thread to another costs a fifth of all that a call takes.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Problem::failed)?;
    runtime.block_on(commands::carry_out(cli.command, &context))
}
