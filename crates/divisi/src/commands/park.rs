//! `divisi park`: parks a run that another process drives.

use crate::cap::unsent;
use crate::context::Context;
use crate::exit::Exit;
use crate::output;
use divisi_app::{Intent, Problem};
use divisi_core::run::Stage;
use divisi_engine::Engine;
use divisi_engine::store::{ControlMessage, Receipt};

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

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let id = context.app.find_run(&args.run, Intent::Act).await?;
    let receipt = engine
        .send(&id, ControlMessage::Park)
        .await
        .map_err(unsent)?;
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
    Ok(Exit::Ok)
}
