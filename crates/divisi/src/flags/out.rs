//! Flags for where the results of a run go.

use super::GlobalFlags;
use clap::{Args, ValueEnum};
use divisi_app::Problem;
use std::path::{Path, PathBuf};

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

impl OutFlags {
    /// The file or folder; `None` for stdout, also where it is named `-`.
    pub(crate) fn path(&self) -> Option<&Path> {
        self.out.as_deref().filter(|path| path.as_os_str() != "-")
    }

    /// Fails for flags that contradict each other. Those before the name of a command are not
    /// compared by clap with those after it.
    pub(crate) fn check(&self, global: &GlobalFlags) -> Result<(), Problem> {
        match global.json && self.stream.is_some() {
            true => Err(Problem::usage(
                "--stream cannot be used with --json or --jq",
            )),
            false => Ok(()),
        }
    }
}

/// The form of results that are printed while they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StreamForm {
    /// Each under its label.
    Text,
    /// One JSON object a line.
    Ndjson,
}
