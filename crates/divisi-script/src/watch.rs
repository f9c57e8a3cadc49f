//! Stops a script that computes without end.
//!
//! The measure is the processor time of the thread, not elapsed time: on a busy machine a thread
//! may wait long for a processor. This clock decides nothing else; no script can read it.

use crate::Pulse;
use rquickjs::Runtime;
use rustix::time::{ClockId, clock_gettime};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Measures how long an engine computes.
pub(crate) struct Watch {
    busy_max: Duration,
    pulse: Pulse,
    inner: Rc<Inner>,
}

struct Inner {
    until: Cell<Duration>,
    fired: Cell<bool>,
}

impl Watch {
    /// Watches `runtime`, which checks for an interrupt every few thousand steps.
    pub(crate) fn over(runtime: &Runtime, busy_max: Duration, pulse: Pulse) -> Self {
        let inner = Rc::new(Inner {
            until: Cell::new(Duration::MAX),
            fired: Cell::new(false),
        });
        let watched = inner.clone();
        runtime.set_interrupt_handler(Some(Box::new(move || {
            let over = computed() >= watched.until.get();
            watched.fired.set(watched.fired.get() || over);
            watched.fired.get()
        })));
        Self {
            busy_max,
            pulse,
            inner,
        }
    }

    /// Starts a new measurement.
    pub(crate) fn begin(&self) {
        let until = computed().saturating_add(self.busy_max);
        self.inner.until.set(until);
        self.pulse.begin(until);
    }

    /// The script waits.
    pub(crate) fn rest(&self) {
        self.pulse.rest();
    }

    /// Whether the script was stopped. It will not go on.
    pub(crate) fn has_fired(&self) -> bool {
        self.inner.fired.get()
    }

    pub(crate) fn busy_max(&self) -> Duration {
        self.busy_max
    }
}

/// Processor time used by this thread.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
