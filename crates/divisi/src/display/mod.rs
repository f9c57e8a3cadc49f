//! What the user sees of runs.
//!
//! [`plan`] shows what a flow would request; a [`Reporter`] shows what a run does while it does it;
//! [`show`] and [`runs`] show it afterwards. Everything here turns facts and a time into text, so
//! that a live run and a test print the same. Text written by a model never reaches a terminal
//! unchanged; see [`text`](crate::text).

mod progress;
pub(crate) mod reporter;

mod frame;
mod readable;
pub(crate) mod json;
mod live;
mod news;
mod plain;
pub(crate) mod screen;

mod failures;
pub(crate) mod imported;
mod instead;
mod refused;
mod summary;

pub(crate) mod check;
pub(crate) mod cost;
pub(crate) mod models;
pub(crate) mod pick;
pub(crate) mod plan;
pub(crate) mod runs;
pub(crate) mod show;
pub(crate) mod worktrees;

pub(crate) mod look;
pub(crate) mod number;
pub(crate) mod table;

#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;

pub(crate) use look::{Line, Look, Tone};
pub(crate) use progress::KeysOf;
pub(crate) use reporter::{Mode, Reporter, Told, told};
