//! Flags that several commands take. They only fill in what the application asks for.

mod flow;
mod global;
mod run;

pub(crate) use flow::FlowArgs;
pub(crate) use global::GlobalFlags;
pub(crate) use run::RunFlags;
