//! Flags for where the results of a run go.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// Flags for where the results of a run go.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Results")]
pub(crate) struct OutFlags {
    /// Write the result into this file, whole or not at all; into a folder, what every task has
    /// answered
    #[arg(long, value_name = "FILE|DIR/")]
    pub(crate) out: Option<PathBuf>,
    /// Print what each task answers as soon as it ends, as text or as ndjson, instead of the result
    #[arg(
        long,
        value_enum,
        value_name = "FORM",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "text",
        hide_possible_values = true,
        conflicts_with_all = ["json", "jq"]
    )]
    pub(crate) stream: Option<StreamForm>,
}

/// The form of results that are printed while they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamForm {
    /// Each under its label.
    Text,
    /// One JSON object a line.
    Ndjson,
}
