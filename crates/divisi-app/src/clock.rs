//! The wall clock, as a core timestamp.

use divisi_core::Timestamp;
use std::time::SystemTime;

/// The present time.
pub fn now() -> Timestamp {
    let since_epoch = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
