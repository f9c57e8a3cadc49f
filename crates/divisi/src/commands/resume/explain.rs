//! What a resume would run, task by task, and why.

use crate::context::Context;
use crate::display::{Line, Look, Tone, json, look, number};
use crate::exit::Exit;
use crate::output;
use crate::text;
use anyhow::Context as _;
use divisi_app::Problem;
use divisi_app::launch::{Launch, prepare};
use divisi_core::view::{Status, TaskView};
use divisi_core::{Event, PicoUsd, Position, RunId, Task, TaskId};
use divisi_engine::{Engine, Rehearsed};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the user has asked for.
pub(super) struct Asked<'a> {
    pub(super) id: &'a RunId,
    /// The tasks that are named.
    pub(super) named: &'a [TaskId],
    /// Tasks that only waited for one of them, and which.
    pub(super) followers: &'a BTreeMap<TaskId, TaskId>,
    /// The model for the named ones.
    pub(super) model: Option<&'a str>,
}

/// What a resume would run.
#[derive(Serialize, JsonSchema)]
pub(in crate::commands) struct Explained<'a> {
    /// The run.
    run: &'a RunId,
    /// Tasks whose results are used again.
    reused: u32,
    /// What those had cost.
    saved: PicoUsd,
    /// Tasks that would run.
    runs: Vec<Row>,
    /// Tasks that would run if a result that they read becomes another one.
    may_run: Vec<Row>,
}

/// A task, and why it would run.
#[derive(Serialize, JsonSchema)]
struct Row {
    /// Its number: `t7`.
    task: String,
    /// Its name.
    label: Arc<str>,
    /// Why, as a phrase.
    why: String,
}

/// Says what the launch would run, and sends nothing.
pub(super) async fn explain(
    launch: Launch,
    asked: &Asked<'_>,
    engine: &Engine,
    context: &Context,
) -> Result<Exit, Problem> {
    let ready = prepare(launch, &context.app).await?;
    let Some(rehearsed) = ready.rehearse().await? else {
        return Ok(Exit::Ok);
    };
    let specs = specs(engine, asked.id, &rehearsed).await?;
    let mut runs: Vec<TaskId> = rehearsed.to_run().collect();
    // Those that the flow asks for only when an earlier one has ended.
    let later = asked.named.iter().chain(asked.followers.keys());
    let later: Vec<TaskId> = later.copied().filter(|id| !runs.contains(id)).collect();
    runs.extend(later);
    runs.sort_unstable();
    let row = |id: TaskId, why: String| {
        let task = rehearsed.after.task(id);
        Row {
            task: id.to_string(),
            label: task.map(|task| task.label.clone()).unwrap_or_default(),
            why,
        }
    };
    let may_run = readers(&rehearsed, &runs);
    let explained = Explained {
        run: asked.id,
        reused: rehearsed.after.reused,
        saved: rehearsed.after.saved,
        may_run: may_run
            .iter()
            .map(|(id, read)| row(*id, format!("if the result of {read} becomes another one")))
            .collect(),
        runs: runs
            .iter()
            .map(|id| row(*id, why(*id, &rehearsed, asked, &specs)))
            .collect(),
    };
    let text = if context.global.json {
        json::pretty(&explained).context("cannot write it as JSON")?
    } else {
        let look = Look::of_stdout(false);
        look::page(&explained.lines(), &look)
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}

impl Explained<'_> {
    fn lines(&self) -> Vec<Line> {
        let mut head = Line::of(Tone::Strong, self.run.to_string());
        let reused = number::counted(self.reused.into(), "result is", "results are");
        head = head.plain(format!(": {reused} used again"));
        if self.saved > PicoUsd::ZERO {
            head = head.plain(format!(", which had cost {}", self.saved));
        }
        let mut lines = vec![head];
        let mut section = |title: &str, rows: &[Row]| {
            if rows.is_empty() {
                return;
            }
            let count = number::counted(rows.len() as u64, "task", "tasks");
            lines.push(Line::new().plain(format!("{title}: {count}")));
            for Row { task, label, why } in rows {
                let line = Line::new().plain(format!("  {task} "));
                lines.push(
                    line.put(Tone::Strong, text::line(label))
                        .put(Tone::Dim, format!("  {}", text::line(why))),
                );
            }
        };
        section("would run", &self.runs);
        section("may run", &self.may_run);
        let after = match self.runs.is_empty() {
            true => "nothing would run",
            false => "what the flow asks for after these is not known yet; nothing was sent",
        };
        lines.push(Line::of(Tone::Dim, after));
        lines
    }
}

/// The current tasks that read the result of one of `runs`, directly or not, and which one.
fn readers(rehearsed: &Rehearsed, runs: &[TaskId]) -> BTreeMap<TaskId, TaskId> {
    let before = &rehearsed.before;
    let replaced = runs.iter().filter_map(|id| predecessor(*id, rehearsed));
    let mut changing: BTreeSet<TaskId> = replaced.chain(runs.iter().copied()).collect();
    let mut readers = BTreeMap::new();
    // A task reads only results of tasks with smaller numbers, or of ones that were made anew.
    for (id, task) in before.current() {
        if changing.contains(&id) {
            continue;
        }
        if let Some(read) = task.reads.iter().find(|read| changing.contains(read)) {
            readers.insert(id, *read);
            changing.insert(id);
        }
    }
    readers
}

fn why(
    id: TaskId,
    rehearsed: &Rehearsed,
    asked: &Asked<'_>,
    specs: &BTreeMap<TaskId, Task>,
) -> String {
    if asked.named.contains(&id) {
        return match asked.model {
            Some(model) => format!("you have named it, on {model}"),
            None => "you have named it".to_owned(),
        };
    }
    if let Some(awaited) = asked.followers.get(&id) {
        return format!("it waited for {awaited}, and agents may change files");
    }
    let Some(before) = rehearsed.before.task(id) else {
        return why_new(id, rehearsed, specs);
    };
    match before.status {
        Status::Failed => match rehearsed.before.failure_of(before) {
            Some(failure) => format!("it had failed: {failure}"),
            None => "it had failed".to_owned(),
        },
        Status::Skipped => "it had been skipped".to_owned(),
        Status::Cancelled => "it had been cancelled".to_owned(),
        Status::Unclaimed
        | Status::Waiting
        | Status::Resting
        | Status::Running
        | Status::Between
        | Status::Suspended
        | Status::Ok => "it had not ended".to_owned(),
    }
}

/// Why the journal does not know a task: what differs from the task that it seems to replace.
fn why_new(id: TaskId, rehearsed: &Rehearsed, specs: &BTreeMap<TaskId, Task>) -> String {
    let Some(old) = predecessor(id, rehearsed) else {
        return "the journal has no such task".to_owned();
    };
    let (Some(then), Some(now)) = (specs.get(&old), specs.get(&id)) else {
        return format!("it differs from {old}");
    };
    let differs = [
        ("prompt", then.prompt != now.prompt),
        ("context", then.context != now.context),
        ("schema", then.schema != now.schema),
        ("model", then.model != now.model),
        ("effort", then.effort != now.effort),
        (
            "tools",
            (&then.tools, &then.disallowed_tools) != (&now.tools, &now.disallowed_tools),
        ),
        ("agent", then.agent_type != now.agent_type),
        ("executor", then.executor != now.executor),
        ("check", then.check != now.check),
        ("isolation", then.isolation != now.isolation),
        ("list of input files", then.inputs != now.inputs),
    ];
    let differs: Vec<&str> = differs
        .iter()
        .filter(|(_, is)| *is)
        .map(|(name, _)| *name)
        .collect();
    match &differs[..] {
        [] => format!(
            "in place of {old}: the model of the run or the content of an input file is another one"
        ),
        [one] => format!("in place of {old}: its {one} has changed"),
        several => format!("in place of {old}: {} have changed", several.join(", ")),
    }
}

/// The task that a new one seems to replace: one of the same name or place in the flow, which the
/// flow no longer asks for.
fn predecessor(id: TaskId, rehearsed: &Rehearsed) -> Option<TaskId> {
    let after = &rehearsed.after;
    let new = after
        .task(id)
        .filter(|_| rehearsed.before.task(id).is_none())?;
    let place = |task: &TaskView| task.site.and_then(|site| after.sites.get(site));
    let is_like = |task: &TaskView| {
        task.label == new.label || (place(task).is_some() && place(task) == place(new))
    };
    let is_gone = |task: &TaskView| task.execution != after.execution;
    let index = after
        .tasks
        .iter()
        .rposition(|task| is_gone(task) && is_like(task))?;
    Some(TaskId(index as u32))
}

/// The tasks as they were asked for: those of the journal that are no longer asked for, and the new
/// ones.
async fn specs(
    engine: &Engine,
    id: &RunId,
    rehearsed: &Rehearsed,
) -> Result<BTreeMap<TaskId, Task>, Problem> {
    let mut specs = BTreeMap::new();
    let parse = |json: &str| serde_json::from_str::<Task>(json).ok();
    for (task, json) in &rehearsed.new_specs {
        specs.extend(parse(json).map(|spec| (*task, spec)));
    }
    if specs.is_empty() {
        return Ok(specs);
    }
    let mut position = Position::default();
    loop {
        let page = engine.store().events(id, position).await?;
        if page.is_empty() {
            return Ok(specs);
        }
        position = position.after(page.len());
        for recorded in page {
            let Event::TaskSubmitted(submitted) = recorded.event else {
                continue;
            };
            let is_gone = rehearsed
                .after
                .task(submitted.task)
                .is_some_and(|task| task.execution != rehearsed.after.execution);
            if is_gone {
                let json = engine.read(&submitted.spec).await?;
                specs.extend(parse(&json).map(|spec| (submitted.task, spec)));
            }
        }
    }
}
