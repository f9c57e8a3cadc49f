//! Says when work of a tool that takes long is to stop.

use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Longest time that one call may walk or search. A repository of 200,000 files
/// is searched in a fraction of it; what takes longer has a pattern or a folder
/// that is too wide.
const TIME_MAX: Duration = Duration::from_secs(60);

/// Says when work of a tool that takes long is to stop. Loops over anything that
/// a model or a repository can make long look at it.
#[derive(Clone)]
pub(super) struct Watch {
    cancel: CancellationToken,
    until: Instant,
}

impl Watch {
    /// Begins now.
    pub(super) fn new(cancel: &CancellationToken) -> Self {
        Self {
            cancel: cancel.clone(),
            until: Instant::now() + TIME_MAX,
        }
    }

    /// Fails once the work is to stop, in words for the model.
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
