//! `divisi runs`: the list of runs.

use crate::context::Context;
use crate::display::show::INTERRUPTED;
use crate::display::{Look, json, look, runs};
use crate::exit::Exit;
use crate::flags::SelectFlags;
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
  divisi runs --here --since 2d --status failed
  divisi runs --flow audit --tag nightly
  divisi runs --limit 100 --json

`divisi search TEXT` finds runs by what was asked and answered.")]
pub(crate) struct Args {
    #[command(flatten)]
    select: SelectFlags,
    /// Number of runs to list
    #[arg(short, long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..))]
    limit: u32,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let engine = Engine::new(context.app.store()?);
    let (place, most) = (context.app.place(), args.limit as usize);
    let is_here = |run: &RunSummary| place.has(run.folder.as_deref());
    let (mut found, others): (Vec<_>, Vec<_>) = selected(&engine, &args.select, most, context)
        .await?
        .into_iter()
        .partition(is_here);
    let here_count = found.len();
    found.extend(others);
    let count = found.len();
    found.truncate(most);
    // Their true status is looked up only for those that are listed.
    if args.select.status.is_none() {
        for run in &mut found {
            look_again(&engine, run).await?;
        }
    }
    let text = if context.global.json {
        json::pretty(&found).context("cannot write the list")?
    } else {
        let look = Look::of_stdout(false);
        let is_filtered = args.select.is_any();
        look::page(
            &runs::runs(&found, is_filtered, &place, clock::now(), &look),
            &look,
        )
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

/// The runs that the flags select, latest first.
pub(super) async fn selected(
    engine: &Engine,
    select: &SelectFlags,
    least: usize,
    context: &Context,
) -> Result<Vec<RunSummary>, Problem> {
    let searched_max = RUNS_SEARCHED_MAX.max(least);
    let all = engine.store().runs(searched_max).await?;
    if all.len() == searched_max {
        context.app.note(&format!(
            "only the latest {searched_max} runs are looked at"
        ));
    }
    let (place, now) = (context.app.place(), clock::now());
    let mut found = vec![];
    for mut run in all {
        if !select.fits(&run, &place, now) {
            continue;
        }
        if select.status.is_some() {
            look_again(engine, &mut run).await?;
        }
        found.extend(select.fits_status(&run).then_some(run));
    }
    Ok(found)
}

/// Corrects the summary of a run whose process was killed and could not record the end.
pub(super) async fn look_again(engine: &Engine, run: &mut RunSummary) -> Result<(), Problem> {
    if run.status == "running" && !engine.is_driven(&run.id).await? {
        let (view, is_interrupted) = engine.view(&run.id).await?;
        run.correct(&view);
        if is_interrupted {
            run.status = INTERRUPTED.to_owned();
        }
    }
    Ok(())
}
