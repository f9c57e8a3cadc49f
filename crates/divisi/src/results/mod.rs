//! What the tasks of a run have answered, in the forms in which it is printed and written.

pub(crate) mod folder;
pub(crate) mod form;

use crate::flags::StreamForm;
use crate::journal::each_event;
use crate::{output, result, save, text};
use anyhow::Context as _;
use clap::ValueEnum;
use divisi_app::Problem;
use divisi_core::view::TaskView;
use divisi_core::{Event, Outcome, RunId, RunView, TaskId};
use divisi_engine::Engine;
use form::Row;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

/// A form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Each result under its label
    Text,
    /// One list
    Json,
    /// One JSON object a line
    Ndjson,
    /// One row for each task, with a head
    Csv,
    /// One section for each task
    Md,
}

impl Format {
    /// The form for a file of this name.
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "txt" => Some(Self::Text),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            "md" => Some(Self::Md),
            _ => None,
        }
    }

    /// The ending of its files.
    fn ending(self) -> &'static str {
        match self {
            Self::Text => "txt",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Md => "md",
        }
    }
}

/// The tasks of the latest execution, without timers.
pub(crate) fn all(view: &RunView) -> Vec<TaskId> {
    let tasks = view.current().filter(|(_, task)| !task.is_timer);
    tasks.map(|(task, _)| task).collect()
}

/// Prints rows on stdout.
pub(crate) fn print(rows: &[Row], format: Format) -> Result<(), Problem> {
    let text = form::render(rows, format)?;
    let text = text.trim_end();
    if text.is_empty() {
        return Ok(());
    }
    // On a terminal a text from a model must not act; a program receives its exact bytes.
    let printed = match std::io::stdout().is_terminal() {
        true => output::print(&text::block(text)),
        false => output::print_as_it_is(text),
    };
    Ok(printed.context("cannot write to stdout")?)
}

/// Prints rows on stdout that come one after the other.
pub(crate) fn print_stream(rows: &[Row], form: StreamForm) -> Result<(), Problem> {
    for row in rows {
        let row = std::slice::from_ref(row);
        match form {
            StreamForm::Ndjson => print(row, Format::Ndjson)?,
            StreamForm::Text => {
                print(row, Format::Text)?;
                // Between two results.
                output::print_as_it_is("").context("cannot write to stdout")?;
            }
        }
    }
    Ok(())
}

/// The tasks with their latest results.
pub(crate) async fn rows(
    engine: &Engine,
    id: &RunId,
    view: &RunView,
    tasks: Vec<TaskId>,
) -> Result<Vec<Row>, Problem> {
    let mut outcomes = BTreeMap::new();
    each_event(&**engine.store(), id, |recorded| {
        if let Event::TaskEnded { task, outcome } = recorded.event {
            outcomes.insert(task, outcome);
        }
    })
    .await?;
    let mut rows = Vec::with_capacity(tasks.len());
    for id in tasks {
        let Some(task) = view.task(id) else { continue };
        // A task that is tried again has an outcome that no longer holds.
        let outcome = outcomes.get(&id).filter(|_| task.status.has_ended());
        rows.push(row(engine, view, (id, task), outcome).await?);
    }
    Ok(rows)
}

/// One task with its outcome.
pub(crate) async fn row(
    engine: &Engine,
    view: &RunView,
    (id, task): (TaskId, &TaskView),
    outcome: Option<&Outcome>,
) -> Result<Row, Problem> {
    let result = match outcome {
        Some(Outcome::Ok { value }) => {
            let text = engine.read(value).await?;
            Some(serde_json::from_str(&text).context("a result cannot be read")?)
        }
        _ => None,
    };
    let reason = match outcome {
        Some(Outcome::Failed(failure)) => Some(failure.to_string()),
        Some(Outcome::Skipped { reason }) => Some(reason.clone()),
        Some(Outcome::Ok { .. } | Outcome::Cancelled) | None => None,
    };
    Ok(Row::new(id, view, task, result, reason))
}

/// Writes what the run has returned into a file, or what its tasks have answered into a folder.
pub(crate) async fn save_results(
    engine: &Engine,
    (id, returned): (&RunId, Option<&str>),
    path: &Path,
) -> Result<(), Problem> {
    if save::is_folder(path) {
        let (view, _) = engine.view(id).await?;
        let rows = rows(engine, id, &view, all(&view)).await?;
        return folder::write(&rows, None, path);
    }
    match returned.map(result::text).transpose()?.flatten() {
        Some(text) => save::save(path, &text, save::FOR_ALL),
        None => {
            let path = path.display();
            output::say(&format!(
                "note: run {id} has no result, and {path} is not written"
            ));
            Ok(())
        }
    }
}
