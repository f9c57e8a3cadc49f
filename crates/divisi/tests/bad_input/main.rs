//! Bad input and bad luck, against the built binary: what a person is told,
//! what the process ends with, and what is left behind.
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
