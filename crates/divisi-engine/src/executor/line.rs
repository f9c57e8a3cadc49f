//! The channel between an attempt and its driver.

use super::arriving::Arriving;
use crate::clock::wall_clock;
use crate::governor::{Outlook, RunNumber};
use divisi_core::attempt::{Attempt, Input, Owed, Signs, Slot};
use divisi_core::budget::{TurnBound, Unanswered};
use divisi_core::content::{Blob, Content};
use divisi_core::event::{Refusal, ToolCall, Turn, Wait, WaitCause};
use divisi_core::governor::Rate;
use divisi_core::run::Bill;
use divisi_core::{AttemptId, Millis, PicoUsd, Timestamp, Usage};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, broadcast, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The channel between an attempt and its driver.
#[derive(Clone)]
pub(crate) struct Line(Arc<Ends>);

/// State shared by both ends, in one allocation for all clones.
struct Ends {
    attempt: AttemptId,
    run: RunNumber,
    /// Length of the longest chain of tasks known to wait for this one.
    priority: u32,
    driver: ToDriver,
    signals: broadcast::Sender<Signal>,
    /// Cancelled when the attempt must end at once.
    stop: CancellationToken,
    /// Cancelled when the run parks: requests that have not been sent are withdrawn.
    parking: CancellationToken,
    /// The attempt's state machine. Its time is counted from `since`.
    state: Mutex<Attempt>,
    since: Instant,
    /// Times of the last received bytes, and of the last growth of the reply.
    alive_at: AtomicU64,
    grew_at: AtomicU64,
    /// What has arrived of the replies to the two copies of the request.
    arriving: [Mutex<Arriving>; 2],
    /// Whether displays show it as waiting.
    is_shown_waiting: AtomicBool,
    /// Whether its program is known to cost nothing, however it ends.
    is_paid: AtomicBool,
    /// Notified when the state machine got an input from a helper.
    changed: Notify,
}

/// A message of an attempt to its driver.
pub(crate) enum AttemptNews {
    TurnEnded {
        attempt: AttemptId,
        turn: Box<Turn>,
        blob: Option<Blob>,
        answer: oneshot::Sender<()>,
    },
    TurnWanted {
        attempt: AttemptId,
        tool_results: Option<Content>,
        tools: Vec<ToolCall>,
        bound: TurnBound,
        blob: Option<Blob>,
        answer: oneshot::Sender<Room>,
    },
    HedgeWanted {
        attempt: AttemptId,
        answer: oneshot::Sender<()>,
    },
    HedgeEnded {
        attempt: AttemptId,
        most: PicoUsd,
    },
    Reports {
        attempt: AttemptId,
        model: Option<Arc<str>>,
        usage: Usage,
        bill: Bill,
        handle: Option<Arc<str>>,
    },
    /// A line for the run's log.
    Log(Arc<str>),
    /// A request of its agent was refused.
    Refused(Refusal),
}

/// Longest reply in tokens, where the budget allows less than was asked for.
pub(crate) type Room = Option<u32>;

/// Sends messages of attempts to their driver, whose inbox also has other messages.
pub(crate) type ToDriver = Arc<dyn Fn(AttemptNews) + Send + Sync>;

/// Progress for displays. It is not recorded.
#[derive(Clone, Debug)]
pub enum Signal {
    /// A reply is arriving, and has about this many tokens so far.
    Writing {
        /// Which attempt.
        attempt: AttemptId,
        /// Their number.
        tokens: u64,
    },
    /// A reply is arriving, and its text begins with these words.
    Begins {
        /// Which attempt.
        attempt: AttemptId,
        /// They.
        words: Arc<str>,
    },
    /// The request waits until the vendor has cached the prefix it shares with others.
    Held {
        /// Which attempt.
        attempt: AttemptId,
        /// End of the wait at the latest.
        until: Timestamp,
    },
    /// The request may not be sent yet.
    Waiting {
        /// Which attempt.
        attempt: AttemptId,
        /// The reason.
        why: WaitsFor,
        /// When the next request may be sent, if known.
        until: Option<Timestamp>,
    },
    /// A tool is at work.
    Tool {
        /// Which attempt.
        attempt: AttemptId,
        /// Its name and its subject.
        what: Arc<str>,
    },
}

/// Why a request may not be sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// A rate limit of the vendor or of the user; `None` if the vendor only asked for a wait.
    Limit(Option<Rate>),
    /// Too many requests are under way.
    Room,
}

impl Signal {
    pub(crate) fn waiting(attempt: AttemptId, outlook: Outlook) -> Self {
        let (why, until) = match outlook {
            Outlook::Limited(left, rate) => (WaitsFor::Limit(rate), Some(wall_clock() + left)),
            Outlook::Full | Outlook::Strained => (WaitsFor::Room, None),
        };
        Self::Waiting {
            attempt,
            why,
            until,
        }
    }
}

/// The attempt must end: the run is parking, or the budget is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stopped;

impl Line {
    pub(crate) fn new(
        attempt: AttemptId,
        state: Attempt,
        (run, priority): (RunNumber, u32),
        driver: ToDriver,
        signals: broadcast::Sender<Signal>,
        parking: CancellationToken,
    ) -> Self {
        Self(Arc::new(Ends {
            attempt,
            run,
            priority,
            driver,
            signals,
            stop: CancellationToken::new(),
            parking,
            state: Mutex::new(state),
            since: Instant::now(),
            alive_at: AtomicU64::new(0),
            grew_at: AtomicU64::new(0),
            arriving: Default::default(),
            is_shown_waiting: AtomicBool::new(false),
            is_paid: AtomicBool::new(false),
            changed: Notify::new(),
        }))
    }

    /// Id of the attempt.
    pub(crate) fn attempt(&self) -> AttemptId {
        self.0.attempt
    }

    /// What decides its place in queues: its run, and the rank of its task.
    pub(crate) fn turn(&self) -> (RunNumber, u32) {
        (self.0.run, self.0.priority)
    }

    /// Adds a line to the run's log.
    pub(crate) fn log(&self, line: String) {
        self.tell(AttemptNews::Log(line.into()));
    }

    /// Records a tool that the agent called without permission.
    pub(crate) fn tool_refused(&self, tool: &str, permission: &str) {
        let task = self.0.attempt.task;
        let refusal = Refusal::Tool {
            task,
            tool: tool.into(),
            permission: permission.into(),
        };
        self.tell(AttemptNews::Refused(refusal));
    }

    /// Cancelled when the attempt must end at once.
    pub(crate) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }

    /// Cancelled when the run parks.
    pub(crate) fn parking(&self) -> &CancellationToken {
        &self.0.parking
    }

    /// Sends a reply that is not the last. The returned future completes once it is durable.
    pub(crate) fn turn_ended(
        &self,
        turn: Turn,
        reply: Arc<str>,
    ) -> impl Future<Output = Result<(), Stopped>> + Send + 'static {
        let blob = blob_of(&turn.reply, reply);
        let (attempt, turn) = (self.0.attempt, Box::new(turn));
        // Sent before the future is polled, so that the driver gets it before any later message.
        let durable = self.hand_over(|answer| AttemptNews::TurnEnded {
            attempt,
            turn,
            blob,
            answer,
        });
        async { durable.await.map_err(|_| Stopped) }
    }

    /// Orders a further request. Completes once the order is durable, together with the results of
    /// the tools called by the last reply (JSON text). Returns the longest reply in tokens, where
    /// the budget allows less than `bound`.
    pub(crate) async fn turn_wanted(
        &self,
        tool_results: Option<Arc<str>>,
        tools: Vec<ToolCall>,
        bound: TurnBound,
    ) -> Result<Room, Stopped> {
        let (tool_results, blob) = match tool_results.map(Content::of) {
            Some((content, blob)) => (Some(content), blob),
            None => (None, None),
        };
        let attempt = self.0.attempt;
        self.ask(|answer| AttemptNews::TurnWanted {
            attempt,
            tool_results,
            tools,
            bound,
            blob,
            answer,
        })
        .await
    }

    /// Orders a hedge of the request under way. Completes once the order is durable; fails if it is
    /// refused.
    pub(crate) async fn hedge_wanted(&self) -> Result<(), Stopped> {
        self.ask(|answer| AttemptNews::HedgeWanted {
            attempt: self.0.attempt,
            answer,
        })
        .await
    }

    /// Reports that one copy of a hedged request was abandoned or has failed.
    pub(crate) fn hedge_ended(&self, most: PicoUsd) {
        self.tell(AttemptNews::HedgeEnded {
            attempt: self.0.attempt,
            most,
        });
    }

    /// Reports usage since the last report, with its model if that is known, and a handle.
    pub(crate) fn reports(
        &self,
        model: Option<Arc<str>>,
        usage: Usage,
        bill: Bill,
        handle: Option<Arc<str>>,
    ) {
        self.sign_of_life();
        self.tell(AttemptNews::Reports {
            attempt: self.0.attempt,
            model,
            usage,
            bill,
            handle,
        });
    }

    /// Passes an input to the attempt's state machine, and wakes its performer.
    pub(crate) fn input(&self, input: Input) {
        let now = self.now();
        self.state().handle(now, input);
        self.0.changed.notify_one();
    }

    /// Completes once after one or several calls of [`Line::input`].
    pub(crate) fn changed(&self) -> impl Future<Output = ()> + '_ {
        self.0.changed.notified()
    }

    async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<T>) -> AttemptNews,
    ) -> Result<T, Stopped> {
        self.hand_over(message).await.map_err(|_| Stopped)
    }

    /// Sends the driver a message with an answer channel. The driver drops the other end to refuse,
    /// and all of them when it ends.
    fn hand_over<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<T>) -> AttemptNews,
    ) -> oneshot::Receiver<T> {
        let (answer, answered) = oneshot::channel();
        self.tell(message(answer));
        answered
    }

    /// Shows a signal, which also counts as a sign of life.
    pub(crate) fn signal(&self, signal: impl FnOnce(AttemptId) -> Signal) {
        self.sign_of_life();
        self.show(signal);
    }

    /// Notes progress without showing anything.
    pub(crate) fn sign_of_life(&self) {
        // Relaxed: these times are only compared with a timeout, and guard no other data.
        self.0.alive_at.store(self.now().0, Ordering::Relaxed);
    }

    /// Notes growth of the reply.
    pub(crate) fn grows(&self) {
        self.0.grew_at.store(self.now().0, Ordering::Relaxed);
    }

    pub(crate) fn signs(&self) -> Signs {
        let at = |moment: &AtomicU64| Timestamp(moment.load(Ordering::Relaxed));
        Signs {
            alive_at: at(&self.0.alive_at),
            grew_at: at(&self.0.grew_at),
        }
    }

    /// Shows a signal without counting it as a sign of life.
    pub(crate) fn show(&self, signal: impl FnOnce(AttemptId) -> Signal) {
        if self.0.signals.receiver_count() > 0 {
            // Fails only without displays.
            let _ = self.0.signals.send(signal(self.0.attempt));
        }
    }

    /// Shows that the attempt waits for a permit.
    pub(crate) fn shows_waiting(&self, signal: impl FnOnce(AttemptId) -> Signal) {
        self.0.is_shown_waiting.store(true, Ordering::Relaxed);
        self.show(signal);
    }

    /// Shows that it no longer waits.
    pub(crate) fn shows_asking(&self) {
        if self.0.is_shown_waiting.swap(false, Ordering::Relaxed) {
            self.show(|attempt| Signal::Writing { attempt, tokens: 0 });
        }
    }

    /// Sends a message without an answer.
    fn tell(&self, news: AttemptNews) {
        (self.0.driver)(news);
    }

    /// The time of the attempt.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp(self.0.since.elapsed().as_millis() as u64)
    }

    /// Converts the attempt's time to an instant.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        self.0.since + std::time::Duration::from_millis(at.0)
    }

    /// The attempt's state machine.
    pub(crate) fn state(&self) -> MutexGuard<'_, Attempt> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prevents any further request. Returns the requests that have been sent and may be billed; an
    /// attempt without any ends.
    pub(crate) fn withdraw(&self) -> Owed {
        let mut owed = self.state().withdraw();
        owed.first &= !self.0.is_paid.load(Ordering::Relaxed);
        if !owed.first {
            self.0.stop.cancel();
        }
        owed
    }

    /// What is known of a request that was sent and whose reply the driver does not have, if there
    /// is one.
    pub(crate) fn unanswered(&self) -> Option<Unanswered> {
        let is_owed = self.state().owed().first;
        self.billable(is_owed)
    }

    /// What is known of the first copy of a request, if it `is_owed` and can cost something.
    pub(crate) fn billable(&self, is_owed: bool) -> Option<Unanswered> {
        let is_paid = self.0.is_paid.load(Ordering::Relaxed);
        (is_owed && !is_paid).then(|| self.received(Slot::First))
    }

    /// The program of the attempt costs nothing, however it ends.
    pub(crate) fn costs_nothing(&self) {
        self.0.is_paid.store(true, Ordering::Relaxed);
    }

    /// A copy of a request is sent: nothing of its reply has arrived.
    pub(crate) fn sends(&self, slot: Slot, arriving: Arriving) {
        *self.arriving(slot) = arriving;
    }

    /// What is known of the reply to a copy of the request.
    pub(crate) fn received(&self, slot: Slot) -> Unanswered {
        self.arriving(slot).unanswered()
    }

    /// What either copy of the request may be billed at most.
    pub(crate) fn may_cost(&self) -> PicoUsd {
        let [first, second] = [Slot::First, Slot::Second].map(|slot| self.received(slot).most);
        first.max(second)
    }

    /// The reply to a copy of the request as far as it has arrived.
    pub(crate) fn arriving(&self, slot: Slot) -> MutexGuard<'_, Arriving> {
        let arriving = match slot {
            Slot::First => &self.0.arriving[0],
            Slot::Second => &self.0.arriving[1],
        };
        arriving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first copy may not be sent yet, for this reason.
    pub(crate) fn held(&self, outlook: Outlook) {
        let cause = match outlook {
            Outlook::Limited(..) => WaitCause::Limit,
            Outlook::Full => WaitCause::Room,
            Outlook::Strained => WaitCause::Overload,
        };
        self.state().handle(self.now(), Input::Held(cause));
    }

    /// Total time it waited for permits.
    pub(crate) fn waited(&self) -> Millis {
        self.state().waited(self.now())
    }

    /// The waits since the last call.
    pub(crate) fn take_waits(&self) -> Vec<Wait> {
        self.state().take_waits(self.now())
    }
}

/// The text to store for `content`, if it is not inline.
fn blob_of(content: &Content, text: Arc<str>) -> Option<Blob> {
    match content {
        Content::Inline(_) => None,
        Content::Stored { digest, .. } => Some(Blob {
            digest: *digest,
            text,
        }),
    }
}
