//! `divisi resume`: goes on with a run.

mod edited;

use crate::cli::{Found, RunFlags};
use crate::context::Context;
use crate::exit::Exit;
use crate::launch::{Earlier, Launch, launch};
use crate::output;
use crate::problem::Problem;
use anyhow::Context as _;
use divisi_engine::flow::Library;
use divisi_engine::{Engine, Flow};
use edited::Edited;
use std::sync::Arc;

/// Go on with a run that was parked, killed or failed, or whose flow was edited
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi resume last
  divisi resume k3f9 --max-cost 10
  divisi resume k3f9 --model opus

What is finished is kept; only what is missing or was edited since runs. The flow's file is read again \
if it is still there, and so are the settings; flags of the run hold unless others \
are given; `--hedge=false` and `--keep-going=false` take back what it was started with.")]
pub(crate) struct Args {
    /// The run's id, its beginning, or `last`
    run: String,
    /// Go on although the flow has changed while agents of the run could write
    #[arg(long)]
    edited: bool,
    #[command(flatten)]
    flags: RunFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let how = How { reopen_failed: false, edited: args.edited };
    let launched = earlier(&args.run, args.flags, how, context).await?;
    launch(launched, context).await
}

/// In which way a run goes on.
pub(super) struct How {
    /// Whether tasks that have failed are tried again.
    pub(super) reopen_failed: bool,
    /// Whether a flow is taken that an agent may have changed.
    pub(super) edited: bool,
}

/// What it takes to go on with the run that `word` names.
pub(super) async fn earlier(
    word: &str,
    flags: RunFlags,
    how: How,
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
    let kept: RunFlags = match kept {
        // Without them a demo could turn into a run that costs money.
        Some(kept) => serde_json::from_value(kept)
            .with_context(|| format!("the flags that run {id} was started with cannot be read"))?,
        None => RunFlags::default(),
    };
    let flow = current(kept_flow.clone(), context.global.quiet);
    if let Some(edited) = Edited::of(&kept_flow, &flow) {
        edited.settle(&id, &run, &kept, how.edited, context.global.quiet)?;
    }
    Ok(Launch {
        found: Found::Script(flow),
        flags: flags.or(kept),
        earlier: Some(Earlier { id, run, reopen_failed: how.reopen_failed }),
    })
}

/// The flow as its file says now; as the journal says where there is none.
fn current(kept: Flow, quiet: bool) -> Flow {
    let Some(path) = kept.path.as_deref() else { return kept };
    match Library::reread(path) {
        Ok(file) => Flow { source: Arc::from(file.source), ..kept },
        Err(_) if quiet => kept,
        Err(error) => {
            output::say(&format!("note: {error}; going on with the flow as the run knows it"));
            kept
        }
    }
}
