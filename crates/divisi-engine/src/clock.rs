//! The wall clock in the core's form.

use divisi_core::Timestamp;
use std::time::SystemTime;

/// Milliseconds since the Unix epoch.
pub(crate) fn wall_clock() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(since_epoch.as_millis() as u64)
}
