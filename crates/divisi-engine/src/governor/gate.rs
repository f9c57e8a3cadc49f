//! The gate for requests to one model family: the core's queue, with a clock and async waiting.

mod doorkeeper;
mod permit;
mod steps;

pub(crate) use permit::Permit;

use super::shared::machine_millis;
use divisi_core::governor::{
    Decision, Ending, Estimate, Governor, IN_FLIGHT_MAX, PermitId, Place, Queue, Rate, RateLimits,
    RateSettings,
};
use divisi_core::{Failure, FailureClass, Millis, Timestamp, Usage};
use doorkeeper::Doorkeeper;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use steps::{Changed, Step, Steps};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

/// How often a waiting request gives a sign of life, so that it does not count as stalled.
pub(super) const SIGN_EVERY: Duration = Duration::from_secs(1);

/// Identifies a run within the process, so that runs take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunNumber(u64);

impl RunNumber {
    /// A number that no other run of this process has.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The gate for requests to one model family.
pub(crate) struct Gate {
    state: Mutex<State>,
    /// The thread for steps that involve other processes, if limits are shared.
    shared: Option<Steps>,
    /// The limit on requests under way that the governor was last given.
    in_flight_max: AtomicU32,
    clock: Clock,
    /// Whether a timer task runs for the waiting requests.
    has_doorkeeper: AtomicBool,
    /// Notifies the timer task when its moment has changed.
    changed: Notify,
}

/// A governor's clock, which must not jump as wall clocks do.
enum Clock {
    /// Starts with the gate.
    Own(Instant),
    /// The same for all processes of the machine.
    Machine,
}

struct State {
    queue: Queue<RunNumber, Answer>,
    /// Steps that were sent to `shared` and are not done yet. While there are any, all further
    /// steps are sent after them, which keeps the order of calls.
    steps_ahead: usize,
    /// When the next request may be sent, if that depends on time only.
    wake_at: Option<Timestamp>,
    /// The failure that closed the gate.
    closed_by: Option<Failure>,
}

/// The channel to a waiting request.
type Answer = oneshot::Sender<Result<Permit, Closed>>;

/// A place in the queue, left when dropped.
struct Waiting {
    gate: Arc<Gate>,
    place: Place<RunNumber>,
}

/// The answer to a request for a permit.
pub(crate) enum Leave {
    /// A permit, or a refusal.
    Answered(Result<Permit, Closed>),
    /// It must wait: see [`Gate::wait`].
    Pending(Pending),
}

/// A request that waits for a permit. Dropping it leaves the queue.
pub(crate) struct Pending(Changed<Asked>);

enum Asked {
    Answered(Result<Permit, Closed>),
    Waits(Waiting, oneshot::Receiver<Result<Permit, Closed>>),
}

/// The gate is closed, for the reason given to the first refused request.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) failure: Failure,
    /// Time until it reopens, if known.
    pub(crate) reopens_in: Option<Millis>,
}

/// Why a request waits, and for how long at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// The limits allow the next request after this time. With the limit, if it is known.
    Limited(Millis, Option<Rate>),
    /// Too many requests are under way.
    Full,
    /// The same, while fewer than usual may be under way because of overload.
    Strained,
}

impl Gate {
    /// A gate with these limits, shared with all processes that use the file at `shared`.
    pub(super) fn new(settings: &RateSettings, shared: Option<PathBuf>) -> Arc<Self> {
        let clock = match shared {
            Some(_) => Clock::Machine,
            None => Clock::Own(Instant::now()),
        };
        let queue = Queue::new(Governor::new(settings));
        let state = State {
            queue,
            steps_ahead: 0,
            wake_at: None,
            closed_by: None,
        };
        let gate = Arc::new(Self {
            state: Mutex::new(state),
            shared: shared.and_then(Steps::start),
            in_flight_max: AtomicU32::new(IN_FLIGHT_MAX),
            clock,
            has_doorkeeper: AtomicBool::new(false),
            changed: Notify::new(),
        });
        // Adopts the shared state, so that it applies to the first request.
        gate.change(true, |_, _| ());
        gate
    }

    /// Asks for a permit for a request; `priority` is the rank of its task: the
    /// largest goes first.
    pub(crate) fn ask(
        self: &Arc<Self>,
        run: RunNumber,
        priority: u32,
        estimate: Estimate,
    ) -> Leave {
        match self.change(false, move |gate, state| {
            gate.decide(state, run, priority, estimate)
        }) {
            Changed::Now(Asked::Answered(answer)) => Leave::Answered(answer),
            asked => Leave::Pending(Pending(asked)),
        }
    }

    /// Waits for a permit. Meanwhile `waits` is called at once and then every second.
    pub(crate) async fn wait(
        self: &Arc<Self>,
        Pending(asked): Pending,
        waits: impl Fn(Outlook) + Send,
    ) -> Result<Permit, Closed> {
        let (waiting, mut answered) = match asked.done().await {
            Some(Asked::Waits(waiting, answered)) => (waiting, answered),
            Some(Asked::Answered(answer)) => return answer,
            None => return Err(Closed::gone()),
        };
        let answer = loop {
            waits(self.outlook());
            if let Ok(answer) = timeout(SIGN_EVERY, &mut answered).await {
                break answer;
            }
        };
        // Kept until here: dropping it before the answer would leave the queue.
        drop(waiting);
        // Cannot happen: every entry of the queue is answered when it is removed.
        answer.unwrap_or_else(|_| Err(Closed::gone()))
    }

    /// Asks for a permit and waits for it. Meanwhile `waits` is called at once and then every
    /// second.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        run: RunNumber,
        priority: u32,
        estimate: Estimate,
        waits: impl Fn(Outlook) + Send,
    ) -> Result<Permit, Closed> {
        match self.ask(run, priority, estimate) {
            Leave::Answered(answer) => answer,
            Leave::Pending(pending) => self.wait(pending, waits).await,
        }
    }

    /// Decides whether a request may be sent, and queues it if not.
    fn decide(
        self: &Arc<Self>,
        state: &mut State,
        run: RunNumber,
        priority: u32,
        estimate: Estimate,
    ) -> Asked {
        let now = self.now();
        let asked = state.queue.ask(now, estimate);
        match asked {
            Some(Decision::Go(id)) => return Asked::Answered(Ok(Permit::new(self.clone(), id))),
            Some(Decision::Closed(until)) => {
                return Asked::Answered(Err(Closed::new(state.closed_by.as_ref(), now, until)));
            }
            Some(Decision::Wait(until)) => state.wake_at = Some(until),
            Some(Decision::Full) | None => {}
        }
        let (answer, answered) = oneshot::channel();
        let place = state.queue.enter(run, priority, estimate, answer);
        match asked.is_none() && state.queue.is_next(place) {
            // It is now first by priority, and may be smaller than the requests behind it.
            true => self.let_through(state),
            false => self.keep_watch(state),
        }
        Asked::Waits(
            Waiting {
                gate: self.clone(),
                place,
            },
            answered,
        )
    }

    /// Limits the requests under way to `most`.
    pub(crate) fn limit_in_flight(self: &Arc<Self>, most: u32) {
        if self.in_flight_max.swap(most, Ordering::Relaxed) != most {
            self.change(false, move |gate, state| {
                state.queue.governor_mut().limit_in_flight(most);
                gate.let_through(state);
            });
        }
    }

    /// Opens the gate again, for one test request at first.
    pub(super) fn reopen(self: &Arc<Self>) {
        self.change(true, |gate, state| {
            state.queue.governor_mut().reopen();
            gate.let_through(state);
        });
    }

    /// The same, only if the gate is closed or blocked for long.
    pub(super) fn reopen_if_shut(self: &Arc<Self>) {
        self.change(true, |gate, state| {
            if state.queue.governor().is_shut(gate.now()) {
                state.queue.governor_mut().reopen();
                gate.let_through(state);
            }
        });
    }

    /// The reply to a request has begun, so it was not refused. `limits` are those in its headers.
    pub(super) fn begun(self: &Arc<Self>, id: PermitId, limits: &RateLimits) {
        if self.lock().queue.governor().awaits_begun() {
            let limits = *limits;
            self.change(true, move |gate, state| {
                state.queue.governor_mut().begun(gate.now(), id, &limits);
                gate.let_through(state);
            });
        }
    }

    /// Applies the end of a request. If it closes the gate, `failure` is kept for later requests.
    pub(super) fn done(
        self: &Arc<Self>,
        id: PermitId,
        usage: Option<&Usage>,
        ending: impl FnOnce(Timestamp) -> Ending,
        limits: &RateLimits,
        failure: Option<Failure>,
    ) -> Changed<()> {
        let ending = ending(self.now());
        let is_news =
            !matches!(ending, Ending::Ok | Ending::Other) || *limits != RateLimits::default();
        let (usage, limits) = (usage.copied(), *limits);
        self.change(is_news, move |gate, state| {
            if failure.is_some() {
                state.closed_by = failure;
            }
            state
                .queue
                .done(gate.now(), id, usage.as_ref(), ending, &limits);
            gate.let_through(state);
        })
    }

    /// Returns a permit whose request was not sent.
    pub(super) fn withdraw(self: &Arc<Self>, id: PermitId) {
        self.change(false, move |gate, state| {
            state.queue.withdraw(gate.now(), id);
            gate.let_through(state);
        });
    }

    /// Changes the state. If there is anything to share (limits are known, or `is_news`), this
    /// happens on the thread of `shared` after all earlier steps; otherwise at once.
    ///
    /// The change is made even if the result is dropped.
    fn change<T: Send + 'static>(
        self: &Arc<Self>,
        is_news: bool,
        change: impl FnOnce(&Arc<Self>, &mut State) -> T + Send + 'static,
    ) -> Changed<T> {
        let mut state = self.lock();
        // A step must not overtake earlier ones that wait for the file, hence `steps_ahead`.
        let waits = state.steps_ahead > 0 || is_news || state.queue.governor().is_paced();
        let Some(shared) = self.shared.as_ref().filter(|_| waits) else {
            return Changed::Now(change(self, &mut state));
        };
        let (step, changed) = Step::new(self.clone(), is_news, change);
        state.steps_ahead += 1;
        if let Err(step) = shared.send(step) {
            // The thread has panicked: rate limits are no longer shared, but requests go on.
            let answer = step.take_alone(&mut state);
            // Unlocked first: an undelivered permit locks the state when it is dropped.
            drop(state);
            answer();
        }
        changed
    }

    /// Answers every request that may be sent now.
    fn let_through(self: &Arc<Self>, state: &mut State) {
        let now = self.now();
        let State {
            queue,
            closed_by,
            wake_at,
            ..
        } = state;
        *wake_at = queue.let_through(now, |answer, answered| {
            let answered = match answered {
                Ok(id) => Ok(Permit::new(self.clone(), id)),
                Err(until) => Err(Closed::new(closed_by.as_ref(), now, until)),
            };
            // If the receiver is gone, the permit goes back to the queue for the next request.
            match answer.send(answered) {
                Err(Ok(permit)) => permit.take(),
                Ok(()) | Err(Err(_)) => None,
            }
        });
        self.keep_watch(state);
    }

    /// Why the waiting requests wait.
    fn outlook(self: &Arc<Self>) -> Outlook {
        let state = self.lock();
        if !self.has_doorkeeper.load(Ordering::Relaxed) {
            // The timer task may have ended with another runtime.
            self.keep_watch(&state);
        }
        match state.wake_at {
            Some(wake_at) => {
                let rate = state.queue.governor().limited_by();
                Outlook::Limited(wake_at.since(self.now()), rate)
            }
            None if state.queue.governor().is_strained() => Outlook::Strained,
            None => Outlook::Full,
        }
    }

    /// Starts or notifies the timer task, if there is a moment to wait for.
    fn keep_watch(self: &Arc<Self>, state: &State) {
        if state.wake_at.is_none() {
            return;
        }
        if self.has_doorkeeper.load(Ordering::Relaxed) {
            self.changed.notify_one();
        } else if let Ok(runtime) = Handle::try_current() {
            // Without a runtime the program is ending, and no request waits.
            self.has_doorkeeper.store(true, Ordering::Relaxed);
            runtime.spawn(Doorkeeper::new(self.clone()).keep_door());
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(match self.clock {
            Clock::Own(since) => since.elapsed().as_millis() as u64,
            Clock::Machine => machine_millis(),
        })
    }

    fn instant(&self, at: Timestamp) -> Instant {
        /// Longer than any run; a moment beyond it is checked again then.
        const WAIT_MAX_MILLIS: u64 = 24 * 3_600_000;
        let wait = at.since(self.now()).0.min(WAIT_MAX_MILLIS);
        match self.clock {
            // Exactly at the millisecond, whatever part of the current one has passed.
            Clock::Own(since) => since + Duration::from_millis(self.now().0 + wait),
            Clock::Machine => Instant::now() + Duration::from_millis(wait),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Closed {
    fn new(closed_by: Option<&Failure>, now: Timestamp, until: Option<Timestamp>) -> Self {
        let unknown = || Failure::new(FailureClass::Quota, "the provider takes no requests");
        Self {
            failure: closed_by.cloned().unwrap_or_else(unknown),
            reopens_in: until.map(|until| until.since(now)),
        }
    }

    /// The thread of shared steps has panicked.
    fn gone() -> Self {
        let failure = Failure::new(FailureClass::Interrupted, "the gate for requests is gone");
        Self {
            failure,
            reopens_in: None,
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let has_left = self.gate.lock().queue.leave(self.place).is_some();
        if has_left {
            // The next request may be smaller than this one.
            self.gate
                .change(false, |gate, state| gate.let_through(state));
        }
    }
}

#[cfg(test)]
mod tests;
