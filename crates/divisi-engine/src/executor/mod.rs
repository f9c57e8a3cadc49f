//! What carries out attempts, besides agents of ours.
//!
//! An executor is one file and one registration: what it says of itself
//! ([`ExecutorSpec`]) decides about its tasks before they start, and a [`Context`] is all
//! that it is given. Ours are in [`Executors`] from the start; those of others are added
//! to [`Setup::executors`](crate::Setup::executors).

mod spec;
mod registry;
mod context;
mod ending;
mod shell;
mod command;
mod reports;
mod person;
mod line;

pub use command::{CommandExecutor, CommandLine};
pub(crate) use context::Given;
pub use context::{Context, Leave, Progress};
pub use ending::Ending;
pub(crate) use ending::Suspended;
pub(crate) use line::{AttemptNews, Line, Room, ToDriver};
pub use line::{Signal, WaitsFor};
pub use person::PersonExecutor;
pub(crate) use registry::Registered;
pub use registry::{Executors, NameTaken};
pub use reports::Reports;
pub use shell::ShellExecutor;
pub use spec::{Cost, ExecutorSpec, ModelUse};

use crate::tools::Permissions;
use async_trait::async_trait;
use divisi_core::{Failure, Task};

/// Carries out attempts in its own way. Keys, reservations, checks, times and places are
/// seen to outside of it.
#[async_trait]
pub trait Executor: Send + Sync {
    /// What it says of itself. Asked for once, when it is added.
    fn spec(&self) -> ExecutorSpec;

    /// Whether it can carry out `task` in a run with these permissions. Asked before
    /// anything is set aside for it.
    fn accepts(&self, task: &Task, permissions: &Permissions) -> Result<(), Failure> {
        let _ = (task, permissions);
        Ok(())
    }

    /// Carries out one attempt.
    ///
    /// When its time is up, or it has cost too much, the future is dropped, and whatever
    /// it holds must stop with it. What has a schema is held to it.
    async fn run(&self, context: &Context) -> Ending;
}
