//! `divisi show`: what a run did, or one of its tasks.

use crate::context::Context;
use crate::display::show::{Executions, INTERRUPTED, RunForm, TaskPage, TaskPageForm, Texts, tree};
use crate::display::{Line, Look, json, look};
use crate::exit::Exit;
use crate::follow;
use crate::journal::each_event;
use crate::output;
use anyhow::Context as _;
use divisi_app::{Intent, Problem, clock};
use divisi_core::view::TaskView;
use divisi_core::{Content, Event, Recorded, RunId, RunView, TaskId};
use divisi_engine::Engine;
use divisi_engine::store::{Store, status_word};
use serde::Serialize;

/// Show what a run did: its tasks by phase, or one task in full
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi show last
  divisi show k3f9 t7
  divisi show k3f9 \"audit auth\" --all")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    #[arg(default_value = "last")]
    run: String,
    /// One task, by its number or its label: its prompt, attempts, turns, result
    task: Option<String>,
    /// Show everything in full
    #[arg(short, long)]
    all: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let id = context.app.find_run(&args.run, Intent::Look).await?;
    let engine = Engine::new(context.app.store()?);
    let (view, is_interrupted) = engine.view(&id).await?;
    let look = Look::of_stdout(follow::is_demo(&engine, &view).await?);
    let page = Page {
        json: context.global.json,
        look,
    };
    let status = if is_interrupted {
        INTERRUPTED
    } else {
        status_word(&view.stage)
    };
    if is_interrupted {
        output::say(&format!(
            "note: {id} was interrupted, and no process drives it; go on with `divisi resume {id}`"
        ));
    }
    match &args.task {
        None => show_run(&engine, &id, (&view, status), args.all, &page).await?,
        Some(word) => {
            show_task(
                &engine,
                &id,
                &view,
                find_task(&view, word)?,
                args.all,
                &page,
            )
            .await?;
        }
    }
    Ok(Exit::Ok)
}

/// What is shown, and how.
struct Page {
    json: bool,
    look: Look,
}

impl Page {
    fn print(
        &self,
        form: &impl Serialize,
        lines: impl FnOnce() -> Vec<Line>,
    ) -> Result<(), Problem> {
        let text = match self.json {
            true => json::pretty(form).context("cannot write it as JSON")?,
            false => look::page(&lines(), &self.look),
        };
        Ok(output::print(text.trim_end()).context("cannot write to stdout")?)
    }
}

async fn show_run(
    engine: &Engine,
    id: &RunId,
    (view, status): (&RunView, &str),
    all: bool,
    page: &Page,
) -> Result<(), Problem> {
    let mut executions = Executions::default();
    each_event(&**engine.store(), id, |recorded| {
        executions.record(&recorded);
    })
    .await?;
    let earlier = executions.earlier();
    let returned = earlier.iter().map(|before| before.result.as_ref().ok());
    let now = view.result.as_ref().and_then(|result| result.as_ref().ok());
    let returned = returned.chain([now]).flatten();
    let texts = load(engine, returned).await?;
    page.print(&RunForm::new(id, view, status, &earlier, &texts), || {
        tree(id, (view, &earlier), status, all, clock::now(), &page.look)
    })
}

async fn show_task(
    engine: &Engine,
    id: &RunId,
    view: &RunView,
    task: TaskId,
    all: bool,
    page: &Page,
) -> Result<(), Problem> {
    let events = events_of(&**engine.store(), id, task).await?;
    let task = TaskPage {
        id,
        view,
        task,
        events: &events,
    };
    let texts = load(engine, task.contents()).await?;
    page.print(&TaskPageForm::new(&task, &texts), || {
        task.render(&texts, all, clock::now(), &page.look)
    })
}

async fn load<'a>(
    engine: &Engine,
    contents: impl IntoIterator<Item = &'a Content>,
) -> Result<Texts, Problem> {
    let mut texts = Texts::default();
    for content in contents {
        texts.insert(content, engine.read(content).await?);
    }
    Ok(texts)
}

/// The events of one task.
async fn events_of(store: &dyn Store, id: &RunId, task: TaskId) -> Result<Vec<Recorded>, Problem> {
    let mut events = vec![];
    each_event(store, id, |recorded| {
        if task_of(&recorded.event) == Some(task) {
            events.push(recorded);
        }
    })
    .await?;
    Ok(events)
}

fn task_of(event: &Event) -> Option<TaskId> {
    match event {
        Event::TaskSubmitted(submitted) => Some(submitted.task),
        Event::TaskClaimed { task, .. }
        | Event::RetryPlanned { task, .. }
        | Event::TaskEnded { task, .. } => Some(*task),
        Event::AttemptScheduled { attempt, .. }
        | Event::TurnScheduled { attempt, .. }
        | Event::TurnHedged { attempt, .. }
        | Event::HedgeEnded { attempt, .. }
        | Event::AttemptSuspended { attempt, .. }
        | Event::AttemptReported { attempt, .. }
        | Event::SuspensionAnswered { attempt, .. }
        | Event::TurnEnded { attempt, .. }
        | Event::AttemptEnded { attempt, .. } => Some(attempt.task),
        Event::RunStarted(_)
        | Event::RunResumed(_)
        | Event::CaughtUp { .. }
        | Event::PhaseStarted { .. }
        | Event::Logged { .. }
        | Event::Estimated { .. }
        | Event::SoftLimitReached { .. }
        | Event::Refused { .. }
        | Event::Uncaught { .. }
        | Event::ParkingStarted { .. }
        | Event::RunParked { .. }
        | Event::CapChanged { .. }
        | Event::WidthChanged { .. }
        | Event::WaitStarted { .. }
        | Event::RunWoken
        | Event::FlowEnded { .. }
        | Event::RunEnded { .. } => None,
    }
}

/// The task with that number or label. Fails if several tasks have the label.
pub(super) fn find_task(view: &RunView, word: &str) -> Result<TaskId, Problem> {
    let number = word.strip_prefix('t').unwrap_or(word).parse().map(TaskId);
    if let Some(id) = number.ok().filter(|id| view.task(*id).is_some()) {
        return Ok(id);
    }
    let is_it = |(_, task): &(TaskId, &TaskView)| &*task.label == word;
    // Tasks of earlier executions are searched only if the latest one has none with the label.
    let has_now = view.current().any(|task| is_it(&task));
    let (now, earlier) = (
        view.current().filter(|_| has_now),
        view.earlier().filter(|_| !has_now),
    );
    let mut labelled = now.chain(earlier).filter(is_it);
    match (labelled.next(), labelled.next()) {
        (Some((id, _)), None) => Ok(id),
        (Some((first, _)), Some((second, _))) => {
            Err(Problem::usage(format!("several tasks are called `{word}`"))
                .hint(format!("name one by its number: {first}, {second}, …")))
        }
        (None, _) => Err(Problem::usage(format!("the run has no task `{word}`"))
            .hint("`divisi show <run>` lists its tasks with their numbers")),
    }
}
