//! What an executor declares about itself.

use divisi_core::{Millis, PicoUsd};
use std::sync::Arc;

/// What an executor declares about itself. Everything decided about its tasks before they start
/// follows from it.
///
/// By default an executor is free, asks no model, cannot continue the work of a lost attempt, and
/// may change files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecutorSpec {
    /// What its results depend on besides the task: a command with its arguments, a version. Part
    /// of every task's key, together with the executor's name.
    pub identity: Arc<str>,
    /// The meaning of a task's model words.
    pub models: ModelUse,
    /// What is known about its cost.
    pub cost: Cost,
    /// Whether an attempt can continue a lost or suspended one by the handle that it left
    /// ([`Context::handle`](super::Context::handle)).
    pub resumes: bool,
    /// Whether it may suspend to ask for a permission ([`Ending::asks`](super::Ending::asks)). The
    /// task then waits for a person.
    pub asks_permission: bool,
    /// How often it is asked for the results of suspended attempts
    /// ([`Executor::poll`](super::Executor::poll)); `None` if only an answer ends their wait.
    pub polls: Option<Millis>,
    /// Whether it may change files without a permission of the run.
    pub writes: bool,
    /// Whether it uses memory and processors of this machine, and so takes a program slot
    /// (`limits.programs_max`).
    pub runs_here: bool,
}

/// The meaning of a task's model words to an executor. If they have one, they are part of the key,
/// and the task climbs them as its ladder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModelUse {
    /// They are models of the run's providers, which the executor asks.
    Asks,
    /// It passes them on; only it knows their meaning.
    Names,
    /// It passes them on: tiers, or ids of its vendor. A task without a word gets the run's model,
    /// and `auto` becomes the tier that suffices.
    Tiers,
    /// They are ignored.
    None,
}

/// What is known about the cost of an executor, which decides the reservation of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cost {
    /// It reports tokens; their cost follows from divisi's prices.
    Metered,
    /// It sends one request to the task's model, such as [`Context::request`](super::Context::request)
    /// gives, at most at the list price, and reports its cost. That request is reserved.
    OneRequest,
    /// It reports its cost. An attempt reserves all of the task's own budget; without one it does
    /// not start if a cap applies.
    Reported,
    /// It is free.
    Free,
    /// It reports its cost, and keeps to what is reserved
    /// ([`Context::reserved`](super::Context::reserved)) as well as it can. An attempt reserves all
    /// that is left of the task's own budget; without one, this amount.
    Limited(PicoUsd),
    /// At most this per attempt, which is reserved for each. An attempt that reports no cost is
    /// booked at this amount, as unconfirmed.
    UpTo(PicoUsd),
}

impl ExecutorSpec {
    /// A spec with this identity and defaults otherwise.
    pub fn new(identity: impl Into<Arc<str>>) -> Self {
        Self {
            identity: identity.into(),
            models: ModelUse::None,
            cost: Cost::Free,
            resumes: false,
            asks_permission: false,
            polls: None,
            writes: true,
            runs_here: true,
        }
    }

    /// Sets the meaning of model words.
    pub fn models(mut self, models: ModelUse) -> Self {
        self.models = models;
        self
    }

    /// Sets the cost.
    pub fn cost(mut self, cost: Cost) -> Self {
        self.cost = cost;
        self
    }

    /// Declares that an attempt can continue a lost or suspended one.
    pub fn resumes(mut self) -> Self {
        self.resumes = true;
        self
    }

    /// Declares that it may ask for a permission.
    pub fn asks_permission(mut self) -> Self {
        self.asks_permission = true;
        self
    }

    /// Declares that it is asked for the results of suspended attempts, this often unless it names
    /// another time. A run with such attempts does not park. Their results are not checked beyond
    /// the task's schema, so tasks with checks are refused.
    pub fn polls(mut self, every: Millis) -> Self {
        self.polls = Some(every);
        self
    }

    /// Declares that its work is done elsewhere.
    pub fn runs_elsewhere(mut self) -> Self {
        self.runs_here = false;
        self
    }

    /// Declares that it changes no files, or only with a permission of the run.
    pub fn writes_nothing(mut self) -> Self {
        self.writes = false;
        self
    }
}
