//! Drives one run: decide, append, then let things happen.
//!
//! What follows from what, in which order, and when to stop is the core's
//! [`RunLoop`]. Here are the inbox, the store, the clock and the tasks that carry out
//! attempts. Whatever has queued up is taken in message by message; then all events of
//! the batch are appended at once; only then does anything happen because of them:
//! attempts start, requests leave, answers reach the flow, the screen changes. State
//! that is ahead of the journal for the length of one append is seen by nothing outside,
//! but by a flow for which everything waits (`hear_flow`); and if the append fails, the
//! driver ends and the state with it.

mod take;

mod commit;
mod substitution;

mod attempt;

mod journal;
pub(crate) mod live;
mod message;
mod redacted;

pub(crate) use journal::{each_event, read, replay};
pub(crate) use live::LiveRuns;
pub use live::{Control, LiveRun};
pub(crate) use message::Answered;
pub(crate) use message::{FlowNews, Message, Waiter};
pub use message::{TaskEnd, TaskReport};

use crate::attempt::Assignment;
use crate::clock::wall_clock;
use crate::executor::{AttemptNews, Line, Signal, ToDriver};
use crate::governor::{Governors, RunNumber};
use crate::store::{Batch, Lease, LeaseError, Store, StoreError, lease};
use divisi_core::content::Blob;
use divisi_core::event::ParkReason;
use divisi_core::retry::QuotaWait;
use divisi_core::run::Stage;
use divisi_core::run_loop::RunLoop;
use divisi_core::{AttemptId, Event, IllegalEvent, Input, Position, Run, RunId, TaskId, Timestamp};
use live::Listed;
use message::Reply;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;
use substitution::Substitutions;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Messages handled before the next append. Enough to share a sync among all
/// that arrived during the last one, little enough to bound one transaction.
const BATCH_MESSAGES_MAX: usize = 4_096;

/// Longest time without a look at the clock. A computer that was asleep finds out soon
/// that what it waits for is past.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// How long an outcome waits to be made durable while the script computes.
const FLOW_TIME_MAX: Duration = Duration::from_millis(10);

/// Drives one run.
pub(crate) struct Driver {
    id: RunId,
    /// For governors, who let runs take turns.
    number: RunNumber,
    runs: RunLoop<Waiter, Reply>,
    store: Arc<dyn Store>,
    inbox: mpsc::UnboundedReceiver<Message>,
    /// For attempts, to end by.
    sender: mpsc::UnboundedSender<Message>,
    /// For attempts, to say by what they say on the way.
    news: ToDriver,
    signals: broadcast::Sender<Signal>,
    /// Leads each durable batch to those who follow the run.
    bus: broadcast::Sender<Arc<Batch>>,
    /// Leads answers to the flow, where that is a script.
    answers: Option<Answered>,
    assignments: FxHashMap<TaskId, Arc<Assignment>>,
    /// Of the attempts under way.
    lines: FxHashMap<AttemptId, Line>,
    /// Fires when the run parks.
    parking: CancellationToken,
    /// Texts that become durable with the batch.
    blobs: Vec<Blob>,
    /// The model of each attempt under way.
    asked: FxHashMap<AttemptId, Arc<str>>,
    substitutions: Substitutions,
    /// What is to let requests leave again when the run goes on.
    governors: Vec<Arc<Governors>>,
}

/// Who hears of a run.
pub(crate) struct Audience {
    /// Displays, of what is no fact.
    pub(crate) signals: broadcast::Sender<Signal>,
    /// Subscribers, of each durable batch.
    pub(crate) bus: broadcast::Sender<Arc<Batch>>,
    /// The flow's script, of the answers to its calls.
    pub(crate) answers: Option<Answered>,
}

/// What a driver does while there is no quota.
pub(crate) struct Patience {
    /// How it waits, if it does.
    pub(crate) quota_wait: Option<QuotaWait>,
    /// What is to let requests leave again when the run goes on.
    pub(crate) governors: Vec<Arc<Governors>>,
}

/// Why a run can no longer be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The store did not take or give what it should.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lease of the run was lost, or nobody could say who has it.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The journal makes no sense.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    /// A text that the journal refers to is not there.
    #[error("a text of the journal is missing from the store: {0}")]
    Missing(String),
    /// There is no journal of that name.
    #[error("there is no run {0}")]
    Unknown(RunId),
}

impl Driver {
    /// A driver of `run`, whose journal ends at `position`.
    pub(crate) fn new(
        id: RunId,
        (run, position): (Run, Position),
        store: Arc<dyn Store>,
        (sender, inbox): (
            mpsc::UnboundedSender<Message>,
            mpsc::UnboundedReceiver<Message>,
        ),
        Audience {
            signals,
            bus,
            answers,
        }: Audience,
        Patience {
            quota_wait,
            governors,
        }: Patience,
    ) -> Self {
        Self {
            id,
            number: RunNumber::next(),
            runs: RunLoop::new(run, position, quota_wait, ()),
            store,
            inbox,
            news: news(&sender),
            sender,
            signals,
            bus,
            answers,
            assignments: FxHashMap::default(),
            lines: FxHashMap::default(),
            parking: CancellationToken::new(),
            blobs: vec![],
            asked: FxHashMap::default(),
            substitutions: Substitutions::default(),
            governors,
        }
    }

    /// Drives until the run is over or parked, beginning with `first` and the
    /// texts it refers to; no longer than `lease` lasts, which is given back then. Until
    /// then it is listed among the live runs.
    ///
    /// Dropping the future is like a kill: the journal stays true, and
    /// attempts under way are lost.
    pub(crate) async fn drive(
        mut self,
        first: Input,
        blobs: Vec<Blob>,
        lease: Box<dyn Lease>,
        listed: Listed,
    ) -> Result<Run, DriveError> {
        self.blobs = blobs;
        let ended = tokio::select! {
            biased;
            lost = lease::renewed(&*lease) => Err(lost.into()),
            ended = self.drive_on(first) => ended,
        };
        for line in self.lines.values() {
            line.stop().cancel();
        }
        // Before the bus closes: then its subscribers find that nothing drives the run.
        drop((listed, lease));
        ended.map(|()| self.runs.into_run())
    }

    async fn drive_on(&mut self, first: Input) -> Result<(), DriveError> {
        let stage = self.runs.run().stage();
        if *stage != Stage::Unstarted {
            self.reopen(matches!(stage, Stage::Parked(ParkReason::Quota { .. })));
        }
        self.runs.begin(wall_clock(), first)?;
        let mut messages = Vec::new();
        loop {
            for message in messages.drain(..) {
                self.take(message)?;
            }
            self.runs.settle(wall_clock())?;
            self.hear_flow().await?;
            self.commit().await?;
            if self.runs.is_over() {
                return Ok(());
            }
            tokio::select! {
                // The driver keeps a sender of its own, so the inbox never closes.
                _ = self.inbox.recv_many(&mut messages, BATCH_MESSAGES_MAX) => self.gather(&mut messages).await,
                () = sleep_until(self.runs.wake_at()) => {}
            }
        }
    }

    /// Takes in what is about to be sent, so that it shares the next append with what
    /// has been sent.
    async fn gather(&mut self, messages: &mut Vec<Message>) {
        tokio::task::yield_now().await;
        while messages.len() < BATCH_MESSAGES_MAX
            && let Ok(message) = self.inbox.try_recv()
        {
            messages.push(message);
        }
    }

    /// Where everything waits for the script, it is answered and heard before the append:
    /// see [`RunLoop::answers_ahead`].
    async fn hear_flow(&mut self) -> Result<(), DriveError> {
        if self.answers.is_none() {
            return Ok(());
        }
        let answers = self.runs.answers_ahead();
        if answers.is_empty() {
            return Ok(());
        }
        let blobs = std::mem::take(&mut self.blobs);
        let is_heard = self.give(answers, &blobs).await;
        self.blobs = blobs;
        let mut is_heard = !is_heard?;
        let given = self.runs.answered();
        let up_to = tokio::time::Instant::now() + FLOW_TIME_MAX;
        while !is_heard
            && let Ok(Some(message)) = tokio::time::timeout_at(up_to, self.inbox.recv()).await
        {
            is_heard = match &message {
                Message::Flow(FlowNews::Quiet { answered }) => *answered == given,
                Message::Flow(FlowNews::Ended(_)) => true,
                _ => false,
            };
            self.take(message)?;
        }
        Ok(self.runs.settle(wall_clock())?)
    }

    /// What goes on may find granted now what was refused.
    fn reopen(&self, found_closed: bool) {
        self.governors
            .iter()
            .for_each(|governors| governors.reopen(found_closed));
    }

    /// Tells the run's log where another model has answered than the one that was asked.
    fn tell_of_substitutions(&mut self) -> Result<(), DriveError> {
        let mut notices = vec![];
        for recorded in self.runs.batch() {
            match &recorded.event {
                Event::AttemptScheduled {
                    attempt,
                    model: Some(model),
                    ..
                } => {
                    self.asked.insert(*attempt, model.clone());
                }
                // The journal does not record which model a judge call asked.
                Event::TurnEnded { attempt, turn } if !turn.judges => {
                    let asked = self.asked.get(attempt);
                    notices.extend(
                        asked.and_then(|asked| self.substitutions.notice(asked, &turn.model)),
                    );
                }
                Event::AttemptEnded { attempt, .. } => _ = self.asked.remove(attempt),
                _ => {}
            }
        }
        for notice in notices {
            self.runs.input(wall_clock(), Input::Log(notice))?;
        }
        Ok(())
    }
}

/// Leads what attempts say to the inbox.
fn news(sender: &mpsc::UnboundedSender<Message>) -> ToDriver {
    let sender = sender.clone();
    Arc::new(move |news: AttemptNews| {
        // A driver that is gone listens no more.
        let _ = sender.send(Message::Attempt(news));
    })
}

/// Sleeps until `due`; for ever when nothing is due.
async fn sleep_until(due: Option<Timestamp>) {
    match due {
        Some(due) => {
            let rest = Duration::from_millis(due.since(wall_clock()).0);
            tokio::time::sleep(rest.min(SLEEP_MAX)).await;
        }
        None => std::future::pending().await,
    }
}
