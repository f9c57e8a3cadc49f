//! Stops long-running work of tools.

use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Longest time of one walk or search. Searching a repository of 200,000 files takes a fraction of
/// it; with a longer one, the pattern or the folder is too broad.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Stops long-running work of tools. Loops whose length depends on a model or a repository check
/// it.
#[derive(Clone)]
pub(super) struct Watch {
    cancel: CancellationToken,
    until: Instant,
}

impl Watch {
    /// Starts the time now.
    pub(super) fn new(cancel: &CancellationToken) -> Self {
        Self {
            cancel: cancel.clone(),
            until: Instant::now() + TIME_MAX,
        }
    }

    /// Fails once the work must stop, in words for the model.
    pub(super) fn look(&self) -> Result<(), String> {
        if self.cancel.is_cancelled() {
            return Err("cancelled".to_owned());
        }
        if Instant::now() > self.until {
            return Err(format!(
                "took longer than {} s; ask for less at a time",
                TIME_MAX.as_secs()
            ));
        }
        Ok(())
    }
}
