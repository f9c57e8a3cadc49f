//! `divisi changes`: what tasks have changed in their worktrees.

use super::worktrees::selected;
use crate::context::Context;
use crate::display::worktrees::{ChangedForm, ChangesForm, FileForm, changed, patch};
use crate::display::{Line, json};
use crate::exit::Exit;
use crate::worktrees::{of_run, of_workspace};
use crate::{output, pager};
use anyhow::Context as _;
use divisi_app::{Intent, Problem};
use divisi_engine::Engine;
use divisi_engine::workspace::{FileChange, Look};
use std::io::IsTerminal;

/// Show what the tasks of a run have changed in their worktrees
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi changes
  divisi changes k3f9 \"mend auth\"
  divisi changes k3f9 t3 | git apply     # the patch of one task, without its commits

Changes are those since the commit from which the worktree was made, committed or not. `divisi merge` merges \
them.")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    #[arg(default_value = "last")]
    run: String,
    /// One task, by its number or label: its changes as a patch
    task: Option<String>,
    /// The patches of all tasks
    #[arg(short, long)]
    patch: bool,
    /// Run filters that the repository's own settings name
    #[arg(long)]
    filters: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let id = context.app.find_run(&args.run, Intent::Look).await?;
    let with_patch = args.patch || args.task.is_some();
    let tasks: Vec<String> = args.task.into_iter().collect();
    let mut worktrees = vec![];
    for it in selected(of_run(&engine, &id).await?, &tasks)? {
        let look = it.look(args.filters).await;
        let patch = match &look {
            Some(Ok(_)) if with_patch => {
                let patch = it.worktree.patch(it.base(), args.filters);
                let (bytes, omitted) = patch.await.map_err(of_workspace)?;
                if omitted > 0 {
                    context.app.note(&format!(
                        "the patch of {} is too long: {omitted} bytes in its middle are left out",
                        it.worktree.attempt.task
                    ));
                }
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
            _ => None,
        };
        worktrees.push(ChangedForm {
            worktree: it.form(&look),
            changes: files(&look),
            patch,
        });
    }
    if context.global.json {
        let form = ChangesForm { run: id, worktrees };
        let text = json::pretty(&form).context("cannot write it as JSON")?;
        output::print(&text).context("cannot write to stdout")?;
        return Ok(Exit::Ok);
    }
    if worktrees.is_empty() {
        output::say(&format!("note: no task of run {id} has left a worktree"));
    }
    print(&worktrees, with_patch).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}

fn files(look: &Option<Result<Look, Problem>>) -> Vec<FileForm> {
    let files = match look {
        Some(Ok(look)) => &look.files[..],
        _ => &[],
    };
    let form = |file: &FileChange| FileForm {
        path: file.path.clone(),
        added: file.lines.map(|(added, _)| added),
        removed: file.lines.map(|(_, removed)| removed),
    };
    files.iter().map(form).collect()
}

/// For a person the files and the patches; for a program either of them.
fn print(worktrees: &[ChangedForm], with_patch: bool) -> std::io::Result<()> {
    if with_patch && !std::io::stdout().is_terminal() {
        let patches = worktrees.iter().filter_map(|it| it.patch.as_deref());
        let text = patches.collect::<String>();
        return match text.strip_suffix('\n') {
            None => Ok(()),
            Some(text) => output::print_as_it_is(text),
        };
    }
    let mut lines: Vec<Line> = vec![];
    for (place, it) in worktrees.iter().enumerate() {
        if place > 0 {
            lines.push(Line::new());
        }
        lines.extend(changed(it));
        if let Some(text) = &it.patch {
            lines.push(Line::new());
            lines.extend(patch(text));
        }
    }
    pager::show(&lines)
}
