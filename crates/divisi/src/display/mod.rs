//! What the user sees of runs.
//!
//! A [`plan`] tells what a flow would ask for; a [`Reporter`] tells what a run
//! does while it does it; [`show`] and [`runs`] tell of it afterwards. Everything here is told
//! facts and the time, and gives back text: what is shown is the same for a live run and for a
//! story in a test. Nothing that a model has written reaches a terminal as it is; see
//! [`text`](crate::text).

mod progress;
pub(crate) mod reporter;

mod frame;
pub(crate) mod json;
mod live;
mod news;
mod plain;
mod screen;

mod failures;
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

pub(crate) mod look;
pub(crate) mod number;
mod table;

#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;

pub(crate) use look::{Line, Look, Tone};
pub(crate) use reporter::{Mode, Reporter, told};
