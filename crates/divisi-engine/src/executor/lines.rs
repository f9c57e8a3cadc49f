//! Splits a program's output into lines.

/// Longest line read: a result with its surrounding fields, or a file that an agent has read.
const LINE_BYTES_MAX: usize = 16 << 20;

/// The line that is arriving. Longer ones than the limit are left out.
#[derive(Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    /// Whether the current line exceeds the limit.
    is_skipped: bool,
}

impl Lines {
    /// Adds a chunk of output; returns the lines that it completes.
    pub(super) fn take(&mut self, mut chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = vec![];
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            self.add(&chunk[..end]);
            lines.extend(self.rest());
            chunk = &chunk[end + 1..];
        }
        self.add(chunk);
        lines
    }

    /// The last line, if it has no end.
    pub(super) fn rest(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        let is_skipped = std::mem::take(&mut self.is_skipped);
        (!is_skipped && !line.is_empty()).then_some(line)
    }

    fn add(&mut self, bytes: &[u8]) {
        self.is_skipped |= self.line.len() + bytes.len() > LINE_BYTES_MAX;
        match self.is_skipped {
            true => self.line.clear(),
            false => self.line.extend_from_slice(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_wherever_the_chunks_end() {
        let mut lines = Lines::default();
        assert_eq!(lines.take(b"a"), Vec::<Vec<u8>>::new());
        assert_eq!(lines.take(b"b\n\nc\nd"), [b"ab".to_vec(), b"c".to_vec()]);
        assert_eq!(lines.rest(), Some(b"d".to_vec()));
        assert_eq!(lines.rest(), None);
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        let mut lines = Lines::default();
        for _ in 0..5 {
            lines.take(&[b'x'; LINE_BYTES_MAX / 4]);
        }
        assert!(lines.is_skipped && lines.line.is_empty());
        assert_eq!(lines.take(b"x\nshort\n"), [b"short".to_vec()]);
    }
}
