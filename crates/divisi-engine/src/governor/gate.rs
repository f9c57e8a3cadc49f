//! The gate through which the requests of one model family leave: the core's
//! queue, with a clock and somebody who waits.

mod doorkeeper;

use super::permit::Permit;
use super::shared::{SharedPace, machine_millis};
use divisi_core::governor::{
    Decision, Ending, Estimate, Governor, IN_FLIGHT_MAX, PermitId, Place, Queue, RateLimits, RateSettings,
};
use divisi_core::{Failure, FailureClass, Millis, Timestamp, Usage};
use doorkeeper::Doorkeeper;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
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
    /// By which the queue's governor keeps in step with other processes.
    shared: Option<SharedPace>,
    /// When the next one may leave, if that only takes time.
    wake_at: Option<Timestamp>,
    /// What closed it.
    closed_by: Option<Failure>,
}

/// By which somebody who waits is answered.
type Answer = oneshot::Sender<Result<Permit, Closed>>;

/// A place in the line, given up when it is dropped.
struct Waiting<'a> {
    gate: &'a Arc<Gate>,
    place: Place<RunNumber>,
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
}

impl Gate {
    pub(super) fn new(settings: &RateSettings, shared: Option<SharedPace>) -> Self {
        let clock = match shared {
            Some(_) => Clock::Machine,
            None => Clock::Own(Instant::now()),
        };
        let queue = Queue::new(Governor::new(settings));
        let mut state = State { queue, shared, wake_at: None, closed_by: None };
        // What others have found out holds from the first request on.
        state.step(true, |_| ());
        let in_flight_max = AtomicU32::new(IN_FLIGHT_MAX);
        let has_doorkeeper = AtomicBool::new(false);
        Self { state: Mutex::new(state), in_flight_max, clock, has_doorkeeper, changed: Notify::new() }
    }

    /// Leave to send a request, for a task for which a chain of `priority` others
    /// waits. While it has to be waited for, `waits` is called: at once, and then
    /// every second.
    ///
    /// Whoever drops the future waits no longer, and takes nobody's turn.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        run: RunNumber,
        priority: u32,
        estimate: Estimate,
        waits: impl Fn(Outlook) + Send,
    ) -> Result<Permit, Closed> {
        let (mut answered, waiting) = {
            let (mut state, now) = (self.lock(), self.now());
            let asked = state.step(false, |queue| queue.ask(now, estimate));
            match asked {
                Some(Decision::Go(id)) => return Ok(Permit::new(self.clone(), id)),
                Some(Decision::Closed(until)) => {
                    return Err(Closed::new(state.closed_by.as_ref(), now, until));
                }
                Some(Decision::Wait(until)) => state.wake_at = Some(until),
                Some(Decision::Full) | None => {}
            }
            let (answer, answered) = oneshot::channel();
            let place = state.queue.enter(run, priority, estimate, answer);
            match asked.is_none() && state.queue.is_next(place) {
                // It wants less than those whom it has overtaken.
                true => self.let_through(state, false, |_| ()),
                false => self.keep_watch(&state),
            }
            (answered, Waiting { gate: self, place })
        };
        let answer = loop {
            waits(self.outlook());
            if let Ok(answer) = timeout(SIGN_EVERY, &mut answered).await {
                break answer;
            }
        };
        drop(waiting);
        answer.unwrap_or_else(|_| {
            // The state answers everybody that it lets go of.
            let failure = Failure::new(FailureClass::Interrupted, "the gate for requests is gone");
            Err(Closed { failure, reopens_in: None })
        })
    }

    /// Lets no more than `most` requests be under way at once.
    pub(crate) fn limit_in_flight(self: &Arc<Self>, most: u32) {
        if self.in_flight_max.swap(most, Ordering::Relaxed) != most {
            self.let_through(self.lock(), false, |queue| queue.governor_mut().limit_in_flight(most));
        }
    }

    /// Whether nothing leaves, for good or for long.
    pub(super) fn is_shut(&self) -> bool {
        let now = self.now();
        self.lock().step(true, |queue| queue.governor().is_shut(now))
    }

    /// Lets requests leave again, one at first.
    pub(super) fn reopen(self: &Arc<Self>) {
        self.let_through(self.lock(), true, |queue| queue.governor_mut().reopen());
    }

    /// Learns that the reply to a request has begun: it was not refused.
    pub(super) fn begun(self: &Arc<Self>, id: PermitId) {
        let state = self.lock();
        if state.queue.governor().is_unsure() {
            self.let_through(state, true, |queue| queue.governor_mut().begun(id));
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
    ) {
        let (mut state, now) = (self.lock(), self.now());
        let ending = ending(now);
        if failure.is_some() {
            state.closed_by = failure;
        }
        let is_news = !matches!(ending, Ending::Ok | Ending::Other) || *limits != RateLimits::default();
        self.let_through(state, is_news, |queue| queue.done(now, id, usage, ending, limits));
    }

    /// Takes back a permit that was not used: nothing was sent.
    pub(super) fn withdraw(self: &Arc<Self>, id: PermitId) {
        let now = self.now();
        self.let_through(self.lock(), false, |queue| queue.withdraw(now, id));
    }

    /// Answers all whose turn has come after `change`.
    fn let_through(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, State>,
        is_news: bool,
        change: impl FnOnce(&mut Queue<RunNumber, Answer>),
    ) {
        let now = self.now();
        let closed_by = state.closed_by.clone();
        state.wake_at = state.step(is_news, |queue| {
            change(queue);
            queue.let_through(now, |answer, answered| {
                let answered = match answered {
                    Ok(id) => Ok(Permit::new(self.clone(), id)),
                    Err(until) => Err(Closed::new(closed_by.as_ref(), now, until)),
                };
                // What has gone meanwhile hands it back, and it is the next one's.
                match answer.send(answered) {
                    Err(Ok(permit)) => permit.take(),
                    Ok(()) | Err(Err(_)) => None,
                }
            })
        });
        self.keep_watch(&state);
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

impl State {
    /// Changes the queue, in step with other processes where there is anything to
    /// share: limits are known, or there is news.
    fn step<T>(&mut self, is_news: bool, step: impl FnOnce(&mut Queue<RunNumber, Answer>) -> T) -> T {
        let is_shared = is_news || self.queue.governor().is_paced();
        match &mut self.shared {
            Some(shared) if is_shared => shared.step(&mut self.queue, Queue::governor_mut, step),
            Some(_) | None => step(&mut self.queue),
        }
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
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        if state.queue.leave(self.place).is_some() {
            // Whoever is first now may want less.
            self.gate.let_through(state, false, |_| ());
        }
    }
}

#[cfg(test)]
mod tests;
