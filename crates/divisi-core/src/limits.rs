//! How large a run may grow.

use serde::{Deserialize, Serialize};

/// Limits on the size of one run; recorded in its journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Tasks in flight at once, at least one. Agents wait on the network, not on processors, so
    /// this is more than most vendors accept: the governor finds out how many requests may be under
    /// way at once.
    pub in_flight_max: u32,
    /// Those of them that are programs on this machine, at least one. Programs take memory and
    /// processors, although most of them wait on a network or a disk, too.
    pub programs_max: u32,
    /// Tasks a run may ever have. Ten times the largest known run.
    pub tasks_max: u32,
    /// Lines of log kept per run. A script that logs in an endless loop is stopped by its time
    /// limit; one that logs per task stays below.
    pub logs_max: u32,
    /// Longest line of log in bytes; the rest is cut.
    pub log_bytes_max: u32,
    /// Tasks of a cohort that are compared: if the first ones all failed alike, or failed tasks
    /// exceed running ones by as many, the waiting ones are not started before the user has
    /// decided. Five equal failures are no coincidence, and cost little. With 0 the rule is off.
    pub hopeless_after: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight_max: 1_000,
            programs_max: 64,
            tasks_max: 1_000_000,
            logs_max: 100_000,
            log_bytes_max: 16 * 1024,
            hopeless_after: 5,
        }
    }
}
