//! Runs one attempt in an async task of its own.

use super::message::Message;
use super::{DriveError, read};
use crate::attempt::{Assignment, Attempt, AttemptResult, Kept, carry_out};
use crate::executor::Line;
use crate::models::Model;
use crate::store::Store;
use divisi_core::content::Content;
use divisi_core::run::{KeptTurn, Session};
use divisi_core::{AttemptId, Failure, FailureClass, PicoUsd, RunId};
use std::sync::Arc;
use tokio::sync::mpsc;

/// What an attempt is loaded from: state of the run, with texts still in the store.
pub(super) struct Start {
    pub(super) run: RunId,
    pub(super) assignment: Arc<Assignment>,
    pub(super) model: Option<Model>,
    /// The rung of its ladder, as recorded.
    pub(super) scheduled: Option<Arc<str>>,
    pub(super) kept: Vec<KeptTurn>,
    /// What it continues with, if its executor can.
    pub(super) session: Session,
    pub(super) findings: Option<Content>,
    pub(super) reserved: PicoUsd,
}

/// Starts `attempt`. The driver gets its result however it ends, even by a panic.
pub(super) fn start(
    id: AttemptId,
    start: Start,
    line: Line,
    store: Arc<dyn Store>,
    driver: mpsc::UnboundedSender<Message>,
) {
    let report = Report {
        id,
        line: line.clone(),
        driver,
        result: None,
    };
    // Boxed, because the runtime moves a future several times.
    let start = Box::new(start);
    tokio::spawn(async move {
        // Moves the report into the task, so that it is dropped when the task ends.
        let mut report = report;
        report.result = Some(Box::pin(carried_out(id, start, line, store)).await);
    });
}

/// Sends the result of the attempt to the driver when dropped.
struct Report {
    id: AttemptId,
    line: Line,
    driver: mpsc::UnboundedSender<Message>,
    result: Option<Box<AttemptResult>>,
}

impl Drop for Report {
    fn drop(&mut self) {
        let mut result = self.result.take().unwrap_or_else(|| {
            let failure = Failure::new(
                FailureClass::Program,
                "the executor panicked; its message is on stderr",
            );
            Box::new(AttemptResult {
                unanswered: self.line.unanswered(),
                ..failure.into()
            })
        });
        result.waited = self.line.waited();
        result.waits = self.line.take_waits();
        let attempt = self.id;
        // Fails only if the driver has ended.
        let _ = self.driver.send(Message::Ended { attempt, result });
    }
}

async fn carried_out(
    id: AttemptId,
    start: Box<Start>,
    line: Line,
    store: Arc<dyn Store>,
) -> Box<AttemptResult> {
    Box::new(match load(id, start, line, &*store).await {
        Ok(attempt) => carry_out(attempt).await,
        Err(error) => Failure::new(FailureClass::Unavailable, error.to_string()).into(),
    })
}

async fn load(
    id: AttemptId,
    start: Box<Start>,
    line: Line,
    store: &dyn Store,
) -> Result<Box<Attempt>, DriveError> {
    let Start {
        run,
        assignment,
        model,
        scheduled,
        kept,
        session,
        findings,
        reserved,
    } = *start;
    let findings = text(store, findings).await?;
    let (handle, answer) = (
        text(store, session.handle).await?,
        text(store, session.answer).await?,
    );
    let kept = load_kept(store, kept).await?;
    Ok(Box::new(Attempt {
        run,
        id,
        assignment,
        scheduled,
        model,
        findings,
        kept,
        handle,
        answer,
        reserved,
        line,
    }))
}

pub(super) async fn text(
    store: &dyn Store,
    content: Option<Content>,
) -> Result<Option<Arc<str>>, DriveError> {
    match content {
        Some(content) => read(store, &content).await.map(Some),
        None => Ok(None),
    }
}

async fn load_kept(store: &dyn Store, kept: Vec<KeptTurn>) -> Result<Vec<Kept>, DriveError> {
    let mut loaded = Vec::with_capacity(kept.len());
    for KeptTurn {
        reply,
        tool_results,
        ..
    } in kept
    {
        let tool_results = match tool_results {
            Some(results) => Some(read(store, &results).await?),
            None => None,
        };
        loaded.push(Kept {
            reply: read(store, &reply).await?,
            tool_results,
        });
    }
    Ok(loaded)
}
