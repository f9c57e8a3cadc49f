//! `divisi ask`: one agent.

use super::pattern;
use super::schema::schema;
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::PatternFlags;
use crate::material;
use divisi_app::Problem;
use divisi_engine::Flow;
use serde_json::json;
use std::path::PathBuf;

/// Ask one agent; what comes on stdin is its material
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  git diff | divisi ask \"Review this diff\"
  divisi ask \"Which module parses the settings?\" --model haiku
  divisi ask \"Fix the failing test\" --allow write,run --max-cost 1
  cargo test 2>&1 | divisi ask \"Why does this fail?\" --schema cause.json

Prints the answer. With material from stdin the prompt comes first, the material after an empty line.")]
pub(crate) struct Args {
    /// What the agent is to do
    prompt: String,
    /// A JSON Schema that the answer must fit
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The name of the task
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    #[command(flatten)]
    flags: PatternFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    if args.prompt.trim().is_empty() {
        return Err(Problem::usage("the prompt is empty"));
    }
    let given = json!({
        "prompt": args.prompt,
        "material": material::piped(&context.app)?,
        "schema": args.schema.as_deref().map(schema).transpose()?,
        "label": args.label,
    });
    let flow = Flow::script("ask", include_str!("../flows/ask.js")).args(given);
    pattern::carry_out(flow, args.flags, context).await
}
