//! Drives a run from the command line to its end.

use crate::again;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::OutFlags;
use crate::follow::{self, Followed, Telling};
use crate::notices::Notices;
use crate::questions::Questions;
use crate::results::save_results;
use crate::{output, result, save};
use divisi_app::Problem;
use divisi_app::launch::{Launch, Started, prepare};
use divisi_engine::{Engine, Finished};

/// Drives a run to its end, reports it on stderr and writes its result to stdout, before the last
/// lines of the report.
pub(crate) async fn launch(
    launch: Launch,
    confirmed: bool,
    out: OutFlags,
    context: &Context,
) -> Result<Exit, Problem> {
    let finished = drive(launch, confirmed, out, context).await?;
    Ok(finished.map_or(Exit::Cancelled, |finished| Exit::of(finished.status())))
}

/// The same; returns the run as it was left, or `None` if it was not started.
///
/// All problems that can be found early are reported before the run is created.
/// A new run that may be dear starts only after a question on the terminal, unless that is
/// `confirmed` already.
pub(crate) async fn drive(
    launch: Launch,
    confirmed: bool,
    out: OutFlags,
    context: &Context,
) -> Result<Option<Finished>, Problem> {
    out.check(&context.global)?;
    let (path, stream) = (out.path(), out.stream);
    if let Some(path) = path {
        save::check(path)?;
    }
    let is_new = launch.earlier.is_none();
    let mut ready = prepare(launch, &context.app).await?;
    if is_new {
        again::say_if_done_before(&ready, context).await?;
        if !confirmed && !confirm::confirm(&mut ready, context).await? {
            output::say(confirm::NOT_STARTED);
            return Ok(None);
        }
    }
    let is_attended = is_attended(context);
    if is_attended {
        ready = ready.attended();
    }
    let (demo, script_is_ours) = (ready.kept().request.demo, ready.flow().path.is_none());
    let notices = Notices::new(ready.settings().notify.clone());
    let Started { handle } = ready.start().await?;
    let is_resumed = handle.before().execution > 0;
    let telling = Telling {
        global: &context.global,
        demo,
        script_is_ours,
        prints_result: path.is_none() && stream.is_none() && !context.global.json,
        stream,
    };
    let questions = is_attended.then(|| Questions::new(&handle, context));
    let Followed { finished, told } = follow::follow(handle, telling, questions, notices).await?;
    if is_resumed && !context.global.quiet {
        say_if_nothing_was_to_run(&finished);
    }
    let engine = Engine::new(context.app.store()?);
    if let Some(path) = path {
        let returned = finished
            .result
            .as_ref()
            .and_then(|result| result.as_ref().ok());
        save_results(&engine, (&finished.id, returned.map(|text| &**text)), path).await?;
    }
    // After all that was paid for is in its file.
    told?;
    if context.global.json {
        result::print_last_line(&engine, &finished.id, &finished.run, None).await?;
    }
    Ok(Some(finished))
}

/// Whether a person can be asked: on a terminal, unless it is that of a CI system.
pub(crate) fn is_attended(context: &Context) -> bool {
    let is_ci =
        std::env::var_os("CI").is_some_and(|ci| !matches!(ci.to_str(), Some("" | "0" | "false")));
    !context.global.json && !context.global.quiet && !is_ci && output::can_ask()
}

/// Notes that a resume found every outcome in the journal, failures included.
fn say_if_nothing_was_to_run(Finished { id, run, .. }: &Finished) {
    let counts = run.counts();
    if counts.total() == 0 || run.reused() < counts.total() {
        return;
    }
    match counts.total() - counts.ok {
        0 => output::say("note: nothing to run: every task was done before"),
        _ => output::say(&format!(
            "note: nothing to run: every task has its outcome; `divisi rerun {id} --failed` tries failed ones again"
        )),
    }
}
