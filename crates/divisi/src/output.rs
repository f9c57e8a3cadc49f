//! The two ways out: results on stdout, talk on stderr.
//!
//! Whoever reads stdout may go away at any time, as `head` does. That is no
//! failure: a run goes on, and its journal is complete.
//!
//! Nothing goes out here with a secret in it.

use crate::display::text;
use divisi_providers::redact;
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// Writes a page to stdout, with a line break at its end.
pub(crate) fn print(text: &str) -> io::Result<()> {
    print_as_it_is(&text::printed(text))
}

/// Writes a result that a program reads to stdout, with a line break at its end.
///
/// A reader that has gone counts as having read it.
pub(crate) fn print_as_it_is(text: &str) -> io::Result<()> {
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
    let _ = writeln!(anstream::stderr().lock(), "{}", text::printed(&redact(text)));
}

/// Asks on the terminal; `None` where there is none to ask and to answer on.
pub(crate) fn ask(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    let _ = write!(anstream::stderr().lock(), "{} [y/N] ", text::line(question));
    let mut answer = String::new();
    let is_yes = |answer: &str| matches!(answer.trim().to_lowercase().as_str(), "y" | "yes");
    Some(io::stdin().lock().take(ANSWER_BYTES_MAX).read_line(&mut answer).is_ok() && is_yes(&answer))
}

/// Longest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1_024;
