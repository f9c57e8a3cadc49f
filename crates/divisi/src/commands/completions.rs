//! `divisi completions`: completions for shells.

use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use clap_complete::Shell;
use divisi_app::Problem;

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

pub(crate) fn run(args: &Args, mut line: clap::Command) -> Result<Exit, Problem> {
    let mut text = vec![];
    clap_complete::generate(args.shell, &mut line, "divisi", &mut text);
    output::print(String::from_utf8_lossy(&text).trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}
