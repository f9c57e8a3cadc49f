//! Lines printed when a run is over or parked.

use super::failures::{error, failures};
use super::look::{Line, Look, Tone};
use super::news::why_parked;
use super::number;
use super::progress::Progress;
use super::{instead, refused};
use crate::text;
use divisi_core::event::{ParkReason, RunStatus};
use divisi_core::run::Stage;
use divisi_core::{Failure, FailureClass, PicoUsd, RunView, TaskId, Timestamp};

/// The lines for a run that is over or parked.
///
/// `flow_error_told` says that the caller has printed why the flow failed. `cap_least` is the least
/// cap with which a waiting task could start.
pub(crate) fn summary(
    progress: &Progress,
    flow_error_told: bool,
    cap_least: Option<PicoUsd>,
    now: Timestamp,
    look: &Look,
) -> Vec<Line> {
    let errors = errors(progress, flow_error_told, look);
    let mut lines = vec![Line::new()];
    if !errors.is_empty() {
        lines.extend(errors);
        lines.push(Line::new());
    }
    lines.extend(look.demo_line());
    lines.push(verdict(progress));
    lines.push(figures(progress, now, look));
    lines.extend(instead::lines(&progress.view));
    lines.extend(question(progress));
    lines.extend(next_commands(progress, cap_least, now));
    lines
}

/// What failed.
pub(crate) fn errors(progress: &Progress, flow_error_told: bool, look: &Look) -> Vec<Line> {
    let mut lines = failures(&progress.view, look);
    if let Some(Err(failure)) = &progress.view.result
        && !flow_error_told
    {
        lines.extend(error(
            &format!("flow `{}` failed", progress.view.name),
            failure,
            look,
        ));
    }
    lines.extend(refused::lines(&progress.view));
    lines
}

fn verdict(progress: &Progress) -> Line {
    let line =
        Line::of(Tone::Strong, &*progress.view.name).put(Tone::Dim, format!(" {} ", progress.id));
    match &progress.view.stage {
        Stage::Ended(RunStatus::Ok) => line.put(Tone::Good, "ok"),
        Stage::Ended(RunStatus::Partial) => {
            line.put(Tone::Warn, format!("partial: {}", why_partial(progress)))
        }
        Stage::Ended(RunStatus::Failed) => {
            line.put(Tone::Bad, "failed")
                .plain(match &progress.view.result {
                    Some(Err(_)) => ": the flow did not come to its end",
                    _ if progress.view.uncaught.is_some() => {
                        ": an exception in the flow had no handler"
                    }
                    _ => ": no task succeeded",
                })
        }
        Stage::Ended(RunStatus::Cancelled) => line.put(Tone::Warn, "cancelled"),
        Stage::Parked(reason) => line.put(Tone::Warn, "parked: ").plain(why_parked(reason)),
        Stage::Unstarted | Stage::Replaying | Stage::Running | Stage::Parking(_) => line
            .put(Tone::Bad, "stopped")
            .plain(": what is finished is kept"),
    }
}

/// Why a run that is over is partial.
fn why_partial(progress: &Progress) -> String {
    let (view, counts) = (&progress.view, progress.view.counts);
    let reasons = [
        (counts.total() > counts.ok, "some tasks did not succeed"),
        (is_refused(view), "calls of the flow were refused"),
        (
            view.overcharged() > PicoUsd::ZERO,
            "a reply cost more than was set aside for it",
        ),
    ];
    let reasons = reasons
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, reason)| reason);
    reasons.collect::<Vec<_>>().join(", ")
}

/// Whether a limit prevented work.
fn is_refused(view: &RunView) -> bool {
    view.refused.iter().any(|(refusal, _)| refusal.is_of_work())
}

fn figures(progress: &Progress, now: Timestamp, look: &Look) -> Line {
    let view = &progress.view;
    let (counts, asking) = (view.counts, view.questions().count() as u32);
    let mut line = Line::of(
        Tone::Good,
        format!("{} ok", number::count(counts.ok.into())),
    );
    let parts = [
        (Tone::Bad, counts.failed, "failed"),
        (Tone::Plain, counts.skipped, "skipped"),
        (Tone::Plain, counts.cancelled, "cancelled"),
        (Tone::Plain, counts.open - asking, "waiting"),
        (Tone::Warn, asking, "waiting for an answer"),
        (Tone::Plain, view.reused, "reused"),
    ];
    for (tone, n, word) in parts.into_iter().filter(|(_, n, _)| *n > 0) {
        line = line
            .plain(look.dot())
            .put(tone, format!("{} {word}", number::count(n.into())));
    }
    let ended = if matches!(view.stage, Stage::Ended(_) | Stage::Parked(_)) {
        view.ended_at
    } else {
        now
    };
    let mut figures = vec![
        number::took(ended.since(view.began_at)),
        format!("{} tokens", number::tokens(view.usage.total())),
    ];
    let (all, now) = (view.money.spent(), view.spent());
    figures.push(match all == now {
        true => number::spent(all),
        false => format!("{} ({} in all)", number::spent(now), number::spent(all)),
    });
    line.plain(look.dot()).plain(figures.join(look.dot()))
}

/// What the user must decide before the run can go on.
fn question(progress: &Progress) -> Option<Line> {
    let Stage::Parked(ParkReason::Hopeless { .. }) = &progress.view.stage else {
        return None;
    };
    let waiting = number::counted(progress.view.counts.open.into(), "task", "tasks");
    let asks =
        format!("is it worth trying the rest, {waiting}? What is mended first may well succeed.");
    Some(Line::of(Tone::Warn, "question: ").plain(asks))
}

/// The number of tasks that failed because a key was refused.
fn refused_keys(view: &RunView) -> u32 {
    let failures = view.current().filter_map(|(_, task)| view.failure_of(task));
    let refused = failures.filter(|failure| failure.class == FailureClass::Auth);
    refused.count() as u32
}

/// Whether the flow probably failed because it read arguments that it was not given. A resume
/// cannot add any: they belong to the run.
fn lacks_args(view: &RunView) -> bool {
    let is_undefined = |failure: &Failure| failure.message.contains("of undefined");
    matches!(&view.result, Some(Err(failure)) if is_undefined(failure))
        && view.flow.as_ref().is_some_and(|flow| flow.args.is_none())
}

/// Questions that are listed at the end of a run; `divisi show` lists all.
const QUESTIONS_MAX: usize = 5;

/// The question of a task.
fn asked(view: &RunView, task: TaskId) -> String {
    let Some(task) = view.task(task) else {
        return String::new();
    };
    let label = text::line(&task.label);
    match task
        .suspension()
        .and_then(|suspension| suspension.question.as_deref())
    {
        Some(question) => format!("answer `{label}`, which asks: {}", text::line(question)),
        None => match task
            .suspension()
            .map(|suspension| suspension.choices.as_slice())
        {
            None | Some([]) => format!("answer `{label}`"),
            Some(words) => format!("answer `{label}`: {}", text::line(&words.join(", "))),
        },
    }
}

/// Commands that may follow, and what they do.
fn next_commands(progress: &Progress, cap_least: Option<PicoUsd>, now: Timestamp) -> Vec<Line> {
    let (view, id) = (&progress.view, &progress.id);
    let mut commands = vec![];
    let mut may_type = |command: String, does: &str| commands.push((command, does.to_owned()));
    may_type(format!("divisi show {id}"), "what each task did");
    if matches!(view.stage, Stage::Parked(_)) {
        for task in view.questions().take(QUESTIONS_MAX) {
            may_type(
                format!("divisi answer {id} {task} VALUE"),
                &asked(view, task),
            );
        }
    }
    match &view.stage {
        Stage::Parked(ParkReason::Budget { phase: Some(_) }) => {
            let does = "once the phase may cost more: `maxCost` in the flow, or [budget.phases]";
            may_type(format!("divisi resume {id}"), does);
        }
        Stage::Parked(ParkReason::Budget { phase: None }) => {
            let least = cap_least.unwrap_or(view.money.spent().total()).typed();
            let command = format!("divisi resume {id} --max-cost {least}");
            may_type(command, "the least with which a task can start");
        }
        Stage::Parked(ParkReason::Overcharged { .. }) => {
            may_type(
                format!("divisi cost {id}"),
                "which model answered, and what it cost",
            );
            may_type(
                format!("divisi resume {id}"),
                "go on, at the risk that it happens again",
            );
        }
        Stage::Parked(ParkReason::Hopeless { .. }) => {
            may_type(
                format!("divisi resume {id}"),
                "try the rest, once the reason is mended",
            );
            may_type(
                format!("divisi resume {id} --keep-going"),
                "try all of the rest, come what may",
            );
            may_type(
                format!("divisi rerun {id} --failed"),
                "try the rest, and the failed ones again",
            );
        }
        Stage::Parked(ParkReason::Quota {
            until: Some(until), ..
        }) if *until > now => {
            let until = (number::moment(now, *until), number::rest(until.since(now)));
            let does = format!(
                "go on once there is quota again: at {}, in {}",
                until.0, until.1
            );
            may_type(format!("divisi resume {id}"), &does);
            may_type(format!("divisi resume {id} --wait"), "wait for it here");
        }
        Stage::Parked(ParkReason::Quota { .. }) => {
            may_type(
                format!("divisi resume {id}"),
                "go on once there is quota again",
            );
            may_type(format!("divisi resume {id} --wait"), "try until there is");
        }
        Stage::Parked(ParkReason::Suspended { .. }) => {
            may_type(format!("divisi resume {id}"), "go on with the answers");
        }
        Stage::Ended(RunStatus::Ok) => {}
        // A resume alone keeps the failures, and a flow that needs those results would fail again.
        Stage::Ended(RunStatus::Partial | RunStatus::Failed) if view.counts.failed > 0 => {
            let of_keys = refused_keys(view);
            if of_keys > 0 {
                may_type(
                    format!("divisi resume {id}"),
                    "try again what a refused key prevented, once it is mended",
                );
            }
            if of_keys < view.counts.failed {
                may_type(
                    format!("divisi rerun {id} --failed"),
                    "try the failed tasks again, keep the others",
                );
            }
        }
        Stage::Ended(RunStatus::Failed) => {
            if lacks_args(view) {
                may_type(
                    "divisi run … --args JSON".to_owned(),
                    "with arguments: the flow was given none",
                );
            }
            may_type(
                format!("divisi resume {id}"),
                "once its cause is mended; what is finished is kept",
            );
        }
        // The same limits would refuse the same work again.
        Stage::Ended(RunStatus::Partial) if is_refused(view) => {
            may_type(
                format!("divisi resume {id}"),
                "once that limit is raised; what is finished is kept",
            );
        }
        Stage::Ended(RunStatus::Partial) if view.overcharged() > PicoUsd::ZERO => {
            may_type(
                format!("divisi cost {id}"),
                "which model answered, and what it cost",
            );
        }
        Stage::Ended(_)
        | Stage::Parked(ParkReason::Asked)
        | Stage::Unstarted
        | Stage::Replaying
        | Stage::Running
        | Stage::Parking(_) => {
            may_type(
                format!("divisi resume {id}"),
                "go on; what is finished is kept",
            );
        }
    }
    let width = commands
        .iter()
        .map(|(command, _)| command.len())
        .max()
        .unwrap_or(0);
    let line = |(command, does): (String, String)| {
        Line::new()
            .plain(format!("  {command:<width$}  "))
            .put(Tone::Dim, does)
    };
    commands.into_iter().map(line).collect()
}
