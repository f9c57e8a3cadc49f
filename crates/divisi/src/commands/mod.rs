//! The commands, one file each.
//!
//! The first five start runs, `resume` and `rerun` continue one; all seven end in [`crate::launch`].
//! The other commands only read, or write a file.

pub(crate) mod run;

pub(crate) mod ask;
pub(crate) mod decompose;
pub(crate) mod map;
mod pattern;
pub(crate) mod pipe;
mod schema;

pub(crate) mod check;

pub(crate) mod answer;
pub(crate) mod cap;
pub(crate) mod park;
pub(crate) mod rerun;
pub(crate) mod resume;

pub(crate) mod cost;
pub(crate) mod diff;
pub(crate) mod search;

pub(crate) mod export;
pub(crate) mod gc;
pub(crate) mod import;
pub(crate) mod rm;

pub(crate) mod pick;
pub(crate) mod plan;

pub(crate) mod results;
pub(crate) mod runs;
pub(crate) mod show;
pub(crate) mod watch;

pub(crate) mod changes;
pub(crate) mod merge;
pub(crate) mod worktrees;

pub(crate) mod completions;
pub(crate) mod doctor;
pub(crate) mod init;
pub(crate) mod man;
mod forms;
pub(crate) mod models;
pub(crate) mod schemas;
pub(crate) mod settings;
pub(crate) mod trust;
pub(crate) mod types;

use crate::context::Context;
use crate::exit::Exit;
use divisi_app::Problem;

/// A command with its arguments.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    Run(run::Args),
    Ask(ask::Args),
    Map(map::Args),
    Pipe(pipe::Args),
    Decompose(decompose::Args),
    Check(check::Args),
    Answer(answer::Args),
    Park(park::Args),
    Cap(cap::Args),
    Resume(resume::Args),
    Rerun(rerun::Args),
    Plan(plan::Args),
    Pick(pick::Args),
    Runs(runs::Args),
    Results(results::Args),
    Show(show::Args),
    Watch(watch::Args),
    Cost(cost::Args),
    Search(search::Args),
    Diff(diff::Args),
    Worktrees(worktrees::Args),
    Changes(changes::Args),
    Merge(merge::Args),
    Export(export::Args),
    Import(import::Args),
    Rm(rm::Args),
    Gc(gc::Args),
    Models(models::Args),
    Init(init::Args),
    Doctor(doctor::Args),
    Trust(trust::Args),
    Settings(settings::Args),
    Schema(schemas::Args),
    Types(types::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Command {
    /// Whether what it writes is a text, which has no JSON form.
    fn writes_text(&self) -> bool {
        matches!(
            self,
            Self::Settings(_)
                | Self::Schema(_)
                | Self::Types(_)
                | Self::Completions(_)
                | Self::Man(_)
        )
    }
}

/// Carries out a command. `line` builds the whole command line, which `man` writes down.
pub(crate) async fn carry_out(
    command: Command,
    context: &Context,
    line: fn() -> clap::Command,
) -> Result<Exit, Problem> {
    if context.global.json && command.writes_text() {
        return Err(Problem::usage("this command has no JSON output")
            .hint("leave `--json` out; `divisi schema` lists what has one"));
    }
    match command {
        Command::Run(args) => run::run(args, context).await,
        Command::Ask(args) => ask::run(args, context).await,
        Command::Map(args) => map::run(args, context).await,
        Command::Pipe(args) => pipe::run(args, context).await,
        Command::Decompose(args) => decompose::run(args, context).await,
        Command::Check(args) => check::run(args, context).await,
        Command::Answer(args) => answer::run(args, context).await,
        Command::Park(args) => park::run(args, context).await,
        Command::Cap(args) => cap::run(args, context).await,
        Command::Resume(args) => resume::run(args, context).await,
        Command::Rerun(args) => rerun::run(args, context).await,
        Command::Plan(args) => plan::run(args, context).await,
        Command::Pick(args) => pick::run(args, context).await,
        Command::Runs(args) => runs::run(args, context).await,
        Command::Results(args) => results::run(args, context).await,
        Command::Show(args) => show::run(args, context).await,
        Command::Watch(args) => watch::run(args, context).await,
        Command::Cost(args) => cost::run(args, context).await,
        Command::Search(args) => search::run(args, context).await,
        Command::Diff(args) => diff::run(args, context).await,
        Command::Worktrees(args) => worktrees::run(args, context).await,
        Command::Changes(args) => changes::run(args, context).await,
        Command::Merge(args) => merge::run(args, context).await,
        Command::Export(args) => export::run(args, context).await,
        Command::Import(args) => import::run(args, context).await,
        Command::Rm(args) => rm::run(args, context).await,
        Command::Gc(args) => gc::run(args, context).await,
        Command::Models(args) => models::run(&args, context),
        Command::Init(args) => init::run(args, context),
        Command::Doctor(args) => doctor::run(args, context).await,
        Command::Trust(args) => trust::run(args, context),
        Command::Settings(args) => settings::run(&args),
        Command::Schema(args) => schemas::run(&args),
        Command::Types(args) => types::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args, line()),
    }
}
