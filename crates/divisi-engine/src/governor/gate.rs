//! The gate through which the requests of one model family leave.

use super::permit::Permit;
use super::turns::Turns;
use divisi_core::governor::{Decision, Ending, Estimate, Governor, PermitId, RateLimits, RateSettings};
use divisi_core::{Failure, FailureClass, Millis, Timestamp, Usage};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

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
    /// The governor's time begins here: it must not jump as wall clocks do.
    since: Instant,
    /// Wakes the doorkeeper when there is another moment to wait for.
    changed: Notify,
}

struct State {
    governor: Governor,
    waiting: Turns<RunNumber, Waiter>,
    /// When the next one may leave, if that only takes time.
    wake_at: Option<Timestamp>,
    /// Whether somebody watches the clock for those who wait.
    has_doorkeeper: bool,
    /// What closed it.
    closed_by: Option<Failure>,
}

/// Somebody who waits. What has been answered to nobody is taken back.
struct Waiter {
    estimate: Estimate,
    answer: oneshot::Sender<Result<Permit, Closed>>,
}

/// Nothing leaves any more, for the reason that the first request was given.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) failure: Failure,
    /// How long, if that is known.
    pub(crate) reopens_in: Option<Millis>,
}

impl Gate {
    pub(super) fn new(settings: &RateSettings) -> Self {
        let state = State {
            governor: Governor::new(settings),
            waiting: Turns::default(),
            wake_at: None,
            has_doorkeeper: false,
            closed_by: None,
        };
        Self { state: Mutex::new(state), since: Instant::now(), changed: Notify::new() }
    }

    /// Leave to send a request; `waits` is called if it has to be waited for.
    ///
    /// Whoever drops the future waits no longer, and takes nobody's turn.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        run: RunNumber,
        estimate: Estimate,
        waits: impl FnOnce(),
    ) -> Result<Permit, Closed> {
        let answered = {
            let mut state = self.lock();
            if state.waiting.is_empty() {
                match state.governor.ask(self.now(), estimate) {
                    Decision::Go(id) => return Ok(Permit::new(self.clone(), id)),
                    Decision::Closed(until) => return Err(state.closed(self.now(), until)),
                    Decision::Wait(until) => state.wake_at = Some(until),
                    Decision::Full => {}
                }
            }
            let (answer, answered) = oneshot::channel();
            state.waiting.push(run, Waiter { estimate, answer });
            self.keep_watch(&mut state);
            answered
        };
        waits();
        answered.await.unwrap_or_else(|_| {
            // The state answers everybody that it lets go of.
            let failure = Failure::new(FailureClass::Interrupted, "the gate for requests is gone");
            Err(Closed { failure, reopens_in: None })
        })
    }

    /// Whether nothing leaves.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().governor.is_closed()
    }

    /// Lets requests leave again, one at first.
    pub(super) fn reopen(self: &Arc<Self>) {
        let mut state = self.lock();
        state.governor.reopen();
        self.let_through(state);
    }

    /// Learns that the reply to a request has begun: it was not refused.
    pub(super) fn begun(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.governor.begun() {
            self.let_through(state);
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
        let now = self.now();
        let mut state = self.lock();
        state.governor.done(now, id, usage, ending(now), limits);
        if failure.is_some() {
            state.closed_by = failure;
        }
        self.let_through(state);
    }

    /// Answers everybody whose turn has come.
    fn let_through(self: &Arc<Self>, mut state: MutexGuard<'_, State>) {
        state.wake_at = None;
        while let Some(waiter) = state.waiting.next() {
            if waiter.answer.is_closed() {
                state.waiting.take();
                continue;
            }
            let (now, estimate) = (self.now(), waiter.estimate);
            let answer = match state.governor.ask(now, estimate) {
                Decision::Go(id) => Ok(Permit::new(self.clone(), id)),
                Decision::Closed(until) => Err(state.closed(now, until)),
                Decision::Wait(until) => {
                    state.wake_at = Some(until);
                    break;
                }
                Decision::Full => break,
            };
            let Some(waiter) = state.waiting.take() else { break };
            // Whoever has gone meanwhile hands it back, and it is the next one's.
            if let Err(Ok(permit)) = waiter.answer.send(answer)
                && let Some(id) = permit.withdraw()
            {
                state.governor.withdraw(now, id);
            }
        }
        self.keep_watch(&mut state);
    }

    /// Has somebody watch the clock if there is a moment to wait for.
    fn keep_watch(self: &Arc<Self>, state: &mut State) {
        if state.wake_at.is_none() {
            return;
        }
        if state.has_doorkeeper {
            self.changed.notify_one();
        } else if let Ok(runtime) = Handle::try_current() {
            // Without one the program is ending, and nobody waits.
            state.has_doorkeeper = true;
            runtime.spawn(self.clone().keep_door());
        }
    }

    /// Lets people through whenever it is time, until nobody waits for a moment.
    async fn keep_door(self: Arc<Self>) {
        loop {
            let wake_at = {
                let mut state = self.lock();
                match state.wake_at {
                    Some(wake_at) => wake_at,
                    None => {
                        state.has_doorkeeper = false;
                        return;
                    }
                }
            };
            if wake_at <= self.now() {
                self.let_through(self.lock());
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep_until(self.instant(wake_at)) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.since.elapsed().as_millis() as u64)
    }

    fn instant(&self, at: Timestamp) -> Instant {
        /// Longer than any run; what never comes is looked for again then.
        const WAIT_MAX_MILLIS: u64 = 24 * 3_600_000;
        let wait = at.0.min(self.now().0 + WAIT_MAX_MILLIS);
        self.since + Duration::from_millis(wait)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn closed(&self, now: Timestamp, until: Option<Timestamp>) -> Closed {
        let unknown = || Failure::new(FailureClass::Quota, "the provider takes no requests");
        Closed {
            failure: self.closed_by.clone().unwrap_or_else(unknown),
            reopens_in: until.map(|until| until.since(now)),
        }
    }
}

#[cfg(test)]
mod tests;
