//! Executors, which carry out attempts other than those of built-in agents.
//!
//! An executor is one file and one registration: its [`ExecutorSpec`] decides about its tasks
//! before they start, and a [`Context`] is all that it gets. The built-in ones are always in
//! [`Executors`]; custom ones are added to [`Setup::executors`](crate::Setup::executors).

mod spec;
mod registry;
mod context;
mod ending;
pub(crate) mod polling;
mod shell;
mod command;
mod lines;
mod reports;
mod agent_program;
mod claude;
mod codex;
mod acp;
mod person;
mod line;
mod arriving;

pub use acp::AcpExecutor;
pub use agent_program::AgentProgram;
pub(crate) use arriving::Arriving;
pub use claude::ClaudeExecutor;
pub use codex::CodexExecutor;
pub use command::{CommandExecutor, CommandLine};
pub use context::{Context, Leave, Progress};
pub(crate) use context::{Given, Rights};
pub use ending::Ending;
pub(crate) use ending::Suspended;
pub(crate) use line::{AttemptNews, Line, Room, ToDriver};
pub use line::{Signal, WaitsFor};
pub use person::PersonExecutor;
pub use polling::{Polled, Ticket};
pub(crate) use registry::Registered;
pub use registry::{Executors, NameTaken};
pub use reports::Reports;
pub use shell::ShellExecutor;
pub use spec::{Cost, ExecutorSpec, ModelUse};

use crate::tools::Permissions;
use async_trait::async_trait;
use divisi_core::{Failure, Task};
use std::sync::Arc;

/// Carries out attempts. The engine handles keys, reservations, checks, time limits and folders.
#[async_trait]
pub trait Executor: Send + Sync {
    /// What it declares about itself. Called once, when it is added.
    fn spec(&self) -> ExecutorSpec;

    /// Whether it can carry out `task` in a run with these permissions. Called before anything is
    /// reserved for the task.
    fn accepts(&self, task: &Task, permissions: &Permissions) -> Result<(), Failure> {
        let _ = (task, permissions);
        Ok(())
    }

    /// The version of what carries out the task, part of its key like the spec's identity. Called
    /// before a task is submitted, but not when a flow is only examined; keep the answer.
    fn version(&self) -> Result<Arc<str>, Failure> {
        Ok("".into())
    }

    /// Carries out one attempt.
    ///
    /// When it exceeds its time or its reservation, the future is dropped, and everything it holds
    /// must stop with it. A result must fit the task's schema.
    async fn run(&self, context: &Context) -> Ending;

    /// Asks for the result of an attempt that [`Executor::run`] suspended with [`Ending::waits`].
    ///
    /// For an executor whose spec [polls](ExecutorSpec::polls). Called again and again while the
    /// run is driven, also by a later process, until there is a result; one call may take a minute.
    /// The result must fit the task's schema.
    async fn poll(&self, ticket: &Ticket) -> Polled {
        let _ = ticket;
        Polled::waits()
    }
}
