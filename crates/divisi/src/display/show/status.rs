//! The state of a task as a word and as a sign.

use super::INTERRUPTED;
use crate::display::look::{Look, Tone};
use divisi_core::view::Status;

/// The word for a task that waits for something outside of the process.
pub(super) const SUSPENDED: &str = "waiting for an answer";

/// The word for a status.
pub(crate) fn word(status: Status) -> &'static str {
    match status {
        Status::Unclaimed => "unclaimed",
        Status::Waiting => "waiting",
        Status::Resting => "resting",
        Status::Running => "running",
        Status::Suspended => SUSPENDED,
        // Only a killed process leaves a task between two attempts.
        Status::Between => INTERRUPTED,
        Status::Ok => "ok",
        Status::Failed => "failed",
        Status::Skipped => "skipped",
        Status::Cancelled => "cancelled",
    }
}

/// The sign for a status.
pub(super) fn sign(status: Status, look: &Look) -> (Tone, &'static str) {
    match status {
        Status::Unclaimed | Status::Waiting => (Tone::Dim, look.waiting()),
        Status::Resting | Status::Suspended | Status::Between => (Tone::Warn, look.waiting()),
        Status::Running => (Tone::Busy, look.running()),
        Status::Ok => (Tone::Good, look.ok()),
        Status::Failed => (Tone::Bad, look.failed()),
        Status::Skipped | Status::Cancelled => (Tone::Dim, look.skipped()),
    }
}
