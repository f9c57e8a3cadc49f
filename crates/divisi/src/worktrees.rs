//! The worktrees of runs: those that journals have, and those that are only found in their place.

use crate::context::Context;
use crate::display::number;
use crate::display::worktrees::{WorktreeForm, WorktreeState};
use crate::journal::each_event;
use divisi_app::Problem;
use divisi_app::launch::Kept;
use divisi_core::view::Status;
use divisi_core::{AttemptId, Event, RunId, RunView, TaskId, Timestamp};
use divisi_engine::Engine;
use divisi_engine::workspace::{KeptWorktree, Look};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Runs whose worktrees are looked for, the latest.
const RUNS_SEARCHED_MAX: usize = 1_000;

/// A worktree of a run.
pub(crate) struct Found {
    pub(crate) worktree: KeptWorktree,
    pub(crate) state: WorktreeState,
    /// Whether it holds the work that the task's result is about.
    pub(crate) is_result: bool,
    label: Arc<str>,
    base: Option<Arc<str>>,
    changed: Option<u64>,
    at: Option<Timestamp>,
}

impl Found {
    /// The commit it was made from, if that is recorded.
    pub(crate) fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// The label of its task.
    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    /// Whether there is something to look at or to remove.
    pub(crate) fn is_there(&self) -> bool {
        matches!(self.state, WorktreeState::Kept | WorktreeState::Left)
    }

    /// What git says of it, if it is there and at rest.
    pub(crate) async fn look(&self, programs: bool) -> Option<Result<Look, Problem>> {
        if !self.is_there() {
            return None;
        }
        let look = self.worktree.look(self.base(), programs).await;
        Some(look.map_err(of_workspace))
    }

    /// Its form, with what git has said of it.
    pub(crate) fn form(&self, look: &Option<Result<Look, Problem>>) -> WorktreeForm {
        let (look, problem) = match look {
            None => (None, None),
            Some(Ok(look)) => (Some(look), None),
            Some(Err(problem)) => (None, Some(said(problem))),
        };
        let sum = |lines: fn((u64, u64)) -> u64| {
            let files = &look?.files;
            Some(files.iter().filter_map(|file| file.lines).map(lines).sum())
        };
        WorktreeForm {
            run: self.worktree.run.clone(),
            task: self.worktree.attempt.task,
            attempt: self.worktree.attempt.number,
            label: self.label.to_string(),
            path: self.worktree.path.display().to_string(),
            state: self.state,
            result: self.is_result,
            branch: look.and_then(|look| look.branch.clone()),
            commit: look.map(|look| look.commit.clone()),
            base: match look {
                Some(look) => Some(look.base.clone()),
                None => self.base().map(str::to_owned),
            },
            files: look.map(|look| look.files.len() as u64).or(self.changed),
            added: sum(|(added, _)| added),
            removed: sum(|(_, removed)| removed),
            merged: look.map(|look| look.is_merged),
            problem,
            at: self.at,
        }
    }
}

/// A problem with a repository, with its advice.
pub(crate) fn of_workspace(error: divisi_engine::workspace::WorkspaceError) -> Problem {
    let hint = error.hint();
    Problem::failed(error).with_hints(hint)
}

fn said(problem: &Problem) -> String {
    match problem.reason() {
        divisi_app::Reason::Error(error) => format!("{error:#}"),
        divisi_app::Reason::Script(error) => error.to_string(),
        divisi_app::Reason::Plan(error) => error.to_string(),
    }
}

/// The worktrees of a run, in the order of tasks and attempts.
pub(crate) async fn of_run(engine: &Engine, id: &RunId) -> Result<Vec<Found>, Problem> {
    let is_driven = engine.is_driven(id).await?;
    let mut view = RunView::default();
    let mut kept: BTreeMap<PathBuf, Found> = BTreeMap::new();
    let mut last: BTreeMap<TaskId, AttemptId> = BTreeMap::new();
    each_event(&**engine.store(), id, |recorded| {
        view.apply(&recorded);
        let Event::AttemptEnded {
            attempt, worktree, ..
        } = &recorded.event
        else {
            return;
        };
        last.insert(attempt.task, *attempt);
        let Some(recorded_as) = worktree else { return };
        // A journal can come from another machine, and name any folder of this one.
        let is_ours = |found: &KeptWorktree| found.run == *id && found.attempt == *attempt;
        let Some(worktree) = KeptWorktree::at(Path::new(&*recorded_as.path)).filter(is_ours) else {
            return;
        };
        let found = Found {
            state: match worktree.exists() {
                true => WorktreeState::Kept,
                false => WorktreeState::Gone,
            },
            is_result: false,
            label: Arc::default(),
            base: Some(recorded_as.base.clone()),
            changed: Some(recorded_as.changed),
            at: Some(recorded.at),
            worktree,
        };
        kept.insert(found.worktree.path.clone(), found);
    })
    .await?;
    let places = kept.values().map(|found| found.worktree.of.clone());
    let mut places: BTreeSet<PathBuf> = places.collect();
    places.extend(workspace(engine, &view).await);
    for worktree in places.iter().flat_map(|place| KeptWorktree::all_of(place)) {
        if worktree.run == *id && !kept.contains_key(&worktree.path) {
            let state = match is_driven {
                true => WorktreeState::InUse,
                false => WorktreeState::Left,
            };
            kept.insert(worktree.path.clone(), left(worktree, state));
        }
    }
    let mut found: Vec<Found> = kept.into_values().collect();
    for it in &mut found {
        let attempt = it.worktree.attempt;
        let task = view.task(attempt.task);
        it.label = task.map(|task| task.label.clone()).unwrap_or_default();
        it.is_result = it.state != WorktreeState::Left
            && last.get(&attempt.task) == Some(&attempt)
            && task.is_some_and(|task| task.status == Status::Ok)
            && view.current().any(|(id, _)| id == attempt.task);
    }
    found.sort_by_key(|it| it.worktree.attempt);
    Ok(found)
}

/// The folder in which the agents of a run work, if it is still there.
async fn workspace(engine: &Engine, view: &RunView) -> Option<PathBuf> {
    let flow = view.flow.as_ref()?;
    let options = match &flow.options {
        Some(options) => engine.read(options).await.ok(),
        None => None,
    };
    let kept: Option<Kept> = options.and_then(|options| serde_json::from_str(&options).ok());
    let named = kept.and_then(|kept| kept.request.workspace);
    let folder = named.or_else(|| flow.folder.as_deref().map(PathBuf::from))?;
    folder.canonicalize().ok()
}

fn left(worktree: KeptWorktree, state: WorktreeState) -> Found {
    let changed_at = worktree.path.metadata().and_then(|there| there.modified());
    let since = changed_at
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Found {
        state,
        is_result: false,
        label: Arc::default(),
        base: None,
        changed: None,
        at: since.map(|since| Timestamp(since.as_millis() as u64)),
        worktree,
    }
}

/// The worktrees of the runs of this project, or of all runs, and those in this folder whose run was
/// removed. Latest runs first.
pub(crate) async fn of_place(
    engine: &Engine,
    all: bool,
    context: &Context,
) -> Result<Vec<Found>, Problem> {
    let place = context.app.place();
    let runs = engine.store().runs(RUNS_SEARCHED_MAX).await?;
    if runs.len() == RUNS_SEARCHED_MAX {
        context.app.note(&format!(
            "only the latest {RUNS_SEARCHED_MAX} runs are looked at"
        ));
    }
    let mut found = vec![];
    for run in runs {
        if all || place.has(run.folder.as_deref()) {
            found.extend(of_run(engine, &run.id).await?);
        }
    }
    found.extend(without_run(engine, &found, context).await?);
    Ok(found)
}

/// Worktrees in this folder, in its repository and beside those that were found, whose runs the
/// store does not have.
async fn without_run(
    engine: &Engine,
    found: &[Found],
    context: &Context,
) -> Result<Vec<Found>, Problem> {
    let here = context.app.folder().canonicalize().ok();
    let above = here.as_deref().and_then(divisi_files::repository);
    let mut places: BTreeSet<PathBuf> = above.map(Path::to_owned).into_iter().collect();
    places.extend(here.clone());
    places.extend(found.iter().map(|found| found.worktree.of.clone()));
    let mut orphans = vec![];
    for worktree in places.iter().flat_map(|place| KeptWorktree::all_of(place)) {
        if engine.store().run(&worktree.run).await?.is_none() {
            orphans.push(left(worktree, WorktreeState::Left));
        }
    }
    Ok(orphans)
}

/// The worktrees that runs have left, while the runs are removed.
pub(crate) struct Left {
    found: Vec<Found>,
    removed: u64,
}

/// Worktrees of removed runs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct LeftForm {
    /// Those that stay.
    pub(crate) stay: u64,
    /// Those that were removed.
    pub(crate) removed: u64,
}

impl Left {
    /// The worktrees of these runs.
    pub(crate) async fn find(engine: &Engine, runs: &[RunId]) -> Result<Self, Problem> {
        let mut found = vec![];
        for run in runs {
            found.extend(of_run(engine, run).await?);
        }
        found.retain(|it| it.worktree.exists());
        Ok(Self { found, removed: 0 })
    }

    /// Forgets those of other runs.
    pub(crate) fn keep_to(&mut self, runs: &[RunId]) {
        self.found.retain(|it| runs.contains(&it.worktree.run));
    }

    /// Removes them, whatever is in them. To be done before the runs are removed: of a worktree
    /// without its run less is known.
    pub(crate) async fn remove(&mut self) -> Result<(), Problem> {
        for it in std::mem::take(&mut self.found) {
            it.worktree.remove().await.map_err(of_workspace)?;
            self.removed += 1;
        }
        Ok(())
    }

    pub(crate) fn form(&self) -> LeftForm {
        LeftForm {
            stay: self.found.len() as u64,
            removed: self.removed,
        }
    }

    /// Says what became of them.
    pub(crate) fn tell(&self, context: &Context) {
        if self.removed > 0 {
            let count = number::counted(self.removed, "worktree", "worktrees");
            context.app.note(&format!("removed {count} of theirs, too"));
        }
        let Some(first) = self.found.first() else {
            return;
        };
        let stay = number::counted(self.found.len() as u64, "worktree stays", "worktrees stay");
        context.app.note(&format!(
            "{stay}, with work that may not be merged: `divisi worktrees` in {} lists them, \
             `divisi worktrees --remove RUN --force` removes them",
            first.worktree.of.display()
        ));
    }
}
