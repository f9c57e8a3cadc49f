//! Where a task stands, in one word and one sign.

use super::INTERRUPTED;
use crate::display::look::{Look, Tone};
use divisi_core::Outcome;
use divisi_core::run::{TaskStage, TaskState};

/// What is said of a task that waits for something outside of the process.
pub(super) const SUSPENDED: &str = "waiting for an answer";

/// The word for where a task stands.
pub(super) fn word(task: &TaskState) -> &'static str {
    match task.stage() {
        TaskStage::Unclaimed => "unclaimed",
        TaskStage::Ready => "waiting",
        TaskStage::Resting(_) => "resting",
        TaskStage::InFlight(_) => "running",
        TaskStage::Suspended(_) => SUSPENDED,
        // Nothing follows an attempt at once but where a process has died.
        TaskStage::Between => INTERRUPTED,
        TaskStage::Ended { outcome, .. } => outcome.status(),
    }
}

/// The sign for it.
pub(super) fn sign(task: &TaskState, look: &Look) -> (Tone, &'static str) {
    match task.stage() {
        TaskStage::Unclaimed | TaskStage::Ready => (Tone::Dim, look.waiting()),
        TaskStage::Resting(_) => (Tone::Warn, look.waiting()),
        TaskStage::InFlight(_) => (Tone::Busy, look.running()),
        TaskStage::Suspended(_) | TaskStage::Between => (Tone::Warn, look.waiting()),
        TaskStage::Ended { outcome, .. } => match outcome {
            Outcome::Ok { .. } => (Tone::Good, look.ok()),
            Outcome::Failed(_) => (Tone::Bad, look.failed()),
            Outcome::Skipped { .. } | Outcome::Cancelled => (Tone::Dim, look.skipped()),
        },
    }
}
