//! `divisi resume`: goes on with a run.

use crate::cli::RunFlags;
use crate::context::Context;
use crate::exit::Exit;
use crate::launch::{Earlier, Launch, launch};
use crate::output;
use crate::problem::Problem;
use divisi_engine::{Engine, Flow};
use std::sync::Arc;

/// Go on with a run that was parked, killed or failed, or whose flow was edited
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi resume last
  divisi resume k3f9 --max-cost 10
  divisi resume k3f9 --model opus

What is finished is kept; only what is missing or was edited since runs. The flow's file is read again \
if it is still there, and so are the settings; flags of the run hold unless others are given.")]
pub(crate) struct Args {
    /// The run's id, its beginning, or `last`
    run: String,
    #[command(flatten)]
    flags: RunFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let launched = earlier(&args.run, args.flags, false, context).await?;
    launch(launched, context).await
}

/// What it takes to go on with the run that `word` names.
pub(super) async fn earlier(
    word: &str,
    flags: RunFlags,
    reopen_failed: bool,
    context: &Context,
) -> Result<Launch, Problem> {
    let store = context.store()?;
    let id = context.find_run(word).await?;
    let engine = Engine::new(store);
    let run = engine.load(&id).await?;
    let (kept_flow, kept) = engine.flow_of(&run).await?;
    if kept_flow.source.is_empty() {
        return Err(Problem::usage(format!(
            "run {id} is fed by a program, and only that program can go on with it"
        )));
    }
    // Flags of a version that knew others are read as far as they are known.
    let kept: RunFlags = kept.and_then(|kept| serde_json::from_value(kept).ok()).unwrap_or_default();
    let earlier = Earlier { id, run, reopen_failed };
    Ok(Launch { flow: current(kept_flow), flags: flags.or(kept), earlier: Some(earlier) })
}

/// The flow as its file says now; as the journal says where there is none.
fn current(kept: Flow) -> Flow {
    let Some(path) = kept.path.as_deref() else { return kept };
    match std::fs::read_to_string(path) {
        Ok(source) => Flow { source: Arc::from(source), ..kept },
        Err(error) => {
            output::say(&format!(
                "note: cannot read {path} ({error}); going on with the flow as the run knows it"
            ));
            kept
        }
    }
}
