//! `divisi rerun`: carries tasks out again.

use super::resume::{How, go_on};
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::{OutFlags, RunFlags};
use divisi_app::{Problem, RunRequest};

/// Carry out tasks of a run again: failed ones, or those that are named
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi rerun --failed
  divisi rerun k3f9 --failed --model opus --timeout 20m
  divisi rerun k3f9 t7 \"audit auth\" --model opus
  divisi rerun k3f9 t7 --explain     # which tasks would run, and why

Named tasks run again whatever their outcome was; with --model, on that model. A task that has their \
result in its prompt runs again if the result is another one; if agents may change files, so does every \
task that waited for them. Earlier results stay in `divisi show RUN TASK`.")]
pub(crate) struct Args {
    /// The run: its id or the beginning of it, its name, its flow, or `last` of this folder
    #[arg(default_value = "last")]
    run: String,
    /// These tasks, by their numbers or labels
    #[arg(required_unless_present = "failed", conflicts_with = "failed")]
    tasks: Vec<String>,
    /// All that has failed
    #[arg(long)]
    failed: bool,
    /// Go on although the flow has changed while agents of the run could write
    #[arg(long)]
    edited: bool,
    /// Execute a run again in which nothing has failed
    #[arg(long)]
    again: bool,
    /// Say which tasks would run, and why, and send nothing
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    out: OutFlags,
    #[command(flatten)]
    flags: RunFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let mut request = RunRequest::from(args.flags);
    // For named tasks the model is theirs alone: as the run's model it would be part of the identity
    // of all others.
    let model = match args.tasks.is_empty() {
        true => None,
        false => request.model.take(),
    };
    let how = How {
        reopen_failed: args.failed,
        edited: args.edited,
        again: args.again,
        explain: args.explain,
        tasks: args.tasks,
        model,
        out: args.out,
    };
    go_on(&args.run, request, how, context).await
}
