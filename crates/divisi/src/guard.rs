//! Keeps secrets inside this process.

use crate::output;
use crate::text;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::panic;
use std::thread;

/// Bytes of a panic's message that are shown; its beginning says enough.
const PANIC_BYTES_MAX: usize = 4_096;

/// Prevents other processes of the user from reading this one's memory and environment, prevents
/// core dumps, and redacts panic messages. To be called first of all.
///
/// Processes of root can read everything nonetheless, and the shell that started this process may
/// have the same variables. Therefore the output of programs is redacted as well.
pub(crate) fn close() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // Fails only on kernels without the call. The redaction of output protects even then.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
    panic::set_hook(Box::new(|panic| {
        crate::keys::restore();
        let current = thread::current();
        let name = current.name().unwrap_or("<unnamed>");
        // Captured only if RUST_BACKTRACE is set.
        let trace = Backtrace::capture();
        let told = panic.to_string();
        let told = text::block(&told[..told.floor_char_boundary(PANIC_BYTES_MAX)]);
        output::say(&match trace.status() {
            BacktraceStatus::Captured => format!("thread '{name}' {told}\n{trace}"),
            _ => format!("thread '{name}' {told}"),
        });
    }));
}
