//! `divisi results`: what the tasks of a run have answered.

use super::show::find_task;
use crate::context::Context;
use crate::exit::Exit;
use crate::results::{Format, all, folder, form, print, rows};
use crate::{output, save};
use divisi_app::{Intent, Problem};
use divisi_engine::Engine;
use std::path::PathBuf;

/// Print what the tasks of a run have answered, or write it into a file or a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi results
  divisi results last --format csv > results.csv
  divisi results k3f9 -o results.md
  divisi results k3f9 -o answers/          # one file for each task
  divisi results k3f9 -o answers/ --format json
  divisi results last --json | jq '.[] | select(.status != \"ok\") | .label'

A file appears whole or not at all. Without --format the name of the file decides: .json, .ndjson, .csv, .md, .txt.")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    #[arg(default_value = "last")]
    run: String,
    /// Only these tasks, by their numbers or labels
    tasks: Vec<String>,
    /// The form of the output
    #[arg(long, value_enum, conflicts_with_all = ["json", "jq"])]
    format: Option<Format>,
    /// Write into this file, or into this folder one file for each task; `-` is stdout
    #[arg(short, long, value_name = "FILE|DIR/")]
    out: Option<PathBuf>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    // Those before the name of the command are not compared by clap with those after it.
    if args.format.is_some() && context.global.json {
        return Err(Problem::usage(
            "--format cannot be used with --json or --jq",
        ));
    }
    let id = context.app.find_run(&args.run, Intent::Look).await?;
    let engine = Engine::new(context.app.store()?);
    let (view, _) = engine.view(&id).await?;
    let tasks = match args.tasks.is_empty() {
        true => all(&view),
        false => {
            let named = args.tasks.iter().map(|word| find_task(&view, word));
            named.collect::<Result<Vec<_>, _>>()?
        }
    };
    let rows = rows(&engine, &id, &view, tasks).await?;
    if rows.is_empty() {
        output::say(&format!("note: run {id} has no tasks"));
    }
    let out = args.out.filter(|path| path.as_os_str() != "-");
    let of_file = out.as_deref().and_then(Format::of_file);
    let json = context.global.json.then_some(Format::Json);
    let asked = args.format.or(json);
    let format = asked.or(of_file).unwrap_or(Format::Text);
    match &out {
        Some(path) if save::is_folder(path) => folder::write(&rows, asked, path)?,
        Some(path) => save::save(path, &form::render(&rows, format)?, save::FOR_ALL)?,
        None => print(&rows, format)?,
    }
    Ok(Exit::Ok)
}
