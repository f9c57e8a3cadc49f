//! The command as a person or a script meets it: what it says, what it writes,
//! and what it ends with. Everything here runs on scripted answers.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod home;
mod terminal;

mod help;
mod refusals;
mod settings;
mod trust;

mod confirm;
mod plan;

mod answer;
mod bills;
mod architecture;
mod cycles;
mod agent_programs;
mod executors;
mod mcp;
mod gate;
mod edited;
mod later;
mod live;
mod place;
mod vendors;
mod input;
mod patterns;
mod pick;
mod plans;
mod questions;
mod results;
mod runs;

mod again;
mod finding;
mod json;
mod keeping;
mod output;
mod week;

mod stopping;
mod watch;
mod worktrees;

mod doctor;
mod setup;
