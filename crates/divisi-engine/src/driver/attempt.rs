//! Carries out one attempt in a task of its own, watching its time.

use super::message::{Message, Ours, Room};
use super::{DriveError, read};
use crate::executor::{Attempt, AttemptResult, Kept, Line};
use crate::resolve::Assignment;
use crate::setup::Model;
use crate::store::Store;
use divisi_core::content::Content;
use divisi_core::run::KeptTurn;
use divisi_core::{AttemptId, Failure, FailureClass, Millis};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long nobody looks whether an attempt that has waited is overdue. The
/// second that this is too late is nothing beside a timeout.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// An attempt as the run's state has it, its texts not yet read.
pub(super) struct Start {
    pub(super) assignment: Arc<Assignment>,
    pub(super) model: Option<Model>,
    pub(super) rung: usize,
    pub(super) can_climb: bool,
    pub(super) room: Room,
    pub(super) kept: Vec<KeptTurn>,
    pub(super) findings: Option<Content>,
}

/// Starts `attempt`. However it ends, by a panic too, the driver is told.
pub(super) fn start(id: AttemptId, start: Start, line: Line, store: Arc<dyn Store>) {
    let report = Report { id, line: line.clone(), result: None };
    // In a box, because the runtime moves what it is given several times.
    tokio::spawn(Box::pin(async move {
        // All of it, so that it is dropped here and not before.
        let mut report = report;
        report.result = Some(match load(id, start, line, &*store).await {
            Ok(attempt) => carry_out(attempt).await,
            Err(error) => Failure::new(FailureClass::Unavailable, error.to_string()).into(),
        });
    }));
}

/// Tells the driver how the attempt ended once it goes out of scope.
struct Report {
    id: AttemptId,
    line: Line,
    result: Option<AttemptResult>,
}

impl Drop for Report {
    fn drop(&mut self) {
        let mut result = self.result.take().unwrap_or_else(|| {
            let failure =
                Failure::new(FailureClass::Program, "the executor panicked; its message is on stderr");
            AttemptResult { unanswered: self.line.may_be_billed(), ..failure.into() }
        });
        result.waited = Millis(self.line.waited().as_millis() as u64);
        self.line.tell(Message::Ours(Ours::Ended { attempt: self.id, result: Box::new(result) }));
    }
}

async fn load(id: AttemptId, start: Start, line: Line, store: &dyn Store) -> Result<Attempt, DriveError> {
    let Start { assignment, model, rung, can_climb, room, kept, findings } = start;
    let findings = match findings {
        Some(findings) => Some(read(store, &findings).await?),
        None => None,
    };
    let kept = load_kept(store, kept).await?;
    Ok(Attempt { id, assignment, model, rung, can_climb, findings, room, kept, line })
}

async fn load_kept(store: &dyn Store, kept: Vec<KeptTurn>) -> Result<Vec<Kept>, DriveError> {
    let mut loaded = Vec::with_capacity(kept.len());
    for KeptTurn { request, reply, tool_results, deaths, .. } in kept {
        let tool_results = match tool_results {
            Some(results) => Some(read(store, &results).await?),
            None => None,
        };
        loaded.push(Kept { request, reply: read(store, &reply).await?, tool_results, deaths });
    }
    Ok(loaded)
}

async fn carry_out(attempt: Attempt) -> AttemptResult {
    let Assignment { timeout, idle_timeout, executor, .. } = &*attempt.assignment;
    let (timeout, idle_timeout, executor, line) =
        (*timeout, *idle_timeout, executor.clone(), attempt.line.clone());
    let dropped = |class, message| AttemptResult {
        unanswered: line.may_be_billed(),
        ..Failure::new(class, message).into()
    };
    tokio::select! {
        // First, so that who is done at once winds up no clock.
        biased;
        result = executor.run(attempt) => result,
        () = line.stop().cancelled() => dropped(FailureClass::Interrupted, "stopped".to_owned()),
        () = overdue(&line, timeout) => {
            dropped(FailureClass::Timeout, format!("took longer than {}", seconds(timeout)))
        }
        () = idle(&line, idle_timeout) => {
            dropped(FailureClass::Stalled, format!("no sign of progress for {}", seconds(idle_timeout)))
        }
    }
}

/// Returns when the attempt has taken `most`. What it has waited for its turn to
/// send a request is not its own time: limits may let the last of many wait for hours.
async fn overdue(line: &Line, most: Millis) {
    let (begun, most) = (Instant::now(), duration(most));
    sleep(most).await;
    loop {
        let left = (most + line.waited()).saturating_sub(begun.elapsed());
        if left.is_zero() {
            return;
        }
        sleep(left.max(LOOK_EVERY)).await;
    }
}

/// Returns when a request has been out for `most` without a sign of life. Waits,
/// tools and checks have limits of their own.
async fn idle(line: &Line, most: Millis) {
    loop {
        let before = line.signs_of_life();
        sleep(duration(most)).await;
        if line.signs_of_life() == before && line.is_asking() {
            return;
        }
    }
}

fn duration(span: Millis) -> Duration {
    Duration::from_millis(span.0)
}

fn seconds(span: Millis) -> String {
    format!("{} s", span.0 as f64 / 1_000.0)
}
