//! The terminal of the live display; writing never waits for it.

use crate::output;
use console::Term;
use indicatif::TermLike;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

/// Stderr, if it is a terminal. Output becomes visible when it is flushed.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    term: Term,
    drawn: Arc<Mutex<String>>,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self {
            term: Term::stderr(),
            drawn: Arc::default(),
        }
    }

    fn draw(&self, text: std::fmt::Arguments<'_>) -> io::Result<()> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string cannot fail.
        let _ = drawn.write_fmt(text);
        Ok(())
    }

    fn move_cursor(&self, n: usize, where_to: char) -> io::Result<()> {
        if n == 0 {
            Ok(())
        } else {
            self.draw(format_args!("\x1b[{n}{where_to}"))
        }
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.term.size().1
    }

    fn height(&self) -> u16 {
        self.term.size().0
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D')
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.draw(format_args!("{line}\n"))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.draw(format_args!("{text}"))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.draw(format_args!("\r\x1b[2K"))
    }

    fn flush(&self) -> io::Result<()> {
        let mut drawn =
            std::mem::take(&mut *self.drawn.lock().unwrap_or_else(PoisonError::into_inner));
        if drawn.is_empty() {
            return Ok(());
        }
        // The lines of a frame fill the width: a `^C` or `^Z` that the terminal prints would wrap,
        // and the next frame would begin one line too low.
        drawn.push('\r');
        output::talk().write_all(drawn.as_bytes())
    }
}
