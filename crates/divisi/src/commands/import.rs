//! `divisi import`: takes a run out of a file.

use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use divisi_app::{Problem, bundle};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

/// Take a run from a file that `divisi export` has written
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi import k3f9.divisi
  divisi show k3f9

The run belongs to this folder from then on. Its tasks, results and costs are those of the file. If it is \
resumed, its agents may only read until `--allow` is given again, and work in this folder; the flow is the \
one in the file. A file that is damaged, or that divisi has not written, is refused.")]
pub(crate) struct Args {
    /// The file, or `-` for stdin
    file: PathBuf,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let (mut stdin, mut file);
    let lines: &mut dyn BufRead = match args.file.as_os_str() == "-" {
        true => {
            stdin = std::io::stdin().lock();
            &mut stdin
        }
        false => {
            let failed = || format!("cannot read {}", args.file.display());
            file = BufReader::new(File::open(&args.file).with_context(failed)?);
            &mut file
        }
    };
    let bundle = bundle::read(lines).map_err(|error| {
        Problem::usage(format!("{}: {error}", args.file.display()))
            .hint("nothing was imported; export the run again, and copy the file whole")
    })?;
    let store = context.app.store()?;
    let id = bundle.import(&*store, &context.app.place()).await?;
    output::say(&format!(
        "run {id} is imported; `divisi show {id}` shows it"
    ));
    Ok(Exit::Ok)
}
