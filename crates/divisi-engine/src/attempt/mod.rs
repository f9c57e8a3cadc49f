//! One attempt, from its place in the world to its end.
//!
//! What an attempt does next is decided by the core ([`divisi_core::attempt`]);
//! `perform` does it: with models for agents of ours (`dialogue`, `send`), with an
//! [`Executor`](crate::executor::Executor) for all others. Its line leads to the driver.

mod assignment;
mod perform;
mod dialogue;
mod send;
mod check;
mod place;

pub(crate) use assignment::Assignment;
pub(crate) use dialogue::{Brief, FINDINGS_BYTES_MAX, opening};
pub(crate) use perform::carry_out;
pub(crate) use send::{SharedDurations, bound};

use crate::executor::{Ending, Line, Suspended};
use crate::models::Model;
use divisi_core::budget::TurnBound;
use divisi_core::event::{Turn, Wait, Worktree};
use divisi_core::{AttemptId, Failure, Millis, PicoUsd, Usage};
use std::sync::Arc;

/// One attempt to be carried out.
pub(crate) struct Attempt {
    /// Which one.
    pub id: AttemptId,
    /// What is to be done.
    pub assignment: Arc<Assignment>,
    /// The rung of its ladder that it is on, as the journal has it.
    pub scheduled: Option<Arc<str>>,
    /// Which model is asked; `None` where no model is.
    pub model: Option<Model>,
    /// What was wrong with the result of the attempt before, if it was refused.
    pub findings: Option<Arc<str>>,
    /// Replies of earlier attempts that need not be asked for again.
    pub kept: Vec<Kept>,
    /// By what an earlier attempt has left its work, and what it has asked was answered:
    /// JSON texts.
    pub handle: Option<Arc<str>>,
    pub answer: Option<Arc<str>>,
    /// Leads to the driver.
    pub line: Line,
}

/// A reply of an earlier attempt, with its text.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    /// The reply: JSON text.
    pub reply: Arc<str>,
    /// Results of the tools it called, if they ran: JSON text.
    pub tool_results: Option<Arc<str>>,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) struct AttemptResult {
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
    pub suspended: Option<Box<Suspended>>,
    /// The worktree that was kept of it.
    pub worktree: Option<Box<Worktree>>,
}

impl AttemptResult {
    /// An end of which nothing else is to be said.
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
