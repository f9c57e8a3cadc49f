//! What a driver is told, and what it answers.

use crate::attempt::AttemptResult;
use crate::executor::{AttemptNews, Room};
use crate::resolve::Resolved;
use divisi_core::estimate::Estimate;
use divisi_core::event::Refusal;
use divisi_core::run::{Run, Stage};
use divisi_core::{AttemptId, Failure, FailureClass, PicoUsd, TaskId, Usage};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// What a driver is told.
///
/// The inbox has no bound of its own: attempts are bounded by the slots of the
/// run and wait for answers, flows by the number of tasks a run may have.
pub(crate) enum Message {
    /// The flow asks for a task.
    Submit {
        resolved: Box<Resolved>,
        waiter: Waiter,
    },
    /// The flow says something.
    Flow(FlowNews),
    /// Something that the flow asked for was not done.
    Refused { refusal: Refusal, count: u32 },
    /// An attempt says something.
    Attempt(AttemptNews),
    /// An attempt has ended.
    Ended {
        attempt: AttemptId,
        result: Box<AttemptResult>,
    },
    /// What the run is expected to cost.
    Estimate(Box<Estimate>),
    /// A person wants the run to rest.
    Park,
    /// A person wants the run to end at once.
    Cancel,
}

/// What a flow says besides its tasks.
pub(crate) enum FlowNews {
    Phase {
        title: Arc<str>,
        cap: Option<PicoUsd>,
    },
    Log(Arc<str>),
    /// Exceptions in it had no handler: the first, with its line, and how many.
    Uncaught {
        message: Arc<str>,
        count: u32,
    },
    /// It waits, after this many answers.
    Quiet {
        answered: u64,
    },
    Ended(Result<Arc<str>, Failure>),
}

/// By what an attempt is answered.
pub(crate) enum Reply {
    /// What it has said is durable.
    Done(oneshot::Sender<()>),
    /// It may send a request.
    Room(oneshot::Sender<Room>),
}

/// Who waits for the outcome of a task.
pub(crate) enum Waiter {
    /// The flow's script, by the number of its call.
    Script(u64),
    /// A Rust program.
    Caller(oneshot::Sender<TaskReport>),
}

/// Leads the answers to a flow's calls to its script, in the order in which
/// they are to be given.
pub(crate) type Answered = mpsc::UnboundedSender<(u64, TaskReport)>;

/// How a task ended, as the flow learns it.
#[derive(Clone, Debug)]
pub struct TaskReport {
    /// Which task; `None` for one that the run had no room for.
    pub task: Option<TaskId>,
    /// How it ended.
    pub end: TaskEnd,
    /// The model that answered.
    pub model: Option<Arc<str>>,
    /// How many attempts it took.
    pub attempts: u32,
    /// What they cost.
    pub cost: PicoUsd,
    /// Their tokens.
    pub usage: Usage,
}

/// How a task ended, with the text of its result.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskEnd {
    /// With this result: JSON text, a string where no schema was asked for.
    Ok(Arc<str>),
    /// Without.
    Failed(Failure),
    /// Never tried, for this reason.
    Skipped(String),
    /// Stopped by a person.
    Cancelled,
}

impl TaskReport {
    /// The report of a task that the run does not take.
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

    /// The report of a task that never came to be.
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
