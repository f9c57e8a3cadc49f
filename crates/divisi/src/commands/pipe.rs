//! `divisi pipe`: steps one after the other.

use super::pattern;
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::PatternFlags;
use crate::material;
use divisi_app::Problem;
use divisi_engine::Flow;
use serde_json::json;

/// Run steps in sequence, each with the result of the previous one
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi pipe \"Build the application\" \"Run the test suite\" \"Deploy\" --models sonnet,sonnet,haiku --allow run
  git diff | divisi pipe - \"Review this diff\" \"Name the three worst problems\"
  divisi pipe \"Summarize docs/\" \"Write release notes from: {}\" \"Translate to French: {}\"

`{}` stands for the result of the step before; a step without it has the result at its end. A step \
that fails ends the run, and `divisi rerun <run> --failed` goes on from there.")]
pub(crate) struct Args {
    /// The steps, in their order; `-` as the first one gives the text on stdin to the next
    #[arg(required = true, value_name = "STEP")]
    steps: Vec<String>,
    /// The model of each step, in their order
    #[arg(long, value_name = "MODEL,…", value_delimiter = ',')]
    models: Vec<String>,
    #[command(flatten)]
    flags: PatternFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let (material, steps) = match args.steps.split_first() {
        Some((first, rest)) if first == "-" => (Some(material::all()?), rest),
        _ => (None, &*args.steps),
    };
    if steps.is_empty() {
        return Err(Problem::usage("there are no steps after `-`"));
    }
    if args.models.iter().any(|model| model.trim().is_empty()) {
        return Err(Problem::usage("--models names an empty model"));
    }
    if !args.models.is_empty() && args.models.len() != steps.len() {
        let (models, steps) = (args.models.len(), steps.len());
        return Err(
            Problem::usage(format!("--models names {models} for {steps} steps"))
                .hint("name one for each step: --models sonnet,sonnet,haiku"),
        );
    }
    if material.is_none() && material::is_ignored() {
        let note = "stdin is not read; `divisi pipe - …` gives it to the first step";
        context.app.note(note);
    }
    if let Some(place) = steps.iter().position(|step| step.trim().is_empty()) {
        return Err(Problem::usage(format!("step {} is empty", place + 1)));
    }
    let flow = Flow::script("pipe", include_str!("../flows/pipe.js")).args(json!({
        "steps": steps,
        "models": args.models,
        "material": material,
    }));
    pattern::carry_out(flow, args.flags, context).await
}
