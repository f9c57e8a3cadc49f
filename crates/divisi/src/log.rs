//! The log: what happens inside, for those who ask.

use crate::context::Context;
use crate::output;
use crate::settings::LOG;
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
    tracing_subscriber::fmt().with_writer(output::talk).with_env_filter(filter).with_target(true).init();
}
