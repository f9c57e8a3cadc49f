//! What carries out attempts.
//!
//! What an attempt does next is decided by the core ([`divisi_core::attempt`]);
//! `perform` does it: with models for agents of ours (`dialogue`, `send`), with an
//! [`Executor`] for what another program carries out. Its [`Line`] leads to the driver.

mod check;
mod command;
mod dialogue;
mod line;
mod perform;
mod person;
mod place;
mod said;
mod schema;
mod send;

pub(crate) use check::{FINDINGS_BYTES_MAX, misfit};
pub use command::{CommandExecutor, CommandLine, ShellExecutor};
pub(crate) use dialogue::{Brief, opening};
pub use line::{Line, Signal, Stopped, WaitsFor};
pub(crate) use perform::carry_out;
pub use person::PersonExecutor;
pub use send::SharedDurations;
pub(crate) use send::bound;

use crate::resolve::Assignment;
use crate::setup::Model;
use async_trait::async_trait;
use divisi_core::budget::TurnBound;
use divisi_core::event::{Suspension, Turn, Wait, Worktree};
use divisi_core::{AttemptId, Failure, FailureClass, Millis, PicoUsd, Usage};
use std::path::Path;
use std::sync::Arc;

/// A program that carries out attempts in its own way. Checks, times and places are
/// seen to outside of it.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Carries out one attempt in the folder `root`.
    ///
    /// When its time is up, the future is dropped, and whatever it holds must stop
    /// with it.
    async fn run(&self, attempt: &Attempt, root: &Path) -> AttemptResult;
}

/// One attempt to be carried out.
pub struct Attempt {
    /// Which one.
    pub id: AttemptId,
    /// What is to be done.
    pub assignment: Arc<Assignment>,
    /// Which model is asked; `None` where no model is.
    pub model: Option<Model>,
    /// How many results of the task have been refused.
    pub rung: usize,
    /// What was wrong with the result of the attempt before, if it was refused.
    pub findings: Option<Arc<str>>,
    /// Replies of earlier attempts that need not be asked for again.
    pub kept: Vec<Kept>,
    /// Leads to the driver.
    pub line: Line,
}

/// A reply of an earlier attempt, with its text.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The reply: JSON text.
    pub reply: Arc<str>,
    /// Results of the tools it called, if they ran: JSON text.
    pub tool_results: Option<Arc<str>>,
}

/// How an attempt ended.
#[derive(Debug)]
pub struct AttemptResult {
    /// The result as JSON text, or why there is none.
    pub result: Result<Arc<str>, Failure>,
    /// Its last reply, where that has not been reported by itself, with its text.
    pub last_turn: Option<(Turn, Arc<str>)>,
    /// Tokens that stand in none of its turns.
    pub usage: Usage,
    /// What those cost.
    pub cost: PicoUsd,
    /// Whether a request was sent whose reply never came: it may be billed.
    pub unanswered: bool,
    /// How long the vendor wants us to wait.
    pub retry_after: Option<Millis>,
    /// What the vendor says about trying again.
    pub should_retry: Option<bool>,
    /// What its last request may cost with all the room it wants, where the
    /// reply was cut off because the budget gave it less.
    pub next_turn: Option<TurnBound>,
    /// What a check has against its result.
    pub findings: Option<Arc<str>>,
    /// How long it waited for its turn to send requests. Its [`Line`] knows, and
    /// whoever watches the attempt enters it.
    pub waited: Millis,
    /// What for, as far as none of its turns says it.
    pub waits: Vec<Wait>,
    /// What it waits for from now on, outside of the process: then there is no result
    /// yet.
    pub suspension: Option<Box<Suspension>>,
    /// The worktree that was kept of it.
    pub worktree: Option<Box<Worktree>>,
}

impl AttemptResult {
    /// An end of which nothing else is to be said.
    pub fn of(result: Result<Arc<str>, Failure>) -> Self {
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
            suspension: None,
            worktree: None,
        }
    }
}

impl From<Suspension> for AttemptResult {
    fn from(suspension: Suspension) -> Self {
        let none_yet = Failure::new(FailureClass::Interrupted, "it waits for an answer");
        Self { suspension: Some(Box::new(suspension)), ..Self::of(Err(none_yet)) }
    }
}

impl From<Failure> for AttemptResult {
    fn from(failure: Failure) -> Self {
        Self::of(Err(failure))
    }
}
