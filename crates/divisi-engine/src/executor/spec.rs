//! What an executor says of itself.

use divisi_core::PicoUsd;
use std::sync::Arc;

/// What an executor says of itself: all that is decided about its tasks before one of
/// them starts follows from this.
///
/// A new one costs nothing, asks no model, cannot go on with the work of an attempt that
/// was lost, and may change files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecutorSpec {
    /// Whatever its results depend on besides the task: a command with its arguments, a
    /// version. Part of the key of every task, beside its name.
    pub identity: Arc<str>,
    /// What a task's words for models mean to it.
    pub models: ModelUse,
    /// What is known of its cost.
    pub cost: Cost,
    /// Whether an attempt can go on where one was lost or suspended, by a handle that
    /// that one has left ([`Context::handle`](super::Context::handle)).
    pub resumes: bool,
    /// Whether it may stop to ask whether it may do something
    /// ([`Ending::asks`](super::Ending::asks)). The task then waits for a person.
    pub asks_permission: bool,
    /// Whether it may change files without a permission of the run.
    pub writes: bool,
    /// Whether it takes memory and processors of this machine, and so one of the slots that
    /// programs have (`limits.programs_max`).
    pub runs_here: bool,
}

/// What a task's words for models mean to an executor. Where they mean anything they are
/// part of the key, and a task climbs them as its ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelUse {
    /// They are models of the run's providers, which it asks.
    Asks,
    /// It passes them on, and only it knows what they mean.
    Names,
    /// Nothing.
    None,
}

/// What is known of the cost of an executor, which says what is set aside for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cost {
    /// It says which tokens it has used, and what they cost is known from the prices here.
    Metered,
    /// It says what it has cost. All of the task's own budget is set aside for an attempt;
    /// without one it does not start where there is a cap.
    Reported,
    /// It costs nothing.
    Free,
    /// No more than this in one attempt, which is set aside for each. One that does not say
    /// what it has cost is booked as this much, of which no bill is known.
    UpTo(PicoUsd),
}

impl ExecutorSpec {
    /// An executor whose results depend on this besides the task.
    pub fn new(identity: impl Into<Arc<str>>) -> Self {
        Self {
            identity: identity.into(),
            models: ModelUse::None,
            cost: Cost::Free,
            resumes: false,
            asks_permission: false,
            writes: true,
            runs_here: true,
        }
    }

    /// The same with this use of words for models.
    pub fn models(mut self, models: ModelUse) -> Self {
        self.models = models;
        self
    }

    /// The same at this cost.
    pub fn cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// The same where an attempt can go on with the work of one that was lost or suspended.
    pub fn resumes(mut self) -> Self {
        self.resumes = true;
        self
    }

    /// The same where it may ask whether it may do something.
    pub fn asks_permission(mut self) -> Self {
        self.asks_permission = true;
        self
    }

    /// The same where it only waits for what happens elsewhere.
    pub fn runs_elsewhere(mut self) -> Self {
        self.runs_here = false;
        self
    }

    /// The same where it changes no files, or only with a permission of the run.
    pub fn writes_nothing(mut self) -> Self {
        self.writes = false;
        self
    }
}
