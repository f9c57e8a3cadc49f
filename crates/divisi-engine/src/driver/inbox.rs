//! Messages of the user to a run: from this process, and from others by the inbox in the store.

use super::{DriveError, Driver, read};
use crate::answer::misfit;
use crate::clock::wall_clock;
use crate::store::{ControlMessage, Receipt, Sent, Store};
use divisi_core::content::{Blob, Content};
use divisi_core::event::AnsweredBy;
use divisi_core::run::{AttemptEnd, Stage};
use divisi_core::{Approval, Input, Millis, Run, Task, TaskId};
use divisi_providers::redact;
use serde_json::Value;
use tokio::sync::oneshot;

/// Where a message has come from, and its receipt goes.
pub(super) enum From {
    /// The inbox, as this message.
    Inbox(u64),
    /// This process.
    Caller(oneshot::Sender<Receipt>),
}

impl Driver {
    /// Takes what other processes have sent. It stays in the inbox until its receipt is durable.
    pub(super) async fn look_into_inbox(&mut self) {
        if *self.runs.run().stage() == Stage::Replaying {
            return;
        }
        match self.store.inbox(&self.id).await {
            Ok(sent) => {
                // Before the next look these have their receipts, so none is taken twice.
                let controls = sent
                    .into_iter()
                    .map(|Sent { number, message }| (message, From::Inbox(number)));
                self.controls.extend(controls);
            }
            // The next look may succeed, and the run needs none.
            Err(error) => tracing::warn!(run = %self.id, %error, "cannot look into the inbox"),
        }
    }

    /// Whether messages wait that can be handled now. While the run replays, the flow has not yet
    /// requested the tasks that they may be about.
    pub(super) fn may_obey(&self) -> bool {
        !self.controls.is_empty() && *self.runs.run().stage() != Stage::Replaying
    }

    /// Does what the user wants.
    pub(super) async fn obey(&mut self) -> Result<(), DriveError> {
        if !self.may_obey() {
            return Ok(());
        }
        for (message, from) in std::mem::take(&mut self.controls) {
            let receipt = self.heed(message).await?;
            self.receipts.push((from, receipt));
        }
        Ok(())
    }

    async fn heed(&mut self, message: ControlMessage) -> Result<Receipt, DriveError> {
        let now = wall_clock();
        match message {
            ControlMessage::Answer { task, answer } => {
                let answered = answering(&*self.store, self.runs.run(), task, &answer).await?;
                return Ok(match answered {
                    Ok((input, blob)) => {
                        self.runs.input(now, input)?;
                        self.blobs.extend(blob);
                        Receipt::Done
                    }
                    Err(receipt) => receipt,
                });
            }
            ControlMessage::Park => {
                let before = self.runs.batch().len();
                self.runs.park(now)?;
                if self.runs.batch().len() == before {
                    return Ok(Receipt::Ignored);
                }
            }
            ControlMessage::Cap { cap } => self.runs.input(now, Input::Cap(cap))?,
            ControlMessage::Width { in_flight_max } => {
                self.runs.input(now, Input::Width(in_flight_max.max(1)))?;
            }
        }
        Ok(Receipt::Done)
    }
}

/// The input by which `answer` ends the wait of `task`, with its text; or why it does not.
pub(crate) async fn answering(
    store: &dyn Store,
    run: &Run,
    task: TaskId,
    answer: &str,
) -> Result<Result<(Input, Option<Blob>), Receipt>, DriveError> {
    let Some(state) = run.task(task) else {
        return Ok(Err(Receipt::NotWaiting));
    };
    if !run.suspended().any(|suspended| suspended == task) {
        let answered = state.answered_by().filter(|_| state.outcome().is_some());
        return Ok(Err(match answered {
            Some(by) => Receipt::Answered { by },
            None => Receipt::NotWaiting,
        }));
    }
    if state
        .suspension()
        .is_some_and(|suspension| suspension.goes_on)
    {
        let json = Value::from(answer).to_string().into();
        let (answer, blob) = Content::of(redact::known().json(json));
        return Ok(Ok((Input::Answer { task, answer }, blob)));
    }
    let misfits = |message: String| Ok(Err(Receipt::Misfit { message }));
    let spec: Task = match serde_json::from_str(&read(store, state.spec()).await?) {
        Ok(spec) => spec,
        Err(error) => return misfits(error.to_string()),
    };
    let value = match (&spec.approval, &spec.schema) {
        (Some(approval), _) => match approval.answer(answer) {
            Some(value) => value,
            None => return misfits(wanted(approval)),
        },
        (None, None) => Value::from(answer),
        (None, Some(schema)) => match misfit(schema, answer) {
            Ok(None) => match serde_json::from_str(answer) {
                Ok(value) => value,
                Err(error) => return misfits(error.to_string()),
            },
            Ok(Some(violations)) => return misfits(violations),
            Err(failure) => return misfits(failure.message),
        },
    };
    let (content, blob) = Content::of(redact::known().json(value.to_string().into()));
    let waited = state
        .started_at()
        .map_or(Millis(0), |started| wall_clock().since(started));
    let end = Box::new(AttemptEnd {
        waited,
        answered_by: Some(AnsweredBy::Person),
        ..AttemptEnd::of(Ok(content))
    });
    Ok(Ok((Input::Resolve { task, end }, blob)))
}

/// What an answer has to be.
fn wanted(approval: &Approval) -> String {
    match approval.words().as_slice() {
        [] => "it is empty".to_owned(),
        words => format!("it is none of {}", words.join(", ")),
    }
}
