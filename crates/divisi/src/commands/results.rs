//! `divisi results`: what the tasks of a run have answered.

mod form;
mod folder;

use super::show::{each_event, find_task};
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use crate::text;
use anyhow::Context as _;
use clap::ValueEnum;
use divisi_app::{Intent, Problem};
use divisi_core::{Event, Outcome, RunId, RunView, TaskId};
use divisi_engine::Engine;
use form::Row;
use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Print what the tasks of a run have answered, or write it into a file or a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi results
  divisi results last --format csv > results.csv
  divisi results k3f9 -o results.md
  divisi results k3f9 -o answers/          # one file for each task
  divisi results last --json | jq '.[] | select(.status != \"ok\") | .label'

A file appears whole or not at all. Without --format the name of the file decides: .json, .ndjson, .csv, .md, .txt.")]
pub(crate) struct Args {
    /// The run's id, its beginning, or `last`: the last one of this folder
    #[arg(default_value = "last")]
    run: String,
    /// Only these tasks, by their numbers or labels
    tasks: Vec<String>,
    /// The form of the output
    #[arg(long, value_enum, conflicts_with = "json")]
    format: Option<Format>,
    /// Write into this file, or into this folder one file for each task
    #[arg(short, long, value_name = "FILE|DIR/")]
    out: Option<PathBuf>,
}

/// A form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
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
    fn of_file(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "txt" => Some(Self::Text),
            "json" => Some(Self::Json),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            "csv" => Some(Self::Csv),
            "md" => Some(Self::Md),
            _ => None,
        }
    }
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let id = context.app.find_run(&args.run, Intent::Look).await?;
    let engine = Engine::new(context.app.store()?);
    let (view, _) = engine.view(&id).await?;
    let tasks = match args.tasks.is_empty() {
        true => {
            let tasks = view.current().filter(|(_, task)| !task.is_timer);
            tasks.map(|(task, _)| task).collect()
        }
        false => {
            let named = args.tasks.iter().map(|word| find_task(&view, word));
            named.collect::<Result<Vec<_>, _>>()?
        }
    };
    let rows = rows(&engine, &id, &view, tasks).await?;
    if rows.is_empty() {
        output::say(&format!("note: run {id} has no tasks"));
    }
    let of_file = args.out.as_deref().and_then(Format::of_file);
    let json = context.global.json.then_some(Format::Json);
    let format = args.format.or(json).or(of_file).unwrap_or(Format::Text);
    match &args.out {
        Some(path) if folder::is_meant(path) => folder::write(&rows, path)?,
        Some(path) => write(path, &form::render(&rows, format)?)?,
        None => print(&rows, format)?,
    }
    Ok(Exit::Ok)
}

fn print(rows: &[Row], format: Format) -> Result<(), Problem> {
    let text = form::render(rows, format)?;
    let text = text.trim_end();
    // On a terminal a text from a model must not act; a program receives its exact bytes.
    let printed = match std::io::stdout().is_terminal() {
        true => output::print(&text::block(text)),
        false => output::print_as_it_is(text),
    };
    Ok(printed.context("cannot write to stdout")?)
}

/// The tasks with their latest results.
async fn rows(
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
        rows.push(Row::new(id, view, task, result, reason));
    }
    Ok(rows)
}

/// Writes a file as a whole: a reader sees the old one or the new one. What is no file, such as a
/// pipe or a device, is written to.
fn write(path: &Path, text: &str) -> Result<(), Problem> {
    let failed = || format!("cannot write {}", path.display());
    match std::fs::metadata(path) {
        Ok(found) if !found.is_file() => {
            let mut device = File::options()
                .write(true)
                .open(path)
                .with_context(failed)?;
            return Ok(device.write_all(text.as_bytes()).with_context(failed)?);
        }
        _ => {}
    }
    // A link stays one, and its file is replaced.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let path = target.as_path();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .with_context(failed)?;
    file.write_all(text.as_bytes()).with_context(failed)?;
    file.persist(path).with_context(failed)?;
    Ok(())
}
