//! `divisi schema`: the JSON schemas of output.

use super::forms::FORMS;
use crate::exit::Exit;
use crate::output;
use crate::text;
use anyhow::Context as _;
use divisi_app::Problem;

/// Print the JSON schema of what a command prints with --json
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi schema                # which there are
  divisi schema runs

docs/json.md says what holds for all of them.")]
pub(crate) struct Args {
    /// The schema: a command, or another name of the list
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Problem> {
    let text = match &args.name {
        None => {
            let width = FORMS.iter().map(|form| form.name.len()).max();
            let width = width.unwrap_or_default();
            let row = |form: &super::forms::Form| {
                let (name, commands) = (form.name, form.printed_by.join(", "));
                format!("{name:<width$}  {commands}")
            };
            FORMS.iter().map(row).collect::<Vec<_>>().join("\n")
        }
        Some(name) => {
            let is_it = |words: &&str| *words == *name;
            let known = FORMS
                .iter()
                .find(|form| form.name == name || form.printed_by.iter().any(is_it));
            let unknown = || {
                let name = text::line(name);
                Problem::usage(format!("there is no schema `{name}`"))
                    .hint("`divisi schema` lists them")
            };
            format!("{:#}", known.ok_or_else(unknown)?.schema())
        }
    };
    output::print(&text).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}
