//! The part of the terminal that is redrawn: a frame below the lines that stay.
//!
//! Only lines that have changed are written, so that nothing flickers and little is sent over slow
//! connections. A terminal that becomes narrower breaks the lines on it: the rows that they take
//! then are counted, so that none of them stays.

use crate::output;
use crate::text;
use console::Term;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A terminal.
pub(crate) trait Terminal: Send {
    /// Its rows and columns; the user may resize it.
    fn size(&self) -> (u16, u16);
    /// Writes without waiting.
    fn write(&mut self, text: &str);
    /// Whether it has accepted all earlier output.
    fn is_free(&self) -> bool {
        true
    }
}

/// Stderr, if it is a terminal.
pub(crate) struct Stderr(Term);

/// Rows of the frame on stderr above the cursor, for [`abandon`].
static ROWS_ABOVE: AtomicUsize = AtomicUsize::new(0);

impl Stderr {
    pub(crate) fn new() -> Self {
        Self(Term::stderr())
    }
}

impl Terminal for Stderr {
    fn size(&self) -> (u16, u16) {
        self.0.size()
    }

    fn write(&mut self, text: &str) {
        // A closed stderr is ignored.
        let _ = output::talk().write_all(text.as_bytes());
    }

    fn is_free(&self) -> bool {
        output::is_talk_heard()
    }
}

/// Removes the frame from stderr when the process ends in the middle of a run.
pub(crate) fn abandon() {
    let above = ROWS_ABOVE.swap(0, Ordering::Relaxed);
    if above > 0 {
        let _ = write!(output::talk(), "{}\r\x1b[J", up(above));
    }
}

/// The frame as it is on the terminal. The cursor is at the beginning of its last line.
#[derive(Default)]
pub(crate) struct Painter {
    lines: Vec<String>,
    /// Columns of the terminal when they were written.
    columns: usize,
}

impl Painter {
    /// What to write to replace the frame, with lines `above` it that stay. Each line of the frame
    /// is narrower than the terminal.
    pub(crate) fn paint(&mut self, above: &[String], frame: Vec<String>, columns: usize) -> String {
        let is_same_place = above.is_empty()
            && columns == self.columns
            && !self.lines.is_empty()
            && !frame.is_empty();
        let written = match is_same_place {
            true => self.changed(&frame),
            false => self.whole(above, &frame, columns),
        };
        (self.lines, self.columns) = (frame, columns);
        ROWS_ABOVE.store(self.lines.len().saturating_sub(1), Ordering::Relaxed);
        written
    }

    /// What to write to remove the frame.
    pub(crate) fn remove(&mut self, columns: usize) -> String {
        match self.lines.is_empty() {
            true => String::new(),
            false => self.paint(&[], vec![], columns),
        }
    }

    fn whole(&self, above: &[String], frame: &[String], columns: usize) -> String {
        let mut written = up(self.rows_above(columns)) + "\r";
        if columns != self.columns {
            written += "\x1b[J";
        }
        for line in above {
            written += line;
            written += "\x1b[K\r\n";
        }
        written += &frame.join("\x1b[K\r\n");
        written + "\x1b[J\r"
    }

    /// The rows between the first line of the frame and the cursor, on a terminal that may have
    /// become narrower since.
    fn rows_above(&self, columns: usize) -> usize {
        let last = self.lines.len().saturating_sub(1);
        let rows = |line: &String| text::width(line).div_ceil(columns.max(1)).max(1);
        self.lines[..last].iter().map(rows).sum()
    }

    fn changed(&self, frame: &[String]) -> String {
        let (before, last) = (self.lines.len(), frame.len() - 1);
        let (mut written, mut at) = (String::new(), before - 1);
        for (row, line) in frame.iter().enumerate() {
            // A `^C` that the terminal prints stands in the last line.
            if row < before && row != last && self.lines[row] == *line {
                continue;
            }
            if row < at {
                written += &up(at - row);
            } else if at < row.min(before - 1) {
                let _ = write!(written, "\x1b[{}B", row.min(before - 1) - at);
            }
            if row >= before {
                // Moving down does not scroll, but a line break does.
                written += "\r\n";
            }
            at = row;
            let _ = write!(written, "\r{line}\x1b[K");
        }
        if before > frame.len() {
            written += "\x1b[J";
        }
        written + "\r"
    }
}

fn up(rows: usize) -> String {
    match rows {
        0 => String::new(),
        rows => format!("\x1b[{rows}A"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn only_what_has_changed_is_written() {
        let mut painter = Painter::default();
        painter.paint(&[], lines(&["head", "a 1", "b 1", "foot"]), 20);
        let written = painter.paint(&[], lines(&["head", "a 1", "b 2", "foot"]), 20);
        assert_eq!(written, "\x1b[1A\rb 2\x1b[K\x1b[1B\rfoot\x1b[K\r");
        let written = painter.paint(&[], lines(&["head", "foot"]), 20);
        assert_eq!(written, "\x1b[2A\rfoot\x1b[K\x1b[J\r");
    }

    #[test]
    fn a_narrower_terminal_has_broken_the_lines() {
        let mut painter = Painter::default();
        painter.paint(&[], lines(&["0123456789", "01234", "foot"]), 20);
        let written = painter.paint(&[], lines(&["0123", "foot"]), 5);
        // Two rows of the first line and one of the second.
        assert!(written.starts_with("\x1b[3A\r\x1b[J0123"), "{written:?}");
    }

    fn texts() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec("[ab]{0,9}", 0..6)
    }

    proptest! {
        /// Whatever is painted after whatever: the terminal shows the lines that stay and the
        /// latest frame.
        #[test]
        fn the_terminal_shows_what_stays_and_the_latest_frame(
            steps in prop::collection::vec((texts(), texts()), 1..12)
        ) {
            let mut parser = vt100::Parser::new(100, 12, 0);
            let mut painter = Painter::default();
            let mut stays = vec![];
            for (above, frame) in steps {
                parser.process(painter.paint(&above, frame.clone(), 12).as_bytes());
                stays.extend(above);
                let shown: Vec<String> = parser.screen().rows(0, 12).collect();
                let mut expected: Vec<String> = stays.iter().chain(&frame).cloned().collect();
                expected.resize(100, String::new());
                prop_assert_eq!(shown, expected);
            }
        }
    }
}
