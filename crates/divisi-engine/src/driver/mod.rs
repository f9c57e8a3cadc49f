//! Drives one run: decide, append, apply, react.
//!
//! One inbox, one owner of the state. Whatever has queued up is decided and
//! applied input by input; then all events of the batch are appended at once;
//! only then does anything happen because of them: attempts start, requests
//! leave, answers reach the flow, the screen changes. State that is ahead of
//! the journal for the length of one append is seen by nobody, and if the
//! append fails, the driver ends and the state with it.

mod take;

mod commit;
mod delivery;
mod substitution;

mod attempt;

mod journal;
mod message;
mod redacted;

pub(crate) use journal::{read, replay};
pub use message::{Answered, TaskEnd, TaskReport};
pub(crate) use message::{FlowNews, Message, Ours, Waiter};

use crate::executor::{Line, Signal};
use crate::governor::{Governors, RunNumber};
use crate::resolve::Assignment;
use crate::store::{Batch, Lease, LeaseError, Store, StoreError, lease};
use commit::Pending;
use delivery::Delivery;
use divisi_core::content::Blob;
use divisi_core::event::ParkReason;
use divisi_core::retry::QuotaWait;
use divisi_core::run::Stage;
use divisi_core::{AttemptId, Event, IllegalEvent, Input, Position, Run, RunId, TaskId, Timestamp};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use substitution::Substitutions;
use tokio::sync::{broadcast, mpsc};
use tokio_util::sync::CancellationToken;

/// Messages handled before the next append. Enough to share a sync among all
/// that arrived during the last one, little enough to bound one transaction.
const BATCH_MESSAGES_MAX: usize = 4_096;

/// How long nobody looks at the clock. A computer that was asleep finds out soon
/// that what it waits for is past.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// How long an outcome waits to be made durable while the script computes.
const FLOW_TIME_MAX: Duration = Duration::from_millis(10);

/// Drives one run.
pub(crate) struct Driver {
    id: RunId,
    /// For governors, who let runs take turns.
    number: RunNumber,
    run: Run,
    position: Position,
    store: Arc<dyn Store>,
    inbox: mpsc::UnboundedReceiver<Message>,
    /// For attempts, to report by.
    sender: mpsc::UnboundedSender<Message>,
    signals: broadcast::Sender<Signal>,
    watchers: Vec<mpsc::UnboundedSender<Arc<Batch>>>,
    delivery: Delivery,
    assignments: FxHashMap<TaskId, Arc<Assignment>>,
    /// Of the attempts under way.
    lines: FxHashMap<AttemptId, Line>,
    /// Fires when the run parks.
    parking: CancellationToken,
    pending: Pending,
    /// The model of each attempt under way.
    asked: FxHashMap<AttemptId, Arc<str>>,
    substitutions: Substitutions,
    patience: Patience,
    latest: Timestamp,
}

/// Who hears of a run.
pub(crate) struct Audience {
    /// Displays, of what is no fact.
    pub(crate) signals: broadcast::Sender<Signal>,
    /// Displays, of each durable batch.
    pub(crate) watchers: Vec<mpsc::UnboundedSender<Arc<Batch>>>,
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
        (sender, inbox): (mpsc::UnboundedSender<Message>, mpsc::UnboundedReceiver<Message>),
        Audience { signals, watchers, answers }: Audience,
        patience: Patience,
    ) -> Self {
        let delivery = Delivery::new(store.clone(), answers);
        Self {
            id,
            number: RunNumber::next(),
            run,
            position,
            store,
            inbox,
            sender,
            signals,
            watchers,
            delivery,
            assignments: FxHashMap::default(),
            lines: FxHashMap::default(),
            parking: CancellationToken::new(),
            pending: Pending::default(),
            asked: FxHashMap::default(),
            substitutions: Substitutions::default(),
            patience,
            latest: Timestamp::default(),
        }
    }

    /// Drives until the run is over or parked, beginning with `first` and the
    /// texts it refers to; no longer than `lease` lasts, which is given back then.
    ///
    /// Dropping the future is like a kill: the journal stays true, and
    /// attempts under way are lost.
    pub(crate) async fn drive(
        mut self,
        first: Input,
        blobs: Vec<Blob>,
        lease: Box<dyn Lease>,
    ) -> Result<Run, DriveError> {
        self.pending.blobs = blobs;
        let ended = tokio::select! {
            biased;
            lost = lease::renewed(&*lease) => Err(lost.into()),
            ended = self.drive_on(first) => ended,
        };
        for line in self.lines.values() {
            line.stop().cancel();
        }
        ended.map(|()| self.run)
    }

    async fn drive_on(&mut self, first: Input) -> Result<(), DriveError> {
        if *self.run.stage() != Stage::Unstarted {
            self.reopen(matches!(self.run.stage(), Stage::Parked(ParkReason::Quota { .. })));
        }
        self.decide(first)?;
        self.delivery.remember(&self.run);
        let mut messages = Vec::new();
        loop {
            for message in messages.drain(..) {
                self.take(message)?;
            }
            self.tick()?;
            if let Some(wait) = self.patience.quota_wait {
                self.decide(Input::Wait(wait))?;
            }
            self.hear_flow().await?;
            self.commit().await?;
            let waits = self.patience.quota_wait.is_some() && self.run.waits_until().is_some();
            if !waits && matches!(self.run.stage(), Stage::Parked(_) | Stage::Ended(_)) {
                return Ok(());
            }
            tokio::select! {
                // The driver keeps a sender of its own, so the inbox never closes.
                _ = self.inbox.recv_many(&mut messages, BATCH_MESSAGES_MAX) => self.gather(&mut messages).await,
                () = sleep_until(self.run.wake_at(), self.latest) => {}
            }
        }
    }

    /// Hears those who are about to speak, so that they share the next append
    /// with those who have spoken.
    async fn gather(&mut self, messages: &mut Vec<Message>) {
        tokio::task::yield_now().await;
        while messages.len() < BATCH_MESSAGES_MAX
            && let Ok(message) = self.inbox.try_recv()
        {
            messages.push(message);
        }
    }

    /// Where everything waits for the script, it is heard before the append, so
    /// that an outcome and what it leads to are made durable together: a chain
    /// takes one append for each step. A script reaches nothing but us, so nobody
    /// has seen what is not durable.
    async fn hear_flow(&mut self) -> Result<(), DriveError> {
        if !self.delivery.is_of_script() || *self.run.stage() != Stage::Running || self.run.in_flight() > 0 {
            return Ok(());
        }
        let ended = self.pending.events.iter().filter_map(|recorded| match &recorded.event {
            Event::TaskEnded { task, .. } => Some(*task),
            _ => None,
        });
        let before = self.delivery.answered();
        ended.for_each(|task| self.delivery.ended(task));
        self.delivery.deliver(&self.run, &self.pending.blobs).await?;
        let given = self.delivery.answered();
        let up_to = tokio::time::Instant::now() + FLOW_TIME_MAX;
        let mut is_heard = given == before;
        while !is_heard && let Ok(Some(message)) = tokio::time::timeout_at(up_to, self.inbox.recv()).await {
            is_heard = match &message {
                Message::Flow(FlowNews::Quiet { answered }) => *answered == given,
                Message::Flow(FlowNews::Ended(_)) => true,
                _ => false,
            };
            self.take(message)?;
        }
        self.tick()
    }

    /// Whoever goes on hopes that what was refused is granted now.
    fn reopen(&self, found_closed: bool) {
        self.patience.governors.iter().for_each(|governors| governors.reopen(found_closed));
    }

    fn tick(&mut self) -> Result<(), DriveError> {
        while self.decides(Input::Tick)? {}
        Ok(())
    }

    fn decide(&mut self, input: Input) -> Result<(), DriveError> {
        self.decides(input).map(drop)
    }

    /// Decides and applies; tells whether anything followed.
    fn decides(&mut self, input: Input) -> Result<bool, DriveError> {
        // Wall clocks can be set back; a journal's cannot.
        self.latest = self.latest.max(wall_clock());
        let events = self.run.decide(self.latest, input);
        let any = !events.is_empty();
        let mut notices = vec![];
        for event in events {
            self.run.apply(self.latest, &event)?;
            match &event {
                Event::AttemptScheduled { attempt, model: Some(model), .. } => {
                    self.asked.insert(*attempt, model.clone());
                }
                // Whom a judge's reply should be of, the journal does not say.
                Event::TurnEnded { attempt, turn } if !turn.judges => {
                    let asked = self.asked.get(attempt);
                    notices.extend(asked.and_then(|asked| self.substitutions.notice(asked, &turn.model)));
                }
                Event::AttemptEnded { attempt, .. } => _ = self.asked.remove(attempt),
                _ => {}
            }
            self.pending.add(self.position, self.latest, event);
        }
        for notice in notices {
            self.decide(Input::Log(notice))?;
        }
        Ok(any)
    }
}

/// The wall clock in the core's form.
pub(crate) fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(since_epoch.as_millis() as u64)
}

/// Sleeps until `due`; for ever when there is nothing due or it has been seen to already.
async fn sleep_until(due: Option<Timestamp>, seen: Timestamp) {
    match due.filter(|due| *due > seen) {
        Some(due) => {
            let rest = Duration::from_millis(due.since(wall_clock()).0);
            tokio::time::sleep(rest.min(SLEEP_MAX)).await;
        }
        None => std::future::pending().await,
    }
}
