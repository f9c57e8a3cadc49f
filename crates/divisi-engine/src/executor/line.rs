//! The line from an attempt to its driver.

use super::activity::{Activity, Doing, Owed};
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
    /// Fires when the attempt is to end at once.
    stop: CancellationToken,
    /// Fires when the run parks: what has not left by then stays.
    parking: CancellationToken,
    /// Counts signs of life; the clock for silence compares it.
    alive: AtomicU64,
    activity: Mutex<Activity>,
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
        parking: CancellationToken,
    ) -> Self {
        let (stop, alive, activity) = (CancellationToken::new(), AtomicU64::new(0), Mutex::default());
        Self(Arc::new(Ends { attempt, run, priority, inbox, signals, stop, parking, alive, activity }))
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
        let (attempt, turn) = (self.0.attempt, Box::new(turn));
        let durable = self.hand_over(|answer| Ours::TurnEnded { attempt, turn, blob, answer });
        // The driver takes it before whatever it is told next.
        self.activity().settled();
        durable.await.map_err(|_| Stopped)
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
        self.hand_over(message).await.map_err(|_| Stopped)
    }

    /// Tells the driver something that it answers. It drops the other end of what
    /// it turns down, and of all when it is gone.
    fn hand_over<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Ours) -> oneshot::Receiver<T> {
        let (answer, answered) = oneshot::channel();
        self.tell(Message::Ours(message(answer)));
        answered
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
        self.activity().begin_waiting();
        self.signal(signal);
    }

    /// Says that it is its turn.
    pub(crate) fn end_waiting(&self) {
        let has_waited = self.activity().end_waiting();
        if has_waited {
            self.signal(|attempt| Signal::Writing { attempt, tokens: 0 });
        }
    }

    /// What `turn` gives once it is the attempt's turn to send a request, unless
    /// the run parks first: what has not left by then is not sent.
    pub(super) async fn unless_parking<T>(&self, turn: impl Future<Output = T>) -> Result<T, Stopped> {
        if self.0.parking.is_cancelled() {
            return Err(Stopped);
        }
        tokio::select! {
            biased;
            come = turn => Ok(come),
            () = self.0.parking.cancelled() => Err(Stopped),
        }
    }

    /// Says that a request leaves now. Fails where it must not.
    pub(super) fn asks(&self) -> Result<(), Stopped> {
        self.sign_of_life();
        if self.activity().ask() { Ok(()) } else { Err(Stopped) }
    }

    /// The same for a request that is sent a second time.
    pub(super) fn asks_again(&self) -> Result<(), Stopped> {
        if self.activity().ask_again() { Ok(()) } else { Err(Stopped) }
    }

    /// Says that no request is out any more; `by_reply` where a reply has come,
    /// which the driver is to be told of.
    pub(super) fn answered(&self, by_reply: bool) {
        self.activity().answered(by_reply);
    }

    /// Sees to it that no further request leaves. Returns what has left and may be
    /// billed; an attempt of which nothing has, ends.
    pub(crate) fn withdraw(&self) -> Owed {
        let owed = self.activity().withdraw();
        if !owed.first {
            self.0.stop.cancel();
        }
        owed
    }

    /// Whether a request is out.
    pub(crate) fn is_asking(&self) -> bool {
        self.activity().doing() == Doing::Asking
    }

    /// Whether a request has left of whose reply the driver does not know.
    pub(crate) fn may_be_billed(&self) -> bool {
        self.activity().owed().first
    }

    /// How long it has waited for its turn so far.
    pub(crate) fn waited(&self) -> Duration {
        self.activity().waited()
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.0.activity.lock().unwrap_or_else(PoisonError::into_inner)
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
