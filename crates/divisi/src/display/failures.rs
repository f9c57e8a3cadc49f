//! Failures in the format of errors.
//!
//! ```text
//! error: task `review[3]` gave up after 4 attempts
//!   caused by: rate limited: provider `main` is limiting requests
//!   hint: lower `limits.in_flight_max`, then resume run 7f3a
//! ```

use super::look::{Line, Look, Tone};
use super::number;
use super::progress::label;
use crate::text;
use divisi_core::view::TaskView;
use divisi_core::{Failure, FailureClass, RunView, TaskId};
use std::collections::BTreeMap;

/// Distinct failures shown at the end of a run; for more, `divisi show` is the better place.
const TOLD_MAX: usize = 10;
/// Tasks named per failure.
const NAMED_MAX: usize = 3;
/// Lines of one message or hint.
const LINES_MAX: usize = 12;
/// Columns of one such line.
const COLUMNS_MAX: usize = 400;

/// The failures of a run, most frequent first; equal ones are one.
pub(crate) fn failures(view: &RunView, look: &Look) -> Vec<Line> {
    let mut alike: BTreeMap<(FailureClass, &str), Alike<'_>> = BTreeMap::new();
    for (id, task) in view.current() {
        let Some(failure) = view.failure_of(task) else {
            continue;
        };
        let first = Alike {
            tasks: 0,
            first: vec![],
            failure,
        };
        let alike = alike
            .entry((failure.class, &failure.message))
            .or_insert(first);
        alike.tasks += 1;
        if alike.first.len() < NAMED_MAX {
            alike.first.push((id, task));
        }
    }
    let mut alike: Vec<Alike<'_>> = alike.into_values().collect();
    alike.sort_by_key(|alike| {
        (
            std::cmp::Reverse(alike.tasks),
            alike.first.first().map(|(id, _)| *id),
        )
    });
    let mut lines: Vec<Line> = alike
        .iter()
        .take(TOLD_MAX)
        .flat_map(|alike| alike.told(look))
        .collect();
    if alike.len() > TOLD_MAX {
        let more = number::counted(
            (alike.len() - TOLD_MAX) as u64,
            "other failure",
            "other failures",
        );
        lines.push(Line::of(Tone::Bad, "error: ").plain(format!("and {more}")));
    }
    lines
}

/// A failure with its cause and its hint.
pub(crate) fn error(what: &str, failure: &Failure, look: &Look) -> Vec<Line> {
    let mut lines = vec![Line::of(Tone::Bad, "error: ").plain(what)];
    lines.extend(below("caused by: ", &failure.to_string(), look));
    lines.extend(
        failure
            .hint
            .iter()
            .flat_map(|hint| below("hint: ", hint, look)),
    );
    lines
}

/// Tasks that failed with the same message.
struct Alike<'a> {
    tasks: u32,
    first: Vec<(TaskId, &'a TaskView)>,
    failure: &'a Failure,
}

impl Alike<'_> {
    fn told(&self, look: &Look) -> Vec<Line> {
        let names: Vec<String> = self
            .first
            .iter()
            .map(|(id, task)| format!("`{}`", label(*id, task)))
            .collect();
        let what = match self.first.as_slice() {
            [(_, task)] => format!("task {} {}", names[0], gave_up(task.attempts)),
            _ => {
                let others = match self.tasks as usize - names.len() {
                    0 => String::new(),
                    n => format!(" and {} more", number::count(n as u64)),
                };
                format!(
                    "{} tasks failed alike: {}{others}",
                    number::count(self.tasks.into()),
                    names.join(", ")
                )
            }
        };
        error(&what, self.failure, look)
    }
}

/// The phrase for a task that failed after that many attempts.
fn gave_up(attempts: u32) -> String {
    match attempts {
        0 => "could not start".to_owned(),
        1 => "failed".to_owned(),
        n => format!("gave up after {n} attempts"),
    }
}

/// A text of one or more lines below an error.
fn below(title: &str, message: &str, look: &Look) -> Vec<Line> {
    let message = text::block(message);
    let mut shown: Vec<Line> = vec![];
    for (i, line) in message
        .lines()
        .filter(|line| !line.trim().is_empty())
        .enumerate()
    {
        if i == LINES_MAX {
            shown.push(Line::of(Tone::Dim, format!("    {}", look.ellipsis())));
            break;
        }
        let line = text::cut(line, COLUMNS_MAX, look.ellipsis());
        shown.push(match i {
            0 => Line::new().put(Tone::Dim, format!("  {title}")).plain(line),
            _ => Line::new().plain(format!("    {line}")),
        });
    }
    shown
}
