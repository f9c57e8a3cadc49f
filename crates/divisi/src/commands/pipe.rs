//! `divisi pipe`: steps one after the other.

use super::pattern;
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::{ConfirmFlags, PreviewFlags, RunFlags};
use divisi_app::Problem;
use divisi_engine::Flow;
use serde_json::json;

/// Run steps in sequence, each with the result of the previous one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi pipe \"Build the application\" \"Run the test suite\" --allow run
  divisi pipe \"Summarize docs/\" \"Write release notes from: {}\" \"Translate to French: {}\"

`{}` stands for the result of the step before; a step without it has the result at its end. A step \
that fails ends the run, and `divisi rerun <run> --failed` goes on from there.")]
pub(crate) struct Args {
    /// The steps, in their order
    #[arg(required = true, value_name = "STEP")]
    steps: Vec<String>,
    #[command(flatten)]
    preview: PreviewFlags,
    #[command(flatten)]
    confirm: ConfirmFlags,
    #[command(flatten)]
    flags: RunFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    if let Some(place) = args.steps.iter().position(|step| step.trim().is_empty()) {
        return Err(Problem::usage(format!("step {} is empty", place + 1)));
    }
    let flow =
        Flow::script("pipe", include_str!("../flows/pipe.js")).args(json!({ "steps": args.steps }));
    pattern::carry_out(flow, args.preview, args.confirm, args.flags, context).await
}
