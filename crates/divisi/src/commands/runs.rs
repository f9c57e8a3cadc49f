//! `divisi runs`: the list of runs.

use crate::context::Context;
use crate::display::show::INTERRUPTED;
use crate::display::{Look, json, look, runs};
use crate::exit::Exit;
use crate::problem::Problem;
use crate::{clock, output};
use anyhow::Context as _;
use clap::value_parser;
use divisi_engine::Engine;

/// List the runs, latest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi runs
  divisi runs --limit 100 --json")]
pub(crate) struct Args {
    /// How many
    #[arg(short, long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..))]
    limit: u32,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.store()?);
    let mut found = engine.store().runs(args.limit as usize).await?;
    for run in &mut found {
        // Its process was killed: the journal could not say so.
        if run.status == "running" && !engine.is_driven(&run.id) {
            run.status = INTERRUPTED.to_owned();
        }
    }
    let text = if context.global.json {
        json::harmless(&serde_json::to_string_pretty(&found).context("cannot write the list")?)
    } else {
        let look = Look::of_stdout(false);
        look::page(&runs::runs(&found, clock::now(), &look), &look)
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}
