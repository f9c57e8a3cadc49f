//! Messages to a run from other processes: answers, and what the user wants of its driver.
//!
//! Only the driver of a run may append to its journal. So another process puts a message into the
//! run's inbox, and the driver takes it. What became of a message, its receipt, is stored in one
//! transaction with the events that follow from it: however often the driver dies, a message has an
//! effect at most once, and none is lost.

use divisi_core::event::AnsweredBy;
use divisi_core::{PicoUsd, TaskId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most messages of a run that wait to be taken. People and their scripts send few; more are the
/// fault of a loop.
pub const INBOX_MAX: usize = 100;

/// A message to a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "message", rename_all = "snake_case")]
pub enum ControlMessage {
    /// The answer of a suspended task: its result, or what its executor has asked for.
    Answer {
        /// Which task.
        task: TaskId,
        /// The answer, as given.
        answer: Arc<str>,
    },
    /// Park.
    Park,
    /// Set another cap.
    Cap {
        /// The cap of the run from now on.
        cap: PicoUsd,
    },
    /// Set another number of attempts at a time.
    Width {
        /// Most attempts in flight from now on, at least one.
        in_flight_max: u32,
    },
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "receipt", rename_all = "snake_case")]
pub enum Receipt {
    /// It was done.
    Done,
    /// The task had been answered before.
    Answered {
        /// What had answered it.
        by: AnsweredBy,
    },
    /// The task waits for no answer.
    NotWaiting,
    /// The answer does not have the required form.
    Misfit {
        /// What is wrong with it.
        message: String,
    },
    /// It means nothing to the run as it is now: it parks already, or is over.
    Ignored,
}

/// A message in an inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its number. No other message of the store ever has the same.
    pub number: u64,
    /// The message.
    pub message: ControlMessage,
}
