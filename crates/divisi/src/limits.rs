//! Limits that the system sets on this process.

use divisi_core::governor::IN_FLIGHT_MAX;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for connections to several families of models, each with as many as may be
/// under way, and for the pipes of as many programs as a run has by default.
const OPEN_FILES: u64 = 4 * IN_FLIGHT_MAX as u64;

/// Lets this process have more files open than many shells allow at first (1,024), up to
/// what the user may have: each request without HTTP/2 has a connection.
pub(crate) fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(OPEN_FILES, |maximum| maximum.min(OPEN_FILES));
    if current.is_some_and(|current| current < wanted) {
        // Where it cannot be raised, what does not fit fails with a message of its own.
        let _ = setrlimit(
            Resource::Nofile,
            Rlimit {
                current: Some(wanted),
                maximum,
            },
        );
    }
}
