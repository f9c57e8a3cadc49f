//! Detects scripts that compute without end where the script engine cannot stop them.

use divisi_script::Pulse;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

/// Interval between two checks.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Extra computing time after the script's limit: within it the engine has stopped everything that
/// it can stop.
const SLACK: Duration = Duration::from_secs(1);

/// Watches one thread on which scripts compute. Linux only: other systems do not give the computing
/// time of another thread, so it detects nothing there.
#[derive(Clone, Debug, Default)]
pub(super) struct Watchdog {
    pulse: Pulse,
    /// The system's id of the thread; zero before it has begun.
    thread: Arc<AtomicI32>,
}

impl Watchdog {
    /// A watchdog for this pulse.
    pub(super) fn new(pulse: Pulse) -> Self {
        Self {
            pulse,
            ..Self::default()
        }
    }

    /// Sets the current thread as the watched one.
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

/// Computing time of a thread of this process.
#[cfg(target_os = "linux")]
fn computed(thread: i32) -> Option<Duration> {
    let line = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // The thread's name may contain parentheses, so the fields are counted from the last one. These
    // two are the user and the system time.
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
