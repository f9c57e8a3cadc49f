//! The `divisi` command.

mod cli;
mod commands;
mod confirm;
mod flags;

mod display;
mod follow;
mod keys;
mod launch;
mod journal;
mod pager;
mod result;
mod results;
mod save;
mod worktrees;
mod stop;

mod again;
mod cap;
mod complete;

mod editor;
mod notices;
mod plan_approval;
mod questions;

mod context;
mod terminal;

mod exit;
mod guard;
mod limits;
mod log;
mod material;
mod output;
mod problem;
mod text;

use anyhow::Context as _;
use clap::FromArgMatches;
use cli::Cli;
use divisi_app::Problem;
use divisi_engine::process;
use exit::Exit;
use std::process::ExitCode;

/// divisi makes many small allocations on one thread and frees them on another, at which the
/// system's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(exit) = process::be_supervisor() {
        return exit;
    }
    guard::close();
    complete::answer();
    let cli = match cli::command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        Err(error) => {
            say(&error);
            // A closed stdout loses nothing here: its reader needed no more help.
            let _ = output::finish(false);
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Ok.into()
            };
        }
    };
    let exit = match (
        ended(run(cli)),
        output::finish(stop::is_asked()).context("cannot write to stdout"),
    ) {
        (exit, Ok(())) => exit,
        (_, Err(error)) if !stop::is_asked() => ended(Err(error.into())),
        (exit, Err(error)) => {
            output::say(&format!("warning: {error:#}"));
            exit
        }
    };
    output::finish_talk();
    process::end_all();
    exit.into()
}

/// The exit code; a problem is printed.
fn ended(result: Result<Exit, Problem>) -> Exit {
    result.unwrap_or_else(|problem| {
        problem::print(&problem);
        Exit::of_problem(problem.kind())
    })
}

/// Prints help, or what is wrong with the arguments. An argument may be a file name from outside,
/// so the text is made safe first.
fn say(error: &clap::Error) {
    let is_odd = |word: std::ffi::OsString| word.to_string_lossy().chars().any(text::acts);
    let text = match std::env::args_os().any(is_odd) {
        true => text::block(&error.render().to_string()),
        false => error.render().ansi().to_string(),
    };
    match error.use_stderr() {
        true => output::say(text.trim_end()),
        // Stdout may be closed.
        false => _ = output::print(text.trim_end()),
    }
}

fn run(cli: Cli) -> Result<Exit, Problem> {
    // Signals first, so that none ends the process by default; supervision before the first child
    // process.
    stop::listen().context("cannot listen for signals")?;
    limits::raise_open_files();
    process::supervise();
    let context = context::Context::new(cli.global)?;
    log::start(&context);
    // One thread: most time is spent waiting, and handing each reply from one thread to another
    // costs a fifth of the time of a call.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Problem::failed)?;
    let exit = runtime.block_on(commands::carry_out(cli.command, &context, cli::command));
    // The work of a blocked thread is no longer needed, and may never end.
    runtime.shutdown_background();
    exit
}
