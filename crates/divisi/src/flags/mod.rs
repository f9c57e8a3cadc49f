//! Flags shared by several commands. They only fill in the application's requests.

mod flow;
mod global;
mod preview;
mod run;

pub(crate) use flow::FlowArgs;
pub(crate) use global::GlobalFlags;
pub(crate) use preview::{ConfirmFlags, PatternFlags, PreviewFlags};
pub(crate) use run::RunFlags;
