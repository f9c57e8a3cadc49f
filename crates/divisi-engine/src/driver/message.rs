//! The messages to a driver, and its answers.

use crate::attempt::AttemptResult;
use crate::executor::{AttemptNews, Room};
use crate::resolve::Resolved;
use crate::store::{ControlMessage, Receipt};
use divisi_core::estimate::Estimate;
use divisi_core::event::Refusal;
use divisi_core::run::{Run, Stage};
use divisi_core::{AttemptId, Failure, FailureClass, PicoUsd, TaskId, Usage};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// A message to a driver.
///
/// The inbox has no bound of its own: attempts are bounded by the slots of the run and wait for
/// answers, flows by the number of tasks of a run.
pub(crate) enum Message {
    /// The flow requests a task.
    Submit {
        resolved: Box<Resolved>,
        waiter: Waiter,
    },
    /// News of the flow.
    Flow(FlowNews),
    /// A request of the flow was refused.
    Refused { refusal: Refusal, count: u32 },
    /// A message of an attempt.
    Attempt(AttemptNews),
    /// An attempt has ended.
    Ended {
        attempt: AttemptId,
        result: Box<AttemptResult>,
    },
    /// The estimate of the run.
    Estimate(Box<Estimate>),
    /// The user controls the run from this process.
    Control {
        message: ControlMessage,
        receipt: oneshot::Sender<Receipt>,
    },
    /// The user puts off a question.
    PutOff(TaskId),
    /// The user parks the run.
    Park,
    /// The user ends the run at once.
    Cancel,
}

/// News of a flow besides its tasks.
pub(crate) enum FlowNews {
    Phase {
        title: Arc<str>,
        cap: Option<PicoUsd>,
    },
    Log(Arc<str>),
    /// Exceptions without a handler: the first, with its line, and their number.
    Uncaught {
        message: Arc<str>,
        count: u32,
    },
    /// It waits, after this number of answers.
    Quiet {
        answered: u64,
    },
    Ended(Result<Arc<str>, Failure>),
}

/// The channel by which an attempt is answered.
pub(crate) enum Reply {
    /// Its message is durable.
    Done(oneshot::Sender<()>),
    /// It may send a request.
    Room(oneshot::Sender<Room>),
}

/// What waits for the outcome of a task.
pub(crate) enum Waiter {
    /// The flow's script, by the number of the call.
    Script(u64),
    /// A Rust program.
    Caller(oneshot::Sender<TaskReport>),
}

/// Sends the answers of a flow's calls to its script, in order.
pub(crate) type Answered = mpsc::UnboundedSender<(u64, TaskReport)>;

/// How a task ended, as reported to the flow.
#[derive(Clone, Debug)]
pub struct TaskReport {
    /// The task; `None` if the run refused it.
    pub task: Option<TaskId>,
    /// How it ended.
    pub end: TaskEnd,
    /// The model that answered.
    pub model: Option<Arc<str>>,
    /// Number of attempts.
    pub attempts: u32,
    /// Their cost.
    pub cost: PicoUsd,
    /// Their tokens.
    pub usage: Usage,
}

/// How a task ended, with the text of its result.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskEnd {
    /// With this result: JSON text, a string if the task has no schema.
    Ok(Arc<str>),
    /// Without a result.
    Failed(Failure),
    /// Never started, for this reason.
    Skipped(String),
    /// Stopped by the user.
    Cancelled,
}

impl TaskReport {
    /// The report of a task that the run refuses.
    pub(crate) fn refused(run: &Run) -> Self {
        Self::without_task(match run.stage() {
            Stage::Ended(_) => Failure::new(FailureClass::Interrupted, "the run is over"),
            _ => {
                let tasks_max = run.limits().tasks_max;
                let message =
                    format!("the run has {tasks_max} tasks, which is as many as it may have");
                Failure::new(FailureClass::Unavailable, message).hint("raise `limits.tasks_max`")
            }
        })
    }

    /// The report of a task that was never created.
    pub(crate) fn without_task(failure: Failure) -> Self {
        let (cost, usage) = (PicoUsd::ZERO, Usage::default());
        Self {
            task: None,
            end: TaskEnd::Failed(failure),
            model: None,
            attempts: 0,
            cost,
            usage,
        }
    }

    /// The result, or why there is none.
    pub fn value(&self) -> Result<serde_json::Value, Failure> {
        match &self.end {
            TaskEnd::Ok(json) => serde_json::from_str(json).map_err(|error| {
                Failure::new(
                    FailureClass::Unavailable,
                    format!("the recorded result is no JSON: {error}"),
                )
            }),
            TaskEnd::Failed(failure) => Err(failure.clone()),
            TaskEnd::Skipped(reason) => Err(Failure::new(
                FailureClass::Unavailable,
                format!("skipped: {reason}"),
            )),
            TaskEnd::Cancelled => Err(Failure::new(FailureClass::Interrupted, "cancelled")),
        }
    }

    /// The result as text: a string as it is, anything else as JSON.
    pub fn text(&self) -> Result<String, Failure> {
        Ok(match self.value()? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        })
    }
}
