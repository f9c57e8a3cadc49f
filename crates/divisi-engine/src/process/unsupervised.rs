//! On systems without subreapers, programs run without a supervisor.

use std::process::ExitCode;

/// Returns `None`: no process is a supervisor.
pub fn be_supervisor() -> Option<ExitCode> {
    None
}

/// Does nothing.
pub fn supervise() {}

/// Does nothing: each call kills its own process group.
pub fn end_all() {}
