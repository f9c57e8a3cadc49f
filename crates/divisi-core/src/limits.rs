//! How large a run may grow.

use serde::{Deserialize, Serialize};

/// The named limits of one run; written into its journal when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Tasks in flight at once. There is always one, or the run would wait for ever.
    /// Agents wait on the network, not on processors, so this is more than most vendors
    /// take: how many requests are under way at once is the governor's to find out.
    pub in_flight_max: u32,
    /// Those of them that programs on this machine carry out, which take memory and
    /// processors. Most of them wait on a network or a disk themselves; one at the least.
    pub programs_max: u32,
    /// Tasks a run may ever have. Ten times the largest run heard of.
    pub tasks_max: u32,
    /// Lines of log kept per run. A script that logs in an endless loop is
    /// stopped by its time limit; one that logs per task stays below.
    pub logs_max: u32,
    /// Longest line of log in bytes; the rest is cut.
    pub log_bytes_max: u32,
    /// The first tasks of a sort to be looked at: when all of these have failed
    /// alike, or so many more than are still at work, those that wait are not
    /// tried before a person has been asked. Five alike are no accident, and cost
    /// little. With 0 all are tried, come what may.
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
