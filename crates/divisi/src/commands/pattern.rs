//! What `map`, `pipe` and `decompose` have in common.

use super::{check, plan};
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::{ConfirmFlags, PreviewFlags, RunFlags};
use crate::launch::launch;
use divisi_app::launch::Launch;
use divisi_app::{FlowInput, Problem};
use divisi_engine::Flow;

/// Runs the flow of a pattern, or only shows it.
pub(crate) async fn carry_out(
    flow: Flow,
    preview: PreviewFlags,
    confirm: ConfirmFlags,
    flags: RunFlags,
    context: &Context,
) -> Result<Exit, Problem> {
    let input = FlowInput::Script(flow);
    match preview {
        PreviewFlags { plan: true, .. } => {
            plan::show(input, flags, plan::Form::default(), context).await
        }
        PreviewFlags { check: true, .. } => {
            check::show(input, flags, context).await.map(|_| Exit::Ok)
        }
        PreviewFlags { .. } => launch(Launch::new(input, flags.into()), confirm.yes, context).await,
    }
}
