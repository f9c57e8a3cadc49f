//! `divisi watch`: follows a run that another process drives.

use crate::context::Context;
use crate::exit::Exit;
use crate::follow::{self, Telling};
use divisi_app::{Intent, Problem};
use divisi_engine::Engine;

/// Follow a run that another process drives, to its end or until it rests
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Ends as the run does, with its exit code. Ctrl-C ends the watching, not the run.

Examples:
  divisi watch
  divisi watch k3f9
  divisi watch k3f9 --json  # every event from the first on")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    #[arg(default_value = "last")]
    run: String,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let id = context.app.find_run(&args.run, Intent::Look).await?;
    let demo = follow::is_demo(&engine, &engine.view(&id).await?.0).await?;
    let telling = Telling {
        prints_result: false,
        global: &context.global,
        demo,
        script_is_ours: false,
        stream: None,
    };
    follow::watch(&engine, &id, telling).await
}
