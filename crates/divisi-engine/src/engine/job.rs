//! Runs that are fed by a Rust program.

use super::{Finished, RunHandle};
use crate::driver::{DriveError, FlowNews, Message, TaskEnd, TaskReport, Waiter};
use crate::flow::texts_of;
use crate::resolve::{Resolved, Resolver};
use divisi_core::event::Refusal;
use divisi_core::reads::Reads;
use divisi_core::{Failure, FailureClass, Outcome, PicoUsd, Task};
use serde_json::Value;
use std::panic::resume_unwind;
use std::sync::{Arc, PoisonError};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::spawn_blocking;

/// A run that this program feeds.
///
/// After a crash the program may request its tasks again: known ones are answered from the journal.
pub struct Job {
    pub(super) handle: RunHandle,
    pub(super) inbox: mpsc::UnboundedSender<Message>,
    pub(super) resolver: Arc<Resolver>,
    /// Held while a task is resolved, so that tasks are submitted in the order of the calls,
    /// however long their files take to read.
    pub(super) turn: Mutex<()>,
    /// The results given to the program.
    pub(super) reads: std::sync::Mutex<Reads>,
}

impl Job {
    /// The run.
    pub fn handle(&self) -> &RunHandle {
        &self.handle
    }

    /// Runs one task to its end.
    ///
    /// Dropping the future does not stop the task, once its input files and those of earlier tasks
    /// have been read. If the run parks first, the report says that the task was interrupted.
    pub fn run(&self, task: Task) -> impl Future<Output = TaskReport> {
        self.submit(task, 0)
    }

    /// The same for a task that a chain of `waiting` others waits for.
    pub(crate) fn submit(&self, task: Task, waiting: u32) -> impl Future<Output = TaskReport> {
        // Boxed and dropped before the wait for the report, because hundreds of thousands of tasks
        // may wait.
        let handed_over = Box::pin(self.hand_over(task, waiting));
        async move {
            match handed_over.await {
                Some(report) => {
                    let report = reported(report).await;
                    if let (Some(task), TaskEnd::Ok(json)) = (report.task, &report.end) {
                        self.reads().given(task, json);
                    }
                    report
                }
                None => interrupted(),
            }
        }
    }

    /// Resolves and submits a task, one at a time. `None` if the runtime ends first.
    async fn hand_over(&self, task: Task, waiting: u32) -> Option<oneshot::Receiver<TaskReport>> {
        // Held until the message is sent, so that tasks reach the driver in the order of the calls
        // although some are resolved on other threads.
        let _turn = self.turn.lock().await;
        let reads = self.reads().of(texts_of(&task));
        let send = |mut resolved: Resolved| {
            resolved.submission.edges.reads = reads;
            self.send(resolved)
        };
        if !self.resolver.blocks(&task) {
            return Some(send(self.resolver.resolve(task, waiting)));
        }
        let resolver = self.resolver.clone();
        match spawn_blocking(move || resolver.resolve(task, waiting)).await {
            Ok(resolved) => Some(send(resolved)),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(_) => None,
            },
        }
    }

    fn reads(&self) -> std::sync::MutexGuard<'_, Reads> {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a task that is not run, and why.
    pub(crate) async fn skip(&self, task: Task, reason: String) -> TaskReport {
        let turn = self.turn.lock().await;
        let report = self.send(self.resolver.settled(task, Outcome::Skipped { reason }));
        // Released before the wait for the outcome, during which other tasks are submitted.
        drop(turn);
        reported(report).await
    }

    /// Submits a task. Not async, so that waiting futures do not contain its state.
    fn send(&self, resolved: Resolved) -> oneshot::Receiver<TaskReport> {
        let (caller, report) = oneshot::channel();
        let resolved = Box::new(resolved);
        // If the run has ended, the message is dropped, and with it the sender of the report.
        let _ = self.inbox.send(Message::Submit {
            resolved,
            waiter: Waiter::Caller(caller),
        });
        report
    }

    /// Records that something was requested and not done.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        // Fails only if the run has ended.
        let _ = self.inbox.send(Message::Refused { refusal, count: 1 });
    }

    /// Begins a phase.
    pub fn phase(&self, title: &str) {
        self.tell(FlowNews::Phase {
            title: title.into(),
            cap: None,
        });
    }

    /// Begins a phase with a cap.
    pub fn cap_phase(&self, title: &str, cap: PicoUsd) {
        self.tell(FlowNews::Phase {
            title: title.into(),
            cap: Some(cap),
        });
    }

    /// Adds a line to the log.
    pub fn log(&self, line: &str) {
        self.tell(FlowNews::Log(line.into()));
    }

    /// Ends the flow with `result`, and waits for the end of the run.
    pub async fn finish(self, result: Value) -> Result<Finished, DriveError> {
        self.tell(FlowNews::Ended(Ok(result.to_string().into())));
        self.handle.finished().await
    }

    fn tell(&self, news: FlowNews) {
        // Fails if the run has parked or ended; `finish` reports that.
        let _ = self.inbox.send(Message::Flow(news));
    }
}

/// The report, or an interruption if the run stops first.
async fn reported(report: oneshot::Receiver<TaskReport>) -> TaskReport {
    report.await.unwrap_or_else(|_| interrupted())
}

fn interrupted() -> TaskReport {
    let message = "the run stopped before the task was done";
    TaskReport::without_task(Failure::new(FailureClass::Interrupted, message))
}
