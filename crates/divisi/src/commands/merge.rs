//! `divisi merge`: brings the work of tasks from their worktrees into the user's branch.

use super::worktrees::selected;
use crate::context::Context;
use crate::display::json;
use crate::exit::Exit;
use crate::stop::{self, StopRequests};
use crate::worktrees::{Found, of_run};
use crate::{output, problem, text};
use anyhow::Context as _;
use divisi_app::{Intent, Problem};
use divisi_core::{RunId, TaskId};
use divisi_engine::Engine;
use divisi_engine::workspace::{Begun, MergeError, Merged, Target, quoted};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Columns of a label in the message of a commit.
const LABEL_COLUMNS_MAX: usize = 60;

/// Characters shown of the name of a commit.
const COMMIT_CHARS: usize = 10;

/// Merge the work of tasks from their worktrees into the branch that is checked out
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi merge
  divisi merge k3f9 --check 'cargo test'   # after each task; stops at the first that fails
  divisi merge k3f9 t1 t4
  divisi merge k3f9 --abort                # takes the branch back to where it was

Tasks are merged one after the other, each as a commit of its own, in the order of their numbers; without names, \
all that have a result. At a conflict it stops: settle it, `git add` the files, and the same command goes on. What \
is merged already is skipped. The commits are yours, not signed, and hooks do not run. Nothing is merged while you \
have changes that are not committed, or something else is under way.")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    #[arg(default_value = "last")]
    run: String,
    /// Only these tasks, by their numbers or labels
    tasks: Vec<String>,
    /// Run this command after each merge, and stop if it fails
    #[arg(long, value_name = "COMMAND")]
    check: Option<String>,
    /// Run filters and merge drivers that the repository's own settings name
    #[arg(long)]
    filters: bool,
    /// Take the branch back to where it was before the merge that is under way
    #[arg(long, conflicts_with_all = ["tasks", "check"])]
    abort: bool,
}

/// What became of the work of the tasks of a run.
#[derive(Serialize, JsonSchema)]
pub(super) struct MergeForm<'a> {
    /// The run.
    run: &'a RunId,
    /// The branch that was checked out.
    branch: &'a str,
    /// Its commit before this merge was begun; `null` if there was nothing to merge.
    before: Option<&'a str>,
    /// Its commit now.
    head: String,
    /// How it ended.
    status: MergeStatus,
    /// The tasks, in order.
    tasks: Vec<TaskForm>,
}

/// How a merge ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum MergeStatus {
    /// All tasks are merged.
    Merged,
    /// A conflict has to be settled.
    Conflict,
    /// The check has failed.
    CheckFailed,
    /// It was asked to stop.
    Stopped,
}

/// What became of the work of one task.
#[derive(Serialize, JsonSchema)]
struct TaskForm {
    /// The task.
    task: TaskId,
    /// Its label.
    label: String,
    /// What became of its work.
    outcome: TaskOutcome,
    /// The commit with its work.
    commit: Option<String>,
    /// The files in conflict.
    conflicts: Vec<String>,
}

/// What became of the work of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum TaskOutcome {
    /// It is merged.
    Merged,
    /// It was merged before, or has no changes.
    Already,
    /// It is in conflict with the branch.
    Conflict,
    /// Its turn has not come.
    Waiting,
}

/// A branch that was taken back.
#[derive(Serialize, JsonSchema)]
pub(super) struct AbortForm<'a> {
    /// The run.
    run: &'a RunId,
    /// The branch.
    branch: &'a str,
    /// The commit it is at again.
    head: &'a str,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let id = context.app.find_run(&args.run, Intent::Act).await?;
    // No other process goes on with the run, or merges it, meanwhile.
    let _lease = engine.store().leases().take(&id).await?;
    let found = of_run(&engine, &id).await?;
    let root = root(&id, &found)?;
    let target = Target::open(&root, args.filters).await;
    let target = target.map_err(|error| refused(error, args.filters))?;
    // A request to stop takes effect between two steps; git is not stopped within one.
    let _stop = StopRequests::of_run();
    if args.abort {
        return abort(&id, &target, context).await;
    }
    let begun = target.begun().map_err(refused_now)?;
    let tasks = chosen(found, &args.tasks, begun.as_ref(), context)?;
    let mut merge = Merge {
        git: git_at(&target.root, context),
        id: &id,
        target: &target,
        root: &root,
        args: &args,
        tasks: tasks.iter().map(waiting).collect(),
        begun,
    };
    let status = merge.carry_out(&tasks).await?;
    merge.finish(status, context).await
}

/// The workspace of the worktrees of a run.
fn root(id: &RunId, found: &[Found]) -> Result<PathBuf, Problem> {
    let roots: BTreeSet<&PathBuf> = found.iter().map(|it| &it.worktree.of).collect();
    match roots.into_iter().collect::<Vec<_>>()[..] {
        [root] => Ok(root.clone()),
        [] => Err(
            Problem::usage(format!("no task of run {id} has left a worktree"))
                .hint("a task with `isolation: 'worktree'` works in one"),
        ),
        [one, other, ..] => Err(Problem::usage(format!(
            "the tasks of run {id} worked in several folders, such as {} and {}",
            one.display(),
            other.display()
        ))
        .hint("merge them with git: `divisi worktrees` lists them with their commits")),
    }
}

/// The worktrees to merge, one for each task, in the order of tasks: those that are named, or those
/// that a merge under way was begun with, or all with the work of a result.
fn chosen(
    found: Vec<Found>,
    named: &[String],
    begun: Option<&Begun>,
    context: &Context,
) -> Result<Vec<Found>, Problem> {
    let remembered = begun.map(|begun| begun.only.iter().map(TaskId::to_string));
    let only: Vec<String> = match named {
        [] => remembered.into_iter().flatten().collect(),
        named => named.to_vec(),
    };
    let mut left_out = BTreeSet::new();
    let mut chosen: BTreeMap<TaskId, Found> = BTreeMap::new();
    for it in selected(found, &only)? {
        let task = it.worktree.attempt.task;
        if !it.is_there() || (only.is_empty() && !it.is_result) {
            left_out.insert(task);
            continue;
        }
        // Of a named task the work of its result, or else the latest.
        if !chosen.get(&task).is_some_and(|known| known.is_result) {
            chosen.insert(task, it);
        }
    }
    left_out.retain(|task| !chosen.contains_key(task));
    if !left_out.is_empty() {
        let tasks: Vec<String> = left_out.iter().map(TaskId::to_string).collect();
        context.app.note(&format!(
            "left out, because what they have left is gone or of no result: {}; `divisi worktrees` lists it",
            tasks.join(", ")
        ));
    }
    Ok(chosen.into_values().collect())
}

fn waiting(it: &Found) -> TaskForm {
    TaskForm {
        task: it.worktree.attempt.task,
        label: it.label().to_owned(),
        outcome: TaskOutcome::Waiting,
        commit: None,
        conflicts: vec![],
    }
}

/// One merge of a run.
struct Merge<'a> {
    id: &'a RunId,
    target: &'a Target,
    /// Where the agents have worked.
    root: &'a Path,
    args: &'a Args,
    /// How the user calls git for the repository.
    git: String,
    tasks: Vec<TaskForm>,
    begun: Option<Begun>,
}

impl Merge<'_> {
    async fn carry_out(&mut self, found: &[Found]) -> Result<MergeStatus, Problem> {
        let goes_on = self.begun.is_some();
        if let Merged::Conflict(files) = self.target.prepare(self.id).await.map_err(refused_now)? {
            let under_way = self.begun.as_ref().and_then(|begun| begun.commits.last());
            let place = self.place_of(found, under_way).await;
            return Ok(self.conflict(place, files));
        }
        self.refuse_other_history(found).await?;
        if goes_on && !self.args.tasks.is_empty() {
            self.begun = Some(self.begin().await?);
        }
        // What failed the check before may be mended now.
        if goes_on && !self.is_checked().await? {
            return Ok(MergeStatus::CheckFailed);
        }
        for (place, it) in found.iter().enumerate() {
            if stop::is_asked() {
                return Ok(MergeStatus::Stopped);
            }
            let label = text::cut(&text::line(it.label()), LABEL_COLUMNS_MAX, "...");
            let (task, id) = (it.worktree.attempt.task, self.id);
            let about = format!("{label} (task {task} of divisi run {id})");
            let commit = it
                .worktree
                .commit(about.trim_start(), self.args.filters)
                .await;
            let commit = commit.map_err(|error| refused(error.into(), self.args.filters))?;
            self.tasks[place].commit = Some(commit.clone());
            if self.target.has(&commit).await.map_err(refused_now)? {
                self.tasks[place].outcome = TaskOutcome::Already;
                self.tell(place, "is merged already");
                continue;
            }
            let mut begun = match self.begun.take() {
                Some(begun) => begun,
                None => self.begin().await?,
            };
            let message = format!("Merge {about}");
            let merged = self.target.merge(&mut begun, &commit, &message).await;
            let merged = merged.map_err(refused_now)?;
            self.begun = Some(begun);
            match merged {
                Merged::Conflict(files) => return Ok(self.conflict(Some(place), files)),
                Merged::Done => self.tasks[place].outcome = TaskOutcome::Merged,
            }
            self.tell(place, "is merged");
            if !self.is_checked().await? {
                return Ok(MergeStatus::CheckFailed);
            }
        }
        self.target.end().map_err(refused_now)?;
        Ok(MergeStatus::Merged)
    }

    /// Begins with the tasks that are named, which the next call need not name again.
    async fn begin(&self) -> Result<Begun, Problem> {
        let only = match self.args.tasks.is_empty() {
            true => vec![],
            false => self.tasks.iter().map(|it| it.task).collect(),
        };
        self.target.begin(self.id, only).await.map_err(refused_now)
    }

    /// Fails if the branch does not have the commit from which a worktree was made: a merge would
    /// bring that history, too.
    async fn refuse_other_history(&self, found: &[Found]) -> Result<(), Problem> {
        for it in found {
            let Some(base) = it.base() else { continue };
            if !self.target.has(base).await.map_err(refused_now)? {
                let base: String = base.chars().take(COMMIT_CHARS).collect();
                return Err(Problem::failed(anyhow::anyhow!(
                    "branch `{}` does not have commit {base}, from which the worktree of {} was made",
                    self.target.branch, it.worktree.attempt.task
                ))
                .hint(format!(
                    "switch to the branch on which the run began: `{} branch --contains {base}`",
                    self.git
                )));
            }
        }
        Ok(())
    }

    /// Which task a commit is the work of.
    async fn place_of(&self, found: &[Found], commit: Option<&String>) -> Option<usize> {
        for (place, it) in found.iter().enumerate() {
            if let Some(Ok(look)) = it.look(self.args.filters).await
                && Some(&look.commit) == commit
            {
                return Some(place);
            }
        }
        None
    }

    fn conflict(&mut self, place: Option<usize>, files: Vec<String>) -> MergeStatus {
        if let Some(it) = place.and_then(|place| self.tasks.get_mut(place)) {
            it.outcome = TaskOutcome::Conflict;
            it.conflicts.clone_from(&files);
        }
        let (branch, id, git) = (&self.target.branch, self.id, &self.git);
        let task = place.map_or("a task".to_owned(), |place| self.named(place));
        let named: Vec<String> = files
            .iter()
            .map(|file| format!("`{}`", text::line(file)))
            .collect();
        let words: Vec<String> = files.iter().map(|file| quoted(file)).collect();
        let conflict = anyhow::anyhow!(
            "{task} is in conflict with branch `{branch}` in {}",
            named.join(", ")
        );
        let again = self.again();
        problem::print(&Problem::failed(conflict).with_hints([
            format!("edit and `{git} add {}`, then `{again}` goes on", words.join(" ")),
            format!(
                "without this task: `{git} merge --abort`, then `divisi merge {id}` with the tasks that you want"
            ),
            format!("`divisi merge {id} --abort` takes the branch back to where it was"),
        ]));
        MergeStatus::Conflict
    }

    /// Runs the user's check, if there is one, and says if it has failed.
    async fn is_checked(&self) -> Result<bool, Problem> {
        let Some(check) = &self.args.check else {
            return Ok(true);
        };
        output::say(&format!("check: {}", text::line(check)));
        output::finish_talk();
        let stderr = io::stderr().as_fd().try_clone_to_owned();
        let stderr = stderr.context("cannot run the check")?;
        // Like any command of the user: with their terminal, and Ctrl-C reaches it.
        let status = tokio::process::Command::new("sh")
            .arg("-c")
            .arg(check)
            .current_dir(self.root)
            .stdin(Stdio::null())
            .stdout(stderr)
            .status()
            .await
            .context("cannot run the check")?;
        if status.success() {
            return Ok(true);
        }
        let (id, again) = (self.id, self.again());
        let failed = anyhow::anyhow!("the check has failed ({status}): {}", text::line(check));
        problem::print(&Problem::failed(failed).with_hints([
            format!("mend it and commit, then `{again}` goes on: it checks first"),
            format!("`divisi merge {id} --abort` takes the branch back to where it was"),
        ]));
        Ok(false)
    }

    async fn finish(mut self, status: MergeStatus, context: &Context) -> Result<Exit, Problem> {
        let tasks = std::mem::take(&mut self.tasks);
        let before = self.begun.as_ref().map(|begun| &*begun.before);
        let id = self.id;
        if context.global.json {
            let form = MergeForm {
                run: id,
                branch: &self.target.branch,
                before,
                head: self.target.head().await.map_err(refused_now)?,
                status,
                tasks,
            };
            let text = json::pretty(&form).context("cannot write it as JSON")?;
            output::print(&text).context("cannot write to stdout")?;
        }
        match (status, before) {
            (MergeStatus::Merged, None) => output::say("nothing to merge"),
            (MergeStatus::Merged, Some(before)) => {
                let before: String = before.chars().take(COMMIT_CHARS).collect();
                let git = &self.git;
                output::say(&format!(
                    "all is merged into `{}`; `{git} reset --keep {before}` would undo it, \
                     `divisi worktrees --remove {id}` removes the worktrees",
                    self.target.branch
                ));
            }
            (MergeStatus::Stopped, _) => {
                output::say(&format!("stopped; `{}` goes on", self.again()));
            }
            (MergeStatus::Conflict | MergeStatus::CheckFailed, _) => {}
        }
        Ok(match status {
            MergeStatus::Merged => Exit::Ok,
            MergeStatus::Stopped => Exit::Cancelled,
            MergeStatus::Conflict | MergeStatus::CheckFailed => Exit::Failed,
        })
    }

    fn tell(&self, place: usize, what: &str) {
        output::say(&format!("{} {what}", self.named(place)));
    }

    fn named(&self, place: usize) -> String {
        let TaskForm { task, label, .. } = &self.tasks[place];
        match label.is_empty() {
            true => format!("{task}"),
            false => format!("{task} `{}`", text::line(label)),
        }
    }

    /// The command that goes on.
    fn again(&self) -> String {
        let check = self.args.check.as_ref();
        let check = check.map(|check| format!(" --check {}", quoted(check)));
        let filters = if self.args.filters { " --filters" } else { "" };
        format!(
            "divisi merge {}{}{filters}",
            self.id,
            check.unwrap_or_default()
        )
    }
}

async fn abort(id: &RunId, target: &Target, context: &Context) -> Result<Exit, Problem> {
    let begun = target.abort(id).await.map_err(refused_now)?;
    if context.global.json {
        let form = AbortForm {
            run: id,
            branch: &begun.branch,
            head: &begun.before,
        };
        let text = json::pretty(&form).context("cannot write it as JSON")?;
        output::print(&text).context("cannot write to stdout")?;
    }
    let before: String = begun.before.chars().take(COMMIT_CHARS).collect();
    output::say(&format!(
        "`{}` is at {before} again, as before the merge; the worktrees are as they were",
        begun.branch
    ));
    Ok(Exit::Ok)
}

/// How the user calls git for the repository from the folder they are in.
fn git_at(root: &Path, context: &Context) -> String {
    match context
        .app
        .folder()
        .canonicalize()
        .is_ok_and(|here| here == root)
    {
        true => "git".to_owned(),
        false => format!("git -C {}", quoted(&root.display().to_string())),
    }
}

fn refused_now(error: MergeError) -> Problem {
    refused(error, true)
}

/// A refusal with its advice.
fn refused(error: MergeError, filters: bool) -> Problem {
    use divisi_engine::workspace::WorkspaceError;
    let is_filter = matches!(&error, MergeError::Workspace(WorkspaceError::Filter { .. }));
    let hint = match is_filter && !filters {
        true => Some(
            "`--filters` runs it; or name it in your own settings: `git config --global`"
                .to_owned(),
        ),
        false => error.hint(),
    };
    Problem::failed(error).with_hints(hint)
}
