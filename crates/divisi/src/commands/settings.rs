//! `divisi settings`: the reference of all settings.

use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use divisi_app::Problem;
use divisi_app::settings::reference;
use std::path::PathBuf;

/// Write the reference of all settings, or their JSON schema for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi settings | less
  divisi settings --schema -o divisi.schema.json

An editor finds the schema by a first line `#:schema ./divisi.schema.json` in divisi.toml.")]
pub(crate) struct Args {
    /// Write the JSON schema of divisi.toml
    #[arg(long)]
    schema: bool,
    /// The file to write; stdout if there is none
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Problem> {
    let text = match args.schema {
        true => format!("{:#}\n", reference::schema()),
        false => reference::markdown(),
    };
    match &args.output {
        Some(path) => {
            std::fs::write(path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => output::print(text.trim_end()).context("cannot write to stdout")?,
    }
    Ok(Exit::Ok)
}
