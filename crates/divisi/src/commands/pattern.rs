//! What `ask`, `map`, `pipe` and `decompose` have in common.

use super::{check, plan};
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::{PatternFlags, PreviewFlags};
use crate::launch::launch;
use divisi_app::launch::Launch;
use divisi_app::{FlowInput, Problem};
use divisi_engine::Flow;

/// Runs the flow of a pattern, or only shows it.
pub(crate) async fn carry_out(
    flow: Flow,
    flags: PatternFlags,
    context: &Context,
) -> Result<Exit, Problem> {
    let PatternFlags {
        preview,
        confirm,
        label,
        out,
        run,
    } = flags;
    let input = FlowInput::Script(flow);
    match preview {
        PreviewFlags { plan: true, .. } => {
            plan::show(input, run, plan::Form::default(), context).await
        }
        PreviewFlags { check: true, .. } => {
            check::show(input, run, context).await.map(|_| Exit::Ok)
        }
        PreviewFlags { .. } => {
            let launched = Launch::new(input, run.into()).labelled(label.into());
            launch(launched, confirm.yes, out, context).await
        }
    }
}
