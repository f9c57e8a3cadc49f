//! The gate through which the requests of one model family leave: the core's
//! queue, with a clock and somebody who waits.

mod doorkeeper;
mod permit;
mod steps;

pub(crate) use permit::Permit;

use super::shared::machine_millis;
use divisi_core::governor::{
    Decision, Ending, Estimate, Governor, IN_FLIGHT_MAX, PermitId, Place, Queue, RateLimits,
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

/// How often a request that waits says so, so that nobody takes it for stuck.
pub(super) const SIGN_EVERY: Duration = Duration::from_secs(1);

/// Tells the runs of a process apart, so that they take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunNumber(u64);

impl RunNumber {
    /// A number that no other run of this process has.
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// The gate through which the requests of one model family leave.
pub(crate) struct Gate {
    state: Mutex<State>,
    /// Takes the steps in which other processes have a say, if any have.
    shared: Option<Steps>,
    /// As the governor last heard it.
    in_flight_max: AtomicU32,
    clock: Clock,
    /// Whether somebody watches the clock for those who wait.
    has_doorkeeper: AtomicBool,
    /// Wakes them when there is another moment to wait for.
    changed: Notify,
}

/// A governor's time: it must not jump as wall clocks do.
enum Clock {
    /// It begins with the gate.
    Own(Instant),
    /// All processes of the machine have the same.
    Machine,
}

struct State {
    queue: Queue<RunNumber, Answer>,
    /// Steps that have been sent to `shared` and are not taken yet. While there are any,
    /// all others are sent after them, so that the order of calls is kept.
    steps_ahead: usize,
    /// When the next one may leave, if that only takes time.
    wake_at: Option<Timestamp>,
    /// What closed it.
    closed_by: Option<Failure>,
}

/// By which somebody who waits is answered.
type Answer = oneshot::Sender<Result<Permit, Closed>>;

/// A place in the line, given up when it is dropped.
struct Waiting {
    gate: Arc<Gate>,
    place: Place<RunNumber>,
}

/// What a request gets when it asks to leave.
pub(crate) enum Leave {
    /// It may, or nothing leaves any more.
    Answered(Result<Permit, Closed>),
    /// It has to wait: see [`Gate::wait`].
    Pending(Pending),
}

/// A request that waits for leave. It waits no longer once it is dropped, and takes no
/// other request's turn.
pub(crate) struct Pending(Changed<Asked>);

enum Asked {
    Answered(Result<Permit, Closed>),
    Waits(Waiting, oneshot::Receiver<Result<Permit, Closed>>),
}

/// Nothing leaves any more, for the reason that the first request was given.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) failure: Failure,
    /// How long, if that is known.
    pub(crate) reopens_in: Option<Millis>,
}

/// Why a request waits, and until when that is sure to be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// The limits let the next one leave in so long.
    Limited(Millis),
    /// As many are under way as may be.
    Full,
    /// The same, where that is fewer than usual because the vendor has refused some.
    Strained,
}

impl Gate {
    /// A gate that keeps to limits; in step with all who use the file at `shared`.
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
        // What others have found out holds from the first request on.
        gate.change(true, |_, _| ());
        gate
    }

    /// Asks for leave to send a request, for a task for which a chain of `priority`
    /// others waits.
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

    /// Waits for leave. Meanwhile `waits` is called: at once, and then every second.
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
        drop(waiting);
        // The state answers everybody that it lets go of.
        answer.unwrap_or_else(|_| Err(Closed::gone()))
    }

    /// Asks for leave, and waits for it. Meanwhile `waits` is called: at once, and then
    /// every second.
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

    /// Decides whether a request may leave, and queues it if not.
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
            // It wants less than those whom it has overtaken.
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

    /// Lets no more than `most` requests be under way at once.
    pub(crate) fn limit_in_flight(self: &Arc<Self>, most: u32) {
        if self.in_flight_max.swap(most, Ordering::Relaxed) != most {
            self.change(false, move |gate, state| {
                state.queue.governor_mut().limit_in_flight(most);
                gate.let_through(state);
            });
        }
    }

    /// Lets requests leave again, one at first.
    pub(super) fn reopen(self: &Arc<Self>) {
        self.change(true, |gate, state| {
            state.queue.governor_mut().reopen();
            gate.let_through(state);
        });
    }

    /// The same where nothing leaves, for good or for long.
    pub(super) fn reopen_if_shut(self: &Arc<Self>) {
        self.change(true, |gate, state| {
            if state.queue.governor().is_shut(gate.now()) {
                state.queue.governor_mut().reopen();
                gate.let_through(state);
            }
        });
    }

    /// Learns that the reply to a request has begun, and the vendor's limits with it:
    /// it was not refused.
    pub(super) fn begun(self: &Arc<Self>, id: PermitId, limits: &RateLimits) {
        if self.lock().queue.governor().awaits_begun() {
            let limits = *limits;
            self.change(true, move |gate, state| {
                state.queue.governor_mut().begun(gate.now(), id, &limits);
                gate.let_through(state);
            });
        }
    }

    /// Learns how a request ended. `failure` is kept for those who come when
    /// it has closed the gate.
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

    /// Takes back a permit that was not used: nothing was sent.
    pub(super) fn withdraw(self: &Arc<Self>, id: PermitId) {
        self.change(false, move |gate, state| {
            state.queue.withdraw(gate.now(), id);
            gate.let_through(state);
        });
    }

    /// Changes the state: on the thread of `shared`, after all changes before it, where
    /// there is anything to share (limits are known, or this is news); otherwise at once.
    ///
    /// The change is made even if the result is dropped.
    fn change<T: Send + 'static>(
        self: &Arc<Self>,
        is_news: bool,
        change: impl FnOnce(&Arc<Self>, &mut State) -> T + Send + 'static,
    ) -> Changed<T> {
        let mut state = self.lock();
        let waits = state.steps_ahead > 0 || is_news || state.queue.governor().is_paced();
        let Some(shared) = self.shared.as_ref().filter(|_| waits) else {
            return Changed::Now(change(self, &mut state));
        };
        let (step, changed) = Step::new(self.clone(), is_news, change);
        state.steps_ahead += 1;
        if let Err(step) = shared.send(step) {
            let answer = step.take_alone(&mut state);
            drop(state);
            answer();
        }
        changed
    }

    /// Answers all whose turn has come.
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
            // What has gone meanwhile hands it back, and it is the next one's.
            match answer.send(answered) {
                Err(Ok(permit)) => permit.take(),
                Ok(()) | Err(Err(_)) => None,
            }
        });
        self.keep_watch(state);
    }

    /// What those who wait have to expect.
    fn outlook(self: &Arc<Self>) -> Outlook {
        let state = self.lock();
        if !self.has_doorkeeper.load(Ordering::Relaxed) {
            // The last one may have gone with another runtime.
            self.keep_watch(&state);
        }
        match state.wake_at {
            Some(wake_at) => Outlook::Limited(wake_at.since(self.now())),
            None if state.queue.governor().is_strained() => Outlook::Strained,
            None => Outlook::Full,
        }
    }

    /// Has somebody watch the clock if there is a moment to wait for.
    fn keep_watch(self: &Arc<Self>, state: &State) {
        if state.wake_at.is_none() {
            return;
        }
        if self.has_doorkeeper.load(Ordering::Relaxed) {
            self.changed.notify_one();
        } else if let Ok(runtime) = Handle::try_current() {
            // Without one the program is ending, and nobody waits.
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
        /// Longer than any run; what never comes is looked for again then.
        const WAIT_MAX_MILLIS: u64 = 24 * 3_600_000;
        let wait = at.since(self.now()).0.min(WAIT_MAX_MILLIS);
        match self.clock {
            // To the very millisecond, without what has passed of this one.
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

    /// The thread that decides has panicked.
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
            // Whoever is first now may want less.
            self.gate
                .change(false, |gate, state| gate.let_through(state));
        }
    }
}

#[cfg(test)]
mod tests;
