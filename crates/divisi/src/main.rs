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
mod protect;
mod providers;
mod settings;
mod trust;

mod clock;
mod exit;
mod guard;
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
    guard::close();
    let cli = match cli::command().try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            say(&error);
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

/// Prints help, or what is wrong with the arguments: one may be the name of a
/// file, which a stranger has chosen.
fn say(error: &clap::Error) {
    let is_odd = |word: std::ffi::OsString| word.to_string_lossy().chars().any(display::text::acts);
    let text = match std::env::args_os().any(is_odd) {
        true => display::text::block(&error.render().to_string()),
        false => error.render().ansi().to_string(),
    };
    match error.use_stderr() {
        true => output::say(text.trim_end()),
        // The reader of the help may have gone.
        false => _ = output::print(text.trim_end()),
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
