//! Asks executors for the results of suspended attempts.
//!
//! Only what the journal knows is asked for: the first poll comes after the suspension is durable,
//! and a resume continues with the recorded handle. So a process may die at any time, and no work
//! is submitted twice. Answers reach the driver as ends of attempts.

use super::attempt::text;
use super::message::Message;
use super::{DriveError, Driver};
use crate::attempt::{Assignment, AttemptResult, hold_to_schema};
use crate::executor::polling::State;
use crate::executor::{Cost, Ticket};
use crate::store::Store;
use divisi_core::budget::Unanswered;
use divisi_core::content::Content;
use divisi_core::run::{Stage, TaskStage};
use divisi_core::{AttemptId, Failure, FailureClass, Millis, PicoUsd, TaskId, Usage};
use futures::FutureExt;
use rustc_hash::FxHashMap;
use serde_json::Value;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Most polls of a run at once: more would not be answered sooner by one service.
const AT_ONCE_MAX: usize = 64;

/// Longest time of one poll, after which it counts as unanswered. A service that needs longer to
/// look up a state is out of order.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Shortest time between two polls, whatever an executor asks for.
const PAUSE_MIN: Millis = Millis(100);

/// The polls of a run. Dropping it ends them.
pub(super) struct Polls {
    /// Suspensions to poll once the batch is durable, and when first.
    due: Vec<(AttemptId, Millis)>,
    under_way: FxHashMap<AttemptId, DropGuard>,
    slots: Arc<Semaphore>,
}

impl Default for Polls {
    fn default() -> Self {
        Self {
            due: vec![],
            under_way: FxHashMap::default(),
            slots: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        }
    }
}

impl Driver {
    /// An attempt of `task` has just been suspended, or the flow requests a task that is. If its
    /// executor can be asked, the run does not park for want of its result.
    pub(super) fn await_result(&mut self, task: TaskId, is_known: bool) {
        let Some(every) = self.pollable(task).map(|(_, every)| every) else {
            return;
        };
        let Some(TaskStage::Suspended(attempt)) = self.runs.run().task(task).map(|t| t.stage())
        else {
            return;
        };
        let attempt = *attempt;
        self.runs.polls(attempt);
        // It may have ended since the last process asked.
        let first = if is_known { Millis(0) } else { every };
        self.polls.due.push((attempt, first));
    }

    /// Starts the polls of suspensions that are durable now.
    pub(super) fn start_polls(&mut self) {
        // Until the flow has been repeated, its tasks may yet be left out; and a rehearsal ends
        // then, without a poll.
        if *self.runs.run().stage() == Stage::Replaying {
            return;
        }
        for (attempt, first) in std::mem::take(&mut self.polls.due) {
            let Some((assignment, every)) = self.pollable(attempt.task) else {
                continue;
            };
            let Some(task) = self.runs.run().task(attempt.task) else {
                continue;
            };
            if *task.stage() != TaskStage::Suspended(attempt) {
                continue;
            }
            let poll = Poll {
                id: attempt,
                assignment,
                model: task.model().cloned(),
                handle: task.suspension().and_then(|known| known.handle.clone()),
                slots: self.polls.slots.clone(),
                pauses: (first, every),
            };
            let (store, driver) = (self.store.clone(), self.sender.clone());
            let stop = CancellationToken::new();
            let stopped = stop.clone();
            tokio::spawn(async move {
                let ended = stopped.run_until_cancelled(poll.until_ended(&*store)).await;
                if let Some(result) = ended.map(Box::new) {
                    // Fails only if the driver has ended.
                    let _ = driver.send(Message::Ended { attempt, result });
                }
            });
            self.polls.under_way.insert(attempt, stop.drop_guard());
        }
    }

    /// Ends the poll of an attempt, which has its result from elsewhere or from this poll.
    pub(super) fn stop_poll(&mut self, attempt: AttemptId) {
        self.polls.under_way.remove(&attempt);
    }

    /// How a suspended task is polled; `None` if only an answer can end its wait.
    fn pollable(&self, task: TaskId) -> Option<(Arc<Assignment>, Millis)> {
        let suspension = self.runs.run().task(task)?.suspension()?;
        let assignment = self.assignments.get(&task)?;
        let every = assignment.poll_every.filter(|_| !suspension.goes_on)?;
        Some((assignment.clone(), every.max(PAUSE_MIN)))
    }
}

/// The polls of one attempt.
struct Poll {
    id: AttemptId,
    assignment: Arc<Assignment>,
    model: Option<Arc<str>>,
    handle: Option<Content>,
    slots: Arc<Semaphore>,
    /// The time before the first poll, and the usual time between two.
    pauses: (Millis, Millis),
}

impl Poll {
    async fn until_ended(self, store: &dyn Store) -> AttemptResult {
        let cost = self.assignment.cost;
        let failure = match AssertUnwindSafe(self.asked(store)).catch_unwind().await {
            Ok(Ok(ended)) => return ended,
            Ok(Err(error)) => Failure::new(FailureClass::Unavailable, error.to_string()),
            Err(_) => {
                let message = "the executor panicked when it was polled; its message is on stderr";
                Failure::new(FailureClass::Program, message)
            }
        };
        // The work may go on elsewhere.
        end(Err(failure), None, cost)
    }

    async fn asked(self, store: &dyn Store) -> Result<AttemptResult, DriveError> {
        let Self {
            id,
            assignment,
            model,
            handle,
            slots,
            pauses: (mut pause, every),
        } = self;
        let Some(executor) = assignment.executor.clone() else {
            let message = "the executor of a suspended attempt is gone";
            let failure = Failure::new(FailureClass::Unavailable, message);
            return Ok(end(Err(failure), None, assignment.cost));
        };
        let ticket = Ticket {
            id,
            task: assignment.task.clone(),
            model: assignment
                .models
                .iter()
                .find(|known| Some(&known.id) == model.as_ref())
                .cloned(),
            handle: text(store, handle).await?,
        };
        loop {
            tokio::time::sleep(Duration::from_millis(pause.0)).await;
            // Cannot fail: the semaphore is never closed.
            let slot = slots.acquire().await;
            let polled = tokio::time::timeout(TIME_MAX, executor.poll(&ticket)).await;
            drop(slot);
            pause = match polled.map(|polled| polled.0) {
                Ok(State::Ended { result, spent }) => {
                    let mut ended = end(result, spent, assignment.cost);
                    hold_to_schema(&mut ended, &assignment.task);
                    return Ok(ended);
                }
                Ok(State::Waits(Some(asked))) => asked.max(PAUSE_MIN),
                Ok(State::Waits(None)) | Err(_) => every,
            };
        }
    }
}

/// The end of an attempt from its last poll.
fn end(
    result: Result<Value, Failure>,
    spent: Option<(Usage, PicoUsd)>,
    cost: Cost,
) -> AttemptResult {
    let is_unknown = spent.is_none() && cost != Cost::Free;
    let (usage, cost) = spent.unwrap_or_default();
    AttemptResult {
        usage,
        cost,
        unanswered: is_unknown.then_some(Unanswered::UNKNOWN),
        ..AttemptResult::of(result.map(|value| value.to_string().into()))
    }
}
