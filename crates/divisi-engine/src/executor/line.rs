//! The line from an attempt to its driver.

use crate::driver::{FlowNews, Message, Ours, wall_clock};
use crate::governor::{Outlook, RunNumber};
use divisi_core::budget::TurnBound;
use divisi_core::content::{Blob, Content};
use divisi_core::event::{Refusal, Turn};
use divisi_core::{AttemptId, Timestamp};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The line from an attempt to its driver.
#[derive(Clone)]
pub struct Line(Arc<Ends>);

/// What both ends of a line share. One allocation, however many hold the line.
struct Ends {
    attempt: AttemptId,
    run: RunNumber,
    /// Length of the longest chain of tasks known to wait for this one.
    priority: u32,
    inbox: mpsc::UnboundedSender<Message>,
    signals: broadcast::Sender<Signal>,
    stop: CancellationToken,
    /// Counts signs of life; whoever watches for idleness compares it.
    alive: AtomicU64,
    waits: Mutex<Waits>,
}

/// When an attempt waits for its turn to send a request: that is no idleness,
/// it takes nothing of the attempt's time, and nobody sends a bill for it.
#[derive(Debug, Default)]
struct Waits {
    /// Since when it waits now, if it does.
    since: Option<Instant>,
    /// How long it has waited before.
    before: Duration,
}

/// Something worth showing that is no fact: it is not recorded.
#[derive(Clone, Debug)]
pub enum Signal {
    /// A reply is arriving, and has about this many tokens so far.
    Writing {
        /// In which attempt.
        attempt: AttemptId,
        /// So many.
        tokens: u64,
    },
    /// It waits until the vendor has cached what its prompt shares with others.
    Held {
        /// Which attempt.
        attempt: AttemptId,
        /// It waits no longer than until then.
        until: Timestamp,
    },
    /// It may not send its request yet.
    Waiting {
        /// Which attempt.
        attempt: AttemptId,
        /// Why not.
        why: WaitsFor,
        /// When somebody may send the next one, if that is known.
        until: Option<Timestamp>,
    },
    /// A tool is at work.
    Tool {
        /// In which attempt.
        attempt: AttemptId,
        /// Its name and what it looks at.
        what: Arc<str>,
    },
}

/// What a request that may not leave yet waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// That the vendor's limits, or the user's own, allow one more.
    Limit,
    /// That one of those under way comes back.
    Room,
}

impl Signal {
    pub(crate) fn waiting(attempt: AttemptId, outlook: Outlook) -> Self {
        let (why, until) = match outlook {
            Outlook::Limited(left) => (WaitsFor::Limit, Some(wall_clock() + left)),
            Outlook::Full => (WaitsFor::Room, None),
        };
        Self::Waiting { attempt, why, until }
    }
}

/// The attempt is to end: the run is parking, or the budget is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl Line {
    pub(crate) fn new(
        attempt: AttemptId,
        (run, priority): (RunNumber, u32),
        inbox: mpsc::UnboundedSender<Message>,
        signals: broadcast::Sender<Signal>,
        stop: CancellationToken,
    ) -> Self {
        let (alive, waits) = (AtomicU64::new(0), Mutex::default());
        Self(Arc::new(Ends { attempt, run, priority, inbox, signals, stop, alive, waits }))
    }

    /// Whose line it is.
    pub fn attempt(&self) -> AttemptId {
        self.0.attempt
    }

    /// By what its turn is decided: its run, and the length of the longest chain
    /// of tasks known to wait for it.
    pub(crate) fn turn(&self) -> (RunNumber, u32) {
        (self.0.run, self.0.priority)
    }

    /// Adds a line to the run's log.
    pub fn log(&self, line: String) {
        self.tell(Message::Flow(FlowNews::Log(line.into())));
    }

    /// Records that the run does not permit a tool that the agent has called.
    pub fn tool_refused(&self, tool: &str, permission: &str) {
        let task = self.0.attempt.task;
        let refusal = Refusal::Tool { task, tool: tool.into(), permission: permission.into() };
        self.tell(Message::Refused { refusal, count: 1 });
    }

    /// Fires when the attempt is to end at once.
    pub fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Reports a reply that is not the last. Returns once it is durable.
    pub async fn turn_ended(&self, turn: Turn, reply: Arc<str>) -> Result<(), Stopped> {
        self.sign_of_life();
        let blob = blob_of(&turn.reply, reply);
        self.ask(|answer| Ours::TurnEnded { attempt: self.0.attempt, turn: Box::new(turn), blob, answer })
            .await
    }

    /// Asks to send a further request. Returns once it is written down that it
    /// is sent, together with the results of the tools that the last reply
    /// called (JSON text). The answer is the longest reply there is money for,
    /// where that is less than `bound` has.
    pub async fn turn_wanted(
        &self,
        tool_results: Option<Arc<str>>,
        bound: TurnBound,
    ) -> Result<Option<u32>, Stopped> {
        self.sign_of_life();
        let (tool_results, blob) = match tool_results.map(Content::of) {
            Some((content, blob)) => (Some(content), blob),
            None => (None, None),
        };
        self.ask(|answer| Ours::TurnWanted { attempt: self.0.attempt, tool_results, bound, blob, answer })
            .await
    }

    /// Asks to send the request under way a second time. Returns once it is
    /// written down that it is sent, and fails where it may not be.
    pub(super) async fn hedge_wanted(&self) -> Result<(), Stopped> {
        self.ask(|answer| Ours::HedgeWanted { attempt: self.0.attempt, answer }).await
    }

    /// Reports that of two requests one is given up, or has failed.
    pub(super) fn hedge_ended(&self, billed: bool) {
        self.tell(Message::Ours(Ours::HedgeEnded { attempt: self.0.attempt, billed }));
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Ours) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        self.0.inbox.send(Message::Ours(message(answer))).map_err(|_| Stopped)?;
        // The driver drops the other end of what it turns down.
        answered.await.map_err(|_| Stopped)
    }

    /// Shows something that is no fact.
    pub fn signal(&self, signal: impl FnOnce(AttemptId) -> Signal) {
        self.sign_of_life();
        if self.0.signals.receiver_count() > 0 {
            // Nobody may be watching any more; then there is nothing to show.
            let _ = self.0.signals.send(signal(self.0.attempt));
        }
    }

    /// Says something that needs no answer.
    pub(crate) fn tell(&self, message: Message) {
        // A driver that is gone has nobody left to tell.
        let _ = self.0.inbox.send(message);
    }

    /// Says that there is progress, though nothing to show.
    pub fn sign_of_life(&self) {
        self.0.alive.fetch_add(1, Ordering::Relaxed);
    }

    /// Says that the attempt waits for its turn to send a request.
    pub(crate) fn begin_waiting(&self, signal: impl FnOnce(AttemptId) -> Signal) {
        self.waits().since.get_or_insert_with(Instant::now);
        self.signal(signal);
    }

    /// Says that it is its turn.
    pub(crate) fn end_waiting(&self) {
        let has_waited = {
            let mut waits = self.waits();
            let waited = waits.since.take().map(|since| since.elapsed());
            waits.before += waited.unwrap_or_default();
            waited.is_some()
        };
        if has_waited {
            self.signal(|attempt| Signal::Writing { attempt, tokens: 0 });
        }
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waits().since.is_some()
    }

    /// How long it has waited for its turn so far.
    pub(crate) fn waited(&self) -> Duration {
        let waits = self.waits();
        waits.before + waits.since.map(|since| since.elapsed()).unwrap_or_default()
    }

    fn waits(&self) -> MutexGuard<'_, Waits> {
        self.0.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn signs_of_life(&self) -> u64 {
        self.0.alive.load(Ordering::Relaxed)
    }
}

/// The text that must be stored for `content`, if it is not inline.
fn blob_of(content: &Content, text: Arc<str>) -> Option<Blob> {
    match content {
        Content::Inline(_) => None,
        Content::Stored { digest, .. } => Some(Blob { digest: *digest, text }),
    }
}
