//! Watches the clock for those who wait at a gate.

use super::Gate;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Who watches the clock for those who wait, unless the runtime goes that they
/// run in.
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

    /// Lets people through whenever it is time, until nobody waits for a moment.
    pub(super) async fn keep_door(mut self) {
        let gate = self.gate.clone();
        loop {
            let wake_at = {
                let state = gate.lock();
                let Some(wake_at) = state.wake_at else {
                    self.is_on_duty = false;
                    // While the lock is held: whoever is next must not rely on this one.
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
            // Without the lock: a runtime that ends drops it where it is spawned.
            self.gate.has_doorkeeper.store(false, Ordering::Relaxed);
        }
    }
}
