//! Runs flows of many agents: driver, executors, tools, stores and the library API.
//!
//! An [`Engine`] keeps runs in a [`Store`](store::Store). A flow is a script
//! ([`Engine::start`]) or a Rust program ([`Engine::open`]) that asks for
//! tasks; the four [`patterns`] are functions over the latter.
//!
//! # Features
//!
//! - `sqlite` (default): the durable store, `store::SqliteStore`. Without it there
//!   is the [`MemoryStore`](store::MemoryStore), and stores of your own.
//! - `conformance`: the tests that every [`Store`](store::Store) and its
//!   [`Leases`](store::Leases) have to pass, in `store::conformance`.

pub mod engine;
pub mod patterns;
pub mod setup;
pub mod prices;
pub mod history;
pub mod tokens;
pub mod flow;
pub mod choose;
pub mod resolve;
pub mod preflight;
mod clock;
pub mod driver;
pub mod governor;
pub mod executor;
pub mod framing;
pub mod agents;
pub mod globs;
pub mod tools;
pub mod toolset;
pub mod process;
pub mod workspace;
pub mod store;
pub mod private;

pub use divisi_core as core;
pub use driver::{DriveError, TaskEnd, TaskReport};
pub use engine::{
    AnswerError, Control, Engine, Events, Finished, Job, LiveRun, RunHandle, RunOptions, StartError,
    Subscription,
};
pub use executor::{Signal, WaitsFor};
pub use flow::Flow;
pub use governor::SharedLimits;
pub use setup::{Model, Models, ProviderModels, Setup};
pub use tools::{Permissions, Protected};
