//! How an executor's attempt ends.

use divisi_core::{Failure, FailureClass, Millis, PicoUsd};
use serde_json::Value;
use std::sync::Arc;

/// How an executor's attempt ends: with a result, with a failure, or not yet, because it
/// waits for something outside of the process.
#[derive(Debug)]
pub struct Ending {
    pub(crate) result: Result<Value, Failure>,
    pub(crate) retry_after: Option<Millis>,
    pub(crate) suspended: Option<Suspended>,
}

/// What an attempt waits for, as its executor says it.
#[derive(Debug)]
pub(crate) struct Suspended {
    pub(crate) kind: Arc<str>,
    pub(crate) handle: Option<Arc<str>>,
    pub(crate) question: Option<Arc<str>>,
    pub(crate) reserved: PicoUsd,
    /// Whether the answer is for the executor.
    pub(crate) goes_on: bool,
}

impl Ending {
    /// The result: a text, where the task has no schema.
    pub fn ok(value: impl Into<Value>) -> Self {
        Ok(value.into()).into()
    }

    /// Nothing yet: what comes later by [`Engine::answer`](crate::Engine::answer) is the
    /// result. `kind` says in a word what it waits for.
    pub fn waits(kind: impl Into<Arc<str>>) -> Self {
        let suspended = Suspended {
            kind: kind.into(),
            handle: None,
            question: None,
            reserved: PicoUsd::ZERO,
            goes_on: false,
        };
        let none_yet = Failure::new(FailureClass::Interrupted, "it waits for an answer");
        Self {
            result: Err(none_yet),
            retry_after: None,
            suspended: Some(suspended),
        }
    }

    /// Nothing yet: it asks whether it may do something. Another attempt is given the answer
    /// ([`Context::answer`](super::Context::answer)) and the handle, and goes on. Its spec
    /// has to say that it asks and resumes.
    pub fn asks(question: impl Into<Arc<str>>) -> Self {
        let mut ending = Self::waits("permission");
        if let Some(suspended) = &mut ending.suspended {
            (suspended.question, suspended.goes_on) = (Some(question.into()), true);
        }
        ending
    }

    /// The same, by this handle: what the next attempt, or whatever answers, finds it by.
    pub fn handle(mut self, handle: &Value) -> Self {
        if let Some(suspended) = &mut self.suspended {
            suspended.handle = Some(handle.to_string().into());
        }
        self
    }

    /// The same, where it may cost this much while it waits, of what was set aside.
    pub fn reserved(mut self, most: PicoUsd) -> Self {
        if let Some(suspended) = &mut self.suspended {
            suspended.reserved = most;
        }
        self
    }

    /// The same, where it is not to be tried again before this much time has passed.
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
