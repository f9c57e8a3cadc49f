//! `divisi run`: runs a flow from a file.

use crate::context::Context;
use crate::exit::Exit;
use crate::flags::{ConfirmFlags, FlowArgs, LabelFlags, OutFlags, RunFlags};
use crate::launch::launch;
use divisi_app::Problem;
use divisi_app::launch::Launch;

/// Run a flow: a script or a plan, by its file or by the name it is saved under
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi run flows/audit.js
  divisi run flows/audit.js --args '{\"modules\": [\"auth\", \"payment\"]}' --max-cost 5
  divisi run audit --arg depth=2 --arg module=auth --model haiku
  divisi run release.yaml --max-cost 2
  divisi run flows/audit.js --demo

A name is looked for in flows/, .divisi/flows/ and .claude/workflows/: here, further up to the root \
of the repository, and in your home folder.

A plan has `tasks`, a list with an `id` and a `prompt` each; `needs: [id]` waits for another task, and \
`{{id}}` in a prompt stands for its result.")]
pub(crate) struct Args {
    #[command(flatten)]
    flow: FlowArgs,
    #[command(flatten)]
    confirm: ConfirmFlags,
    #[command(flatten)]
    label: LabelFlags,
    #[command(flatten)]
    out: OutFlags,
    #[command(flatten)]
    flags: RunFlags,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let input = args.flow.find(&context.app)?;
    let launched = Launch::new(input, args.flags.into()).labelled(args.label.into());
    launch(launched, args.confirm.yes, args.out, context).await
}
