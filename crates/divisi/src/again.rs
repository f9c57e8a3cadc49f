//! Finished runs: their results are given again, not computed again.

use crate::context::Context;
use crate::display::{Look, look, number, told};
use crate::exit::Exit;
use crate::flags::OutFlags;
use crate::output;
use crate::result;
use crate::results::{all, print_stream, rows, save_results};
use anyhow::Context as _;
use divisi_app::Problem;
use divisi_app::launch::{Kept, Ready};
use divisi_core::run::Stage;
use divisi_core::{Content, Event, Position, Recorded, Run, RunId};
use divisi_engine::Engine;
use std::sync::Arc;

/// Prints the result of a finished run from its journal, and the command that executes it again or
/// retries its failed tasks.
pub(crate) async fn give_result(
    engine: &Engine,
    (id, run): (&RunId, &Run),
    is_demo: bool,
    out: &OutFlags,
    context: &Context,
) -> Result<Exit, Problem> {
    out.check(&context.global)?;
    let exit = match run.stage() {
        Stage::Ended(status) => Exit::of(Some(*status)),
        _ => Exit::Ok,
    };
    if let Some(path) = out.path() {
        let mut returned = None;
        if let Some(Ok(result)) = run.result() {
            returned = Some(engine.read(result).await?);
        }
        save_results(engine, (id, returned.as_deref()), path).await?;
    }
    if context.global.json {
        for end in ends(engine, id).await? {
            output::print(&told(id, &end).context("cannot write the events")?)
                .context("cannot write to stdout")?;
        }
        result::print_last_line(engine, id, run, None).await?;
        return Ok(exit);
    }
    if !context.global.quiet {
        let look = Look::of_stderr(is_demo);
        let demo: Vec<_> = look.demo_line().into_iter().collect();
        let note = match run.counts().failed {
            0 => format!(
                "note: nothing to run: {id} is finished, and its flow has not changed; this is its result\n\
                 \u{20}     `divisi resume {id} --again` executes it again, after a change of what else it uses"
            ),
            failed => format!(
                "note: nothing to run: {} of {id} failed before, and a resume keeps that; \
                 `divisi rerun {id} --failed` tries again what failed",
                number::counted(failed.into(), "task", "tasks")
            ),
        };
        output::say(&(look::page(&demo, &look) + &note));
    }
    if let Some(form) = out.stream {
        let (view, _) = engine.view(id).await?;
        print_stream(&rows(engine, id, &view, all(&view)).await?, form)?;
    } else if let (None, Some(Ok(result))) = (out.path(), run.result()) {
        result::print(&engine.read(result).await?).context("cannot write the result to stdout")?;
    }
    Ok(exit)
}

/// The last two events that matter: what the flow returned, in full, and how the run ended.
async fn ends(engine: &Engine, id: &RunId) -> Result<Vec<Recorded>, Problem> {
    let (mut returned, mut ended, mut position) = (None, None, Position::default());
    loop {
        let page = engine.store().events(id, position).await?;
        if page.is_empty() {
            break;
        }
        position = position.after(page.len());
        for recorded in page {
            match recorded.event {
                Event::FlowEnded { .. } => returned = Some(recorded),
                Event::RunEnded { .. } => ended = Some(recorded),
                _ => {}
            }
        }
    }
    if let Some(Recorded {
        event: Event::FlowEnded {
            result: Ok(content),
        },
        ..
    }) = &mut returned
    {
        *content = Content::Inline(engine.read(content).await?);
    }
    Ok(returned.into_iter().chain(ended).collect())
}

/// Notes that the last run in this folder had the same flow and arguments and has results that a
/// new run would pay for again.
pub(crate) async fn say_if_done_before(ready: &Ready, context: &Context) -> Result<(), Problem> {
    /// Runs searched for the latest one of this folder.
    const RUNS_MAX: usize = 100;
    if context.global.json || context.global.quiet {
        return Ok(());
    }
    let (engine, flow, now) = (ready.engine(), ready.flow(), ready.kept());
    let place = context.app.place();
    let runs = engine.store().runs(RUNS_MAX).await?;
    let here = runs
        .into_iter()
        .find(|run| place.has(run.folder.as_deref()));
    let Some(before) = here.filter(|run| run.ok > 0 && run.status != "running") else {
        return Ok(());
    };
    let Some(first) = engine
        .store()
        .events(&before.id, Position::default())
        .await?
        .into_iter()
        .next()
    else {
        return Ok(());
    };
    let Event::RunStarted(started) = first.event else {
        return Ok(());
    };
    let mut args = None;
    if let Some(kept) = &started.flow.args {
        args = serde_json::from_str(&engine.read(kept).await?).ok();
    }
    let mut kept = Kept::default();
    if let Some(options) = &started.flow.options {
        kept = serde_json::from_str(&engine.read(options).await?).unwrap_or_default();
    }
    let is_same = started.flow.source == Content::of(Arc::clone(&flow.source)).0
        && started.flow.path == flow.path
        && args == flow.args;
    if !is_same || kept.request.demo != now.request.demo {
        return Ok(());
    }
    let (ok, id) = (before.ok, &before.id);
    let total = ok + before.failed + before.skipped + before.open;
    let of_all = match total {
        1 => "1 of 1 result exists".to_owned(),
        _ => format!("{ok} of {total} results exist"),
    };
    let resume = match ok == total {
        true => format!("`divisi resume {id}` costs nothing"),
        false => format!("`divisi resume {id}` uses them again"),
    };
    let others = differences(&kept, now);
    context.app.note(&match others.is_empty() {
        true => format!("{of_all} in run {id}: {resume}"),
        false => format!(
            "{of_all} in run {id}, with another {}: {resume}",
            others.join(" and another ")
        ),
    });
    Ok(())
}

/// The settings, besides flow and arguments, that results depend on and that differ.
fn differences(before: &Kept, now: &Kept) -> Vec<&'static str> {
    let answering = |kept: &Kept| kept.vendors.clone().unwrap_or_default();
    let (then, today) = (answering(before), answering(now));
    let allowed = |kept: &Kept| kept.request.allow.clone().unwrap_or_default();
    let differs = [
        ("provider", then.provider != today.provider),
        ("model", then.model != today.model),
        ("executor", before.request.executor != now.request.executor),
        (
            "workspace",
            before.request.workspace != now.request.workspace,
        ),
        ("`--allow`", allowed(before) != allowed(now)),
    ];
    differs
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(what, _)| what)
        .collect()
}
