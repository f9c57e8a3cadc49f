//! Notices scripts that compute without end where their engine cannot stop them.

use divisi_script::Pulse;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// How often it looks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How much longer than it may a script has to have computed: in that time, the
/// engine itself would have stopped whatever it can stop.
const SLACK: Duration = Duration::from_secs(1);

/// Watches one thread on which scripts compute. Linux only: elsewhere nothing tells
/// how long another thread has computed, and it sees nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Watchdog {
    pulse: Pulse,
    /// The system's number of the thread; zero before it has begun.
    thread: Arc<AtomicI32>,
}

impl Watchdog {
    /// One that feels this pulse.
    pub(super) fn new(pulse: Pulse) -> Self {
        Self {
            pulse,
            ..Self::default()
        }
    }

    /// This is the thread.
    pub(super) fn watch_this_thread(&self) {
        #[cfg(target_os = "linux")]
        self.thread.store(
            rustix::thread::gettid().as_raw_nonzero().get(),
            Ordering::Relaxed,
        );
    }

    /// Whether a script on the thread computes and cannot be stopped.
    pub(super) fn is_stuck(&self) -> bool {
        computed(self.thread.load(Ordering::Relaxed))
            .and_then(|computed| computed.checked_sub(SLACK))
            .is_some_and(|computed| self.pulse.is_overdue(computed))
    }
}

/// How long a thread of this process has computed.
#[cfg(target_os = "linux")]
fn computed(thread: i32) -> Option<Duration> {
    let line = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // The name before the last parenthesis may hold anything. By themselves and in the system.
    let ticks = line.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Some(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).ok()?)
}

#[cfg(not(target_os = "linux"))]
fn computed(_: i32) -> Option<Duration> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_thread_is_what_it_has_computed() {
        let watchdog = Watchdog::default();
        assert!(computed(0).is_none(), "it has not begun");
        watchdog.watch_this_thread();
        let thread = watchdog.thread.load(Ordering::Relaxed);
        let before = computed(thread).unwrap();
        while computed(thread).unwrap() < before + Duration::from_millis(50) {}
        assert!(!watchdog.is_stuck(), "nothing computes but we");
    }
}
