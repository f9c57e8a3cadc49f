//! `divisi worktrees`: the worktrees that tasks have left.

use crate::context::Context;
use crate::display::worktrees::{RemovalForm, WorktreeForm, worktrees};
use crate::display::{Look, json, look, number};
use crate::exit::Exit;
use crate::output;
use crate::worktrees::{Found, of_place, of_run, of_workspace};
use anyhow::Context as _;
use divisi_app::{Intent, Problem, clock};
use divisi_core::TaskId;
use divisi_engine::Engine;

/// List the worktrees that tasks have left, or remove them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi worktrees
  divisi worktrees k3f9
  divisi worktrees --remove k3f9             # those that are merged
  divisi worktrees --remove k3f9 t3 --force  # with work that is not merged

A task with `isolation: 'worktree'` works in a worktree of its own. One with changes is kept, on no branch: \
`divisi changes` shows them, `divisi merge` merges them. A worktree that a process has left when it was killed \
is listed, too.")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last`; all runs of this project
    /// by default
    #[arg(required_if_eq("remove", "true"))]
    run: Option<String>,
    /// Only those of these tasks, by their numbers or labels
    tasks: Vec<String>,
    /// List those of all projects
    #[arg(long, conflicts_with = "run")]
    all: bool,
    /// Remove those whose work is merged
    #[arg(long)]
    remove: bool,
    /// Remove those with work that is not merged, too
    #[arg(long, requires = "remove")]
    force: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let found = found(&engine, &args, context).await?;
    let mut all = vec![];
    for it in found {
        let look = it.look(false).await;
        all.push((it.form(&look), it));
    }
    if args.remove {
        return remove(all, &args, context).await;
    }
    let forms: Vec<WorktreeForm> = all.into_iter().map(|(form, _)| form).collect();
    let text = match context.global.json {
        true => json::pretty(&forms).context("cannot write it as JSON")?,
        false => {
            let look = Look::of_stdout(false);
            let place = context.app.place();
            look::page(&worktrees(&forms, &place, clock::now(), &look), &look)
        }
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}

/// The worktrees that the arguments name.
async fn found(engine: &Engine, args: &Args, context: &Context) -> Result<Vec<Found>, Problem> {
    let Some(word) = &args.run else {
        let mut found = of_place(engine, args.all, context).await?;
        // Those that the user has removed are listed only for a run.
        found.retain(|it| it.worktree.exists());
        return Ok(found);
    };
    let found = match context.app.find_run(word, Intent::Look).await {
        Ok(id) => of_run(engine, &id).await?,
        // The run may have been removed, and its worktrees not.
        Err(unknown) => {
            let mut found = of_place(engine, false, context).await?;
            found.retain(|it| it.worktree.run.to_string() == *word);
            if found.is_empty() {
                return Err(unknown);
            }
            found
        }
    };
    selected(found, &args.tasks)
}

/// Those of these tasks; all if none are named.
pub(super) fn selected(found: Vec<Found>, tasks: &[String]) -> Result<Vec<Found>, Problem> {
    if tasks.is_empty() {
        return Ok(found);
    }
    let is_it = |it: &Found, word: &str| {
        let number = word.strip_prefix('t').unwrap_or(word).parse().map(TaskId);
        it.label() == word || number == Ok(it.worktree.attempt.task)
    };
    if let Some(word) = tasks
        .iter()
        .find(|word| !found.iter().any(|it| is_it(it, word)))
    {
        return Err(Problem::usage(format!("no task `{word}` has a worktree"))
            .hint("`divisi worktrees <run>` lists them"));
    }
    let is_named = |it: &Found| tasks.iter().any(|word| is_it(it, word));
    Ok(found.into_iter().filter(is_named).collect())
}

async fn remove(
    all: Vec<(WorktreeForm, Found)>,
    args: &Args,
    context: &Context,
) -> Result<Exit, Problem> {
    let (mut removed, mut kept) = (vec![], vec![]);
    for (form, it) in all {
        if it.is_there() && (args.force || form.merged == Some(true)) {
            it.worktree.remove().await.map_err(of_workspace)?;
            removed.push(form);
        } else if it.worktree.exists() {
            kept.push(form);
        }
    }
    let stay = number::counted(kept.len() as u64, "worktree stays", "worktrees stay");
    let advice = "`divisi merge` merges their work; `--force` removes them with it";
    if removed.is_empty() && !kept.is_empty() {
        let tasks: Vec<String> = kept.iter().map(WorktreeForm::task).collect();
        return Err(Problem::usage(format!(
            "nothing was removed: {stay}, with work that is not merged ({})",
            tasks.join(", ")
        ))
        .hint(advice));
    }
    let count = number::counted(removed.len() as u64, "worktree", "worktrees");
    if context.global.json {
        let text = json::pretty(&RemovalForm {
            removed,
            kept: kept.clone(),
        });
        output::print(&text.context("cannot write it as JSON")?)
            .context("cannot write to stdout")?;
    }
    output::say(&format!("removed {count}"));
    if !kept.is_empty() {
        let tasks: Vec<String> = kept.iter().map(WorktreeForm::task).collect();
        context.app.note(&format!(
            "{stay}, with work that is not merged ({}): {advice}",
            tasks.join(", ")
        ));
    }
    Ok(Exit::Ok)
}
