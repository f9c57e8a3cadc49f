//! Shows another thread that a script computes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Shows another thread whether a script computes, and how long it may.
///
/// An engine checks for interrupts every few thousand steps, but a built-in function is a single
/// step, however large its array. Such a script cannot be stopped; its driver can only abandon the
/// thread.
#[derive(Clone, Debug, Default)]
pub struct Pulse(Arc<AtomicU64>);

impl Pulse {
    /// Whether the script still computes although its thread has used `computed` of processor time
    /// since the thread's start.
    pub fn is_overdue(&self, computed: Duration) -> bool {
        let until = self.0.load(Ordering::Relaxed);
        until != 0 && computed.as_nanos() >= u128::from(until)
    }

    /// The script computes, at most until its thread has used `until` of processor time.
    pub(crate) fn begin(&self, until: Duration) {
        self.0.store(
            until.as_nanos().try_into().unwrap_or(u64::MAX).max(1),
            Ordering::Relaxed,
        );
    }

    /// The script waits.
    pub(crate) fn rest(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// Equal if they belong to the same script.
impl PartialEq for Pulse {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_script_that_computes_can_be_overdue() {
        let pulse = Pulse::default();
        let seconds = Duration::from_secs;
        assert!(!pulse.is_overdue(seconds(100)));
        pulse.begin(seconds(5));
        assert!(!pulse.is_overdue(seconds(4)));
        assert!(pulse.is_overdue(seconds(5)));
        pulse.rest();
        assert!(!pulse.is_overdue(seconds(100)));
    }
}
