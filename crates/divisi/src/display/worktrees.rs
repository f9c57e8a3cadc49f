//! Kept worktrees, and the changes in them.

use super::look::{Line, Look, Tone};
use super::number;
use super::table::{Column, Table};
use crate::text;
use divisi_app::Place;
use divisi_core::{RunId, TaskId, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;

/// Characters shown of the name of a commit.
const COMMIT_CHARS: usize = 10;

/// A worktree of a task.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub(crate) struct WorktreeForm {
    /// The run.
    pub(crate) run: RunId,
    /// The task.
    pub(crate) task: TaskId,
    /// The number of the attempt that worked in it.
    pub(crate) attempt: u32,
    /// The task's label; empty if its run was removed.
    pub(crate) label: String,
    /// Where it is.
    pub(crate) path: String,
    /// What it is.
    pub(crate) state: WorktreeState,
    /// Whether it holds the work that the task's result is about.
    pub(crate) result: bool,
    /// The branch that an agent has made in it.
    pub(crate) branch: Option<String>,
    /// The commit it is at.
    pub(crate) commit: Option<String>,
    /// The commit it was made from.
    pub(crate) base: Option<String>,
    /// Changed files.
    pub(crate) files: Option<u64>,
    /// Lines added.
    pub(crate) added: Option<u64>,
    /// Lines removed.
    pub(crate) removed: Option<u64>,
    /// Whether the checked-out branch of the repository has all of it.
    pub(crate) merged: Option<bool>,
    /// Why git cannot say more about it.
    pub(crate) problem: Option<String>,
    /// When its attempt ended, or else when it was last changed.
    pub(crate) at: Option<Timestamp>,
}

/// What a worktree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WorktreeState {
    /// Its attempt has ended with changes.
    Kept,
    /// A process that was killed has left it, or its run was removed.
    Left,
    /// Its run is at work.
    InUse,
    /// It was kept, and is no longer there.
    Gone,
}

/// Worktrees that were removed, and those that stay.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RemovalForm {
    /// Those that were removed.
    pub(crate) removed: Vec<WorktreeForm>,
    /// Those that stay: with work that is not merged, or in use.
    pub(crate) kept: Vec<WorktreeForm>,
}

/// The changes in the worktrees of a run.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ChangesForm {
    /// The run.
    pub(crate) run: RunId,
    /// The worktrees with their changes, in the order of tasks and attempts.
    pub(crate) worktrees: Vec<ChangedForm>,
}

/// A worktree with its changes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ChangedForm {
    /// The worktree.
    pub(crate) worktree: WorktreeForm,
    /// The files that differ from the commit it was made from.
    pub(crate) changes: Vec<FileForm>,
    /// The difference as a patch, if it was asked for.
    pub(crate) patch: Option<String>,
}

/// A file that differs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FileForm {
    /// Its path in the repository.
    pub(crate) path: String,
    /// Lines added; `null` for a binary file.
    pub(crate) added: Option<u64>,
    /// Lines removed; `null` for a binary file.
    pub(crate) removed: Option<u64>,
}

impl WorktreeForm {
    /// The task, as it is spoken of: `t3 mend it`.
    pub(crate) fn task(&self) -> String {
        text::line(&format!("{} {}", self.task, self.label))
    }

    fn size(&self) -> String {
        let Some(files) = self.files else {
            return "-".to_owned();
        };
        format!(
            "{}{}",
            number::counted(files, "file", "files"),
            self.lines()
        )
    }

    fn lines(&self) -> String {
        match (self.added, self.removed) {
            (Some(added), Some(removed)) => {
                format!(" +{} -{}", number::count(added), number::count(removed))
            }
            _ => String::new(),
        }
    }

    fn state(&self) -> (Tone, &'static str) {
        match (self.state, self.merged) {
            (WorktreeState::Gone, _) => (Tone::Dim, "gone"),
            (WorktreeState::InUse, _) => (Tone::Busy, "in use"),
            (WorktreeState::Left, _) if self.label.is_empty() => (Tone::Warn, "of a removed run"),
            (WorktreeState::Left, _) => (Tone::Warn, "left after a kill"),
            (_, Some(true)) => (Tone::Good, "merged"),
            _ if self.problem.is_some() => (Tone::Bad, "cannot be read"),
            _ if !self.result => (Tone::Dim, "without a result"),
            (_, Some(false)) => (Tone::Plain, "to merge"),
            (_, None) => (Tone::Plain, "kept"),
        }
    }

    fn place(&self) -> String {
        let commit = self.commit.as_deref().or(self.base.as_deref());
        let commit = commit.map(|commit| commit.chars().take(COMMIT_CHARS).collect());
        self.branch.clone().or(commit).unwrap_or_default()
    }
}

/// The list of worktrees.
pub(crate) fn worktrees(
    all: &[WorktreeForm],
    place: &Place,
    now: Timestamp,
    look: &Look,
) -> Vec<Line> {
    if all.is_empty() {
        return vec![Line::new().plain("no worktrees")];
    }
    let mut table = Table::new(
        vec![
            Column::left("run"),
            Column::left("task").at_least(8),
            Column::left("changes"),
            Column::left("state"),
            Column::left("at").at_least(COMMIT_CHARS).rank(2),
            Column::left("age").rank(1),
            Column::left("path"),
        ],
        0,
    );
    table.titles();
    for it in all {
        let age = it.at.map(|at| number::ago(now, at)).unwrap_or_default();
        table.row(vec![
            (Tone::Plain, it.run.to_string()),
            (Tone::Strong, it.task()),
            (Tone::Plain, it.size()),
            (it.state().0, it.state().1.to_owned()),
            (Tone::Dim, it.place()),
            (Tone::Dim, age),
            (Tone::Plain, place.shown(Some(&it.path))),
        ]);
        if let Some(problem) = &it.problem {
            table.line(Line::of(Tone::Bad, format!("  {}", text::line(problem))));
        }
    }
    table.render(look)
}

/// The files that differ in one worktree.
pub(crate) fn changed(it: &ChangedForm) -> Vec<Line> {
    let worktree = &it.worktree;
    let (tone, state) = worktree.state();
    let mut lines = vec![
        Line::of(Tone::Strong, worktree.task())
            .plain(format!("  {}  ", worktree.size()))
            .put(tone, state)
            .put(Tone::Dim, format!("  {}", text::line(&worktree.path))),
    ];
    if let Some(problem) = &worktree.problem {
        lines.push(Line::of(Tone::Bad, format!("  {}", text::line(problem))));
    }
    for file in &it.changes {
        let line = Line::new().plain(format!("  {}  ", text::line(&file.path)));
        lines.push(match (file.added, file.removed) {
            (Some(added), Some(removed)) => line
                .put(Tone::Good, format!("+{added} "))
                .put(Tone::Bad, format!("-{removed}")),
            _ => line.put(Tone::Dim, "binary"),
        });
    }
    lines
}

/// A patch as git shows it on a terminal. Nothing in it acts on the terminal.
pub(crate) fn patch(patch: &str) -> Vec<Line> {
    let is_head = |line: &str| {
        [
            "diff --git ",
            "index ",
            "--- ",
            "+++ ",
            "new file ",
            "deleted file ",
            "old mode ",
            "new mode ",
        ]
        .iter()
        .any(|head| line.starts_with(head))
    };
    let mut in_hunk = false;
    let lines = patch.lines().map(|line| {
        in_hunk = match line {
            _ if line.starts_with("diff --git ") => false,
            _ => in_hunk || line.starts_with("@@ "),
        };
        let tone = match line.chars().next() {
            Some('@') if line.starts_with("@@ ") => Tone::Busy,
            _ if !in_hunk && is_head(line) => Tone::Strong,
            Some('+') => Tone::Good,
            Some('-') => Tone::Bad,
            _ => Tone::Plain,
        };
        Line::of(tone, line.replace('\t', "    "))
    });
    lines.collect()
}
