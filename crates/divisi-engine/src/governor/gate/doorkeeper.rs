//! The timer task for requests that wait at a gate.

use super::Gate;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The timer task for waiting requests. It ends early if its runtime ends.
pub(super) struct Doorkeeper {
    gate: Arc<Gate>,
    is_on_duty: bool,
}

impl Doorkeeper {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Self {
            gate,
            is_on_duty: true,
        }
    }

    /// Answers requests whenever it is time, until none waits for a moment.
    pub(super) async fn keep_door(mut self) {
        let gate = self.gate.clone();
        loop {
            let wake_at = {
                let state = gate.lock();
                let Some(wake_at) = state.wake_at else {
                    self.is_on_duty = false;
                    // Stored while the lock is held: after it, a new request must start its own
                    // timer task.
                    return gate.has_doorkeeper.store(false, Ordering::Relaxed);
                };
                wake_at
            };
            if wake_at <= gate.now() {
                gate.change(false, |gate, state| gate.let_through(state))
                    .done()
                    .await;
                continue;
            }
            tokio::select! {
                () = tokio::time::sleep_until(gate.instant(wake_at)) => {}
                () = gate.changed.notified() => {}
            }
        }
    }
}

impl Drop for Doorkeeper {
    fn drop(&mut self) {
        if self.is_on_duty {
            // Without the lock: an ending runtime may drop this within `spawn`, where the lock is
            // held.
            self.gate.has_doorkeeper.store(false, Ordering::Relaxed);
        }
    }
}
