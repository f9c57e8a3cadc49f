//! Completions of words that only divisi knows: runs, models and saved flows.
//!
//! The shell starts the binary with the words typed so far, so this must be fast and say nothing.
//! What cannot be read is not completed.

use crate::cli;
use crate::commands::completions::VARIABLE;
use crate::context::Context;
use crate::flags::GlobalFlags;
use crate::text;
use clap::{Arg, Command};
use clap_complete::engine::ValueCompleter;
use clap_complete::env::CompleteEnv;
use clap_complete::{ArgValueCompleter, CompletionCandidate, PathCompleter};
use divisi_app::providers::candidates_with_tiers;
use divisi_app::settings::Untrusted;
use divisi_engine::flow::Library;
use divisi_engine::setup::TIERS;
use divisi_engine::store::SqliteStore;
use std::collections::BTreeSet;
use std::ffi::OsStr;

/// Most runs that are proposed: a screen of them.
const RUNS_MAX: usize = 40;

/// Answers a shell that asks for completions, and then ends the process.
pub(crate) fn answer() {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(command).var(VARIABLE).complete();
    }
}

/// The command line with completers for the arguments of each command.
fn command() -> Command {
    cli::command().mut_subcommands(|command| command.mut_args(completed))
}

fn completed(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "run" | "runs" | "before" | "after" => arg.add(ArgValueCompleter::new(runs)),
        "model" | "models" | "gather_model" | "planner" | "worker" => {
            arg.add(ArgValueCompleter::new(models))
        }
        "flow" => arg.add(ArgValueCompleter::new(flows)),
        _ => arg,
    }
}

fn context() -> Option<Context> {
    let global = GlobalFlags {
        quiet: true,
        ..GlobalFlags::default()
    };
    Context::new(global).ok()
}

/// The last runs with their names, those of this folder first. The store is only read: it is neither
/// created nor migrated, and not waited for.
fn runs(typed: &OsStr) -> Vec<CompletionCandidate> {
    let found = || {
        let context = context()?;
        let settings = context.app.settings(Untrusted::LeftOut).ok()?.settings;
        let found = SqliteStore::glance(&settings.store, RUNS_MAX).ok()??;
        let place = context.app.place();
        let (mut found, others): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|run| place.has(run.folder.as_deref()));
        found.extend(others);
        let candidate = |word: String, about: String| {
            CompletionCandidate::new(word).help(Some(text::line(&about).into()))
        };
        let ids = found.iter().map(|run| {
            let about = format!("{} {}", run.name.as_ref().unwrap_or(&run.flow), run.status);
            candidate(run.id.to_string(), about)
        });
        // A name means the latest of its runs.
        let mut known = BTreeSet::new();
        let named = found
            .iter()
            .filter_map(|run| Some((run.name.clone()?, run)));
        let named = named.filter(|(name, _)| known.insert(name.clone()));
        let names =
            named.map(|(name, run)| candidate(name, format!("{} {}", run.flow, run.status)));
        Some(ids.chain(names).collect::<Vec<_>>())
    };
    let last = CompletionCandidate::new("last").help(Some("the last run of this folder".into()));
    beginning(
        typed,
        std::iter::once(last).chain(found().unwrap_or_else(Vec::new)),
    )
}

/// The tiers, `auto`, and the models that they stand for.
fn models(typed: &OsStr) -> Vec<CompletionCandidate> {
    let mut names: BTreeSet<String> = TIERS.map(str::to_owned).into();
    names.insert("auto".into());
    if let Some(context) = context()
        && let Ok(loaded) = context.app.settings(Untrusted::LeftOut)
    {
        let found = candidates_with_tiers(&loaded.settings, context.app.environment());
        let of_tiers = found.into_iter().flat_map(|candidate| candidate.tiers);
        names.extend(of_tiers.map(|(_, id)| id));
    }
    beginning(typed, names.into_iter().map(CompletionCandidate::new))
}

/// The saved flows, and files.
fn flows(typed: &OsStr) -> Vec<CompletionCandidate> {
    let names = context().map(|context| Library::new(context.app.folder()).names());
    let names = names.into_iter().flatten().map(CompletionCandidate::new);
    let mut found = beginning(typed, names);
    found.extend(PathCompleter::file().complete(typed));
    found
}

fn beginning(
    typed: &OsStr,
    candidates: impl IntoIterator<Item = CompletionCandidate>,
) -> Vec<CompletionCandidate> {
    let typed = typed.to_string_lossy();
    let fits = |candidate: &CompletionCandidate| {
        let value = candidate.get_value().to_string_lossy();
        value.starts_with(&*typed)
    };
    candidates.into_iter().filter(fits).collect()
}
