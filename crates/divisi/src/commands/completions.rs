//! `divisi completions`: completions for shells.

use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use clap_complete::env::Shells;
use divisi_app::Problem;

/// The variable with which a shell asks for completions; its value is the shell's name.
pub(crate) const VARIABLE: &str = "COMPLETE";

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi completions bash > ~/.local/share/bash-completion/completions/divisi
  divisi completions zsh > ~/.zfunc/_divisi
  divisi completions fish > ~/.config/fish/completions/divisi.fish

The shell asks `divisi` itself for the words, so that runs, models and saved flows are completed, too.")]
pub(crate) struct Args {
    /// Which shell
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(Shells::builtins().names()))]
    shell: String,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Problem> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&args.shell)
        .with_context(|| format!("there are no completions for {}", args.shell))?;
    let mut text = vec![];
    shell
        .write_registration(VARIABLE, "divisi", "divisi", "divisi", &mut text)
        .context("cannot make the completions")?;
    output::print(String::from_utf8_lossy(&text).trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}
