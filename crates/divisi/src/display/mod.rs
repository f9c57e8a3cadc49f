//! What a person sees of runs.
//!
//! A [`Reporter`] tells what a run does while it does it; [`show`] and [`runs`]
//! tell of it afterwards. Everything here is told facts and the time, and gives
//! back text: what is shown is the same for a live run and for a story in a
//! test. Nothing that a model has written reaches a terminal as it is; see
//! [`text`].

pub(crate) mod reporter;
mod progress;

mod live;
mod frame;
mod plain;
pub(crate) mod json;
mod news;

mod summary;
mod failures;

pub(crate) mod show;
pub(crate) mod runs;

pub(crate) mod look;
mod table;
pub(crate) mod number;
pub(crate) mod text;

#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;

pub(crate) use look::{Line, Look, Tone};
pub(crate) use progress::Live;
pub(crate) use reporter::{Mode, Reporter};
