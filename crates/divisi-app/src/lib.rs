//! divisi without its command line: settings, providers, preflight, and the start of runs.
//!
//! Programs that offer runs to users (the `divisi` command, a server, a binding for another
//! language) need the same parts: layered settings, providers with their keys, plan files, dry
//! runs. None of these depends on flags, terminals or exit codes. An [`App`] holds the environment;
//! a [`FlowInput`] and a [`RunRequest`] say what to run and how; [`preflight::look`] examines it
//! without spending anything, and [`launch::prepare`] prepares the start. An error is a
//! [`Problem`], with advice.

mod app;
pub mod bundle;
mod input;
mod request;

pub mod launch;
pub mod preflight;
pub mod what_if;
mod estimate;
mod prepare;
mod protect;

pub mod plan_file;
pub mod prices;
pub mod providers;
pub mod sessions;
pub mod settings;

mod place;
mod problem;

pub mod notify;

pub mod agent_programs;
pub mod mcp_servers;
pub mod clock;
mod slip;

pub use app::{App, Intent, Listener, RUNS_SEARCHED_MAX, TrustAnswer};
pub use input::FlowInput;
pub use place::Place;
pub use problem::{Problem, ProblemKind, Reason};
pub use request::{RunRequest, utf8_path};
