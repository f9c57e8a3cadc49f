//! `divisi rm`: removes runs.

use super::runs::look_again;
use crate::context::Context;
use crate::display::{json, number};
use crate::exit::Exit;
use crate::output;
use crate::text;
use crate::worktrees::{Left, LeftForm};
use anyhow::Context as _;
use divisi_app::{Intent, Problem};
use divisi_core::RunId;
use divisi_engine::Engine;
use divisi_engine::store::{Lease, RunSummary};
use schemars::JsonSchema;
use serde::Serialize;

/// Remove runs for good, with all that they have asked and answered
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi rm k3f9
  divisi rm nightly k3f9 8xw0
  divisi rm k3f9 --force             # although it could still be resumed

A run that is partial or failed has ended, although `divisi rerun` could try its tasks again; one that is \
parked, interrupted or cancelled has not. What the removed runs have cost and taught is no longer known to estimates. Worktrees that they have \
left stay, unless --worktrees is given. `divisi gc` removes old runs.")]
pub(crate) struct Args {
    /// The runs: their ids or the beginnings of them, their names, their flows, or `last`
    #[arg(required = true)]
    runs: Vec<String>,
    /// Remove even what has not ended and could be resumed
    #[arg(long)]
    force: bool,
    /// Remove also the worktrees that they have left, with work that is not merged
    #[arg(long)]
    worktrees: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let mut runs: Vec<RunSummary> = vec![];
    for word in &args.runs {
        let id = context.app.find_run(word, Intent::Act).await?;
        let Some(mut run) = engine.store().run(&id).await? else {
            continue;
        };
        if runs.iter().any(|known| known.id == id) {
            continue;
        }
        look_again(&engine, &mut run).await?;
        if !has_ended(&run) && run.status != "running" && !args.force {
            return Err(Problem::usage(format!(
                "run {id} is {}, and nothing was removed",
                run.status
            ))
            .hint(format!(
                "`divisi resume {id}` goes on with it; `--force` removes it"
            )));
        }
        runs.push(run);
    }
    let ids: Vec<RunId> = runs.iter().map(|run| run.id.clone()).collect();
    // None is removed if one of them is driven.
    let mut leases = vec![];
    for id in &ids {
        leases.push(engine.store().leases().take(id).await?);
    }
    for run in &runs {
        if !is_unchanged(&engine, run).await? {
            return Err(Problem::usage(format!(
                "run {} was at work just now, and nothing was removed",
                run.id
            ))
            .hint("give the command again"));
        }
    }
    let mut left = Left::find(&engine, &ids).await?;
    if args.worktrees {
        left.remove().await?;
    }
    let freed = remove(&engine, &ids, leases).await?;
    if context.global.json {
        let removed = Removed {
            removed: runs.iter().map(RemovedRun::new).collect(),
            freed_bytes: freed,
            worktrees: left.form(),
        };
        let text = json::pretty(&removed).context("cannot write it as JSON")?;
        output::print(&text).context("cannot write to stdout")?;
    }
    let names: Vec<String> = runs
        .iter()
        .map(|run| {
            format!(
                "{} ({})",
                run.id,
                text::line(run.name.as_ref().unwrap_or(&run.flow))
            )
        })
        .collect();
    output::say(&format!(
        "removed {}; {} of disk are free again",
        names.join(", "),
        number::bytes(freed)
    ));
    left.tell(context);
    Ok(Exit::Ok)
}

/// Runs that were removed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Removed<'a> {
    /// The runs.
    removed: Vec<RemovedRun<'a>>,
    /// By how much the store is smaller on disk.
    freed_bytes: u64,
    /// Worktrees that they had left.
    worktrees: LeftForm,
}

/// A run that was removed.
#[derive(Serialize, JsonSchema)]
struct RemovedRun<'a> {
    /// Its id.
    run: &'a RunId,
    /// The flow's name.
    flow: &'a str,
    /// The name that it was given.
    name: Option<&'a str>,
}

impl<'a> RemovedRun<'a> {
    fn new(run: &'a RunSummary) -> Self {
        Self {
            run: &run.id,
            flow: &run.flow,
            name: run.name.as_deref(),
        }
    }
}

/// Whether it is over, so that a resume would only give its result. What was cancelled is carried out
/// by a resume.
pub(super) fn has_ended(run: &RunSummary) -> bool {
    matches!(&*run.status, "ok" | "partial" | "failed")
}

/// Whether a run is as it was when it was looked at. To be asked once its lease is held: until then
/// another process may have gone on with it.
pub(super) async fn is_unchanged(engine: &Engine, run: &RunSummary) -> Result<bool, Problem> {
    let now = engine.store().run(&run.id).await?;
    Ok(now.is_some_and(|now| now.updated_at == run.updated_at))
}

/// Removes runs, whose leases are held until then. Returns by how much the store is smaller.
pub(super) async fn remove(
    engine: &Engine,
    runs: &[RunId],
    leases: Vec<Box<dyn Lease>>,
) -> Result<u64, Problem> {
    let before = engine.store().room().await?.total;
    engine.store().remove(runs).await?;
    drop(leases);
    let after = engine.store().room().await?.total;
    Ok(before.saturating_sub(after))
}
