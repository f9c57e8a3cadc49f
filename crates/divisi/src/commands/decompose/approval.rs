//! Approval of the plan that an agent has made, before its tasks run.
//!
//! On a terminal the question is asked while the run goes on ([`crate::questions`]). Elsewhere the
//! run rests in the journal, and can be answered later, from anywhere.

use crate::context::Context;
use crate::exit::Exit;
use crate::flags::PatternFlags;
use crate::launch::{drive, is_attended};
use crate::output;
use crate::plan_approval::{self, APPROVAL, Waiting};
use divisi_app::launch::Launch;
use divisi_app::{FlowInput, Problem, RunRequest};
use divisi_engine::{Engine, Flow};

/// Runs the flow; in an unattended run it shows the plan with its price.
pub(super) async fn run(
    flow: Flow,
    flags: PatternFlags,
    context: &Context,
) -> Result<Exit, Problem> {
    let request = RunRequest::from(flags.run);
    let launch = Launch::new(FlowInput::Script(flow), request).labelled(flags.label.into());
    let Some(finished) = drive(launch, flags.confirm.yes, flags.out, context).await? else {
        return Ok(Exit::Cancelled);
    };
    let (exit, id) = (Exit::of(finished.status()), finished.id);
    let engine = Engine::new(context.app.store()?);
    let (view, _) = engine.view(&id).await?;
    let is_open = view
        .questions()
        .any(|task| plan_approval::is_it(&view, task));
    if !is_open || context.global.json || context.global.quiet {
        return Ok(exit);
    }
    if !is_attended(context) {
        let waiting = Waiting::of(&engine, &id).await?;
        output::say(&waiting.shown(&waiting.plan, context).await?);
    }
    let commands = format!("`divisi answer {id} {APPROVAL} yes`, then `divisi resume {id}`");
    output::say(&format!("the plan waits for its approval: {commands}"));
    Ok(exit)
}
