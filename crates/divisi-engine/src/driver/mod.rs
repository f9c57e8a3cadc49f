//! Drives one run: decide, append, then act.
//!
//! The order of decisions and effects is up to [`RunLoop`] in the core. This module has the inbox,
//! the store, the clock and the async tasks of attempts. All queued messages are handled one by
//! one; then the events of the batch are appended at once; only then do their effects happen:
//! attempts start, requests are sent, answers reach the flow, displays change. During an append the
//! state is ahead of the journal, and only a flow that all else waits for may see it (`hear_flow`).
//! If the append fails, the driver ends and its state is dropped.

mod take;

mod commit;
mod inbox;
mod substitution;

mod attempt;
mod poll;

mod journal;
pub(crate) mod live;
mod message;
mod redacted;

pub(crate) use inbox::answering;
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
use crate::store::{Batch, ControlMessage, Lease, LeaseError, Receipt, Store, StoreError, lease};
use divisi_core::content::Blob;
use divisi_core::event::ParkReason;
use divisi_core::retry::QuotaWait;
use divisi_core::run::Stage;
use divisi_core::run_loop::{Attendance, RunLoop};
use divisi_core::{AttemptId, Event, IllegalEvent, Input, Position, Run, RunId, TaskId, Timestamp};
use inbox::From;
use live::Listed;
use message::Reply;
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;
use substitution::Substitutions;
use tokio::sync::{broadcast, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Most messages handled before the next append. Enough that all that arrived during the last
/// append share one sync, few enough to bound a transaction.
const BATCH_MESSAGES_MAX: usize = 4_096;

/// Longest sleep before checking the clock. After a suspend of the computer, the driver soon
/// notices that due moments have passed.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// How often the inbox is looked into: soon enough for a person, seldom enough to cost nothing.
const INBOX_EVERY: Duration = Duration::from_millis(250);

/// Longest delay of an outcome's append while the script computes.
const FLOW_TIME_MAX: Duration = Duration::from_millis(10);

/// Drives one run.
pub(crate) struct Driver {
    id: RunId,
    /// Identifies the run at governors, which let runs take turns.
    number: RunNumber,
    runs: RunLoop<Waiter, Reply>,
    store: Arc<dyn Store>,
    inbox: mpsc::UnboundedReceiver<Message>,
    /// For attempts, to send their results.
    sender: mpsc::UnboundedSender<Message>,
    /// For attempts, to send their messages before the result.
    news: ToDriver,
    signals: broadcast::Sender<Signal>,
    /// Sends each durable batch to the subscribers of the run.
    bus: broadcast::Sender<Arc<Batch>>,
    /// Sends answers to the flow, if it is a script.
    answers: Option<Answered>,
    assignments: FxHashMap<TaskId, Arc<Assignment>>,
    /// Lines of the attempts in flight.
    lines: FxHashMap<AttemptId, Line>,
    /// Cancelled when the run parks.
    parking: CancellationToken,
    /// Texts that are stored together with the batch.
    blobs: Vec<Blob>,
    /// The model of each attempt in flight.
    asked: FxHashMap<AttemptId, Arc<str>>,
    substitutions: Substitutions,
    /// Governors to reopen when the run continues.
    governors: Vec<Arc<Governors>>,
    /// Messages of the user that have not been handled.
    controls: Vec<(ControlMessage, From)>,
    /// What became of messages, to be told once the batch is durable.
    receipts: Vec<(From, Receipt)>,
    /// The polls of suspended attempts.
    polls: poll::Polls,
}

/// The channels of a run's observers.
pub(crate) struct Audience {
    /// To displays: signals, which are not recorded.
    pub(crate) signals: broadcast::Sender<Signal>,
    /// To subscribers: each durable batch.
    pub(crate) bus: broadcast::Sender<Arc<Batch>>,
    /// To the flow's script: the answers of its calls.
    pub(crate) answers: Option<Answered>,
}

/// How a driver waits for quota.
pub(crate) struct Patience {
    /// The delays, if it waits.
    pub(crate) quota_wait: Option<QuotaWait>,
    /// Governors to reopen when the run continues.
    pub(crate) governors: Vec<Arc<Governors>>,
    /// Whether questions can be answered.
    pub(crate) attendance: Attendance,
}

/// Why driving a run failed.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The store failed to read or write.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The lease of the run was lost, or its holder could not be determined.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The journal is invalid.
    #[error(transparent)]
    Illegal(#[from] IllegalEvent),
    /// A text of the journal is missing from the store.
    #[error("a text of the journal is missing from the store: {0}")]
    Missing(String),
    /// There is no run of this name.
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
            attendance,
        }: Patience,
    ) -> Self {
        Self {
            id,
            number: RunNumber::next(),
            runs: RunLoop::new(run, position, quota_wait, ()).attended(attendance),
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
            controls: vec![],
            receipts: vec![],
            polls: poll::Polls::default(),
        }
    }

    /// Drives until the run has ended or parked, beginning with `first` and its texts. Ends with an
    /// error when `lease` is lost; returns the lease at the end. Until then the run is listed as
    /// live.
    ///
    /// Dropping the future has the effect of a kill: the journal stays valid, and attempts in
    /// flight are lost.
    pub(crate) async fn drive(
        mut self,
        first: Input,
        blobs: Vec<Blob>,
        lease: Box<dyn Lease>,
        listed: Listed,
    ) -> Result<Run, DriveError> {
        self.blobs = blobs;
        let ended = tokio::select! {
            // Biased: a lost lease must win over progress, because another driver may own the run
            // by now.
            biased;
            lost = lease::renewed(&*lease) => Err(lost.into()),
            ended = self.drive_on(first) => ended,
        };
        // However the loop ended, no attempt may act for a run that this driver no longer drives.
        for line in self.lines.values() {
            line.stop().cancel();
        }
        // Before the bus closes, so that its subscribers find the run no longer driven.
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
        let mut looks = tokio::time::interval(INBOX_EVERY);
        // After a pause, such as a suspend of the computer, one look is enough.
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for message in messages.drain(..) {
                self.take(message)?;
            }
            self.obey().await?;
            self.runs.settle(wall_clock())?;
            self.hear_flow().await?;
            self.commit().await?;
            if self.runs.is_over() {
                return Ok(());
            }
            if self.may_obey() {
                // They came while the flow was heard.
                continue;
            }
            tokio::select! {
                // Never ends by itself: the driver holds a sender of its own inbox.
                _ = self.inbox.recv_many(&mut messages, BATCH_MESSAGES_MAX) => self.gather(&mut messages).await,
                () = sleep_until(self.runs.wake_at()) => {}
                _ = looks.tick() => self.look_into_inbox().await,
            }
        }
    }

    /// Collects messages that are about to be sent, so that they share the next append.
    async fn gather(&mut self, messages: &mut Vec<Message>) {
        // Attempts that are ready to run send their messages during this one turn of the runtime.
        tokio::task::yield_now().await;
        while messages.len() < BATCH_MESSAGES_MAX
            && let Ok(message) = self.inbox.try_recv()
        {
            messages.push(message);
        }
    }

    /// Gives the script its answers before the append, if all else waits for it, and handles its
    /// new requests: see [`RunLoop::answers_ahead`].
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

    /// Makes governors ask vendors again, because earlier refusals may no longer hold.
    fn reopen(&self, found_closed: bool) {
        self.governors
            .iter()
            .for_each(|governors| governors.reopen(found_closed));
    }

    /// Logs when another model answered than the one asked.
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

/// Forwards the messages of attempts to the inbox.
fn news(sender: &mpsc::UnboundedSender<Message>) -> ToDriver {
    let sender = sender.clone();
    Arc::new(move |news: AttemptNews| {
        // Fails only if the driver has ended.
        let _ = sender.send(Message::Attempt(news));
    })
}

/// Sleeps until `due`; for ever if nothing is due.
async fn sleep_until(due: Option<Timestamp>) {
    match due {
        Some(due) => {
            let rest = Duration::from_millis(due.since(wall_clock()).0);
            tokio::time::sleep(rest.min(SLEEP_MAX)).await;
        }
        None => std::future::pending().await,
    }
}
