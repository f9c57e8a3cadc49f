//! Executors, which carry out attempts.
//!
//! The core decides what an attempt does next ([`divisi_core::attempt`]); `perform` does it: with
//! models for built-in agents (`dialogue`, `send`), and with an [`Executor`] for all others. Its
//! line is the channel to the driver.
//!
//! An executor is one file and one registration: its [`ExecutorSpec`] decides about its tasks
//! before they start, and a [`Context`] is all that it gets. The built-in ones are always in
//! [`Executors`]; custom ones are added to [`Setup::executors`](crate::Setup::executors).

mod spec;
mod registry;
mod context;
mod ending;
mod shell;
mod command;
mod reports;
mod person;
mod perform;
mod dialogue;
mod send;
mod check;
mod schema;
mod said;
mod place;
mod line;

pub(crate) use check::{FINDINGS_BYTES_MAX, misfit};
pub use command::{CommandExecutor, CommandLine};
pub use context::{Context, Leave, Progress};
pub(crate) use dialogue::{Brief, opening};
pub use ending::Ending;
pub(crate) use ending::Suspended;
pub(crate) use line::Line;
pub use line::{Signal, WaitsFor};
pub(crate) use perform::carry_out;
pub use person::PersonExecutor;
pub(crate) use registry::Registered;
pub use registry::{Executors, NameTaken};
pub use reports::Reports;
pub use send::SharedDurations;
pub(crate) use send::bound;
pub use shell::ShellExecutor;
pub use spec::{Cost, ExecutorSpec, ModelUse};

use crate::models::Model;
use crate::resolve::Assignment;
use crate::tools::Permissions;
use async_trait::async_trait;
use divisi_core::budget::TurnBound;
use divisi_core::event::{Turn, Wait, Worktree};
use divisi_core::{AttemptId, Failure, Millis, PicoUsd, Task, Usage};
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

    /// Carries out one attempt.
    ///
    /// When it exceeds its time or its reservation, the future is dropped, and everything it holds
    /// must stop with it. A result must fit the task's schema.
    async fn run(&self, context: &Context) -> Ending;
}

/// An attempt to be carried out.
pub(crate) struct Attempt {
    /// Which one.
    pub id: AttemptId,
    /// The resolved task.
    pub assignment: Arc<Assignment>,
    /// The rung of its ladder, as recorded.
    pub scheduled: Option<Arc<str>>,
    /// The model to ask; `None` for executors without models.
    pub model: Option<Model>,
    /// The findings about the previous attempt's result, if that was refused.
    pub findings: Option<Arc<str>>,
    /// Recorded replies of earlier attempts, used instead of new requests.
    pub kept: Vec<Kept>,
    /// The handle left by an earlier attempt, and the answer to its question: JSON texts.
    pub handle: Option<Arc<str>>,
    pub answer: Option<Arc<str>>,
    /// Channel to the driver.
    pub line: Line,
}

/// A reply of an earlier attempt, with its text.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The reply: JSON text.
    pub reply: Arc<str>,
    /// Results of the tools it called, if they were executed: JSON text.
    pub tool_results: Option<Arc<str>>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct AttemptResult {
    /// The result as JSON text, or why there is none.
    pub result: Result<Arc<str>, Failure>,
    /// Its last reply, if that has not been reported separately, with its text.
    pub last_turn: Option<(Turn, Arc<str>)>,
    /// Tokens beyond its turns.
    pub usage: Usage,
    /// What those cost.
    pub cost: PicoUsd,
    /// Whether a request without a reply was sent: it may be billed.
    pub unanswered: bool,
    /// Time that the vendor asks to wait.
    pub retry_after: Option<Millis>,
    /// The vendor's statement on whether to retry.
    pub should_retry: Option<bool>,
    /// Bound of its last request with full room for the reply, if the reply was cut off because the
    /// budget allowed less.
    pub next_turn: Option<TurnBound>,
    /// Findings of a check that refused its result.
    pub findings: Option<Arc<str>>,
    /// Total time it waited for permits, entered by the attempt's task from its [`Line`].
    pub waited: Millis,
    /// The waits that none of its turns records.
    pub waits: Vec<Wait>,
    /// What it waits for outside of the process, if it is suspended: then it has no result yet.
    pub suspended: Option<Box<Suspended>>,
    /// Its worktree, if that was kept.
    pub worktree: Option<Box<Worktree>>,
}

impl AttemptResult {
    /// An end with this result and empty fields otherwise.
    pub(crate) fn of(result: Result<Arc<str>, Failure>) -> Self {
        Self {
            result,
            last_turn: None,
            usage: Usage::default(),
            cost: PicoUsd::ZERO,
            unanswered: false,
            retry_after: None,
            should_retry: None,
            next_turn: None,
            findings: None,
            waited: Millis(0),
            waits: vec![],
            suspended: None,
            worktree: None,
        }
    }
}

impl From<Failure> for AttemptResult {
    fn from(failure: Failure) -> Self {
        Self::of(Err(failure))
    }
}
