//! `divisi man`: manual pages.

use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use clap_mangen::Man;
use divisi_app::Problem;
use std::path::PathBuf;

/// Write the manual pages
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi man | man -l -
  divisi man -o ~/.local/share/man/man1")]
pub(crate) struct Args {
    /// The folder for all pages; without one the main page goes to stdout
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, line: clap::Command) -> Result<Exit, Problem> {
    match &args.output {
        Some(folder) => {
            let failed = || format!("cannot write the manual pages to {}", folder.display());
            std::fs::create_dir_all(folder).with_context(failed)?;
            clap_mangen::generate_to(line, folder).with_context(failed)?;
        }
        None => {
            let mut page = vec![];
            Man::new(line)
                .render(&mut page)
                .context("cannot make the manual page")?;
            output::print(String::from_utf8_lossy(&page).trim_end())
                .context("cannot write to stdout")?;
        }
    }
    Ok(Exit::Ok)
}
