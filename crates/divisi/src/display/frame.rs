//! One frame of the live display.
//!
//! A frame never has more lines than the terminal, and its columns depend only on the width: while
//! 64 tasks come and go, nothing scrolls or jumps.

use super::look::{Line, Look, Tone};
use super::number;
use super::progress::{Doing, Progress, ToGo, Wait, Why, Work, label};
use crate::text;
use divisi_core::run::Stage;
use divisi_core::view::{PhaseView, Rest};
use divisi_core::{AttemptId, FailureClass, Millis, PicoUsd, RunView, Timestamp};
use std::collections::BTreeMap;

/// Tasks that wait for a retry, shown one by one; more are counted by reason.
const RESTS_SHOWN_MAX: usize = 3;
/// Shorter waits of requests are normal and would only flicker.
const WAIT_SHOWN_MIN: Millis = Millis(1_000);
/// Least columns of a phase in the header: a name of one letter and its frame.
const PHASE_COLUMNS_MIN: usize = 4;

/// The lines of one frame: at most `rows`, each cut to the width of the look.
pub(crate) fn frame(progress: &Progress, look: &Look, rows: usize, now: Timestamp) -> Vec<String> {
    // The last column stays free: some terminals wrap the line otherwise.
    let width = look.width.saturating_sub(1).max(1);
    let demo = look.demo_line();
    let labelled = usize::from(demo.is_some());
    let mut foot: Vec<Line> = stage(progress, look, now).into_iter().collect();
    foot.push(bar(progress, look, width));
    foot.push(figures(progress, look, width, now));
    let mut rests: Vec<Line> = narrowed(progress, look).into_iter().collect();
    rests.extend(waits(progress, look, now));
    rests.extend(self::rests(progress, look, width, now));
    let room = rows.saturating_sub(labelled + 1 + rests.len() + foot.len());
    let mut lines: Vec<Line> = demo
        .into_iter()
        .chain([header(progress, look, width)])
        .collect();
    lines.extend(running(progress, look, width, room, now));
    lines.extend(rests);
    lines.extend(foot);
    // On a terminal with few rows only the demo label and the figures are left.
    let over = lines.len().saturating_sub(rows.max(labelled));
    lines.drain(labelled..labelled + over);
    lines
        .iter()
        .map(|line| line.render_cut(look, width))
        .collect()
}

/// The run's name and id, and how far its phases are.
fn header(progress: &Progress, look: &Look, width: usize) -> Line {
    let title =
        Line::of(Tone::Strong, &*progress.view.name).put(Tone::Dim, format!(" {}", progress.id));
    let view = &progress.view;
    let known = view
        .phases
        .iter()
        .filter(|phase| phase.execution == view.execution);
    let mut phases: Vec<&PhaseView> = known.collect();
    let all = phases.len();
    let fit_at_most = width / PHASE_COLUMNS_MIN;
    if phases.len() > fit_at_most {
        phases.retain(|phase| !is_over(phase));
        phases.truncate(fit_at_most);
    }
    loop {
        let mut line = title.clone();
        if phases.len() < all {
            line = line
                .put(Tone::Dim, look.dot())
                .put(Tone::Dim, look.ellipsis());
        }
        for phase in &phases {
            line = line.put(Tone::Dim, look.dot()).join(phase_line(phase));
        }
        if line.width() <= width || phases.len() <= 1 {
            return line;
        }
        // Phases that are over are left out first, then those not begun.
        phases.remove(
            phases
                .iter()
                .position(|phase| is_over(phase))
                .unwrap_or(phases.len() - 1),
        );
    }
}

fn is_over(phase: &PhaseView) -> bool {
    phase.total > 0 && phase.ended == phase.total
}

fn phase_line(phase: &PhaseView) -> Line {
    let tone = match () {
        () if phase.failed > 0 => Tone::Bad,
        () if is_over(phase) => Tone::Good,
        () => Tone::Plain,
    };
    let counts = format!(
        " {}/{}",
        number::count(phase.ended.into()),
        number::count(phase.total.into())
    );
    let counts = if phase.total == 0 {
        String::new()
    } else {
        counts
    };
    Line::new()
        .plain(text::line(&phase.title))
        .put(tone, counts)
}

/// The tasks under way, one line each, in `room` lines.
fn running(
    progress: &Progress,
    look: &Look,
    width: usize,
    room: usize,
    now: Timestamp,
) -> Vec<Line> {
    let all = progress.view.under_way.len();
    let shown = if all <= room {
        all
    } else {
        room.saturating_sub(1)
    };
    let columns = Columns::of(width);
    let tasks = progress.under_way().take(shown);
    let mut lines: Vec<Line> = tasks
        .map(|under_way| task_line(progress, look, &columns, under_way, now))
        .collect();
    if all > shown && room > 0 {
        let more = format!(
            "  {} and {} more running",
            look.ellipsis(),
            number::count((all - shown) as u64)
        );
        lines.push(Line::of(Tone::Dim, more));
    }
    lines
}

/// How wide the columns of a task's line are.
struct Columns {
    phase: usize,
    label: usize,
    model: usize,
    tool: usize,
}

impl Columns {
    const MARK: usize = 2;
    const CLOCK: usize = 7;
    const TOKENS: usize = 7;
    const GAP: usize = 2;

    fn of(width: usize) -> Self {
        let (phase, model) = match width {
            0..50 => (0, 0),
            50..70 => (0, 16),
            70..100 => (0, 18),
            _ => (12, 20),
        };
        let gaps = |column: usize| if column > 0 { column + Self::GAP } else { 0 };
        let rest = width
            .saturating_sub(Self::MARK + Self::CLOCK + Self::TOKENS + gaps(phase) + gaps(model));
        // The task's name matters more than the argument of its tool.
        let tool = if rest >= 36 {
            (rest - Self::GAP) * 2 / 5
        } else {
            0
        };
        Self {
            phase,
            label: rest.saturating_sub(gaps(tool)),
            model,
            tool,
        }
    }
}

fn task_line(
    progress: &Progress,
    look: &Look,
    columns: &Columns,
    (attempt, since, doing): (AttemptId, Timestamp, Option<&Doing>),
    now: Timestamp,
) -> Line {
    let view = &progress.view;
    let Some(task) = view.task(attempt.task) else {
        return Line::new();
    };
    let mut line = Line::of(Tone::Busy, look.spinner(now.0 / 100)).plain(" ");
    if columns.phase > 0 {
        let phase = view.phase_of(task).map_or("", |phase| phase);
        line = line
            .put(Tone::Dim, left(phase, columns.phase, look))
            .plain("  ");
    }
    let again = if attempt.number > 1 {
        format!(" (attempt {})", attempt.number)
    } else {
        String::new()
    };
    let name = text::cut(
        &label(attempt.task, task),
        columns.label.saturating_sub(again.len()),
        look.ellipsis(),
    );
    line = line.plain(left(&(name + &again), columns.label, look));
    if columns.model > 0 {
        let model = view.model_of(task).map_or("", |model| model);
        line = line
            .plain("  ")
            .put(Tone::Dim, left(model, columns.model, look));
    }
    line = line.plain(right(&number::clock(now.since(since)), Columns::CLOCK));
    let tokens = match task.usage.total() + doing.map_or(0, |doing| doing.writing) {
        0 => String::new(),
        tokens => number::tokens(tokens),
    };
    let doing = match doing.map_or((None, None), |doing| (doing.waits, doing.tool.as_ref())) {
        (
            Some(Wait {
                why: Why::Limit, ..
            }),
            _,
        ) => "rate limited".to_owned(),
        (Some(Wait { why: Why::Room, .. }), _) => "waits for room".to_owned(),
        (
            Some(Wait {
                why: Why::Cache, ..
            }),
            _,
        ) => "waits for the cache".to_owned(),
        (None, Some(tool)) => text::line(tool),
        (None, None) => String::new(),
    };
    let tool = match columns.tool {
        0 => String::new(),
        width => text::cut(&doing, width, look.ellipsis()),
    };
    if !tokens.is_empty() || !tool.is_empty() {
        line = line.put(Tone::Dim, right(&tokens, Columns::TOKENS));
    }
    if !tool.is_empty() {
        line = line.plain("  ").put(Tone::Busy, tool);
    }
    line
}

/// How many tasks the cap leaves room for, while others wait for that.
fn narrowed(progress: &Progress, look: &Look) -> Option<Line> {
    let narrowed = progress.view.narrowed_by_cap()?;
    let [at_once, without] = [narrowed.at_once, narrowed.without].map(|n| number::count(n.into()));
    let enough = narrowed.enough.typed();
    let line = Line::of(Tone::Warn, look.waiting()).plain(format!(
        " the cap leaves room for {at_once} at a time; `--max-cost {enough}` runs {without}"
    ));
    Some(line)
}

/// How long requests wait that may not be sent yet, if the wait is long enough to be seen.
fn waits(progress: &Progress, look: &Look, now: Timestamp) -> Vec<Line> {
    let mut by_reason: BTreeMap<Why, (u64, Timestamp)> = BTreeMap::new();
    for wait in progress.under_way().filter_map(|(.., doing)| doing?.waits) {
        if let Some(until) = wait
            .until
            .filter(|until| until.since(now) >= WAIT_SHOWN_MIN)
        {
            let (tasks, first) = by_reason.entry(wait.why).or_insert((0, until));
            *tasks += 1;
            *first = until.min(*first);
        }
    }
    let line = |(why, (tasks, until)): (Why, (u64, Timestamp))| {
        let left = number::rest(until.since(now));
        let what = match why {
            Why::Limit => format!("the rate limit, next request in {left}"),
            Why::Room => format!("room for one more, {left}"),
            Why::Cache => format!("what they share to be cached, {left} at most"),
        };
        Line::of(Tone::Warn, look.waiting())
            .plain(format!(" {}  ", number::counted(tasks, "task", "tasks")))
            .put(Tone::Warn, format!("waiting: {what}"))
    };
    by_reason.into_iter().map(line).collect()
}

/// The tasks that wait for a retry, and why.
fn rests(progress: &Progress, look: &Look, width: usize, now: Timestamp) -> Vec<Line> {
    if progress.view.resting.len() <= RESTS_SHOWN_MAX {
        // The reason of the wait matters more than the end of a long name.
        let name = |task| text::cut(&progress.label(task), width / 3, look.ellipsis());
        return progress
            .view
            .resting
            .iter()
            .map(|(task, rest)| rest_line(&name(*task), *rest, look, now))
            .collect();
    }
    let mut by_reason: BTreeMap<FailureClass, (u64, Rest)> = BTreeMap::new();
    for rest in progress.view.resting.values() {
        let (tasks, first) = by_reason.entry(rest.why).or_insert((0, *rest));
        *tasks += 1;
        first.due = first.due.min(rest.due);
    }
    let tasks = |n| number::counted(n, "task", "tasks");
    by_reason
        .into_values()
        .map(|(n, first)| rest_line(&tasks(n), first, look, now))
        .collect()
}

fn rest_line(name: &str, rest: Rest, look: &Look, now: Timestamp) -> Line {
    let next = match rest.due.since(now) {
        Millis(0) => "as soon as there is room".to_owned(),
        left => format!("in {}", number::rest(left)),
    };
    Line::of(Tone::Warn, look.waiting())
        .plain(format!(" {name}  "))
        .put(
            Tone::Warn,
            format!("waiting: {}, next try {next}", rest.why),
        )
}

/// The state of the run, unless it is simply running.
fn stage(progress: &Progress, look: &Look, now: Timestamp) -> Option<Line> {
    match &progress.view.stage {
        Stage::Replaying => Some(Line::of(Tone::Busy, "looking up what is finished already")),
        Stage::Parking(reason) => {
            let under_way = number::counted(progress.view.under_way.len() as u64, "task", "tasks");
            Some(
                Line::of(Tone::Warn, "parking: ")
                    .plain(super::news::why_parked(reason))
                    .put(
                        Tone::Dim,
                        format!("{}{under_way} to finish first", look.dot()),
                    ),
            )
        }
        Stage::Parked(reason) => {
            let until = progress.view.waits_until()?;
            let left = format!("goes on in {}", number::rest(until.since(now)));
            Some(
                Line::of(Tone::Warn, "parked: ")
                    .plain(super::news::why_parked(reason))
                    .plain(look.dot())
                    .put(Tone::Strong, left),
            )
        }
        Stage::Unstarted | Stage::Running | Stage::Ended(_) => None,
    }
}

/// The share of the work that is done.
fn bar(progress: &Progress, look: &Look, width: usize) -> Line {
    let counts = progress.view.counts;
    let Work { ended, total } = progress.work();
    let length = (width / 3).clamp(8, 30);
    let share = |part: u32| (u64::from(part) * length as u64 / u64::from(total.max(1))) as usize;
    let (full, empty) = look.bar();
    let (good, all) = (share(counts.ok), share(ended));
    let mut line = Line::of(Tone::Good, full.repeat(good))
        .put(Tone::Bad, full.repeat(all - good))
        .put(Tone::Dim, empty.repeat(length - all))
        .put(
            Tone::Strong,
            format!(
                "  {}/{}",
                number::count(ended.into()),
                number::count(total.into())
            ),
        );
    let under_way = progress.view.under_way.len() as u32;
    let parts = [
        (Tone::Good, counts.ok, "ok"),
        (Tone::Bad, counts.failed, "failed"),
        (Tone::Dim, counts.skipped + counts.cancelled, "skipped"),
        (Tone::Busy, under_way, "running"),
        (Tone::Dim, counts.open.saturating_sub(under_way), "waiting"),
    ];
    for (tone, n, word) in parts.into_iter().filter(|(_, n, _)| *n > 0) {
        line = line
            .put(Tone::Dim, look.dot())
            .put(tone, format!("{} {word}", number::count(n.into())));
    }
    line
}

/// Time, money and tokens so far, and what is expected of them.
fn figures(progress: &Progress, look: &Look, width: usize, now: Timestamp) -> Line {
    let view = &progress.view;
    let writing: u64 = progress
        .under_way()
        .filter_map(|(.., doing)| Some(doing?.writing))
        .sum();
    let mut parts = vec![number::clock(now.since(view.began_at))];
    parts.extend(progress.to_go(now).map(|to_go| match to_go {
        ToGo::About(left) => format!("about {} to go", number::roughly(left)),
        ToGo::Beyond(planned) => format!("longer than the planned {}", number::roughly(planned)),
    }));
    parts.push(money(view));
    parts.push(format!(
        "{} tokens",
        number::tokens(view.usage.total() + writing)
    ));
    if view.reused > 0 {
        parts.push(format!("{} reused", number::count(view.reused.into())));
    }
    let told = |parts: &[String]| Line::of(Tone::Dim, parts.join(look.dot()));
    if told(&parts).width() > width {
        for part in &mut parts {
            *part = part.replace("about ", "~");
        }
    }
    // A figure is left out rather than cut: half a figure is a wrong one.
    while told(&parts).width() > width && parts.len() > 1 {
        parts.pop();
    }
    told(&parts)
}

/// What is spent, beside what the plan expects and the cap.
fn money(view: &RunView) -> String {
    let mut told = number::spent(view.money.spent());
    let expected = view.estimate.map(|estimate| estimate.cost.p50);
    if let Some(expected) = expected.filter(|expected| *expected > PicoUsd::ZERO) {
        told += &format!(" of about {expected}");
    }
    if let Some(cap) = view.money.cap {
        told += &format!(", cap {cap}");
    }
    told
}

fn left(text: &str, width: usize, look: &Look) -> String {
    let cut = text::cut(&text::line(text), width, look.ellipsis());
    let fill = width.saturating_sub(text::width(&cut));
    cut + &" ".repeat(fill)
}

fn right(text: &str, width: usize) -> String {
    format!("{text:>width$}")
}
