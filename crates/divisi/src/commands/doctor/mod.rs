//! `divisi doctor`: what was found, and what to do about what is missing.

pub(super) mod report;

mod page;

use crate::context::Context;
use crate::display::{Look, json};
use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use divisi_app::Problem;

/// Show whether runs can start: keys, models, settings, store, and what is missing
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi doctor
  divisi doctor --try
  divisi doctor --quiet

Ends with 1 if nothing could be run. Keys are never shown, only whether they are set. Without --try \
nothing is sent to a vendor. --quiet prints the answer alone, --verbose all settings.")]
pub(crate) struct Args {
    /// Ask each vendor for its list of models, which costs nothing and shows whether the key is valid
    #[arg(long = "try")]
    tries: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let report = report::examine(context, args.tries).await?;
    let look = Look::of_stdout(false);
    let text = match (context.global.json, context.global.quiet) {
        (true, _) => json::pretty(&report).context("cannot write the report")?,
        (false, true) => page::answer(&report, &look),
        (false, false) => page::page(&report, context.global.verbose > 0, &look),
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(if report.can_run {
        Exit::Ok
    } else {
        Exit::Failed
    })
}
