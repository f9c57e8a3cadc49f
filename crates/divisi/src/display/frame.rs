//! One frame of the live display.
//!
//! A frame never has more lines than the terminal, and its columns depend only on the width: while
//! 64 tasks come and go, nothing scrolls or jumps.

use super::look::{Line, Look, Tone};
use super::number;
use super::progress::{Doing, KeysOf, Progress, ToGo, Why, Work};
use super::show;
use crate::text;
use divisi_core::governor::{Amount, Rate};
use divisi_core::run::Stage;
use divisi_core::view::{PhaseView, Rest, Status, ToolView};
use divisi_core::{AttemptId, FailureClass, Millis, PicoUsd, RunView, TaskId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Tasks that wait for a retry, shown one by one; more are counted by reason.
const RESTS_SHOWN_MAX: usize = 3;
/// Least lines for tasks and the heads of their columns: where fewer fit, tasks come first.
const HEADS_ROOM_MIN: usize = 8;
/// Least columns of a phase in the header: a name of one letter and its frame.
const PHASE_COLUMNS_MIN: usize = 4;

/// The lines of one frame: at most `rows`, each cut to the width of the look.
pub(crate) fn frame(progress: &Progress, look: &Look, rows: usize, now: Timestamp) -> Vec<String> {
    // The last column stays free: some terminals wrap the line otherwise.
    let width = look.width.saturating_sub(1).max(1);
    let demo = look.demo_line();
    let labelled = usize::from(demo.is_some());
    let mut foot: Vec<Line> = stage(progress, look, now).into_iter().collect();
    foot.extend(help(progress, look));
    foot.extend(typed(progress));
    foot.push(bar(progress, look, width));
    foot.push(figures(progress, look, width, now));
    let mut rests: Vec<Line> = narrowed(progress, look).into_iter().collect();
    rests.extend(waits(progress, look, width, now));
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

/// The tasks at work, one line each, in `room` lines. Those that only wait to ask are counted by
/// [`waits`].
fn running(
    progress: &Progress,
    look: &Look,
    width: usize,
    room: usize,
    now: Timestamp,
) -> Vec<Line> {
    if let Some((task, prompt)) = &progress.sight.open {
        return looked_into(progress, *task, prompt, look, width, room, now);
    }
    let tasks = progress.running();
    let columns = Columns::of(width);
    let mut lines = vec![];
    if columns.has_heads && room >= HEADS_ROOM_MIN && !tasks.is_empty() {
        lines.push(columns.heads());
    }
    let room = room - lines.len();
    let shown = match tasks.len() <= room {
        true => tasks.len(),
        false => room.saturating_sub(1),
    };
    // The chosen task is among them, also if it is far below.
    let chosen = tasks
        .iter()
        .rposition(|(attempt, ..)| Some(attempt.task) <= progress.sight.chosen);
    let from = chosen.map_or(0, |chosen| (chosen + 1).saturating_sub(shown));
    let tasks_shown = &tasks[from..from + shown];
    let names = names(
        progress,
        look,
        columns.label,
        tasks_shown.iter().map(|(attempt, ..)| *attempt),
    );
    lines.extend(
        tasks_shown
            .iter()
            .zip(names)
            .map(|(under_way, name)| task_line(progress, look, &columns, *under_way, &name, now)),
    );
    if tasks.len() > shown && room > 0 {
        let more = format!(
            "  {} and {} more running",
            look.ellipsis(),
            number::count((tasks.len() - shown) as u64)
        );
        lines.push(Line::of(Tone::Dim, more));
    }
    lines
}

/// A task: its prompt, its tools and its reply so far, in `room` lines.
fn looked_into(
    progress: &Progress,
    id: TaskId,
    prompt: &str,
    look: &Look,
    width: usize,
    room: usize,
    now: Timestamp,
) -> Vec<Line> {
    /// Lines of the prompt: its beginning says what the task is.
    const PROMPT_LINES_MAX: usize = 6;
    /// Latest tools.
    const TOOLS_MAX: usize = 5;
    let view = &progress.view;
    let Some(task) = view.task(id) else {
        return vec![];
    };
    let mut head = Line::of(Tone::Strong, progress.label(id)).put(Tone::Dim, format!(" {id}"));
    let model = view.model_of(task).map(|model| model.to_string());
    let attempt = (task.attempts > 1).then(|| format!("attempt {}", task.attempts));
    let since = task.started_at.filter(|_| task.status == Status::Running);
    let since = since.map(|since| number::clock(now.since(since)));
    let state = (task.status != Status::Running).then(|| show::word(task.status).to_owned());
    for part in [model, attempt, since, state].into_iter().flatten() {
        head = head.put(Tone::Dim, format!("{}{part}", look.dot()));
    }
    let mut lines = vec![head];
    let prompt = text::block(prompt);
    let told = prompt.lines().filter(|line| !line.trim().is_empty());
    for (i, line) in told.take(PROMPT_LINES_MAX).enumerate() {
        let title = if i == 0 { "  prompt  " } else { "          " };
        lines.push(Line::of(Tone::Dim, title).plain(line));
    }
    let attempts = |tool: &&ToolView| task.latest == Some(tool.attempt);
    let tools: Vec<&ToolView> = view
        .tools
        .iter()
        .rev()
        .filter(attempts)
        .take(TOOLS_MAX)
        .collect();
    for (i, tool) in tools.into_iter().rev().enumerate() {
        let title = if i == 0 { "  tools   " } else { "          " };
        let name = view.words.get(tool.name).map_or("", |name| name);
        let how = match tool.failed {
            true => Line::of(Tone::Bad, "failed"),
            false => Line::of(Tone::Dim, number::took(tool.took)),
        };
        lines.push(
            Line::of(Tone::Dim, title)
                .plain(format!("{name}  "))
                .join(how),
        );
    }
    let doing = progress
        .under_way()
        .find(|(attempt, ..)| attempt.task == id);
    if let Some(doing) = doing.and_then(|(.., doing)| doing) {
        let (tone, does) = does(doing);
        lines.extend((!does.is_empty()).then(|| Line::of(Tone::Dim, "  now     ").put(tone, does)));
    }
    let mut lines: Vec<Line> = lines
        .iter()
        .flat_map(|line| line.broken(width, Some(look.ellipsis())))
        .collect();
    lines.truncate(room);
    lines
}

/// What the keys do, if that was asked for.
fn help(progress: &Progress, look: &Look) -> Option<Line> {
    let (up, down) = match look.unicode {
        true => ("↑", "↓"),
        false => ("k", "j"),
    };
    let quit = match progress.sight.keys {
        Some(KeysOf::Watcher) => "leave",
        Some(KeysOf::Driver) | None => "stop",
    };
    let keys = format!(
        "{up}{down} choose, enter open, esc back, p park, q {quit}, c cap, +- tasks at once"
    );
    progress
        .sight
        .has_help
        .then(|| Line::of(Tone::Strong, "keys: ").plain(keys))
}

/// The cap that is being typed.
fn typed(progress: &Progress) -> Option<Line> {
    let typed = progress.sight.typed.as_ref()?;
    Some(
        Line::of(Tone::Strong, "cap in dollars: ")
            .plain(format!("{typed}_"))
            .put(Tone::Dim, "  enter sets it, esc leaves it as it is"),
    )
}

/// The names of attempts, each cut to `columns`: in the middle, because names that begin alike
/// mostly differ at their ends, or at the end if that leaves more of them different.
fn names(
    progress: &Progress,
    look: &Look,
    columns: usize,
    attempts: impl Iterator<Item = AttemptId>,
) -> Vec<String> {
    let (in_middle, at_end): (Vec<_>, Vec<_>) = attempts
        .map(|attempt| {
            let again = match attempt.number {
                0..=1 => String::new(),
                number => format!(" (attempt {number})"),
            };
            let (name, room) = (
                progress.label(attempt.task),
                columns.saturating_sub(again.len()),
            );
            (
                text::cut_middle(&name, room, look.ellipsis()) + &again,
                text::cut(&name, room, look.ellipsis()) + &again,
            )
        })
        .unzip();
    let different = |names: &[String]| names.iter().collect::<BTreeSet<_>>().len();
    match different(&in_middle) >= different(&at_end) {
        true => in_middle,
        false => at_end,
    }
}

/// How wide the columns of a task's line are.
struct Columns {
    phase: usize,
    label: usize,
    model: usize,
    /// What it does now.
    now: usize,
    /// Whether they have heads.
    has_heads: bool,
}

impl Columns {
    const MARK: usize = 2;
    const CLOCK: usize = 7;
    const TOKENS: usize = 7;
    const GAP: usize = 2;
    /// What an agent does can use more room than a longer name.
    const LABEL_MAX: usize = 48;

    fn of(width: usize) -> Self {
        let (phase, model) = match width {
            0..70 => (0, 0),
            70..99 => (0, 16),
            _ => (12, 20),
        };
        let gaps = |column: usize| if column > 0 { column + Self::GAP } else { 0 };
        let rest = width
            .saturating_sub(Self::MARK + Self::CLOCK + Self::TOKENS + gaps(phase) + gaps(model));
        let now = match rest {
            // The task's name matters more.
            0..36 => 0,
            _ => {
                ((rest - Self::GAP) * 2 / 5).max((rest - Self::GAP).saturating_sub(Self::LABEL_MAX))
            }
        };
        Self {
            phase,
            label: rest.saturating_sub(gaps(now)),
            model,
            now,
            has_heads: phase > 0,
        }
    }

    /// What stands in them.
    fn heads(&self) -> Line {
        let Self {
            phase,
            label,
            model,
            now: _,
            has_heads: _,
        } = *self;
        let heads = format!(
            "  {:<phase$}  {:<label$}  {:<model$}{:>clock$}{:>tokens$}  now",
            "phase",
            "task",
            "model",
            "time",
            "tokens",
            clock = Self::CLOCK,
            tokens = Self::TOKENS,
        );
        Line::of(Tone::Dim, heads)
    }
}

fn task_line(
    progress: &Progress,
    look: &Look,
    columns: &Columns,
    (attempt, since, doing): (AttemptId, Timestamp, Option<&Doing>),
    name: &str,
    now: Timestamp,
) -> Line {
    let view = &progress.view;
    let Some(task) = view.task(attempt.task) else {
        return Line::new();
    };
    let sign = match progress.sight.chosen == Some(attempt.task) {
        true => Line::of(Tone::Strong, look.says().trim_end()),
        false => Line::of(Tone::Busy, look.running()),
    };
    let mut line = sign.plain(" ");
    if columns.phase > 0 {
        let phase = view.phase_of(task).map_or("", |phase| phase);
        line = line
            .put(Tone::Dim, left(phase, columns.phase, look))
            .plain("  ");
    }
    line = line.plain(left(name, columns.label, look));
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
    let (tone, does) = doing.map_or((Tone::Plain, String::new()), does);
    let does = text::cut(&does, columns.now, look.ellipsis());
    if !tokens.is_empty() || !does.is_empty() {
        line = line.put(Tone::Dim, right(&tokens, Columns::TOKENS));
    }
    if !does.is_empty() {
        line = line.plain("  ").put(tone, does);
    }
    line
}

/// What an attempt does now: its tool, or the beginning of what it writes, or else its latest tool.
fn does(doing: &Doing) -> (Tone, String) {
    match (&doing.tool, &doing.words) {
        (Some(tool), _) if doing.is_working => (Tone::Busy, text::line(tool)),
        (_, Some(words)) => (Tone::Plain, text::line(words)),
        (Some(tool), None) => (Tone::Dim, format!("after {}", text::line(tool))),
        (None, None) => (Tone::Plain, String::new()),
    }
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

/// The tasks whose requests may not be sent yet, by reason.
fn waits(progress: &Progress, look: &Look, width: usize, now: Timestamp) -> Vec<Line> {
    let mut by_reason: BTreeMap<Why, Waits> = BTreeMap::new();
    for (attempt, _, doing) in progress.under_way() {
        if let Some(wait) = doing.and_then(|doing| doing.waits) {
            let waits = by_reason.entry(wait.why).or_insert(Waits {
                tasks: 0,
                first: attempt.task,
                until: None,
            });
            waits.tasks += 1;
            waits.until = match (waits.until, wait.until) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
    }
    let line = |(why, waits): (Why, Waits)| {
        let left = waits.until.map(|until| until.since(now));
        let left = left.filter(|left| *left > Millis(0)).map(number::rest);
        let what = match (why, &left) {
            (Why::Limit(rate), left) => {
                let rate = rate.map_or_else(String::new, |rate| format!(" ({})", told(rate)));
                let next = left
                    .as_ref()
                    .map_or_else(String::new, |left| format!(", the next in {left}"));
                format!("a rate limit{rate}{next}")
            }
            (Why::Room, _) => "room for one more request".to_owned(),
            (Why::Cache, Some(left)) => {
                format!("what they share to be cached, {left} at most")
            }
            (Why::Cache, None) => "what they share to be cached".to_owned(),
        };
        let who = match waits.tasks {
            1 => {
                let name =
                    text::cut_middle(&progress.label(waits.first), width / 3, look.ellipsis());
                format!(" {name} waits for ")
            }
            tasks => format!(" {} wait for ", number::count(tasks)),
        };
        Line::of(Tone::Warn, look.waiting())
            .plain(who)
            .put(Tone::Warn, what)
    };
    by_reason.into_iter().map(line).collect()
}

/// Tasks that wait for the same reason.
struct Waits {
    tasks: u64,
    first: TaskId,
    /// The end of the first wait.
    until: Option<Timestamp>,
}

/// `50 a minute`, `80 k input tokens a minute`.
fn told(Rate { per_minute, of }: Rate) -> String {
    match of {
        Amount::Requests => format!("{} a minute", number::count(per_minute)),
        Amount::Tokens => format!("{} tokens a minute", number::tokens(per_minute)),
        Amount::InputTokens => format!("{} input tokens a minute", number::tokens(per_minute)),
        Amount::OutputTokens => format!("{} output tokens a minute", number::tokens(per_minute)),
    }
}

/// The tasks that wait for a retry, and why.
fn rests(progress: &Progress, look: &Look, width: usize, now: Timestamp) -> Vec<Line> {
    if progress.view.resting.len() <= RESTS_SHOWN_MAX {
        // The reason of the wait matters more than the end of a long name.
        let name = |task| text::cut_middle(&progress.label(task), width / 3, look.ellipsis());
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
    let under_way = (progress.view.under_way.len() - progress.waiting()) as u32;
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
    // The only sign that moves all the time: in each line it would draw the eye, and every line again.
    let sign = format!("{} ", look.spinner(now.0 / 100));
    let width = width.saturating_sub(text::width(&sign));
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
    if progress.sight.keys.is_some() && !progress.sight.has_help {
        parts.push("? keys".to_owned());
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
    Line::of(Tone::Busy, sign).join(told(&parts))
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
