//! `divisi completions`: completions for shells.

use crate::cli;
use crate::exit::Exit;
use crate::output;
use crate::problem::Problem;
use anyhow::Context as _;
use clap_complete::Shell;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi completions bash > ~/.local/share/bash-completion/completions/divisi
  divisi completions zsh > ~/.zfunc/_divisi
  divisi completions fish > ~/.config/fish/completions/divisi.fish")]
pub(crate) struct Args {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Problem> {
    let mut text = vec![];
    clap_complete::generate(args.shell, &mut cli::command(), "divisi", &mut text);
    output::print(String::from_utf8_lossy(&text).trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}
