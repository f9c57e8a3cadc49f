//! `divisi rerun`: tries failed tasks again.

use super::resume::{How, earlier};
use crate::cli::RunFlags;
use crate::context::Context;
use crate::exit::Exit;
use crate::launch::launch;
use crate::problem::Problem;

/// Try the failed tasks of a run again, and keep the others
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi rerun last --failed
  divisi rerun k3f9 --failed --model opus --timeout 20m")]
pub(crate) struct Args {
    /// The run's id, its beginning, or `last`
    run: String,
    /// Only what has failed
    #[arg(long, required = true)]
    failed: bool,
    /// Go on although the flow has changed while agents of the run could write
    #[arg(long)]
    edited: bool,
    #[command(flatten)]
    flags: RunFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let how = How { reopen_failed: args.failed, edited: args.edited };
    let launched = earlier(&args.run, args.flags, how, context).await?;
    launch(launched, context).await
}
