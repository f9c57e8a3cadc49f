//! Limits of a script, and facts about its surroundings.

use crate::Pulse;
use divisi_core::PicoUsd;
use std::time::Duration;

/// Options of a script's execution besides its arguments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostOptions {
    /// Bounds on what the script uses.
    pub limits: HostLimits,
    /// Output tokens it may spend: `budget.total`. `None` is no bound.
    pub budget_total: Option<u64>,
    /// Dollars it may spend: `budget.usd.total`. `None` is no bound. Information only: the engine
    /// enforces the cap.
    pub usd_total: Option<PicoUsd>,
    /// Treats every function that checks a result as satisfied, without calling it. Plans set this:
    /// their results are placeholders, about which a check says nothing.
    pub assumes_checks: bool,
    /// The beginning of every mark in the results, if the host shall note what the script looks at:
    /// see [`Host::take_looks`](crate::Host::take_looks).
    pub mark: Option<&'static str>,
    /// The result of `process.cwd()`; `/` if `None`.
    pub cwd: Option<String>,
    /// Through which another thread sees that the script computes.
    pub pulse: Pulse,
}

/// Bounds on what a script may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostLimits {
    /// Longest script.
    pub source_bytes_max: usize,
    /// Most memory of all values of a script together with its helpers.
    pub memory_bytes_max: usize,
    /// Most stack. The thread that drives the host needs twice as much.
    pub stack_bytes_max: usize,
    /// Longest time the script may compute between an answer and the next wait, in processor time
    /// of its thread.
    pub busy_max: Duration,
    /// Most tasks and scripts that may be requested in the whole run. The caller decides whether
    /// the number in the script's [`meta`](crate::Meta::agents_max) applies.
    pub agents_max: u32,
    /// A script that makes many calls at once may make [`FURTHER`](Self::FURTHER) times as many in
    /// the whole run, if that is more than `agents_max`, but no more than this: a wide fan-out is
    /// meant, and a loop without end makes few calls at once.
    pub agents_wide_max: u32,
    /// Most timers that may be started in the whole run.
    pub timers_max: u32,
    /// Most items of one `parallel` or `pipeline`.
    pub items_max: u32,
    /// How deep `workflow()` may be nested.
    pub nesting_max: u32,
    /// Most messages of `log`, `console` and warnings; further ones are dropped.
    pub messages_max: u32,
    /// Longest message; the rest is cut.
    pub message_chars_max: usize,
}

impl HostLimits {
    /// Calls for each of the calls that a script makes at once: stages, retries, votes.
    pub const FURTHER: u32 = 10;
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            // The largest known script in use has 214 kB.
            source_bytes_max: 1024 * 1024,
            // 100,000 waiting calls take about a fifth of it.
            memory_bytes_max: 1024 * 1024 * 1024,
            // Fits a thread of 2 MiB, Rust's default; enough for some thousands of nested calls.
            stack_bytes_max: 512 * 1024,
            // A script requests 100,000 tasks within a second. Only an endless loop needs more.
            busy_max: Duration::from_secs(5),
            // The dialect's own limit.
            agents_max: 1_000,
            // The caller decides.
            agents_wide_max: 0,
            // One in ten seconds for a day. Each is recorded, so a loop that does nothing but wait must
            // end somewhere.
            timers_max: 10_000,
            // The dialect's own limit.
            items_max: 4_096,
            // The dialect's own limit.
            nesting_max: 1,
            // One message for each tenth agent; more would not be read.
            messages_max: 10_000,
            // A screenful.
            message_chars_max: 4_000,
        }
    }
}
