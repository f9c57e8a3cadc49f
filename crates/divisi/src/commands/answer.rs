//! `divisi answer`: answers a task that waits for a person.

use super::show::find_task;
use crate::context::Context;
use crate::display::json;
use crate::exit::Exit;
use crate::output;
use crate::plan_approval::{self, Waiting};
use crate::problem;
use crate::text;
use anyhow::Context as _;
use divisi_app::{Intent, Problem};
use divisi_core::event::AnsweredBy;
use divisi_core::{RunId, RunView, TaskId};
use divisi_engine::{AnswerError, Engine, Heard, SendError};
use schemars::JsonSchema;
use serde::Serialize;

/// Most tasks that are named where several wait.
const NAMED_MAX: usize = 10;

/// Answer a task that waits for a person
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi answer last yes            # if only one task waits
  divisi answer last t3 yes
  divisi answer k3f9 \"which database\" postgres
  divisi answer k3f9 t3 '{\"severity\": \"high\"}'
  divisi answer k3f9 approval edit

A task waits for a person where the flow says so: `approve('Deploy?')`. If another process drives the run, \
it goes on with the answer; otherwise the answer is kept in the journal, and `divisi resume` goes on with it. \
Of several answers the first one counts; the others end with exit code 1.")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    run: String,
    /// The task, by its number or its label, unless only one waits; then the answer: one of the
    /// choices, text, or JSON where the task has a schema; `yes`, `no` or `edit` to a plan
    #[arg(required = true, num_args = 1..=2, value_names = ["TASK", "ANSWER"])]
    answer: Vec<String>,
}

/// An answer that was given.
#[derive(Serialize, JsonSchema)]
pub(super) struct Answered<'a> {
    /// The run.
    run: &'a RunId,
    /// The task.
    task: TaskId,
    /// Whether a process drives the run and goes on with the answer; otherwise `divisi resume` does.
    driven: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args { run: word, answer } = args;
    let engine = Engine::new(context.app.store()?);
    let id = context.app.find_run(&word, Intent::Act).await?;
    let (view, _) = engine.view(&id).await?;
    let (task, value) = match <[String; 2]>::try_from(answer) {
        Ok([task, value]) => (find_task(&view, &task)?, value),
        Err(mut answer) => (the_only_one(&view, &id)?, answer.pop().unwrap_or_default()),
    };
    let value = match plan_approval::is_it(&view, task) {
        true if value == "edit" => edited(&engine, &id).await?,
        true => plan_approval::answer(&value, None).unwrap_or(value),
        false => value,
    };
    let heard = engine
        .answer(&id, task, &value)
        .await
        .map_err(|error| refused(error, &id, task))?;
    if context.global.json {
        let answered = Answered {
            run: &id,
            task,
            driven: matches!(heard, Heard::ByDriver),
        };
        let text = json::pretty(&answered).context("cannot write it as JSON")?;
        output::print(&text).context("cannot write to stdout")?;
    }
    output::say(&match heard {
        Heard::ByDriver => format!("{task} is answered; the run goes on with it"),
        Heard::ByJournal => format!("{task} is answered; `divisi resume {id}` goes on with it"),
    });
    Ok(Exit::Ok)
}

/// The task that waits for an answer, if there is only one.
fn the_only_one(view: &RunView, id: &RunId) -> Result<TaskId, Problem> {
    let mut waiting = view.questions();
    let names = |tasks: &mut dyn Iterator<Item = TaskId>| {
        let name = |id: TaskId| match view.task(id) {
            Some(task) => format!("{id} ({})", text::line(&task.label)),
            None => id.to_string(),
        };
        tasks
            .take(NAMED_MAX)
            .map(name)
            .collect::<Vec<_>>()
            .join(", ")
    };
    match (waiting.next(), waiting.next()) {
        (Some(task), None) => Ok(task),
        (None, _) => Err(
            Problem::usage(format!("no task of run {id} waits for an answer"))
                .hint(format!("`divisi show {id}` says what each task does")),
        ),
        (Some(_), Some(_)) => {
            let waiting = names(&mut view.questions());
            Err(Problem::usage(format!(
                "several tasks of run {id} wait for an answer: {waiting}"
            ))
            .hint(format!("name one: `divisi answer {id} TASK ANSWER`")))
        }
    }
}

/// The approval of the plan as the user edits it.
async fn edited(engine: &Engine, id: &RunId) -> Result<String, Problem> {
    let waiting = Waiting::of(engine, id).await?;
    let edited = plan_approval::edit(&waiting.plan, |problem| {
        problem::print(&problem);
        let answers = [("yes", true), ("no", false)];
        matches!(output::ask("edit it again?", &answers), Ok(Some(true)))
    })?;
    edited
        .and_then(|plan| plan_approval::answer("yes", Some(&plan)))
        .ok_or_else(|| Problem::usage("the plan is as it was; nothing was answered"))
}

fn refused(error: AnswerError, id: &RunId, task: TaskId) -> Problem {
    match error {
        AnswerError::Answered { by, .. } => {
            let told = match by {
                AnsweredBy::Person => "is answered already",
                AnsweredBy::Default => "has taken its default already: no person could be asked",
                AnsweredBy::Timeout => "was not answered in time",
            };
            Problem::failed(anyhow::anyhow!("{task} of run {id} {told}")).hint(format!(
                "`divisi show {id} {task}` shows the answer that counts"
            ))
        }
        AnswerError::NotWaiting(_) => {
            Problem::usage(format!("{task} of run {id} waits for no answer"))
                .hint(format!("`divisi show {id}` says what each task does"))
        }
        AnswerError::Misfit(_) => Problem::usage(error.to_string())
            .hint(format!("`divisi show {id} {task}` shows what is asked")),
        AnswerError::Start(error) => error.into(),
        AnswerError::Drive(error) => error.into(),
        AnswerError::Send(SendError::Store(error)) => error.into(),
        error => Problem::failed(error),
    }
}
