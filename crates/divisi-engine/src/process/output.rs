//! What a program wrote, within a limit.

use std::collections::VecDeque;

/// The beginning and the end of what a program wrote to one of its outputs.
///
/// Both halves matter to a reader: the beginning says what was tried, the end
/// how it went. What does not fit is left out in the middle and counted.
#[derive(Debug)]
pub struct Output {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    bytes_max: usize,
    bytes_omitted: u64,
}

impl Output {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), bytes_max, bytes_omitted: 0 }
    }

    pub(super) fn push(&mut self, chunk: &[u8]) {
        let head_max = self.bytes_max / 2;
        let (head, rest) = chunk.split_at(chunk.len().min(head_max - self.head.len()));
        self.head.extend_from_slice(head);
        self.tail.extend(rest);
        let excess = self.tail.len().saturating_sub(self.bytes_max - head_max);
        self.tail.drain(..excess);
        self.bytes_omitted += excess as u64;
    }

    /// How many bytes are missing from the middle.
    pub fn bytes_omitted(&self) -> u64 {
        self.bytes_omitted
    }

    /// Whether something is missing: then it is no use to parse it.
    pub fn is_truncated(&self) -> bool {
        self.bytes_omitted > 0
    }

    /// The text, a line in place of what was left out, `\u{fffd}` for bytes
    /// that are not UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes()).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }

    /// The same, byte by byte.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head.clone();
        if self.is_truncated() {
            bytes.extend_from_slice(format!("\n… {} bytes left out …\n", self.bytes_omitted).as_bytes());
        }
        bytes.extend(&self.tail);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes_max: usize, chunks: &[&str]) -> String {
        let mut output = Output::new(bytes_max);
        chunks.iter().for_each(|chunk| output.push(chunk.as_bytes()));
        output.text()
    }

    #[test]
    fn what_fits_is_kept_whole() {
        assert_eq!(kept(8, &["abc", "de", "fgh"]), "abcdefgh");
    }

    #[test]
    fn of_more_the_middle_is_left_out() {
        assert_eq!(kept(8, &["abcdefgh", "ijk", "lmnop"]), "abcd\n… 8 bytes left out …\nmnop");
    }

    #[test]
    fn bytes_that_are_no_text_do_not_lose_the_rest() {
        let mut output = Output::new(100);
        output.push(b"a\xff\xfeb");
        assert_eq!(output.text(), "a\u{fffd}\u{fffd}b");
    }
}
