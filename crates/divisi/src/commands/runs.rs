//! `divisi runs`: the list of runs.

use crate::context::Context;
use crate::display::show::INTERRUPTED;
use crate::display::{Look, json, look, runs};
use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use clap::value_parser;
use divisi_app::{Problem, RUNS_SEARCHED_MAX, clock};
use divisi_engine::Engine;
use divisi_engine::store::RunSummary;

/// List the runs, those of this folder first, each latest first
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi runs
  divisi runs --limit 100 --json")]
pub(crate) struct Args {
    /// Number of runs to list
    #[arg(short, long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..))]
    limit: u32,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let place = context.app.place();
    let all = engine
        .store()
        .runs(RUNS_SEARCHED_MAX.max(args.limit as usize))
        .await?;
    let is_here = |run: &RunSummary| place.has(run.folder.as_deref());
    let (mut found, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_here);
    let here_count = found.len();
    found.extend(others);
    let (count, most) = (found.len(), args.limit as usize);
    found.truncate(most);
    for run in &mut found {
        // Its process was killed and could not record the end.
        if run.status == "running" && !engine.is_driven(&run.id).await? {
            let (looked, is_interrupted) = engine.look(&run.id).await?;
            *run = RunSummary::of(&run.id, &looked, run.updated_at);
            if is_interrupted {
                run.status = INTERRUPTED.to_owned();
            }
        }
    }
    let text = if context.global.json {
        json::pretty(&found).context("cannot write the list")?
    } else {
        let look = Look::of_stdout(false);
        look::page(&runs::runs(&found, &place, clock::now(), &look), &look)
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    if count > most {
        let here = here_count.saturating_sub(most);
        let (more, of_here) = (
            count - most,
            if here == 0 {
                String::new()
            } else {
                format!(", {here} of this folder")
            },
        );
        context.app.note(&format!(
            "{more} more are not listed{of_here}; `--limit {count}` lists all"
        ));
    }
    Ok(Exit::Ok)
}
