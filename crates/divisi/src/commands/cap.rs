//! `divisi cap`: sets the cap of a run that another process drives.

use crate::cap;
use crate::context::Context;
use crate::display::json;
use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use divisi_app::settings::Dollars;
use divisi_app::{Intent, Problem};
use divisi_core::{PicoUsd, RunId};
use divisi_engine::Engine;
use schemars::JsonSchema;
use serde::Serialize;

/// Set the cap in dollars of a run that another process drives
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi cap last 10
  divisi cap k3f9 2.50

The cap is for the whole run, with what it has cost so far, and cannot be below that. With a higher one, tasks \
that wait for money start; with a lower one, what is under way is finished. A resume keeps it, unless \
`--max-cost` gives another one. In the display of a run, the key c does the same.")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    run: String,
    /// The cap from now on
    dollars: Dollars,
}

/// A run with another cap.
#[derive(Serialize, JsonSchema)]
pub(super) struct Capped<'a> {
    /// Its id.
    run: &'a RunId,
    /// The cap from now on.
    cap: PicoUsd,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let id = context.app.find_run(&args.run, Intent::Act).await?;
    let (view, _) = engine.view(&id).await?;
    let Dollars(cap) = args.dollars;
    cap::set(&engine, &id, &view, cap).await?;
    if context.global.json {
        let text = json::pretty(&Capped { run: &id, cap }).context("cannot write it as JSON")?;
        output::print(&text).context("cannot write to stdout")?;
    }
    output::say(&format!("the cap of run {id} is {cap} from now on"));
    Ok(Exit::Ok)
}
