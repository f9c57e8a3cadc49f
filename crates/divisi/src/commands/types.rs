//! `divisi types`: declarations of the script language, for editors.

use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use divisi_app::Problem;
use std::path::PathBuf;

/// Write TypeScript declarations of all that a flow can use, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi types -o flows/divisi.d.ts

An editor finds them by a first line `/// <reference path=\"divisi.d.ts\" />` in the flow.")]
pub(crate) struct Args {
    /// The file to write; stdout if there is none
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Problem> {
    let types = divisi_script::types();
    match &args.output {
        Some(path) => {
            std::fs::write(path, types)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => output::print(types.trim_end()).context("cannot write to stdout")?,
    }
    Ok(Exit::Ok)
}
