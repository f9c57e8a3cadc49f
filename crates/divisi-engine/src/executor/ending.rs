//! The end of an executor's attempt.

use divisi_core::{Failure, FailureClass, Millis, PicoUsd};
use serde_json::Value;
use std::sync::Arc;

/// The end of an executor's attempt: a result, a failure, or a suspension, because it waits for
/// something outside of the process.
#[derive(Debug)]
pub struct Ending {
    pub(crate) result: Result<Value, Failure>,
    pub(crate) retry_after: Option<Millis>,
    pub(crate) suspended: Option<Suspended>,
}

/// The wait of a suspended attempt.
#[derive(Debug)]
pub(crate) struct Suspended {
    pub(crate) kind: Arc<str>,
    pub(crate) handle: Option<Arc<str>>,
    pub(crate) question: Option<Arc<str>>,
    pub(crate) reserved: PicoUsd,
    /// Whether the answer is for the executor.
    pub(crate) goes_on: bool,
    /// The words to choose from.
    pub(crate) choices: Vec<Arc<str>>,
    /// The result without an answer: JSON text.
    pub(crate) default: Option<Arc<str>>,
    /// Longest wait for the answer.
    pub(crate) timeout: Option<Millis>,
}

impl Ending {
    /// The result; a text, if the task has no schema.
    pub fn ok(value: impl Into<Value>) -> Self {
        Ok(value.into()).into()
    }

    /// Suspends the attempt: its result will come by [`Engine::answer`](crate::Engine::answer), or
    /// by [`Executor::poll`](super::Executor::poll) if the executor's spec polls. `kind` is a word
    /// for what it waits for.
    pub fn waits(kind: impl Into<Arc<str>>) -> Self {
        let suspended = Suspended {
            kind: kind.into(),
            handle: None,
            question: None,
            reserved: PicoUsd::ZERO,
            goes_on: false,
            choices: vec![],
            default: None,
            timeout: None,
        };
        let none_yet = Failure::new(FailureClass::Interrupted, "it waits for an answer");
        Self {
            result: Err(none_yet),
            retry_after: None,
            suspended: Some(suspended),
        }
    }

    /// Suspends the attempt with a question, such as for a permission. The next attempt gets the
    /// answer ([`Context::answer`](super::Context::answer)) and the handle, and continues. The
    /// executor's spec must say that it asks and resumes.
    pub fn asks(question: impl Into<Arc<str>>) -> Self {
        let mut ending = Self::waits("permission");
        if let Some(suspended) = &mut ending.suspended {
            (suspended.question, suspended.goes_on) = (Some(question.into()), true);
        }
        ending
    }

    /// Sets the handle by which the next attempt, or the answering side, finds the work.
    pub fn handle(mut self, handle: &Value) -> Self {
        if let Some(suspended) = &mut self.suspended {
            suspended.handle = Some(handle.to_string().into());
        }
        self
    }

    /// Sets the part of the reservation that the wait itself may cost.
    pub fn reserved(mut self, most: PicoUsd) -> Self {
        if let Some(suspended) = &mut self.suspended {
            suspended.reserved = most;
        }
        self
    }

    /// Sets the words to choose from, for display.
    pub fn choices<W: Into<Arc<str>>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        if let Some(suspended) = &mut self.suspended {
            suspended.choices = words.into_iter().map(Into::into).collect();
        }
        self
    }

    /// Sets the result in an unattended run, or without an answer in time.
    pub fn default(mut self, value: &Value) -> Self {
        if let Some(suspended) = &mut self.suspended {
            suspended.default = Some(value.to_string().into());
        }
        self
    }

    /// Sets how long it waits for its answer. Then it takes its default, or fails without one.
    pub fn timeout(mut self, timeout: Millis) -> Self {
        if let Some(suspended) = &mut self.suspended {
            suspended.timeout = Some(timeout);
        }
        self
    }

    /// Sets the time before which it must not be tried again.
    pub fn retry_after(mut self, rest: Millis) -> Self {
        self.retry_after = Some(rest);
        self
    }
}

impl From<Result<Value, Failure>> for Ending {
    fn from(result: Result<Value, Failure>) -> Self {
        Self {
            result,
            retry_after: None,
            suspended: None,
        }
    }
}

impl From<Failure> for Ending {
    fn from(failure: Failure) -> Self {
        Err(failure).into()
    }
}
