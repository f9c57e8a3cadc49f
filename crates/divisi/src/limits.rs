//! Limits that the system imposes on this process.

use divisi_core::governor::IN_FLIGHT_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for connections to several model families, each with the most requests in flight, and for
/// the pipes of as many programs as a run has by default.
const OPEN_FILES: u64 = 4 * IN_FLIGHT_MAX as u64;

/// Raises the limit of open files, which many shells set to 1,024, up to what the user may have:
/// without HTTP/2 each request needs its own connection.
pub(crate) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if current.is_some_and(|current| current < wanted) {
        // If it cannot be raised, a connection beyond the limit fails with its own message.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(wanted),
                maximum,
            },
        );
    }
}
