//! `divisi check`: the six questions before a run.

use crate::context::Context;
use crate::display::{Look, check, json, look};
use crate::exit::Exit;
use crate::flags::{FlowArgs, RunFlags};
use crate::output;
use anyhow::Context as _;
use divisi_app::plan_file::{Kind, PlanFileError};
use divisi_app::{FlowInput, Problem, Reason, preflight};
use divisi_core::preflight::checklist::{Finding, Verdict};
use divisi_core::preflight::{Checklist, checklist};

/// Check what can go wrong with a flow, without sending a request
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi check flows/audit.js
  divisi check flows/audit.js --args '{\"modules\": [\"auth\", \"payment\"]}' --max-cost 5
  divisi check release.yaml --strict --json

✓ is as it should be, ! works and would work better otherwise, ✗ does not do what it is meant to do. \
Exits with 0 whatever it finds; with --strict it exits with 1 unless all six are ✓.", mut_arg("wait", |wait| wait.hide(true)))]
pub(crate) struct Args {
    #[command(flatten)]
    flow: FlowArgs,
    /// Fail unless every check passes
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    flags: RunFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let verdict = match args.flow.find(&context.app) {
        Ok(input) => show(input, args.flags, context).await?,
        Err(problem) => print(&refused(problem)?, context)?,
    };
    Ok(match args.strict && verdict > Verdict::Ok {
        true => Exit::Failed,
        false => Exit::Ok,
    })
}

/// Shows the checklist of a flow; returns its verdict.
pub(crate) async fn show(
    input: FlowInput,
    flags: RunFlags,
    context: &Context,
) -> Result<Verdict, Problem> {
    let looked = preflight::look(input, flags.into(), false, &context.app).await?;
    let list = checklist(&looked.graph, Some(&looked), &looked.settings);
    print(&list, context)
}

fn print(list: &Checklist, context: &Context) -> Result<Verdict, Problem> {
    let text = if context.global.json {
        json::pretty(list).context("cannot write the checklist")?
    } else {
        let look = Look::of_stdout(false);
        look::page(&check::checklist(list, &look), &look)
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(list.verdict())
}

/// The checklist of a plan whose dependencies are wrong; any other problem is returned as it is.
fn refused(problem: Problem) -> Result<Checklist, Problem> {
    match problem.reason() {
        Reason::Plan(error) if error.kind() == Kind::Dependencies => {
            Ok(Checklist::refused(findings(error)))
        }
        Reason::Plan(_) | Reason::Script(_) | Reason::Error(_) => Err(problem),
    }
}

/// The error, and one finding for each further line that takes part in it.
fn findings(error: &PlanFileError) -> Vec<Finding> {
    let advice = error.hint().unwrap_or_default();
    error
        .sites()
        .enumerate()
        .map(|(nth, (site, said))| match nth {
            0 if said != error.message() => {
                Finding::wrong(Some(site), format!("{} ({said})", error.message()), advice)
            }
            0 => Finding::wrong(Some(site), said, advice),
            _ => Finding::wrong(Some(site), said, ""),
        })
        .collect()
}
