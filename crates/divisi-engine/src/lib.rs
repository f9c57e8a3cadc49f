//! Runs flows of many agents: driver, executors, tools, stores and the library API.
//!
//! An [`Engine`] keeps runs in a [`Store`](store::Store). A flow is a Rust program
//! ([`Engine::open`]) or a script ([`Engine::start`]) that requests tasks; the four [`patterns`]
//! are functions for Rust programs. This example runs two tasks at once, with scripted answers:
//!
//! ```
//! use divisi_engine::core::{Task, event::Caps, PicoUsd};
//! use divisi_engine::{Engine, Models, RunOptions, Setup, patterns::fan_out, store::MemoryStore};
//! use divisi_providers::Scripted;
//! use std::sync::Arc;
//!
//! # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // `Models::from_env()?` takes the vendors whose keys are set.
//! let models = Models::one(Arc::new(Scripted::demo()), &[("haiku", "demo-haiku")], &["*"]);
//! let engine = Engine::new(Arc::new(MemoryStore::new()));
//! let options = RunOptions::default().caps(Caps::of(PicoUsd::parse_dollars("0.50")));
//! let job = engine.open("audit", Setup::new(models, "."), options).await?;
//!
//! let modules = ["auth", "payment"];
//! let audits = modules.map(|name| Task::new(format!("Audit {name}")).model("haiku"));
//! let reports = fan_out(&job, audits).await;
//! for (name, report) in modules.iter().zip(&reports) {
//!     println!("{name}: {}", report.text()?);
//! }
//! let finished = job.finish(reports.len().into()).await?;
//! assert!(finished.status().is_some(), "it has ended, and is not parked");
//! # Ok(()) }
//! ```
//!
//! The folder `examples` has programs to run: a fan-out with a real vendor, a run that continues
//! after a kill, a custom provider, a run that is watched.
//!
//! The modules: [`setup`] is the environment of a run, [`flow`] what it executes, [`store`] where
//! it is kept, [`executor`] how its tasks are carried out, [`mcp`] where they get further tools,
//! [`prices`] what they cost, and [`preflight`] what can be known before. [`core`] has the basic types.
//!
//! # Features
//!
//! - `sqlite` (default): the durable store, `store::SqliteStore`. Without it there is the
//!   [`MemoryStore`](store::MemoryStore), and your own stores.
//! - `tokenisers` (default): the vocabulary of OpenAI's models. Without it their tokens are
//!   estimated, a little too high.
//! - `script` (default): flows as scripts, and their preflight. Without it only programs feed runs,
//!   and there is no JavaScript engine.
//! - `conformance`: tests for every [`Store`](store::Store) and its [`Leases`](store::Leases), in
//!   `store::conformance`.
//! - `schema`: JSON schemas of the types used in settings.

#![cfg_attr(
    not(feature = "script"),
    allow(dead_code, reason = "some of it is for scripts alone")
)]

pub mod patterns;
pub mod setup;
pub mod flow;
pub mod executor;
pub mod store;
pub mod prices;
pub mod mcp;
#[cfg(feature = "script")]
pub mod preflight;

mod models;
mod from_env;
mod engine;
mod driver;
mod attempt;
mod answer;
mod toolset;
mod copies;
mod clock;

// Used by the application library and the binary only.
#[doc(hidden)]
pub mod agents;
#[doc(hidden)]
pub mod choose;
#[doc(hidden)]
pub mod framing;
#[doc(hidden)]
pub mod globs;
#[doc(hidden)]
pub mod governor;
#[doc(hidden)]
pub mod history;
#[doc(hidden)]
pub mod private;
#[doc(hidden)]
pub mod process;
#[doc(hidden)]
pub mod resolve;
#[doc(hidden)]
pub mod tokens;
#[doc(hidden)]
pub mod tools;
#[doc(hidden)]
pub mod workspace;

#[doc(hidden)]
pub use answer::violations;
pub use divisi_core as core;
pub use driver::{Control, DriveError, LiveRun, TaskEnd, TaskReport};
#[cfg(feature = "script")]
pub use engine::Rehearsed;
pub use engine::{
    AnswerError, Engine, Events, Finished, Heard, Job, RunHandle, RunOptions, SendError,
    StartError, Subscription,
};
pub use executor::{Signal, WaitsFor};
pub use flow::Flow;
pub use from_env::FromEnvError;
pub use governor::SharedLimits;
pub use models::{Model, Models, ProviderModels};
pub use setup::Setup;
pub use tools::{Permissions, Protected};
