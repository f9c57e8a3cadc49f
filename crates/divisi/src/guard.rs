//! Keeps what this process knows to itself.

use crate::output;
use crate::text;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic;
use std::thread;

/// Bytes of a panic's message that are shown: the beginning says what it is.
const PANIC_BYTES_MAX: usize = 4_096;

/// Lets no other process of the user read this one's memory and environment, lets
/// no core dump be written, and takes secrets out of what a panic says. To be
/// called first of all.
///
/// A program of root can read everything all the same, and the shell that has
/// started us may have the same variables. So this is one wall of two: the other
/// is that the output of programs is redacted.
pub(crate) fn close() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // Fails on kernels without it only; the other wall stands.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    panic::set_hook(Box::new(|panic| {
        let current = thread::current();
        let name = current.name().unwrap_or("<unnamed>");
        // Captured where RUST_BACKTRACE asks for it.
        let trace = Backtrace::capture();
        let told = panic.to_string();
        let told = text::block(&told[..told.floor_char_boundary(PANIC_BYTES_MAX)]);
        output::say(&match trace.status() {
            BacktraceStatus::Captured => format!("thread '{name}' {told}\n{trace}"),
            _ => format!("thread '{name}' {told}"),
        });
    }));
}
