//! A run after the fact: the tree of its tasks, and one task in full.

mod status;
mod tree;

mod history;
mod page;
mod texts;

mod form;

pub(crate) use form::{RunForm, TaskPageForm};
pub(crate) use history::Executions;
pub(crate) use page::TaskPage;
pub(crate) use status::word;
pub(crate) use texts::Texts;
pub(crate) use tree::tree;

/// The status of a run that is not over and that no process drives.
pub(crate) const INTERRUPTED: &str = "interrupted";
