//! Drives a run from the command line to its end.

use crate::again;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::follow::{self, Telling};
use crate::output;
use divisi_app::Problem;
use divisi_app::launch::{Launch, Started, prepare};
use divisi_engine::Finished;

/// Drives a run to its end, reports it on stderr and writes its result to stdout, before the last
/// lines of the report.
pub(crate) async fn launch(
    launch: Launch,
    confirmed: bool,
    context: &Context,
) -> Result<Exit, Problem> {
    let finished = drive(launch, confirmed, context).await?;
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
    context: &Context,
) -> Result<Option<Finished>, Problem> {
    let is_new = launch.earlier.is_none();
    let mut ready = prepare(launch, &context.app).await?;
    if is_new {
        again::say_if_done_before(&ready, context).await?;
        if !confirmed && !confirm::confirm(&mut ready, context).await? {
            output::say(confirm::NOT_STARTED);
            return Ok(None);
        }
    }
    let (demo, script_is_ours) = (ready.kept().request.demo, ready.flow().path.is_none());
    let Started { handle } = ready.start().await?;
    let is_resumed = handle.before().execution > 0;
    let telling = Telling {
        global: &context.global,
        demo,
        script_is_ours,
    };
    let finished = follow::follow(handle, telling).await?;
    if is_resumed && !context.global.quiet {
        say_if_nothing_was_to_run(&finished);
    }
    Ok(Some(finished))
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
