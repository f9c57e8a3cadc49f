//! Lines printed when an event happens.

use super::look::{Line, Look, Tone};
use super::progress::{Progress, label};
use super::{number, refused};
use crate::text;
use divisi_core::budget::Spent;
use divisi_core::estimate::{Estimate, Spread};
use divisi_core::event::{AnsweredBy, ParkReason, Refusal, Suspension};
use divisi_core::{
    Approval, Content, Event, Failure, FailureClass, Outcome, PicoUsd, Recorded, RunView, TaskId,
    Timestamp,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Turns events into lines.
#[derive(Default)]
pub(crate) struct News {
    /// Number of tasks that failed with the same message.
    failed_alike: BTreeMap<(FailureClass, Arc<str>), u32>,
    /// Refusals already shown. The end of the run counts all of them.
    refused: BTreeSet<Refusal>,
    /// The estimate that the run was already said to exceed.
    exceeded: Option<Estimate>,
}

/// How much is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What the user must not miss.
    Notable,
    /// Also the end of every task, and every wait for a retry.
    Every,
}

impl News {
    /// Failures with the same message that are shown one by one, where every end is. A wrong key
    /// fails ten thousand tasks, and the first fifty are enough; the end of the run counts all.
    const FAILED_ALIKE_MAX: u32 = 50;
    /// Different messages compared. If there are more, each holds something of its own, such as an
    /// id, and failures of one class count as equal.
    const MESSAGES_COMPARED_MAX: usize = 64;
    /// Columns of a failure's message: three lines of a terminal. `divisi show`
    /// has the rest.
    const MESSAGE_COLUMNS_MAX: usize = 240;

    /// The lines for an event that `progress` already includes.
    pub(crate) fn of(
        &mut self,
        progress: &Progress,
        recorded: &Recorded,
        detail: Detail,
        look: &Look,
    ) -> Vec<Line> {
        let mut lines = self.of_event(progress, recorded, detail, look);
        lines.extend(self.dearer_than_planned(&progress.view));
        lines
    }

    /// The warning when more is spent than the plan's range, once.
    fn dearer_than_planned(&mut self, view: &RunView) -> Option<Line> {
        let estimate = view.estimate?;
        let Spent { billed, over, .. } = view.money.spent();
        let Spread { p10, p90, .. } = estimate.cost;
        let is_beyond = p90 > PicoUsd::ZERO && billed + over > p90;
        if !is_beyond || self.exceeded.replace(estimate) == Some(estimate) {
            return None;
        }
        let cap = match view.money.cap {
            Some(cap) => format!("the cap is {cap}"),
            None => "no cap limits it".to_owned(),
        };
        let told = format!(
            "{} are spent, more than the plan's range of {p10} to {p90}; {cap}",
            billed + over
        );
        Some(Line::of(Tone::Warn, "warning: ").plain(told))
    }

    fn of_event(
        &mut self,
        progress: &Progress,
        recorded: &Recorded,
        detail: Detail,
        look: &Look,
    ) -> Vec<Line> {
        match &recorded.event {
            Event::CaughtUp {
                reused,
                saved,
                to_run,
            } => {
                let reused = format!("{} reused", number::count((*reused).into()));
                let saved = if saved.0 == 0 {
                    String::new()
                } else {
                    format!(" ({saved})")
                };
                // The tasks that follow depend on results, so only a least number is known.
                let to_run = match to_run {
                    0 => ", 0 to run".to_owned(),
                    n => format!(", at least {} to run", number::count((*n).into())),
                };
                vec![
                    Line::of(Tone::Strong, reused)
                        .put(Tone::Strong, saved)
                        .put(Tone::Strong, to_run),
                ]
            }
            Event::Logged { message } => logged(message, look),
            Event::Refused { refusal, count } => self.refused(progress, refusal, *count),
            Event::Uncaught { message, count } => {
                vec![Line::of(Tone::Warn, "warning: ").plain(refused::uncaught(message, *count))]
            }
            Event::SoftLimitReached { spent, cap } => {
                vec![Line::of(Tone::Warn, "warning: ").plain(format!("{spent} of {cap} are spent"))]
            }
            Event::Estimated { estimate } => estimated(estimate, progress.view.money.cap)
                .into_iter()
                .collect(),
            Event::PhaseStarted { title, .. } if detail == Detail::Every => {
                vec![Line::of(Tone::Dim, "phase ").put(Tone::Strong, title)]
            }
            Event::RetryPlanned { task, .. } if detail == Detail::Every => {
                rests(progress, *task, recorded, look).into_iter().collect()
            }
            Event::AttemptSuspended {
                attempt,
                suspension,
            } => waits_for_answer(progress, attempt.task, suspension, look),
            Event::CapChanged { cap } => {
                vec![Line::of(Tone::Strong, "cap ").plain(format!("from now on {cap}"))]
            }
            Event::WidthChanged { in_flight_max } => {
                vec![Line::of(Tone::Strong, "tasks at a time ").plain(format!(
                    "from now on {}",
                    number::count((*in_flight_max).into())
                ))]
            }
            Event::TaskEnded {
                task,
                outcome: Outcome::Failed(failure),
            } => self
                .failed(progress, *task, failure, detail, look)
                .into_iter()
                .collect(),
            Event::TaskEnded {
                task,
                outcome: Outcome::Ok { value },
            } if answered_by(progress, *task).is_some() => {
                answered(progress, *task, value, look).into_iter().collect()
            }
            Event::TaskEnded { task, outcome }
                if detail == Detail::Every && !is_timer(progress, *task) =>
            {
                vec![ended(progress, *task, outcome, look)]
            }
            // Parking at the user's request was reported then.
            Event::ParkingStarted { reason } if *reason != ParkReason::Asked => {
                vec![parking(reason)]
            }
            Event::WaitStarted { until } => vec![waits(*until, recorded.at, look)],
            Event::RunWoken => vec![Line::of(Tone::Strong, "going on: ").plain("trying again")],
            Event::RunStarted(_)
            | Event::RunResumed(_)
            | Event::PhaseStarted { .. }
            | Event::TaskSubmitted(_)
            | Event::TaskClaimed { .. }
            | Event::AttemptScheduled { .. }
            | Event::TurnScheduled { .. }
            | Event::TurnHedged { .. }
            | Event::HedgeEnded { .. }
            | Event::AttemptReported { .. }
            | Event::SuspensionAnswered { .. }
            | Event::TurnEnded { .. }
            | Event::AttemptEnded { .. }
            | Event::RetryPlanned { .. }
            | Event::TaskEnded { .. }
            | Event::ParkingStarted { .. }
            | Event::RunParked { .. }
            | Event::FlowEnded { .. }
            | Event::RunEnded { .. } => vec![],
        }
    }

    /// The line for the first of several equal refusals.
    fn refused(&mut self, progress: &Progress, refusal: &Refusal, count: u32) -> Vec<Line> {
        let alike = match refusal {
            // Equal for every task.
            Refusal::Tool {
                tool, permission, ..
            } => Refusal::Tool {
                task: TaskId(0),
                tool: tool.clone(),
                permission: permission.clone(),
            },
            other => other.clone(),
        };
        if !self.refused.insert(alike) {
            return vec![];
        }
        let told = match refusal {
            Refusal::Tool {
                task,
                tool,
                permission,
            } => {
                let (name, tool) = (progress.label(*task), text::line(tool));
                format!(
                    "`{name}` called `{tool}`, which the run does not permit; `--allow {permission}` does"
                )
            }
            other => refused::told(other, count.into()),
        };
        vec![Line::of(Tone::Warn, "warning: ").plain(told)]
    }

    /// The line for a failed task: the whole message of the first one, and of further ones with the
    /// same message their name or, where they are many, their number.
    fn failed(
        &mut self,
        progress: &Progress,
        task: TaskId,
        failure: &Failure,
        detail: Detail,
        look: &Look,
    ) -> Option<Line> {
        let mut alike = (failure.class, Arc::from(&*failure.message));
        let is_known = self.failed_alike.contains_key(&alike);
        if !is_known && self.failed_alike.len() >= Self::MESSAGES_COMPARED_MAX {
            alike.1 = Arc::default();
        }
        let count = self.failed_alike.entry(alike).or_default();
        *count += 1;
        let (count, class) = (*count, failure.class.as_str());
        if count == 1 {
            return Some(failed(progress, task, failure, look));
        }
        if detail == Detail::Every && count <= Self::FAILED_ALIKE_MAX {
            let alike = format!("{class}, as another task before");
            return Some(
                Line::of(Tone::Bad, look.failed())
                    .plain(format!(" {}{}", progress.label(task), look.dot()))
                    .put(Tone::Bad, alike),
            );
        }
        let is_round = count >= 10 && 10_u32.pow(count.ilog10()) == count;
        is_round.then(|| {
            let tasks = format!(
                " {} tasks have failed alike so far",
                number::count(count.into())
            );
            Line::of(Tone::Bad, look.failed())
                .put(Tone::Strong, tasks)
                .plain(look.dot())
                .put(Tone::Bad, class)
                .plain(": ")
                .plain(message(failure, look))
        })
    }
}

/// The estimated cost of the run; `None` if it is zero. The upper bound is shown only with a cap,
/// which enforces it.
fn estimated(estimate: &Estimate, cap: Option<PicoUsd>) -> Option<Line> {
    if estimate.cost.p90 == PicoUsd::ZERO {
        return None;
    }
    let Spread { p10, p50, p90 } = estimate.cost;
    let most = cap
        .map(|cap| format!(", at most {cap}"))
        .unwrap_or_default();
    let took = number::took(estimate.took.p50);
    Some(
        Line::of(Tone::Dim, "plan: ")
            .plain(format!("about {p50} ({p10} to {p90}){most}; about {took}")),
    )
}

fn logged(message: &str, look: &Look) -> Vec<Line> {
    let tone = if message.starts_with("warning: ") {
        Tone::Warn
    } else {
        Tone::Plain
    };
    let says = |i| if i == 0 { look.says() } else { "  " };
    text::block(message)
        .lines()
        .enumerate()
        .map(|(i, line)| Line::of(Tone::Dim, says(i)).put(tone, line))
        .collect()
}

fn failed(progress: &Progress, task: TaskId, failure: &Failure, look: &Look) -> Line {
    let attempts = progress.view.task(task).map_or(0, |task| task.attempts);
    let mut line = Line::of(Tone::Bad, look.failed())
        .plain(" ")
        .put(Tone::Strong, progress.label(task))
        .plain(look.dot())
        .put(Tone::Bad, failure.class.as_str())
        .plain(": ")
        .plain(message(failure, look));
    if attempts > 1 {
        line = line.put(Tone::Dim, format!("{}{attempts} attempts", look.dot()));
    }
    line
}

/// What a failure says, on one line.
fn message(failure: &Failure, look: &Look) -> String {
    let said = text::line(&failure.message);
    text::cut(&said, News::MESSAGE_COLUMNS_MAX, look.ellipsis())
}

/// Timers of a flow fire often, and say nothing about its work.
fn is_timer(progress: &Progress, id: TaskId) -> bool {
    progress.view.task(id).is_some_and(|task| task.is_timer)
}

fn ended(progress: &Progress, id: TaskId, outcome: &Outcome, look: &Look) -> Line {
    let view = &progress.view;
    let Some(task) = view.task(id) else {
        return Line::new();
    };
    let name = label(id, task);
    match outcome {
        Outcome::Ok { .. } => {
            let mut facts = vec![];
            facts.extend(view.model_of(task).map(|model| model.to_string()));
            if let (Some(started), Some(ended)) = (task.started_at, task.ended_at) {
                facts.push(number::took(ended.since(started)));
            }
            if task.usage.total() > 0 {
                facts.push(format!("{} tokens", number::tokens(task.usage.total())));
                facts.push(number::spent_short(task.spent));
            }
            if task.attempts > 1 {
                facts.push(format!("{} attempts", task.attempts));
            }
            let facts: String = facts
                .iter()
                .map(|fact| look.dot().to_owned() + fact)
                .collect();
            Line::of(Tone::Good, look.ok())
                .plain(" ")
                .plain(name)
                .put(Tone::Dim, facts)
        }
        Outcome::Skipped { reason } => Line::of(Tone::Dim, look.skipped())
            .plain(format!(" {name}{}skipped: ", look.dot()))
            .plain(text::line(reason)),
        Outcome::Cancelled => {
            Line::of(Tone::Dim, look.skipped()).plain(format!(" {name}{}cancelled", look.dot()))
        }
        Outcome::Failed(failure) => failed(progress, id, failure, look),
    }
}

fn answered_by(progress: &Progress, id: TaskId) -> Option<AnsweredBy> {
    progress.view.task(id)?.answered_by()
}

/// A question, and how to answer it. One that takes its default at once, or that is asked on this
/// terminal, needs no line.
fn waits_for_answer(
    progress: &Progress,
    task: TaskId,
    suspension: &Suspension,
    look: &Look,
) -> Vec<Line> {
    if progress.is_attended || suspension.default.is_some() {
        return vec![];
    }
    let words = match suspension.choices.as_slice() {
        [] => String::new(),
        words => format!(" ({})", text::line(&words.join(", "))),
    };
    vec![
        Line::of(Tone::Warn, "?")
            .plain(" ")
            .put(Tone::Strong, progress.label(task))
            .plain(format!("{}waits for an answer{words}: ", look.dot()))
            .plain(format!("`divisi answer {} {task} VALUE`", progress.id)),
    ]
}

/// How a question was answered.
fn answered(progress: &Progress, task: TaskId, value: &Content, look: &Look) -> Option<Line> {
    let why = match answered_by(progress, task)? {
        AnsweredBy::Person => "answered",
        AnsweredBy::Default => "no person can be asked here; its default holds",
        AnsweredBy::Timeout => "no answer came in time; its default holds",
    };
    let word = match value {
        Content::Inline(json) => serde_json::from_str(json)
            .map(|value| format!(": {}", text::line(&Approval::word(&value))))
            .unwrap_or_default(),
        // Too long for a line.
        Content::Stored { .. } => String::new(),
    };
    let word = text::cut(&word, News::MESSAGE_COLUMNS_MAX, look.ellipsis());
    Some(Line::of(Tone::Good, look.ok()).plain(format!(
        " {}{}{why}{word}",
        progress.label(task),
        look.dot()
    )))
}

fn rests(progress: &Progress, task: TaskId, recorded: &Recorded, look: &Look) -> Option<Line> {
    let rest = progress.view.resting.get(&task)?;
    if rest.due <= recorded.at {
        return None;
    }
    let next = format!(
        "{}, next try in {}",
        rest.why,
        number::rest(rest.due.since(recorded.at))
    );
    Some(
        Line::of(Tone::Warn, look.waiting())
            .plain(format!(" {} waits: ", progress.label(task)))
            .put(Tone::Warn, next),
    )
}

/// Why no new task starts any more.
fn parking(reason: &ParkReason) -> Line {
    Line::of(Tone::Warn, "parking: ").plain(why_parked(reason))
}

/// Until when a parked run waits before it resumes by itself.
fn waits(until: Timestamp, now: Timestamp, look: &Look) -> Line {
    let when = format!(
        "{} ({})",
        number::moment(now, until),
        number::rest(until.since(now))
    );
    Line::of(Tone::Warn, look.waiting())
        .plain(" waiting until ")
        .put(Tone::Strong, when)
        .plain("; Ctrl-C leaves the run parked")
}

/// Why a run is parked, in words.
pub(crate) fn why_parked(reason: &ParkReason) -> String {
    match reason {
        ParkReason::Asked => "you asked for it".to_owned(),
        ParkReason::Budget { phase: None } => {
            "what is left of the budget holds none of the waiting tasks".to_owned()
        }
        ParkReason::Budget { phase: Some(phase) } => {
            format!(
                "the budget of the phase {} holds none of its waiting tasks",
                text::line(phase)
            )
        }
        ParkReason::Hopeless {
            class,
            phase,
            message,
            ..
        } => {
            let phase = phase
                .as_ref()
                .map(|phase| format!(" of {}", text::line(phase)))
                .unwrap_or_default();
            format!(
                "the first tasks{phase} have all failed alike: {class}: {}",
                text::line(message)
            )
        }
        ParkReason::Overcharged {
            task,
            model,
            reserved,
            cost,
        } => {
            let of = model
                .as_ref()
                .map(|model| format!(" of `{}`", text::line(model)))
                .unwrap_or_default();
            format!(
                "a reply{of} to {task} cost {cost}, and {reserved} was the most its request could cost: \
                 what others may cost is not known either"
            )
        }
        ParkReason::Suspended { tasks } => {
            let tasks = number::counted((*tasks).into(), "task waits", "tasks wait");
            format!("{tasks} for an answer, and nothing else is left to do")
        }
        ParkReason::Quota { message, .. } => {
            format!("the account's quota is used up: {}", text::line(message))
        }
    }
}
