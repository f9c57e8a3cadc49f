//! `divisi doctor`: what was found, and what to do about what is missing.

mod report;

mod page;

use crate::context::Context;
use crate::display::Look;
use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use divisi_app::Problem;

/// Show what was found (keys, models, settings, store) and what is missing
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ends with 1 if nothing could be run. Keys are never shown, only whether they are set.")]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, context: &Context) -> Result<Exit, Problem> {
    let report = report::examine(context).await?;
    let text = match context.global.json {
        true => serde_json::to_string_pretty(&report).context("cannot write the report")?,
        false => page::page(&report, &Look::of_stdout(false)),
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(if report.can_run {
        Exit::Ok
    } else {
        Exit::Failed
    })
}
