//! The tree of a run: its tasks under its phases.

use super::history::Execution;
use super::{INTERRUPTED, status};
use crate::display::look::{Line, Look, Tone};
use crate::display::news::why_parked;
use crate::display::progress::label;
use crate::display::table::{Cell, Column, Table};
use crate::display::{instead, number, refused};
use crate::text;
use divisi_core::budget::Spent;
use divisi_core::event::Worktree;
use divisi_core::run::Stage;
use divisi_core::view::{Status, TaskView};
use divisi_core::{PicoUsd, RunId, RunView, TaskId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Tasks listed per phase: about a screenful.
const LISTED_MAX: usize = 50;
/// Questions whose command is shown.
const ANSWERS_MAX: usize = 5;
/// Characters of a commit hash, as git shows it.
const COMMIT_CHARS: usize = 10;
/// Tasks listed of a larger phase: at most this many failed and this many running ones.
const LISTED_OF_MANY_MAX: usize = 10;

/// The tree of a run with this status. `all` lists every task.
pub(crate) fn tree(
    id: &RunId,
    (view, executions): (&RunView, &[Execution]),
    status: &str,
    all: bool,
    now: Timestamp,
    look: &Look,
) -> Vec<Line> {
    let mut lines: Vec<Line> = look.demo_line().into_iter().collect();
    lines.extend(head(id, view, status, now, look));
    let mut table = Table::new(
        vec![
            Column::left(""),
            Column::left("task"),
            Column::left("label").at_least(10),
            Column::left("model").at_least(8).rank(1),
            Column::right("attempts").rank(2),
            Column::right("tokens"),
            Column::right("took"),
            Column::right("cost"),
        ],
        2,
    );
    let groups = groups(view);
    if !groups.iter().all(|group| group.tasks.is_empty()) {
        table.line(Line::new());
        table.titles();
    }
    for group in &groups {
        group.tell(&mut table, all, now, look);
    }
    let earlier = Group {
        view,
        title: Some("earlier".into()),
        tasks: view.earlier().collect(),
    };
    if !earlier.tasks.is_empty() {
        table.line(Line::new());
        table.line(Line::of(
            Tone::Dim,
            "  tasks of earlier executions, which the latest one has not asked for; their results are kept",
        ));
        earlier.tell(&mut table, all, now, look);
    }
    lines.extend(table.render(look));
    lines.extend(answers(id, view));
    for before in executions {
        let what = format!(
            "execution {} ended {} {}",
            before.number,
            before.status,
            number::ago(now, before.at)
        );
        lines.push(Line::of(
            Tone::Dim,
            format!("  {what}; `divisi show {id} --json` has its result"),
        ));
    }
    let refused = refused::lines(view);
    if !refused.is_empty() {
        lines.push(Line::new());
        lines.extend(refused);
    }
    if let Some(Err(failure)) = &view.result {
        lines.push(Line::new());
        lines.extend(crate::display::failures::error(
            &format!("flow `{}` failed", view.name),
            failure,
            look,
        ));
    }
    lines
}

/// The commands that answer the questions of a run.
fn answers(id: &RunId, view: &RunView) -> Vec<Line> {
    if matches!(view.stage, Stage::Ended(_)) {
        return vec![];
    }
    let command = |task: TaskId| {
        let suspension = view.task(task).and_then(TaskView::suspension);
        let words = suspension
            .map(|it| it.choices.join("|"))
            .unwrap_or_default();
        let words = match words.is_empty() {
            true => "ANSWER".to_owned(),
            false => text::line(&words),
        };
        Line::of(Tone::Dim, format!("  divisi answer {id} {task} {words}"))
    };
    let mut lines: Vec<Line> = view.questions().take(ANSWERS_MAX).map(command).collect();
    if !lines.is_empty() {
        lines.insert(0, Line::new());
    }
    lines
}

fn head(id: &RunId, view: &RunView, status: &str, now: Timestamp, look: &Look) -> Vec<Line> {
    let counts = view.counts;
    let tone = match view.stage {
        Stage::Ended(_) if counts.ok == counts.total() => Tone::Good,
        Stage::Ended(_) | Stage::Parked(_) | Stage::Parking(_) => Tone::Warn,
        Stage::Unstarted | Stage::Replaying | Stage::Running if status == INTERRUPTED => Tone::Warn,
        Stage::Unstarted | Stage::Replaying | Stage::Running => Tone::Busy,
    };
    let mut title = Line::of(Tone::Strong, &*view.name)
        .put(Tone::Dim, format!(" {id} "))
        .put(tone, status);
    if let Stage::Parked(reason) | Stage::Parking(reason) = &view.stage {
        title = title.plain(": ").plain(why_parked(reason));
    }
    let asking = view.questions().count() as u32;
    let parts = [
        (counts.ok, "ok"),
        (counts.failed, "failed"),
        (counts.skipped, "skipped"),
        (counts.cancelled, "cancelled"),
        (counts.open - asking, "waiting"),
        (asking, "waiting for an answer"),
    ];
    let parts = parts
        .into_iter()
        .filter(|(n, word)| *n > 0 || *word == "ok");
    let parts: Vec<String> = parts
        .map(|(n, word)| format!("{} {word}", number::count(n.into())))
        .collect();
    let end = match view.stage {
        Stage::Ended(_) | Stage::Parked(_) => view.ended_at,
        _ if status == INTERRUPTED => view.span.latest(),
        _ => now,
    };
    let figures = [
        format!("started {}", number::ago(now, view.started_at)),
        number::took_and_rested(view.span.worked(end), view.span.rested(end)),
        format!("{} tokens", number::tokens(view.usage.total())),
        match view.money.cap {
            Some(cap) => format!("{} of {cap}", number::spent(view.money.spent())),
            None => number::spent(view.money.spent()),
        },
    ];
    vec![
        title,
        Line::new().plain(parts.join(look.dot())),
        Line::of(Tone::Dim, figures.join(look.dot())),
    ]
}

/// The model that answered, and the requested one if it differs.
fn model(view: &RunView, task: &TaskView) -> Cell {
    let answered = view
        .model_of(task)
        .map(|model| model.to_string())
        .unwrap_or_default();
    match instead::asked(view, task) {
        Some(asked) => (Tone::Warn, format!("{answered}, not {asked}")),
        None => (Tone::Dim, answered),
    }
}

/// Tasks of one phase, in order of submission.
struct Group<'a> {
    view: &'a RunView,
    title: Option<Arc<str>>,
    tasks: Vec<(TaskId, &'a TaskView)>,
}

/// The phases in the order in which they began; tasks without a phase come first.
fn groups(view: &RunView) -> Vec<Group<'_>> {
    let mut groups = vec![Group {
        view,
        title: None,
        tasks: vec![],
    }];
    let mut places = BTreeMap::new();
    for (phase, shown) in view.shown_phases() {
        places.insert(phase, groups.len());
        groups.push(Group {
            view,
            title: Some(shown.title.clone()),
            tasks: vec![],
        });
    }
    for (id, task) in view.current() {
        let place = task
            .phase
            .and_then(|phase| places.get(&phase))
            .copied()
            .unwrap_or_default();
        groups[place].tasks.push((id, task));
    }
    groups
}

impl<'a> Group<'a> {
    fn tell(&self, table: &mut Table, all: bool, now: Timestamp, look: &Look) {
        if let Some(title) = &self.title {
            table.line(
                Line::of(Tone::Strong, text::line(title))
                    .put(Tone::Dim, format!("  {}", self.counted(look))),
            );
        }
        let listed = self.listed(all);
        for &(id, task) in &listed {
            table.row(vec![
                own(status::sign(task.status, look)),
                (Tone::Dim, id.to_string()),
                (Tone::Plain, label(id, task)),
                model(self.view, task),
                (
                    Tone::Dim,
                    or_blank(task.attempts > 0, || task.attempts.to_string()),
                ),
                (
                    Tone::Plain,
                    or_blank(task.usage.total() > 0, || {
                        number::tokens(task.usage.total())
                    }),
                ),
                (Tone::Plain, took(task, now).unwrap_or_default()),
                (
                    Tone::Plain,
                    or_blank(task.spent.total() > PicoUsd::ZERO, || {
                        number::spent_short(task.spent)
                    }),
                ),
            ]);
            for worktree in task.worktrees() {
                table.line(Line::of(Tone::Plain, format!("      {}", kept(worktree))));
            }
            if let Some(why) = why(self.view, task) {
                let room = look.width.saturating_sub(6);
                table.line(Line::of(
                    Tone::Bad,
                    format!("      {}", text::cut(&why, room, look.ellipsis())),
                ));
            }
        }
        if listed.len() < self.tasks.len() {
            let more = number::count((self.tasks.len() - listed.len()) as u64);
            table.line(Line::of(
                Tone::Dim,
                format!("  {} and {more} more; --all lists them", look.ellipsis()),
            ));
        }
    }

    /// All tasks if they are few; of many, those worth looking at.
    fn listed(&self, all: bool) -> Vec<(TaskId, &'a TaskView)> {
        if all || self.tasks.len() <= LISTED_MAX {
            return self.tasks.clone();
        }
        let (mut failed, mut running) = (0, 0);
        let to_look_at = |(_, task): &&(TaskId, &TaskView)| {
            let seen = match task.status {
                Status::Failed => &mut failed,
                Status::Running | Status::Suspended | Status::Between | Status::Resting => {
                    &mut running
                }
                Status::Ok
                | Status::Skipped
                | Status::Cancelled
                | Status::Unclaimed
                | Status::Waiting => {
                    return false;
                }
            };
            *seen += 1;
            *seen <= LISTED_OF_MANY_MAX
        };
        self.tasks.iter().filter(to_look_at).copied().collect()
    }

    fn counted(&self, look: &Look) -> String {
        let mut words: Vec<(&str, u64)> = [
            "ok",
            "failed",
            "skipped",
            "cancelled",
            "running",
            status::SUSPENDED,
            INTERRUPTED,
            "resting",
            "waiting",
        ]
        .map(|word| (word, 0))
        .to_vec();
        let mut usage = 0;
        let mut spent = Spent::default();
        for (_, task) in &self.tasks {
            usage += task.usage.total();
            spent += task.spent;
            let word = status::word(task.status);
            if let Some((_, n)) = words.iter_mut().find(|(known, _)| *known == word) {
                *n += 1;
            }
        }
        let counts = words.into_iter().filter(|(_, n)| *n > 0);
        let mut parts: Vec<String> = counts
            .map(|(word, n)| format!("{} {word}", number::count(n)))
            .collect();
        if parts.is_empty() {
            parts.push("no tasks".to_owned());
        }
        if usage > 0 {
            parts.push(format!("{} tokens", number::tokens(usage)));
            parts.push(number::spent_short(spent));
        }
        parts.join(look.dot())
    }
}

/// Where the changes of a task are kept.
pub(super) fn kept(
    Worktree {
        path,
        base,
        changed,
    }: &Worktree,
) -> String {
    let files = number::counted(*changed, "file", "files");
    let base = base.get(..COMMIT_CHARS).unwrap_or(base);
    text::line(&format!(
        "{files} changed in {path} (from commit {base}, on no branch)"
    ))
}

/// Why a task has no result.
fn why(view: &RunView, task: &TaskView) -> Option<String> {
    let failed = view
        .failure_of(task)
        .map(|failure| text::line(&failure.to_string()));
    failed.or_else(|| view.skipped_because(task).map(|reason| text::line(reason)))
}

/// How long the latest attempt took, or has taken so far.
fn took(task: &TaskView, now: Timestamp) -> Option<String> {
    let started = task.started_at?;
    match task.status {
        Status::Ok | Status::Failed | Status::Skipped | Status::Cancelled => {
            Some(number::took(task.ended_at?.since(started)))
        }
        Status::Running | Status::Suspended => Some(number::took(now.since(started))),
        Status::Unclaimed | Status::Waiting | Status::Resting | Status::Between => None,
    }
}

fn own((tone, text): (Tone, &str)) -> (Tone, String) {
    (tone, text.to_owned())
}

fn or_blank(there: bool, text: impl FnOnce() -> String) -> String {
    if there { text() } else { String::new() }
}
