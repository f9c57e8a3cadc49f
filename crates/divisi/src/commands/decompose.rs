//! `divisi decompose`: a planner divides a goal, workers do the parts.

mod approval;

use super::pattern;
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::PatternFlags;
use clap::builder::NonEmptyStringValueParser;
use clap::value_parser;
use divisi_app::Problem;
use divisi_engine::Flow;
use serde_json::json;

/// Let a planner divide a goal into tasks, and workers carry them out
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi decompose \"Find the 5 most critical modules and audit each one\"
  divisi decompose \"Document every public API\" --planner opus --worker haiku --max 40 --allow write
  divisi decompose \"Port the parser to async\" --approve --allow write
  divisi decompose \"Why is the build slow?\" --gather \"Name the three changes that help most\"

The plan says which task needs the result of which; whatever does not wait for another runs at once.")]
pub(crate) struct Args {
    /// The goal to reach
    goal: String,
    /// The model that makes the plan
    #[arg(long, value_name = "MODEL", default_value = "opus")]
    planner: String,
    /// The model that does the tasks; without it the plan says which suits each, else `auto`
    #[arg(long, value_name = "MODEL")]
    worker: Option<String>,
    /// Most tasks the plan may have
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..))]
    max: u32,
    /// Show the plan with its price, and carry it out only once you have approved it
    #[arg(long)]
    approve: bool,
    /// A prompt that then turns all results into one
    #[arg(long, value_name = "PROMPT", value_parser = NonEmptyStringValueParser::new())]
    gather: Option<String>,
    /// The model for --gather
    #[arg(long, value_name = "MODEL", requires = "gather")]
    gather_model: Option<String>,
    #[command(flatten)]
    flags: PatternFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    if args.goal.trim().is_empty() {
        return Err(Problem::usage("the goal is empty"));
    }
    // A model given for all tasks takes precedence over `auto`.
    let otherwise = match args.flags.run.names_model() {
        true => "inherit",
        false => "auto",
    };
    let given = json!({
        "goal": args.goal,
        "planner": args.planner,
        "worker": args.worker,
        "otherwise": otherwise,
        "max": args.max,
        "synthesis": args.gather,
        "synthesisModel": args.gather_model,
        "approval": args.approve,
    });
    let flow = Flow::script("decompose", include_str!("../flows/decompose.js")).args(given);
    if args.approve && !args.flags.preview.is_any() {
        return approval::run(flow, args.flags, context).await;
    }
    pattern::carry_out(flow, args.flags, context).await
}
