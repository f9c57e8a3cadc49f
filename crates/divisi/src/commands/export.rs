//! `divisi export`: a run as one file.

use crate::context::Context;
use crate::display::json;
use crate::exit::Exit;
use crate::output;
use crate::save;
use anyhow::Context as _;
use divisi_app::{Intent, Problem, bundle};
use divisi_core::RunId;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Write a run into one file, for another machine or for keeping
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi export k3f9 -o k3f9.divisi
  divisi export last | ssh other divisi import -

The file has everything that the run has asked and answered, as lines of JSON: docs/export.md describes \
them. A run that is being driven is exported as it is at that moment.")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    #[arg(default_value = "last")]
    run: String,
    /// The file; without it, or with `-`, stdout
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A run that was written into a file.
#[derive(Serialize, JsonSchema)]
pub(super) struct Exported<'a> {
    /// Its id.
    run: &'a RunId,
    /// The file.
    file: &'a Path,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let id = context.app.find_run(&args.run, Intent::Look).await?;
    let store = context.app.store()?;
    let lines = bundle::export(&*store, &id).await?;
    match args.out.filter(|path| path.as_os_str() != "-") {
        Some(path) => {
            save::save(&path, &lines, save::FOR_OWNER)?;
            if context.global.json {
                let exported = Exported {
                    run: &id,
                    file: &path,
                };
                let text = json::pretty(&exported).context("cannot write it as JSON")?;
                output::print(&text).context("cannot write to stdout")?;
            }
            output::say(&format!("run {id} is in {}", path.display()));
        }
        None if std::io::stdout().is_terminal() => {
            return Err(
                Problem::usage("a run is no text to read on a terminal").hint(format!(
                    "write it into a file: `divisi export {id} -o {id}.divisi`"
                )),
            );
        }
        // Byte by byte, because its digest is part of it.
        None => output::results()
            .write_all(lines.as_bytes())
            .context("cannot write to stdout")?,
    }
    Ok(Exit::Ok)
}
