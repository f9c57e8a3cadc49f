//! divisi without its command line: what a person has set, who answers, what a flow
//! would ask for and cost, and how a run is started.
//!
//! Whoever offers runs to people (the `divisi` command, a server, a binding for
//! another language) needs the same: settings in their layers, providers with their
//! keys, plan files, dry runs. None of it knows of flags, terminals or exit codes.
//! An [`App`] holds what is found around it; a [`FlowInput`] and a [`RunRequest`]
//! say what is to run and how; [`preflight::look`] looks at it without spending
//! anything, and [`launch::prepare`] makes it ready to start. What goes wrong is a
//! [`Problem`], with what to do about it.

mod app;
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
pub mod settings;

mod place;
mod problem;

pub mod clock;
mod slip;

pub use app::{App, Intent, Listener, RUNS_SEARCHED_MAX, TrustAnswer};
pub use input::FlowInput;
pub use place::Place;
pub use problem::{Problem, ProblemKind, Reason};
pub use request::{RunRequest, utf8_path};
