//! Flags of every command.

use clap::{ArgAction, Args};
use divisi_app::settings::Leaf;
use divisi_app::{Problem, utf8_path};
use std::path::PathBuf;

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output and storage")]
pub(crate) struct GlobalFlags {
    /// Machine output on stdout; that of a run is its events, one JSON object a line
    #[arg(long, global = true, conflicts_with = "quiet")]
    pub(crate) json: bool,
    /// A filter of jq over that output, like '.[].id'; texts come without quotes. Implies --json
    #[arg(long, global = true, value_name = "FILTER", conflicts_with = "quiet")]
    pub(crate) jq: Option<String>,
    /// Print only errors and the result
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Log to stderr what happens inside; twice for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// The file in which runs are kept
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
}

impl GlobalFlags {
    /// The settings given by these flags.
    pub(crate) fn leaves(&self) -> Result<Vec<Leaf>, Problem> {
        let store = self
            .store
            .as_deref()
            .map(|path| utf8_path("--store", path))
            .transpose()?;
        Ok(store
            .into_iter()
            .filter_map(|path| Leaf::of_flag("--store", path))
            .collect())
    }
}
