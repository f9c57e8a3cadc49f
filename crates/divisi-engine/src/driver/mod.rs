//! Drives one run: decide, append, apply, react.
//!
//! One inbox, one owner of the state. Whatever has queued up is decided and
//! applied input by input; then all events of the batch are appended at once;
//! only then does anything happen because of them: attempts start, requests
//! leave, answers reach the flow, the screen changes. State that is ahead of
//! the journal for the length of one append is seen by nobody, and if the
//! append fails, the driver ends and the state with it.

mod attempt;
mod delivery;
mod message;
mod substitution;

pub use message::{Answered, TaskEnd, TaskReport};
pub(crate) use message::{FlowNews, Message, Ours, Room, Waiter};

use crate::executor::Signal;
use crate::governor::{Governors, RunNumber};
use crate::resolve::{Assignment, Resolved};
use crate::store::{Batch, RunSummary, Store, StoreError};
use delivery::Delivery;
use divisi_core::content::{Blob, Content};
use divisi_core::event::{ParkReason, Recorded};
use divisi_core::retry::QuotaWait;
use divisi_core::run::{AttemptEnd, Stage};
use divisi_core::{
    AttemptId, Event, Failure, FailureClass, IllegalEvent, Input, Position, Run, RunId, TaskId, Timestamp,
};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use substitution::Substitutions;
use tokio::sync::{broadcast, mpsc, oneshot};
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
    stops: FxHashMap<AttemptId, CancellationToken>,
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

/// What the current batch has come to so far.
#[derive(Default)]
struct Pending {
    events: Vec<Recorded>,
    blobs: Vec<Blob>,
    /// Told once the batch is durable.
    acknowledge: Vec<oneshot::Sender<()>>,
    /// The same for those who may send a request, with the room for its reply.
    granted: Vec<(oneshot::Sender<Room>, Room)>,
}

/// Why a run can no longer be driven.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The store did not take or give what it should.
    #[error(transparent)]
    Store(#[from] StoreError),
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
            stops: FxHashMap::default(),
            pending: Pending::default(),
            asked: FxHashMap::default(),
            substitutions: Substitutions::default(),
            patience,
            latest: Timestamp::default(),
        }
    }

    /// Drives until the run is over or parked, beginning with `first` and the
    /// texts it refers to.
    ///
    /// Dropping the future is like a kill: the journal stays true, and
    /// attempts under way are lost.
    pub(crate) async fn drive(mut self, first: Input, blobs: Vec<Blob>) -> Result<Run, DriveError> {
        self.pending.blobs = blobs;
        let ended = self.drive_on(first).await;
        for stop in self.stops.values() {
            stop.cancel();
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

    /// Takes one message: decides what follows and applies it.
    fn take(&mut self, message: Message) -> Result<(), DriveError> {
        match message {
            Message::Submit { resolved, waiter } => self.submit(*resolved, waiter),
            Message::Flow(FlowNews::Phase { title, cap }) => self.decide(Input::Phase { title, cap }),
            Message::Flow(FlowNews::Log(line)) => self.decide(Input::Log(line)),
            Message::Flow(FlowNews::Quiet { answered }) => self.quiet(answered),
            Message::Flow(FlowNews::Ended(result)) => {
                let result = match result {
                    Ok(value) => Ok(self.keep(value)),
                    Err(failure) => Err(Box::new(failure)),
                };
                // A flow that needs nothing new has caught up by ending.
                self.decide(Input::CaughtUp)?;
                self.decide(Input::FlowEnded(result))
            }
            Message::Ours(ours) => self.take_ours(ours),
            Message::Estimate(estimate) => self.decide(Input::Estimate(estimate)),
            Message::Park => {
                // Whoever wants it to rest does not want it to go on by itself.
                self.patience.quota_wait = None;
                self.decide(Input::Park)
            }
            Message::Cancel => self.decide(Input::Cancel),
        }
    }

    fn submit(&mut self, resolved: Resolved, waiter: Waiter) -> Result<(), DriveError> {
        let Resolved { submission, blob, assignment } = resolved;
        let before = self.pending.events.len();
        self.decide(Input::Submit(Box::new(submission)))?;
        let (task, new) = match self.pending.events.get(before).map(|recorded| &recorded.event) {
            Some(Event::TaskSubmitted(submitted)) => (submitted.task, true),
            Some(Event::TaskClaimed { task, .. }) => (*task, false),
            _ => {
                self.delivery.refuse(&self.run, waiter);
                return Ok(());
            }
        };
        if new {
            self.pending.blobs.extend(blob);
        }
        if let Some(assignment) =
            assignment.filter(|_| self.run.task(task).is_some_and(|t| t.outcome().is_none()))
        {
            self.assignments.insert(task, assignment);
        }
        self.delivery.wait(&self.run, task, waiter);
        Ok(())
    }

    /// The flow waits. If the journal has no answer either, it has caught up.
    fn quiet(&mut self, answered: u64) -> Result<(), DriveError> {
        if *self.run.stage() == Stage::Replaying && self.delivery.is_quiet(answered) {
            self.decide(Input::CaughtUp)?;
        }
        Ok(())
    }

    fn take_ours(&mut self, ours: Ours) -> Result<(), DriveError> {
        match ours {
            Ours::TurnEnded { attempt, turn, blob, answer } => {
                if self.decides(Input::TurnEnded { attempt, turn })? {
                    self.pending.blobs.extend(blob);
                    self.pending.acknowledge.push(answer);
                }
                Ok(())
            }
            Ours::TurnWanted { attempt, tool_results, bound, blob, answer } => {
                let before = self.pending.events.len();
                self.decide(Input::TurnWanted { attempt, tool_results, bound })?;
                let decided = self.pending.events.get(before).map(|recorded| &recorded.event);
                let granted = match decided {
                    Some(Event::TurnScheduled { reply_tokens, .. }) => Some(*reply_tokens),
                    _ => None,
                };
                self.pending.blobs.extend(blob.filter(|_| decided.is_some()));
                self.pending.granted.extend(granted.map(|room| (answer, room)));
                Ok(())
            }
            Ours::HedgeWanted { attempt, answer } => {
                if self.decides(Input::HedgeWanted { attempt })? {
                    self.pending.acknowledge.push(answer);
                }
                Ok(())
            }
            Ours::HedgeEnded { attempt, billed } => self.decide(Input::HedgeEnded { attempt, billed }),
            Ours::Ended { attempt, result } => {
                self.stops.remove(&attempt);
                let last_turn = result.last_turn.map(|(turn, reply)| {
                    if let Content::Stored { digest, .. } = &turn.reply {
                        self.pending.blobs.push(Blob { digest: *digest, text: reply });
                    }
                    Box::new(turn)
                });
                let end = AttemptEnd {
                    result: result.result.map(|value| self.keep(value)),
                    last_turn,
                    usage: result.usage,
                    cost: result.cost,
                    unanswered: result.unanswered,
                    retry_after: result.retry_after,
                    should_retry: result.should_retry,
                    next_turn: result.next_turn,
                    findings: result.findings.map(|findings| self.keep(findings)),
                    waited: result.waited,
                };
                self.decide(Input::AttemptEnded { attempt, end: Box::new(end) })
            }
        }
    }

    /// The content of `text`, whose bytes go with this batch if they are many.
    fn keep(&mut self, text: Arc<str>) -> Content {
        let (content, blob) = Content::of(text);
        self.pending.blobs.extend(blob);
        content
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
            let position = self.position.after(self.pending.events.len());
            self.pending.events.push(Recorded { position, at: self.latest, event });
        }
        for notice in notices {
            self.decide(Input::Log(notice))?;
        }
        Ok(any)
    }

    /// Makes the batch durable, then lets the world know.
    async fn commit(&mut self) -> Result<(), DriveError> {
        let Pending { events, blobs, acknowledge, granted } = std::mem::take(&mut self.pending);
        if events.is_empty() {
            return self.delivery.deliver(&self.run, &[]).await;
        }
        let summary = RunSummary::of(&self.id, &self.run, self.latest);
        let batch = Arc::new(Batch { run: self.id.clone(), position: self.position, events, blobs, summary });
        self.store.append(batch.clone()).await?;
        self.position = self.position.after(batch.events.len());
        for answer in acknowledge {
            // Whoever asked may have been stopped in the meantime.
            let _ = answer.send(());
        }
        for (answer, room) in granted {
            let _ = answer.send(room);
        }
        for recorded in &batch.events {
            self.react(&recorded.event);
        }
        self.watchers.retain(|watcher| watcher.send(batch.clone()).is_ok());
        self.delivery.deliver(&self.run, &batch.blobs).await
    }

    /// What happens in the world because of an event, now that it is durable.
    fn react(&mut self, event: &Event) {
        match event {
            Event::AttemptScheduled { attempt, model, reply_tokens, .. } => {
                self.start(*attempt, model.as_deref(), *reply_tokens);
            }
            Event::AttemptEnded { attempt, .. } => {
                if let Some(stop) = self.stops.remove(attempt) {
                    stop.cancel();
                }
            }
            Event::TaskEnded { task, .. } => {
                self.assignments.remove(task);
                self.delivery.ended(*task);
            }
            Event::RunWoken => self.reopen(false),
            Event::RunStarted(_)
            | Event::RunResumed(_)
            | Event::CaughtUp { .. }
            | Event::PhaseStarted { .. }
            | Event::Logged { .. }
            | Event::TaskSubmitted(_)
            | Event::TaskClaimed { .. }
            | Event::TurnScheduled { .. }
            | Event::TurnHedged { .. }
            | Event::HedgeEnded { .. }
            | Event::TurnEnded { .. }
            | Event::RetryPlanned { .. }
            | Event::Estimated { .. }
            | Event::SoftLimitReached { .. }
            | Event::ParkingStarted { .. }
            | Event::RunParked { .. }
            | Event::WaitStarted { .. }
            | Event::FlowEnded { .. }
            | Event::RunEnded { .. } => {}
        }
    }

    fn start(&mut self, attempt: AttemptId, model: Option<&str>, room: Room) {
        let (Some(assignment), Some(task)) =
            (self.assignments.get(&attempt.task), self.run.task(attempt.task))
        else {
            let message = format!("{attempt} was scheduled, but nobody knows what it is");
            let failure = Failure::new(FailureClass::Unavailable, message);
            let ended = Ours::Ended { attempt, result: Box::new(failure.into()) };
            // The driver holds the receiver.
            let _ = self.sender.send(Message::Ours(ended));
            return;
        };
        let stop = CancellationToken::new();
        self.stops.insert(attempt, stop.clone());
        let turn = (self.number, task.facts().priority);
        let (inbox, signals) = (self.sender.clone(), self.signals.clone());
        let line = crate::executor::Line::new(attempt, turn, inbox, signals, stop);
        let start = attempt::Start {
            assignment: assignment.clone(),
            model: assignment.models.iter().find(|known| Some(&*known.id) == model).cloned(),
            rung: task.rung() as usize,
            can_climb: task.can_climb(),
            room,
            kept: task.kept_turns().to_vec(),
            findings: task.findings().cloned(),
        };
        attempt::start(attempt, start, line, self.store.clone());
    }
}

/// Reads the journal of a run and replays it.
pub(crate) async fn replay(store: &dyn Store, id: &RunId) -> Result<(Run, Position), DriveError> {
    let mut run = Run::new();
    let mut position = Position::default();
    loop {
        let page = store.events(id, position).await?;
        if page.is_empty() {
            break;
        }
        for recorded in &page {
            run.apply(recorded.at, &recorded.event)?;
        }
        position = position.after(page.len());
    }
    match position {
        Position(0) => Err(DriveError::Unknown(id.clone())),
        _ => Ok((run, position)),
    }
}

/// Reads a text of the journal, wherever it is kept.
pub(crate) async fn read(store: &dyn Store, content: &Content) -> Result<Arc<str>, DriveError> {
    match content {
        Content::Inline(text) => Ok(text.clone()),
        Content::Stored { digest, .. } => {
            store.blob(*digest).await?.ok_or_else(|| DriveError::Missing(digest.to_string()))
        }
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
