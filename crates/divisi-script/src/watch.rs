//! Stops a script that computes without end.
//!
//! The clock here decides nothing but that: no script can see it.

use rquickjs::Runtime;
use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Watches how long an engine computes.
pub(crate) struct Watch {
    busy_max: Duration,
    inner: Rc<Inner>,
}

struct Inner {
    until: Cell<Option<Instant>>,
    fired: Cell<bool>,
}

impl Watch {
    /// Watches `runtime`, which asks every some thousand steps whether to stop.
    pub(crate) fn over(runtime: &Runtime, busy_max: Duration) -> Self {
        let inner = Rc::new(Inner { until: Cell::new(None), fired: Cell::new(false) });
        let watched = inner.clone();
        runtime.set_interrupt_handler(Some(Box::new(move || {
            let over = watched.until.get().is_some_and(|until| Instant::now() >= until);
            watched.fired.set(watched.fired.get() || over);
            watched.fired.get()
        })));
        Self { busy_max, inner }
    }

    /// From now on counts.
    pub(crate) fn begin(&self) {
        self.inner.until.set(Instant::now().checked_add(self.busy_max));
    }

    /// Whether the script was stopped. It will not go on.
    pub(crate) fn has_fired(&self) -> bool {
        self.inner.fired.get()
    }

    pub(crate) fn busy_max(&self) -> Duration {
        self.busy_max
    }
}
