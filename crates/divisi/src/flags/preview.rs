//! Flags for what happens before a run starts.

use super::{LabelFlags, OutFlags, RunFlags};
use clap::Args;

/// Flags of the commands that run a built-in flow.
#[derive(Debug, Args)]
pub(crate) struct PatternFlags {
    #[command(flatten)]
    pub(crate) preview: PreviewFlags,
    #[command(flatten)]
    pub(crate) confirm: ConfirmFlags,
    #[command(flatten)]
    pub(crate) label: LabelFlags,
    #[command(flatten)]
    pub(crate) out: OutFlags,
    #[command(flatten)]
    pub(crate) run: RunFlags,
}

/// Flags that show a run instead of starting it; `divisi plan` and `divisi check` take only flows
/// from files.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Before the run")]
pub(crate) struct PreviewFlags {
    /// Show what would run and what it would cost, like `divisi plan`; nothing is sent
    #[arg(long, conflicts_with = "check")]
    pub(crate) plan: bool,
    /// Check what can go wrong, like `divisi check`; nothing is sent
    #[arg(long)]
    pub(crate) check: bool,
}

impl PreviewFlags {
    /// Whether the run is only shown.
    pub(crate) fn is_any(self) -> bool {
        self.plan || self.check
    }
}

/// The answer to the question before a run that may be dear.
#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Before the run")]
pub(crate) struct ConfirmFlags {
    /// Start without a question, even if the run is expected to cost more than `confirm_above`
    #[arg(short, long)]
    pub(crate) yes: bool,
}
