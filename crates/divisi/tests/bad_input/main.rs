//! Bad input and failures, against the built binary: the messages to the user, the exit code, and
//! what is left behind.
#![allow(clippy::unwrap_used, missing_docs)]

mod before;
mod in_a_run;
mod vendors;
mod oddities;
mod models;
mod machines;

mod tools;
#[allow(dead_code, reason = "not every file of tests uses all of it")]
#[path = "../support/mod.rs"]
mod support;
