//! `divisi park`: parks a run that another process drives.

use crate::cap::unsent;
use crate::context::Context;
use crate::display::json;
use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use divisi_app::{Intent, Problem};
use divisi_core::RunId;
use divisi_core::run::Stage;
use divisi_engine::Engine;
use divisi_engine::store::{ControlMessage, Receipt};
use schemars::JsonSchema;
use serde::Serialize;

/// Park a run that another process drives
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi park
  divisi park k3f9

Nothing new starts, and what is under way is finished, as after one Ctrl-C in that process. `divisi resume` \
goes on.")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    #[arg(default_value = "last")]
    run: String,
}

/// A run that was asked to park.
#[derive(Serialize, JsonSchema)]
pub(super) struct Parked<'a> {
    /// Its id.
    run: &'a RunId,
    /// Whether it parks because of this; otherwise it parks or is parked already, or is over.
    parks: bool,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let id = context.app.find_run(&args.run, Intent::Act).await?;
    let receipt = engine
        .send(&id, ControlMessage::Park)
        .await
        .map_err(unsent)?;
    let parks = receipt == Some(Receipt::Done);
    match receipt {
        Some(Receipt::Done) => {
            output::say(&format!(
                "run {id} parks: what is under way is finished first"
            ));
        }
        Some(_) => output::say(&format!("run {id} parks already, or is over")),
        None => {
            let (view, _) = engine.view(&id).await?;
            if !matches!(view.stage, Stage::Parked(_)) {
                return Err(Problem::usage(format!("no process drives run {id}"))
                    .hint(format!("`divisi show {id}` says what it is like")));
            }
            output::say(&format!("run {id} is parked already"));
        }
    }
    if context.global.json {
        let asked = Parked { run: &id, parks };
        let text = json::pretty(&asked).context("cannot write it as JSON")?;
        output::print(&text).context("cannot write to stdout")?;
    }
    Ok(Exit::Ok)
}
