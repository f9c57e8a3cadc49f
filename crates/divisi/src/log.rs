//! The log of internal events.

use crate::context::Context;
use crate::output;
use crate::text;
use divisi_app::settings::LOG;
use std::io::{self, Write};
use tracing_subscriber::EnvFilter;

/// Sends log lines to stderr: warnings always, more with `-v`, or as `DIVISI_LOG` says.
///
/// The client of MCP servers is silent unless asked for: what it warns of are mistakes of servers,
/// which the model gets as results.
///
/// `-v` covers only divisi's own crates: the internals of a library may hold a key. Known keys are
/// redacted in every line.
pub(crate) fn start(context: &Context) {
    let ours = match context.global.verbose {
        0 => "warn,rmcp=off",
        1 => {
            "warn,rmcp=off,divisi=debug,divisi_app=debug,divisi_engine=debug,divisi_providers=debug"
        }
        _ => {
            "warn,rmcp=off,divisi=trace,divisi_app=trace,divisi_engine=trace,divisi_providers=trace"
        }
    };
    let filter = EnvFilter::new(context.app.environment().get(LOG).unwrap_or(ours));
    tracing_subscriber::fmt()
        .with_writer(|| Safe)
        .with_ansi(false)
        .with_env_filter(filter)
        .with_target(true)
        .init();
}

/// Makes lines safe that may contain text from a model or a vendor.
struct Safe;

impl Write for Safe {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        writeln!(
            output::talk(),
            "{}",
            text::block(&String::from_utf8_lossy(line))
        )?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        output::talk().flush()
    }
}
