//! One task in full: its request, its attempts, its outcome.

use super::history::{Attempt, attempts};
use super::status;
use super::texts::Texts;
use super::tree::kept;
use crate::display::failures::error;
use crate::display::look::{Line, Look, Tone};
use crate::display::progress::label;
use crate::display::{instead, number};
use crate::text;
use divisi_core::event::{Awaited, CallSite, TaskSubmitted, Turn};
use divisi_core::view::{Again, Cause, Ref, Status, TaskView, WaitView};
use divisi_core::{
    Content, Event, Millis, Outcome, Recorded, RunId, RunView, Task, TaskId, Timestamp,
};
use divisi_providers::{Block, Reply};
use serde_json::Value;
use std::collections::BTreeMap;

/// One task of a run and its history.
#[derive(Clone, Copy)]
pub(crate) struct TaskPage<'a> {
    /// The run's name.
    pub(crate) id: &'a RunId,
    /// The run.
    pub(crate) view: &'a RunView,
    /// The task to show.
    pub(crate) task: TaskId,
    /// The run's journal; events of other tasks may be missing.
    pub(crate) events: &'a [Recorded],
}

/// Lines of a reply that are shown without `--all`.
const REPLY_LINES_MAX: usize = 6;

impl<'a> TaskPage<'a> {
    /// The long texts of the page, which must be loaded to render it.
    pub(crate) fn contents(&self) -> Vec<&'a Content> {
        let mut contents: Vec<_> = self
            .submitted()
            .map(|submitted| &submitted.spec)
            .into_iter()
            .collect();
        contents.extend(self.outcome().and_then(value_of));
        for Recorded { event, .. } in self.events {
            match event {
                Event::TurnEnded { attempt, turn } if attempt.task == self.task => {
                    contents.push(&turn.reply);
                }
                _ => {}
            }
        }
        contents.extend(
            self.earlier_outcomes()
                .into_iter()
                .filter_map(|(_, outcome)| value_of(outcome)),
        );
        contents
    }

    /// The task's first submission.
    pub(super) fn submitted(&self) -> Option<&'a TaskSubmitted> {
        self.events
            .iter()
            .find_map(|recorded| match &recorded.event {
                Event::TaskSubmitted(submitted) if submitted.task == self.task => {
                    Some(&**submitted)
                }
                _ => None,
            })
    }

    /// Its outcome, if it has ended.
    pub(super) fn outcome(&self) -> Option<&'a Outcome> {
        let has_ended = self.view.task(self.task)?.status.has_ended();
        self.outcomes()
            .pop()
            .filter(|_| has_ended)
            .map(|(_, outcome)| outcome)
    }

    /// The executor of the task.
    pub(super) fn executor(&self) -> &'a str {
        let executor = self
            .view
            .task(self.task)
            .and_then(|task| self.view.words.get(task.executor?));
        executor.map_or("", |executor| executor)
    }

    /// Why there was an attempt with this number.
    pub(super) fn again(&self, number: u32) -> Option<Again> {
        let mut place = self.view.task(self.task)?.latest;
        while let Some(attempt) = place.and_then(|place| self.view.attempts.get(place.index())) {
            if attempt.id.number == number {
                return attempt.again;
            }
            place = attempt.before;
        }
        None
    }

    fn outcomes(&self) -> Vec<(Timestamp, &'a Outcome)> {
        let ended = self
            .events
            .iter()
            .filter_map(|Recorded { at, event, .. }| match event {
                Event::TaskEnded { task, outcome } if *task == self.task => Some((*at, outcome)),
                _ => None,
            });
        ended.collect()
    }

    /// The outcomes before the task was tried again.
    pub(super) fn earlier_outcomes(&self) -> Vec<(Timestamp, &'a Outcome)> {
        let mut ended = self.outcomes();
        if self.outcome().is_some() {
            ended.pop();
        }
        ended
    }

    /// The page. With `all`, replies are shown in full.
    pub(crate) fn render(
        &self,
        texts: &Texts,
        all: bool,
        now: Timestamp,
        look: &Look,
    ) -> Vec<Line> {
        let (Some(task), Some(submitted)) = (self.view.task(self.task), self.submitted()) else {
            return vec![];
        };
        let mut lines: Vec<Line> = look.demo_line().into_iter().collect();
        lines.extend(self.head(task, submitted, look));
        let spec: Option<Task> = texts
            .get(&submitted.spec)
            .and_then(|json| serde_json::from_str(json).ok());
        if let Some(spec) = spec {
            lines.extend(
                spec.context
                    .iter()
                    .flat_map(|context| section("context", context)),
            );
            lines.extend(section("prompt", &spec.prompt));
            lines.extend(
                spec.schema
                    .iter()
                    .flat_map(|schema| section("schema", &shown(schema))),
            );
        }
        for attempt in attempts(self.events, self.task) {
            lines.push(Line::new());
            lines.extend(attempt_lines(&attempt, task, texts, all, now, look));
            lines.extend(why_failed(&attempt, task));
        }
        for (_, before) in self.earlier_outcomes() {
            lines.push(Line::new());
            lines.push(Line::of(
                Tone::Strong,
                format!("earlier: {}", before.status()),
            ));
            let why = match before {
                Outcome::Failed(failure) => failure.to_string(),
                Outcome::Skipped { reason } => reason.clone(),
                Outcome::Ok { .. } | Outcome::Cancelled => String::new(),
            };
            let kept = value_of(before)
                .and_then(|value| texts.get(value))
                .map(|json| {
                    serde_json::from_str(json)
                        .map_or_else(|_| json.to_owned(), |value| shown(&value))
                });
            let told = [why, kept.unwrap_or_default()]
                .map(|text| text::block(&text))
                .join("\n");
            let told = told.lines().filter(|line| !line.is_empty());
            lines.extend(told.map(|line| Line::new().plain(format!("  {line}"))));
        }
        lines.extend(self.outcome_lines(task, texts, look));
        lines
    }

    fn outcome_lines(&self, task: &TaskView, texts: &Texts, look: &Look) -> Vec<Line> {
        match self.outcome() {
            None => vec![],
            Some(Outcome::Ok { value }) => {
                let value = texts
                    .get(value)
                    .map(|json| match serde_json::from_str(json) {
                        Ok(value) => shown(&value),
                        Err(_) => json.to_owned(),
                    });
                section(
                    "result",
                    value.as_deref().unwrap_or("(the text is not in the store)"),
                )
            }
            Some(Outcome::Failed(failure)) => {
                let what = format!("task `{}` failed", label(self.task, task));
                let mut lines = vec![Line::new()];
                lines.extend(error(&what, failure, look));
                let partial = failure
                    .partial
                    .as_ref()
                    .and_then(|partial| texts.get(partial));
                lines.extend(
                    partial
                        .into_iter()
                        .flat_map(|partial| section("what there was of a result", partial)),
                );
                lines
            }
            Some(Outcome::Skipped { reason }) => section("skipped", reason),
            Some(Outcome::Cancelled) => vec![],
        }
    }

    /// A line of the flow.
    fn place(&self, site: Option<Ref>) -> String {
        let Some(CallSite {
            script,
            line,
            column,
        }) = site.and_then(|site| self.view.sites.get(site))
        else {
            return String::new();
        };
        let column = if *column > 0 {
            format!(", column {column}")
        } else {
            String::new()
        };
        let script = script
            .as_ref()
            .map(|script| format!(" of {script}"))
            .unwrap_or_default();
        format!("line {line}{column}{script}")
    }

    /// What the flow had waited for when it requested the task.
    fn awaited(&self, task: &TaskView) -> String {
        match task.waits {
            None => String::new(),
            Some(Awaited::Task(task)) => task.to_string(),
            Some(Awaited::Group(place)) => {
                let Some(group) = self.view.groups.get(place as usize) else {
                    return String::new();
                };
                let at = self.place(group.site);
                let at = if at.is_empty() {
                    at
                } else {
                    format!(" at {at}")
                };
                format!("all {} of `{}`{at}", group.width, group.kind.as_str())
            }
        }
    }

    /// What the task waited for, and how long.
    fn waited(&self) -> String {
        let mut by_cause: BTreeMap<Cause, u64> = BTreeMap::new();
        for WaitView {
            cause, from, until, ..
        } in self.view.waits_of(self.task)
        {
            *by_cause.entry(*cause).or_default() += until.since(*from).0;
        }
        let told = |(cause, millis): (Cause, u64)| {
            let what = match cause {
                Cause::Slot => "a slot",
                Cause::Cap => "money",
                Cause::Rest => "its next try",
                Cause::Question => "an answer",
                Cause::Limit => "the rate limit",
                Cause::Room => "room for one more",
                Cause::Overload => "the vendor's capacity",
                Cause::Prefix => "the cache",
            };
            format!("{} for {what}", number::took(Millis(millis)))
        };
        by_cause
            .into_iter()
            .map(told)
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn head(&self, task: &TaskView, submitted: &TaskSubmitted, look: &Look) -> Vec<Line> {
        let (tone, sign) = status::sign(task.status, look);
        let mut title = Line::of(tone, sign)
            .put(Tone::Dim, format!(" {} ", self.task))
            .put(Tone::Strong, label(self.task, task))
            .plain("  ")
            .put(tone, status::word(task.status));
        if task.attempts > 1 {
            title = title.plain(format!(" after {} attempts", task.attempts));
        }
        let mut lines = vec![title];
        let mut fact = |name: &str, value: String| {
            if !value.is_empty() {
                lines.push(Line::of(Tone::Dim, format!("  {name:<9}")).plain(text::line(&value)));
            }
        };
        fact("run", format!("{} {}", self.view.name, self.id));
        fact(
            "phase",
            self.view
                .phase_of(task)
                .map(|phase| phase.to_string())
                .unwrap_or_default(),
        );
        fact("model", models(self.view, task));
        fact("executor", self.executor().to_owned());
        fact("asked at", self.place(task.site));
        fact("after", self.awaited(task));
        fact(
            "reads",
            task.reads
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        );
        fact("waited", self.waited());
        task.worktrees()
            .iter()
            .for_each(|worktree| fact("worktree", kept(worktree)));
        let occurrence = match submitted.occurrence {
            0 => String::new(),
            n => format!(" (number {} with this key)", n + 1),
        };
        fact("key", format!("{}{occurrence}", submitted.key.0));
        let tokens = number::tokens(task.usage.total());
        fact(
            "used",
            format!("{tokens} tokens{}{}", look.dot(), number::spent(task.spent)),
        );
        let refused = task.refused_tools().iter();
        let refused = refused.map(|refused| {
            format!(
                "{} ({}, takes --allow {})",
                refused.tool, refused.count, refused.permission
            )
        });
        fact("refused", refused.collect::<Vec<_>>().join(", "));
        lines
    }
}

/// The model that answered, and the allowed ones if they differ.
fn models(view: &RunView, task: &TaskView) -> String {
    let allowed: Vec<&str> = view
        .ladder_of(task)
        .into_iter()
        .map(|model| &**model)
        .collect();
    match view.model_of(task) {
        Some(model) => match instead::asked(view, task) {
            Some(asked) => format!("{model} (asked for {asked})"),
            None => model.to_string(),
        },
        None => allowed.join(", then "),
    }
}

fn attempt_lines(
    attempt: &Attempt<'_>,
    task: &TaskView,
    texts: &Texts,
    all: bool,
    now: Timestamp,
    look: &Look,
) -> Vec<Line> {
    let end = attempt.end.map_or(now, |(at, _)| at);
    let mut facts = vec![];
    facts.extend(attempt.model.map(str::to_owned));
    facts.push(number::took(end.since(attempt.started_at)));
    facts.push(format!("{} tokens", number::tokens(attempt.usage.total())));
    let is_estimated = attempt.turns.iter().any(|turn| turn.estimated);
    facts.push(number::maybe_estimated(attempt.cost, is_estimated));
    let facts: String = facts
        .iter()
        .map(|fact| look.dot().to_owned() + fact)
        .collect();
    let mut title =
        Line::of(Tone::Strong, format!("attempt {}", attempt.number)).put(Tone::Dim, facts);
    title = title.plain(look.dot());
    title = match attempt.end {
        None if task.suspension().is_some() => title.put(Tone::Warn, status::word(task.status)),
        None => title.put(Tone::Busy, "running"),
        Some((_, None)) => title.put(Tone::Good, "ok"),
        Some((_, Some(failure))) => title.put(Tone::Bad, failure.class.as_str()),
    };
    let mut lines = vec![title];
    let question = task
        .suspension()
        .and_then(|suspension| suspension.question.as_deref());
    if let (None, Some(question)) = (attempt.end, question) {
        lines.extend(
            text::block(question)
                .lines()
                .map(|line| Line::of(Tone::Warn, format!("  {line}"))),
        );
    }
    for (i, turn) in attempt.turns.iter().enumerate() {
        lines.extend(turn_lines(i + 1, turn, texts, all, look));
    }
    lines
}

/// Why an attempt failed. The failure of the last attempt is shown with the outcome.
fn why_failed(attempt: &Attempt<'_>, task: &TaskView) -> Vec<Line> {
    let Some((_, Some(failure))) = attempt.end else {
        return vec![];
    };
    if attempt.number == task.attempts && task.status == Status::Failed {
        return vec![];
    }
    text::block(&failure.message)
        .lines()
        .map(|line| Line::of(Tone::Bad, format!("  {line}")))
        .collect()
}

fn turn_lines(number: usize, turn: &Turn, texts: &Texts, all: bool, look: &Look) -> Vec<Line> {
    let facts = [
        text::line(&turn.model),
        format!(
            "{} in, {} out",
            number::tokens(turn.usage.prompt()),
            number::tokens(turn.usage.output)
        ),
        number::took(turn.took),
        number::maybe_estimated(turn.cost, turn.estimated),
    ];
    let mut lines = vec![
        Line::new()
            .plain(format!("  turn {number}"))
            .put(Tone::Dim, look.dot())
            .put(Tone::Dim, facts.join(look.dot())),
    ];
    let Some(reply) = reply(turn, texts) else {
        lines.push(Line::of(Tone::Dim, "    (the reply cannot be read)"));
        return lines;
    };
    let said = text::block(&reply.text());
    let most = if all { usize::MAX } else { REPLY_LINES_MAX };
    lines.extend(
        said.lines()
            .take(most)
            .map(|line| Line::new().plain(format!("    {line}"))),
    );
    if said.lines().count() > most {
        let more = number::counted(
            (said.lines().count() - most) as u64,
            "more line",
            "more lines",
        );
        lines.push(Line::of(
            Tone::Dim,
            format!("    {} {more}; --all shows them", look.ellipsis()),
        ));
    }
    for (name, input) in tools(&reply) {
        let room = look.width.saturating_sub(6 + name.len());
        let input = text::cut(&text::line(&input.to_string()), room, look.ellipsis());
        lines.push(Line::of(Tone::Busy, format!("    {name} ")).put(Tone::Dim, input));
    }
    lines
}

/// The text of a task's result, whole or partial.
pub(super) fn value_of(outcome: &Outcome) -> Option<&Content> {
    match outcome {
        Outcome::Ok { value } => Some(value),
        Outcome::Failed(failure) => failure.partial.as_ref(),
        Outcome::Skipped { .. } | Outcome::Cancelled => None,
    }
}

/// A model's reply in a turn, if its text was loaded.
pub(super) fn reply(turn: &Turn, texts: &Texts) -> Option<Reply> {
    serde_json::from_str(texts.get(&turn.reply)?).ok()
}

/// The tools that a reply calls, with their arguments.
pub(super) fn tools(reply: &Reply) -> impl Iterator<Item = (&str, &Value)> {
    reply.blocks.iter().filter_map(|block| match block {
        Block::ToolUse { name, input, .. } => Some((name.as_str(), input)),
        Block::Text { .. } | Block::ToolResult { .. } | Block::Opaque(_) => None,
    })
}

fn section(title: &str, body: &str) -> Vec<Line> {
    let mut lines = vec![Line::new(), Line::of(Tone::Strong, title)];
    lines.extend(
        text::block(body)
            .lines()
            .map(|line| Line::new().plain(format!("  {line}"))),
    );
    lines
}

/// A text unchanged; anything else as indented JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_else(|_| other.to_string()),
    }
}
