//! The thread of a gate for steps that involve other processes.
//!
//! Such a step locks, reads and writes a file, and may wait for a process that was stopped while it
//! held the lock. On an async thread, everything else would wait with it.

use super::super::shared::SharedPace;
use super::{Gate, State};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The queue of that thread, which performs steps in the order of sending.
pub(super) struct Steps {
    /// Bounded by the requests under way or waiting: each has one step at a time.
    queue: mpsc::Sender<Step>,
}

/// One change of a gate's state.
pub(super) struct Step {
    gate: Arc<Gate>,
    is_news: bool,
    /// The runtime for the timer task.
    runtime: Option<Handle>,
    change: Box<Change>,
}

type Change = dyn FnOnce(&Arc<Gate>, &mut State) -> Answer + Send;

/// Sends the result of a step. Called with the state unlocked: an undelivered result may hold a
/// permit, which locks the state when dropped.
type Answer = Box<dyn FnOnce() + Send>;

/// The result of a step, now or later.
pub(in crate::governor) enum Changed<T> {
    Now(T),
    Later(oneshot::Receiver<T>),
}

impl<T> Changed<T> {
    /// Waits for the result; `None` if the thread has panicked.
    pub(in crate::governor) async fn done(self) -> Option<T> {
        match self {
            Self::Now(value) => Some(value),
            Self::Later(value) => value.await.ok(),
        }
    }
}

impl Steps {
    /// Starts the thread, which shares the file at `path`. `None` if the system cannot start a
    /// thread.
    pub(super) fn start(path: PathBuf) -> Option<Self> {
        let (queue, steps) = mpsc::channel::<Step>();
        let work = move || {
            let mut pace = SharedPace::open(path);
            steps.iter().for_each(|step| step.take(&mut pace));
        };
        let thread = std::thread::Builder::new()
            .name("divisi-limits".into())
            .spawn(work);
        let kept_alone = |error: std::io::Error| {
            tracing::warn!(%error, "cannot share rate limits with other processes: each keeps to them alone");
        };
        // It ends when the gate is dropped, so nothing needs to join it.
        thread.map_err(kept_alone).is_ok().then_some(Self { queue })
    }

    /// Sends a step; returns it if the thread has panicked.
    pub(super) fn send(&self, step: Step) -> Result<(), Step> {
        self.queue.send(step).map_err(|mpsc::SendError(step)| step)
    }
}

impl Step {
    /// A step, and its future result.
    pub(super) fn new<T: Send + 'static>(
        gate: Arc<Gate>,
        is_news: bool,
        change: impl FnOnce(&Arc<Gate>, &mut State) -> T + Send + 'static,
    ) -> (Self, Changed<T>) {
        let (answer, value) = oneshot::channel();
        let change = move |gate: &Arc<Gate>, state: &mut State| {
            let value = change(gate, state);
            // Fails if the request was dropped.
            Box::new(move || drop(answer.send(value))) as Answer
        };
        let runtime = Handle::try_current().ok();
        (
            Self {
                gate,
                is_news,
                runtime,
                change: Box::new(change),
            },
            Changed::Later(value),
        )
    }

    /// Performs it, sharing the state with other processes if there is anything to share.
    fn take(self, pace: &mut SharedPace) {
        let Self {
            gate,
            is_news,
            runtime,
            change,
        } = self;
        let _in_runtime = runtime.as_ref().map(Handle::enter);
        // This cannot change before the step below, because `steps_ahead` sends all other steps
        // here.
        let is_shared = is_news || gate.lock().queue.governor().is_paced();
        // The file is locked before the state: waiting for another process must not block the users
        // of the state.
        let turn = if is_shared { pace.begin() } else { None };
        let mut state = gate.lock();
        if let Some(found) = turn.as_ref().and_then(|turn| turn.found()) {
            state.queue.governor_mut().adopt(found.clone());
        }
        let answer = change(&gate, &mut state);
        state.steps_ahead -= 1;
        let left = turn
            .is_some()
            .then(|| state.queue.governor_mut().share().clone());
        // Unlocked before the file is written, which may take a while.
        drop(state);
        if let (Some(turn), Some(left)) = (turn, left) {
            pace.end(turn, &left);
        }
        answer();
    }

    /// Performs it at once, without sharing.
    pub(super) fn take_alone(self, state: &mut State) -> impl FnOnce() + use<> {
        state.steps_ahead -= 1;
        (self.change)(&self.gate, state)
    }
}
