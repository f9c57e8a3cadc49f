//! Asks for the result of a suspended attempt.

use crate::models::Model;
use divisi_core::{AttemptId, Failure, Millis, PicoUsd, Task, Usage};
use serde_json::Value;
use std::sync::Arc;

/// A suspended attempt whose result is asked for ([`Executor::poll`](super::Executor::poll)).
pub struct Ticket {
    pub(crate) id: AttemptId,
    pub(crate) task: Task,
    pub(crate) model: Option<Model>,
    /// JSON text.
    pub(crate) handle: Option<Arc<str>>,
}

impl Ticket {
    /// Id of the attempt.
    pub fn id(&self) -> AttemptId {
        self.id
    }

    /// The task, without secrets.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The model that the attempt asks, for an executor that asks models.
    pub fn asked_model(&self) -> Option<&Model> {
        self.model.as_ref()
    }

    /// The handle with which the attempt was suspended.
    pub fn handle(&self) -> Option<Value> {
        let json = self.handle.as_deref()?;
        serde_json::from_str(json).ok()
    }
}

/// The answer to a poll.
#[derive(Debug)]
pub struct Polled(pub(crate) State);

#[derive(Debug)]
pub(crate) enum State {
    /// There is no result yet; the executor may name the time until the next poll.
    Waits(Option<Millis>),
    Ended {
        result: Result<Value, Failure>,
        /// `None` if it was not reported.
        spent: Option<(Usage, PicoUsd)>,
    },
}

impl Polled {
    /// There is no result yet. Also right if the other side could not be reached: a failure would
    /// end the attempt, and the next one would begin anew.
    pub fn waits() -> Self {
        Self(State::Waits(None))
    }

    /// The same, and the next poll has this long to wait.
    pub fn waits_for(pause: Millis) -> Self {
        Self(State::Waits(Some(pause)))
    }

    /// The result of the attempt, or why there is none. A failure may be retried, as that of any
    /// attempt.
    pub fn ended(result: Result<Value, Failure>) -> Self {
        Self(State::Ended {
            result,
            spent: None,
        })
    }

    /// Sets what the attempt has cost since it was suspended. Without it, an executor that costs
    /// money is booked with all that the suspension reserves.
    pub fn spent(mut self, usage: Usage, cost: PicoUsd) -> Self {
        if let State::Ended { spent, .. } = &mut self.0 {
            *spent = Some((usage, cost));
        }
        self
    }
}
