//! What a script may use, and what it is told about where it runs.

use crate::Pulse;
use divisi_core::PicoUsd;
use std::time::Duration;

/// What a run of a script may be given besides its arguments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostOptions {
    /// Bounds on what the script uses.
    pub limits: HostLimits,
    /// Output tokens it may spend: `budget.total`. `None` is no bound.
    pub budget_total: Option<u64>,
    /// Dollars it may spend: `budget.usd.total`. `None` is no bound. Only told:
    /// whoever carries out the calls sees to it.
    pub usd_total: Option<PicoUsd>,
    /// Takes every function that checks a result as satisfied, without calling
    /// it. A plan does: its results are placeholders, which say nothing.
    pub assumes_checks: bool,
    /// What `process.cwd()` answers; `/` when absent.
    pub cwd: Option<String>,
    /// By which another thread sees that the script computes.
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
    /// Longest time the script may compute between one answer and the next wait,
    /// in processor time of its thread.
    pub busy_max: Duration,
    /// Most tasks and scripts that may be asked for, over the whole run.
    pub agents_max: u32,
    /// Most items of one `parallel` or `pipeline`.
    pub items_max: u32,
    /// How deep `workflow()` may be nested.
    pub nesting_max: u32,
    /// Most messages of `log`, `console` and warnings; what follows is dropped.
    pub messages_max: u32,
    /// Longest message; the rest is cut.
    pub message_chars_max: usize,
}

impl Default for HostLimits {
    fn default() -> Self {
        Self {
            // The largest script found in the wild has 214 kB.
            source_bytes_max: 1024 * 1024,
            // 100,000 waiting calls take about a fifth of it.
            memory_bytes_max: 1024 * 1024 * 1024,
            // Fits a thread of 2 MiB, what Rust gives by default; some
            // thousands of nested calls.
            stack_bytes_max: 512 * 1024,
            // A script declares 100,000 calls in a second. Only one that
            // never waits needs more.
            busy_max: Duration::from_secs(5),
            // A hundred times what the dialect's own engine allows.
            agents_max: 100_000,
            // The dialect's own bound.
            items_max: 4_096,
            // The dialect's own bound.
            nesting_max: 1,
            // One each for a tenth of the agents; nobody reads more.
            messages_max: 10_000,
            // A screenful.
            message_chars_max: 4_000,
        }
    }
}
