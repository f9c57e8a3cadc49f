//! The two ways out: results on stdout, talk on stderr.
//!
//! Whoever reads stdout may go away at any time, as `head` does. That is no
//! failure: a run goes on, and its journal is complete.
//!
//! Nothing goes out here with a secret in it.

use divisi_providers::redact;
use std::io::{self, Write};

/// Writes a result to stdout, with a line break at its end.
///
/// A reader that has gone counts as having read it.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    let written = writeln!(stdout, "{}", redact(text)).and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Says something on stderr.
pub(crate) fn say(text: &str) {
    // There is no other place left to say that this failed.
    let _ = writeln!(anstream::stderr().lock(), "{}", redact(text));
}
