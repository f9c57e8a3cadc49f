//! `divisi cap`: sets the cap of a run that another process drives.

use crate::cap;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use divisi_app::settings::Dollars;
use divisi_app::{Intent, Problem};
use divisi_engine::Engine;

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

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let id = context.app.find_run(&args.run, Intent::Act).await?;
    let (view, _) = engine.view(&id).await?;
    let Dollars(cap) = args.dollars;
    cap::set(&engine, &id, &view, cap).await?;
    output::say(&format!("the cap of run {id} is {cap} from now on"));
    Ok(Exit::Ok)
}
