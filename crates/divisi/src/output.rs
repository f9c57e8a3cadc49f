//! The two ways out: results on stdout, talk on stderr.
//!
//! Whoever reads stdout may go away at any time, as `head` does. That is no
//! failure: a run goes on, and its journal is complete.

use owo_colors::OwoColorize;
use std::io::{self, IsTerminal, Write};

/// Writes a result to stdout, with a line break at its end.
///
/// A reader that has gone counts as having read it.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut stdout = anstream::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Says something on stderr.
pub(crate) fn say(text: &str) {
    // There is no other place left to say that this failed.
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Whether stderr shows colours.
pub(crate) fn stderr_is_rich() -> bool {
    io::stderr().is_terminal() && anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// `text` in the colour of errors; where that cannot be shown, it is taken out again.
pub(crate) fn strong_red(text: &str) -> String {
    text.red().bold().to_string()
}
