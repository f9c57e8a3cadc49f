//! Flags shared by several commands. They only fill in the application's requests.

mod flow;
mod global;
mod label;
mod out;
mod preview;
mod run;
mod select;

pub(crate) use flow::FlowArgs;
pub(crate) use global::GlobalFlags;
pub(crate) use label::LabelFlags;
pub(crate) use out::{OutFlags, StreamForm};
pub(crate) use preview::{ConfirmFlags, PatternFlags, PreviewFlags};
pub(crate) use run::RunFlags;
pub(crate) use select::{Age, SelectFlags};
