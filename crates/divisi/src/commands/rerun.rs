//! `divisi rerun`: tries failed tasks again.

use super::resume::{How, go_on};
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::RunFlags;
use divisi_app::Problem;

/// Try the failed tasks of a run again, and keep the others
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi rerun --failed
  divisi rerun k3f9 --failed --model opus --timeout 20m

What the failed attempts have left stays in `divisi show RUN TASK`.")]
pub(crate) struct Args {
    /// The run's id, its beginning, or `last`: the last one of this folder
    #[arg(default_value = "last")]
    run: String,
    /// Only what has failed
    #[arg(long, required = true)]
    failed: bool,
    /// Go on although the flow has changed while agents of the run could write
    #[arg(long)]
    edited: bool,
    /// Execute a run again in which nothing has failed
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    flags: RunFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let Args {
        run,
        failed,
        edited,
        again,
        flags,
    } = args;
    go_on(
        &run,
        flags.into(),
        How {
            reopen_failed: failed,
            edited,
            again,
        },
        context,
    )
    .await
}
