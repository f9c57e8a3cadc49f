//! Executes one attempt, from its worktree to its end.
//!
//! The core decides what an attempt does next ([`divisi_core::attempt`]); `perform` does it: with
//! models for built-in agents (`dialogue`, `send`), and with an
//! [`Executor`](crate::executor::Executor) for all others. Its line is the channel to the driver.

mod assignment;
mod perform;
mod dialogue;
mod send;
mod check;
mod place;

pub(crate) use assignment::Assignment;
pub(crate) use dialogue::{Brief, FINDINGS_BYTES_MAX, opening};
pub(crate) use perform::{carry_out, hold_to_schema};
pub(crate) use send::{SharedDurations, bound};

use crate::executor::{Ending, Line, Suspended};
use crate::models::Model;
use divisi_core::budget::{TurnBound, Unanswered};
use divisi_core::event::{Turn, Wait, Worktree};
use divisi_core::{AttemptId, Failure, Millis, PicoUsd, RunId, Usage};
use std::sync::Arc;

/// An attempt to be carried out.
pub(crate) struct Attempt {
    /// The run that it belongs to.
    pub run: RunId,
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
    /// What is reserved for it as it starts.
    pub reserved: PicoUsd,
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
    /// Set if a request without a reply was sent: it may be billed.
    pub unanswered: Option<Unanswered>,
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
            unanswered: None,
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

impl From<Ending> for AttemptResult {
    fn from(
        Ending {
            result,
            retry_after,
            suspended,
        }: Ending,
    ) -> Self {
        let result = result.map(|value| Arc::from(value.to_string()));
        Self {
            retry_after,
            suspended: suspended.map(Box::new),
            ..Self::of(result)
        }
    }
}
