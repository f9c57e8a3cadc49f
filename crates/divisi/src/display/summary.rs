//! What is said when a run is over, or rests.

use super::failures::{error, failures};
use super::look::{Line, Look, Tone};
use super::news::why_parked;
use super::number;
use super::progress::Progress;
use super::{instead, refused, text};
use divisi_core::event::{ParkReason, RunStatus};
use divisi_core::run::Stage;
use divisi_core::{Failure, PicoUsd, Run, TaskId, Timestamp};

/// What is said when a run is over, or rests.
///
/// `flow_error_told` says that the caller has told why the flow failed.
pub(crate) fn summary(progress: &Progress, flow_error_told: bool, now: Timestamp, look: &Look) -> Vec<Line> {
    let errors = errors(progress, flow_error_told, look);
    let mut lines = vec![Line::new()];
    if !errors.is_empty() {
        lines.extend(errors);
        lines.push(Line::new());
    }
    lines.extend(look.demo_line());
    lines.push(verdict(progress));
    lines.push(figures(progress, now, look));
    lines.extend(instead::lines(&progress.run));
    lines.extend(question(progress));
    lines.extend(next_commands(progress, now));
    lines
}

/// What failed.
pub(crate) fn errors(progress: &Progress, flow_error_told: bool, look: &Look) -> Vec<Line> {
    let mut lines = failures(&progress.run, look);
    if let Some(Err(failure)) = progress.run.result()
        && !flow_error_told
    {
        lines.extend(error(&format!("flow `{}` failed", progress.run.name()), failure, look));
    }
    lines.extend(refused::lines(&progress.run));
    lines
}

fn verdict(progress: &Progress) -> Line {
    let line = Line::of(Tone::Strong, progress.run.name()).put(Tone::Dim, format!(" {} ", progress.id));
    match progress.run.stage() {
        Stage::Ended(RunStatus::Ok) => line.put(Tone::Good, "ok"),
        Stage::Ended(RunStatus::Partial) => {
            line.put(Tone::Warn, format!("partial: {}", why_partial(progress)))
        }
        Stage::Ended(RunStatus::Failed) => line.put(Tone::Bad, "failed").plain(match progress.run.result() {
            Some(Err(_)) => ": the flow did not come to its end",
            _ if progress.run.uncaught().is_some() => ": an exception in the flow had no handler",
            _ => ": no task succeeded",
        }),
        Stage::Ended(RunStatus::Cancelled) => line.put(Tone::Warn, "cancelled"),
        Stage::Parked(reason) => line.put(Tone::Warn, "parked: ").plain(why_parked(reason)),
        Stage::Unstarted | Stage::Replaying | Stage::Running | Stage::Parking(_) => {
            line.put(Tone::Bad, "stopped").plain(": what is finished is kept")
        }
    }
}

/// What keeps a run that is over from being ok.
fn why_partial(progress: &Progress) -> String {
    let (run, counts) = (&progress.run, progress.run.counts());
    let reasons = [
        (counts.total() > counts.ok, "some tasks did not succeed"),
        (is_refused(run), "calls of the flow were refused"),
        (run.overcharged() > PicoUsd::ZERO, "a reply cost more than was set aside for it"),
    ];
    let reasons = reasons.into_iter().filter(|(holds, _)| *holds).map(|(_, reason)| reason);
    reasons.collect::<Vec<_>>().join(", ")
}

/// Whether a limit kept work from being done.
fn is_refused(run: &Run) -> bool {
    run.refused().any(|(refusal, _)| refusal.is_of_work())
}

fn figures(progress: &Progress, now: Timestamp, look: &Look) -> Line {
    let run = &progress.run;
    let (counts, asking) = (run.counts(), run.suspended().count() as u32);
    let mut line = Line::of(Tone::Good, format!("{} ok", number::count(counts.ok.into())));
    let parts = [
        (Tone::Bad, counts.failed, "failed"),
        (Tone::Plain, counts.skipped, "skipped"),
        (Tone::Plain, counts.cancelled, "cancelled"),
        (Tone::Plain, counts.open - asking, "waiting"),
        (Tone::Warn, asking, "waiting for an answer"),
        (Tone::Plain, run.reused(), "reused"),
    ];
    for (tone, n, word) in parts.into_iter().filter(|(_, n, _)| *n > 0) {
        line = line.plain(look.dot()).put(tone, format!("{} {word}", number::count(n.into())));
    }
    let ended = if matches!(run.stage(), Stage::Ended(_) | Stage::Parked(_)) { run.ended_at() } else { now };
    let mut figures = vec![
        number::took(ended.since(progress.began)),
        format!("{} tokens", number::tokens(run.usage().total())),
    ];
    let (all, now) = (run.budget().spent(), progress.spent());
    figures.push(match all == now {
        true => number::spent(all),
        false => format!("{} ({} in all)", number::spent(now), number::spent(all)),
    });
    line.plain(look.dot()).plain(figures.join(look.dot()))
}

/// What a person has to decide before the run can go on.
fn question(progress: &Progress) -> Option<Line> {
    let Stage::Parked(ParkReason::Hopeless { .. }) = progress.run.stage() else { return None };
    let waiting = number::counted(progress.run.counts().open.into(), "task", "tasks");
    let asks = format!("is it worth trying the rest, {waiting}? What is mended first may well succeed.");
    Some(Line::of(Tone::Warn, "question: ").plain(asks))
}

/// Whether the flow probably failed because it has read arguments that it was not
/// given. They are the run's: no resume can add them.
fn lacks_args(run: &Run) -> bool {
    let is_undefined = |failure: &Failure| failure.message.contains("of undefined");
    let failed = run.result().and_then(Result::err);
    failed.is_some_and(is_undefined) && run.flow().is_some_and(|flow| flow.args.is_none())
}

/// Questions that are listed at the end of a run; `divisi show` lists all.
const QUESTIONS_MAX: usize = 5;

/// Which question a task asks.
fn asked(run: &Run, task: TaskId) -> String {
    let label = run.task(task).map(|task| text::line(&task.facts().label)).unwrap_or_default();
    format!("answer `{label}`")
}

/// What may be typed next, and what it does.
fn next_commands(progress: &Progress, now: Timestamp) -> Vec<Line> {
    let (run, id) = (&progress.run, &progress.id);
    let mut commands = vec![];
    let mut may_type = |command: String, does: &str| commands.push((command, does.to_owned()));
    may_type(format!("divisi show {id}"), "what each task did");
    match run.stage() {
        Stage::Parked(ParkReason::Budget { phase: Some(_) }) => {
            let does = "once the phase may cost more: `maxCost` in the flow, or [budget.phases]";
            may_type(format!("divisi resume {id}"), does);
        }
        Stage::Parked(ParkReason::Budget { phase: None }) => {
            let least = run.cap_least().unwrap_or(run.budget().spent().total()).typed();
            let command = format!("divisi resume {id} --max-cost {least}");
            may_type(command, "the least with which a task can start");
        }
        Stage::Parked(ParkReason::Overcharged { .. }) => {
            may_type(format!("divisi cost {id}"), "which model answered, and what it cost");
            may_type(format!("divisi resume {id}"), "go on, at the risk that it happens again");
        }
        Stage::Parked(ParkReason::Hopeless { .. }) => {
            may_type(format!("divisi resume {id}"), "try the rest, once the reason is mended");
            may_type(format!("divisi resume {id} --keep-going"), "try all of the rest, come what may");
            may_type(format!("divisi rerun {id} --failed"), "try the rest, and the failed ones again");
        }
        Stage::Parked(ParkReason::Quota { until: Some(until), .. }) if *until > now => {
            let until = (number::moment(now, *until), number::rest(until.since(now)));
            let does = format!("go on once there is quota again: at {}, in {}", until.0, until.1);
            may_type(format!("divisi resume {id}"), &does);
            may_type(format!("divisi resume {id} --wait"), "wait for it here");
        }
        Stage::Parked(ParkReason::Quota { .. }) => {
            may_type(format!("divisi resume {id}"), "go on once there is quota again");
            may_type(format!("divisi resume {id} --wait"), "try until there is");
        }
        Stage::Parked(ParkReason::Suspended { .. }) => {
            for task in run.suspended().take(QUESTIONS_MAX) {
                may_type(format!("divisi answer {id} {task} TEXT"), &asked(run, task));
            }
            may_type(format!("divisi resume {id}"), "go on with the answers");
        }
        Stage::Ended(RunStatus::Ok) => {}
        // A resume alone would keep the failures, and a flow that needs those results would fail again.
        Stage::Ended(RunStatus::Partial | RunStatus::Failed) if run.counts().failed > 0 => {
            may_type(format!("divisi rerun {id} --failed"), "try the failed tasks again, keep the others");
        }
        Stage::Ended(RunStatus::Failed) => {
            if lacks_args(run) {
                may_type("divisi run … --args JSON".to_owned(), "with arguments: the flow was given none");
            }
            may_type(format!("divisi resume {id}"), "once its cause is mended; what is finished is kept");
        }
        // What was refused is refused again under the same limits.
        Stage::Ended(RunStatus::Partial) if is_refused(run) => {
            may_type(format!("divisi resume {id}"), "once that limit is raised; what is finished is kept");
        }
        Stage::Ended(RunStatus::Partial) if run.overcharged() > PicoUsd::ZERO => {
            may_type(format!("divisi cost {id}"), "which model answered, and what it cost");
        }
        Stage::Ended(_)
        | Stage::Parked(ParkReason::Asked)
        | Stage::Unstarted
        | Stage::Replaying
        | Stage::Running
        | Stage::Parking(_) => {
            may_type(format!("divisi resume {id}"), "go on; what is finished is kept");
        }
    }
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    let line = |(command, does): (String, String)| {
        Line::new().plain(format!("  {command:<width$}  ")).put(Tone::Dim, does)
    };
    commands.into_iter().map(line).collect()
}
