//! Answers to suspended tasks, and other messages to a run, whichever process drives it.

use super::{Engine, Opened, StartError};
use crate::clock::wall_clock;
use crate::driver::{DriveError, answering};
use crate::store::{Batch, ControlMessage, LeaseError, Receipt, RunSummary, Sent, StoreError};
use divisi_core::content::Blob;
use divisi_core::event::AnsweredBy;
use divisi_core::run::Stage;
use divisi_core::run_loop::RunLoop;
use divisi_core::{Input, RunId, TaskId};
use divisi_providers::redact;
use std::time::Duration;

/// How often the sender of a message looks for its receipt.
const RECEIPT_EVERY: Duration = Duration::from_millis(50);

/// How long it does so. A driver takes messages four times a second, unless its process is stopped.
const HEARD_WITHIN: Duration = Duration::from_secs(20);

/// How often an answer is tried while drivers of the run come and go.
const TRIES_MAX: u32 = 20;

/// How an answer was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The process that drives the run goes on with it.
    ByDriver,
    /// No process drives the run: a resume goes on with it.
    ByJournal,
}

/// Why an answer was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// The run cannot be opened.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The message cannot be sent, or was not taken.
    #[error(transparent)]
    Send(#[from] SendError),
    /// Another answer, its default, or the end of its time was first.
    #[error("{task} is answered already")]
    Answered {
        /// Which task.
        task: TaskId,
        /// What answered it.
        by: AnsweredBy,
    },
    /// The task is not waiting for an answer.
    #[error("{0} waits for no answer")]
    NotWaiting(TaskId),
    /// The answer does not have the required form.
    #[error("the answer does not fit: {0}")]
    Misfit(String),
}

/// Why a message has no receipt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is unknown whether the run is driven.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The driver has not taken it. It stays in the inbox, and is taken by it later or by a resume.
    #[error(
        "{holder}, which drives run {run}, does not take messages; this one stays in its inbox"
    )]
    Unheard {
        /// The run.
        run: RunId,
        /// The process.
        holder: String,
    },
}

impl Engine {
    /// Answers a suspended task: `answer` is its result, as text, or as JSON that fits its schema
    /// if it has one. If its executor has asked for something else, such as a permission, the
    /// answer is a text for that, and another attempt continues with it.
    ///
    /// If a process drives the run, it gets the answer by the run's inbox. Otherwise the answer is
    /// recorded here, and the run must be resumed. Of several answers the first one recorded
    /// counts; the others fail with [`AnswerError::Answered`].
    pub async fn answer(
        &self,
        id: &RunId,
        task: TaskId,
        answer: &str,
    ) -> Result<Heard, AnswerError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.reopen(id).await {
                Ok(opened) => {
                    let (receipt, input) = self.look_at(&opened, task, answer).await?;
                    if input.is_some() {
                        self.append(opened, input, vec![]).await?;
                    }
                    return of(receipt, task).map(|()| Heard::ByJournal);
                }
                Err(StartError::Lease(LeaseError::Held { .. })) if tries < TRIES_MAX => {
                    let answer = answer.into();
                    let message = ControlMessage::Answer { task, answer };
                    if let Some(receipt) = self.send(id, message).await? {
                        return of(receipt, task).map(|()| Heard::ByDriver);
                    }
                    // The driver has ended meanwhile.
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends a message to the process that drives a run, and waits for its receipt; `None` if no
    /// process drives it. Then the message is withdrawn.
    pub async fn send(
        &self,
        id: &RunId,
        message: ControlMessage,
    ) -> Result<Option<Receipt>, SendError> {
        if let Some(live) = self.live_run(id) {
            return Ok(live.control().tell(message).await);
        }
        if !self.is_driven(id).await? {
            return Ok(None);
        }
        let message = match message {
            ControlMessage::Answer { task, answer } => ControlMessage::Answer {
                task,
                answer: redact::known().shared(answer),
            },
            other @ (ControlMessage::Park
            | ControlMessage::Cap { .. }
            | ControlMessage::Width { .. }) => other,
        };
        let number = self.store.send(id, message).await?;
        let up_to = tokio::time::Instant::now() + HEARD_WITHIN;
        loop {
            if self.store.receipt(number).await?.is_some() {
                return Ok(self.store.withdraw(number).await?);
            }
            let mut holder = self.store.leases().holder(id).await?;
            if holder.is_none() {
                // Another driver may begin at any time, and take the message just when it is
                // withdrawn. None does while the lease is held here.
                match self.store.leases().take(id).await {
                    Ok(_lease) => return Ok(self.store.withdraw(number).await?),
                    Err(LeaseError::Held { holder: other, .. }) => holder = Some(other),
                    Err(error) => return Err(error.into()),
                }
            }
            if let Some(holder) = holder.filter(|_| tokio::time::Instant::now() >= up_to) {
                let run = id.clone();
                return Err(SendError::Unheard { run, holder });
            }
            tokio::time::sleep(RECEIPT_EVERY).await;
        }
    }

    /// Opens a run to drive it. Answers in its inbox are recorded first: their senders have died
    /// before they could do it.
    pub(super) async fn reopen_with_messages(&self, id: &RunId) -> Result<Opened, StartError> {
        let mut opened = self.reopen(id).await?;
        // In the midst of a replay the flow had not requested all tasks: the driver takes them.
        if *opened.run.stage() == Stage::Replaying {
            return Ok(opened);
        }
        for Sent { number, message } in self.store.inbox(id).await? {
            opened = match message {
                ControlMessage::Answer { task, answer } => {
                    let (receipt, input) = self.look_at(&opened, task, &answer).await?;
                    self.append(opened, input, vec![(number, receipt)]).await?
                }
                // They were meant for a driver that is gone.
                ControlMessage::Park
                | ControlMessage::Cap { .. }
                | ControlMessage::Width { .. } => {
                    let receipts = vec![(number, Receipt::Ignored)];
                    self.append(opened, None, receipts).await?
                }
            };
        }
        Ok(opened)
    }

    async fn look_at(
        &self,
        opened: &Opened,
        task: TaskId,
        answer: &str,
    ) -> Result<(Receipt, Option<(Input, Option<Blob>)>), DriveError> {
        let answered = answering(&*self.store, &opened.run, task, answer).await?;
        Ok(match answered {
            Ok(input) => (Receipt::Done, Some(input)),
            Err(receipt) => (receipt, None),
        })
    }

    /// Records in a run that nothing drives what follows from an input, together with its text, and
    /// what became of messages.
    async fn append(
        &self,
        opened: Opened,
        input: Option<(Input, Option<Blob>)>,
        receipts: Vec<(u64, Receipt)>,
    ) -> Result<Opened, DriveError> {
        let Opened {
            id,
            run,
            mut view,
            position,
            lease,
        } = opened;
        let now = wall_clock();
        let mut runs: RunLoop<(), ()> = RunLoop::new(run, position, None, ());
        let mut blobs = vec![];
        if let Some((input, blob)) = input {
            runs.input(now, input)?;
            blobs.extend(blob);
        }
        let summary = RunSummary::of(&id, runs.run(), now);
        let (position, events) = runs.take_batch();
        events.iter().for_each(|recorded| view.apply(recorded));
        let next = position.after(events.len());
        let batch = Batch {
            run: id.clone(),
            position,
            events,
            blobs,
            summary,
            receipts,
        };
        self.store.append(batch.into()).await?;
        Ok(Opened {
            id,
            run: runs.into_run(),
            view,
            position: next,
            lease,
        })
    }
}

/// What a receipt means for the sender of an answer.
fn of(receipt: Receipt, task: TaskId) -> Result<(), AnswerError> {
    match receipt {
        Receipt::Done => Ok(()),
        Receipt::Answered { by } => Err(AnswerError::Answered { task, by }),
        Receipt::NotWaiting | Receipt::Ignored => Err(AnswerError::NotWaiting(task)),
        Receipt::Misfit { message } => Err(AnswerError::Misfit(message)),
    }
}
