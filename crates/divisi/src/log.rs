//! The log: what happens inside, for those who ask.

use crate::context::Context;
use crate::display::text;
use crate::settings::LOG;
use std::io::{self, Write};
use std::panic;
use tracing_subscriber::EnvFilter;

/// Sends log lines to stderr: warnings always, more with `-v`, and whatever
/// `DIVISI_LOG` says.
///
/// Only our own crates say more: a library's inner workings may hold a key.
pub(crate) fn start(context: &Context) {
    let ours = match context.global.verbose {
        0 => "warn",
        1 => "warn,divisi=debug,divisi_engine=debug,divisi_providers=debug",
        _ => "warn,divisi=trace,divisi_engine=trace,divisi_providers=trace",
    };
    let filter = EnvFilter::new(context.environment.get(LOG).unwrap_or(ours));
    tracing_subscriber::fmt()
        .with_writer(|| Safe)
        .with_ansi(false)
        .with_env_filter(filter)
        .with_target(true)
        .init();
}

/// Says on stderr where we have made a mistake and what about. The message may
/// hold what a model wrote.
pub(crate) fn tell_of_panics() {
    panic::set_hook(Box::new(|panic| {
        let told = panic.to_string();
        let most = told.floor_char_boundary(PANIC_BYTES_MAX);
        let _ = writeln!(io::stderr(), "{}", text::block(&told[..most]));
    }));
}

/// Bytes of a panic's message that are shown: the beginning says what it is.
const PANIC_BYTES_MAX: usize = 4_096;

/// Stderr for lines that may hold what a model or a vendor wrote.
struct Safe;

impl Write for Safe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        writeln!(io::stderr(), "{}", text::block(&String::from_utf8_lossy(line)))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
