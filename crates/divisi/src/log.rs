//! The log: what happens inside, for those who ask.

use crate::context::Context;
use crate::settings::LOG;
use divisi_providers::redact;
use std::io::{self, Write};
use tracing_subscriber::EnvFilter;

/// Sends log lines to stderr: warnings always, more with `-v`, and whatever
/// `DIVISI_LOG` says.
///
/// Only our own crates say more: a library's inner workings may hold a key. What is
/// known to be one is taken out of every line.
pub(crate) fn start(context: &Context) {
    let ours = match context.global.verbose {
        0 => "warn",
        1 => "warn,divisi=debug,divisi_engine=debug,divisi_providers=debug",
        _ => "warn,divisi=trace,divisi_engine=trace,divisi_providers=trace",
    };
    let filter = EnvFilter::new(context.environment.get(LOG).unwrap_or(ours));
    tracing_subscriber::fmt().with_writer(|| Lines).with_env_filter(filter).with_target(true).init();
}

/// Where log lines go. Each is written at once.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(redact(&String::from_utf8_lossy(line)).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
