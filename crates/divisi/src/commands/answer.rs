//! `divisi answer`: answers a task that waits for a person.

use super::show::find_task;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use divisi_app::{Intent, Problem};
use divisi_engine::{AnswerError, Engine};

/// Answers to the question of `decompose --approve`.
pub(super) const APPROVED: &str = r#"{"approved": true}"#;
pub(super) const REFUSED: &str = r#"{"approved": false}"#;

/// Answer a task that waits for a person
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi answer last t3 yes
  divisi answer k3f9 \"which database\" postgres
  divisi answer k3f9 t3 '{\"severity\": \"high\"}'

A task waits for a person where the flow says so: `agent('Deploy?', { executor: 'person' })`. The run rests \
once nothing else is left to do; the answer is kept in its journal, and `divisi resume` goes on with it.")]
pub(crate) struct Args {
    /// The run's id, its beginning, or `last`: the last one of this folder
    run: String,
    /// The task, by its number or its label
    task: String,
    /// The answer: text, or JSON where the task has a schema; `yes` or `no` to a plan
    value: String,
}

/// The answer to `decompose --approve` for a word.
fn approval(word: &str) -> Option<&'static str> {
    match word {
        "yes" | "true" => Some(APPROVED),
        "no" | "false" => Some(REFUSED),
        _ => None,
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        run: word,
        task,
        value,
    } = args;
    let engine = Engine::new(context.app.store()?);
    let id = context.app.find_run(&word, Intent::Act).await?;
    let (view, _) = engine.view(&id).await?;
    let task = find_task(&view, &task)?;
    let answered = match engine.answer(&id, task, &value).await {
        Err(AnswerError::Misfit(misfit)) => match approval(&value) {
            Some(value) => engine.answer(&id, task, value).await,
            None => Err(AnswerError::Misfit(misfit)),
        },
        answered => answered,
    };
    answered.map_err(|error| match error {
        AnswerError::NotWaiting(_) => {
            Problem::usage(format!("{task} of run {id} waits for no answer"))
                .hint(format!("`divisi show {id}` says what each task does"))
        }
        AnswerError::Misfit(_) => Problem::usage(error.to_string())
            .hint(format!("`divisi show {id} {task}` shows the schema")),
        AnswerError::Start(error) => error.into(),
        AnswerError::Drive(error) => error.into(),
        error => Problem::failed(error),
    })?;
    output::say(&format!(
        "{task} is answered; `divisi resume {id}` goes on with it"
    ));
    Ok(Exit::Ok)
}
