//! Output of a program, kept within a limit.

use divisi_providers::redact::{self, Cut};
use std::collections::VecDeque;

/// The beginning and the end of a program's output.
///
/// The beginning shows what was tried, the end how it went. What exceeds the limit is left out in
/// the middle and counted.
#[derive(Debug)]
pub struct Output {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    bytes_max: usize,
    bytes_omitted: u64,
}

impl Output {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            bytes_max,
            bytes_omitted: 0,
        }
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

    /// Number of bytes left out in the middle.
    pub fn bytes_omitted(&self) -> u64 {
        self.bytes_omitted
    }

    /// Whether anything is missing, so that parsing it makes no sense.
    pub fn is_truncated(&self) -> bool {
        self.bytes_omitted > 0
    }

    /// The text without secrets, with a line in place of the missing part and `\u{fffd}` for bytes
    /// that are not UTF-8.
    pub fn text(&self) -> String {
        if !self.is_truncated() {
            return redact::redact(&String::from_utf8_lossy(&self.exact())).into_owned();
        }
        let known = redact::known();
        let tail: Vec<u8> = self.tail.iter().copied().collect();
        let (head, tail) = (
            String::from_utf8_lossy(&self.head),
            String::from_utf8_lossy(&tail),
        );
        // The cut may have split a secret.
        let (head, tail) = (known.part(&head, Cut::End), known.part(&tail, Cut::Start));
        format!("{head}\n… {} bytes left out …\n{tail}", self.bytes_omitted)
    }

    /// The kept bytes, unredacted: for processing, never for display.
    pub fn exact(&self) -> Vec<u8> {
        self.head.iter().chain(&self.tail).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(bytes_max: usize, chunks: &[&str]) -> String {
        let mut output = Output::new(bytes_max);
        chunks
            .iter()
            .for_each(|chunk| output.push(chunk.as_bytes()));
        output.text()
    }

    #[test]
    fn what_fits_is_kept_whole() {
        assert_eq!(kept(8, &["abc", "de", "fgh"]), "abcdefgh");
    }

    #[test]
    fn of_more_the_middle_is_left_out() {
        assert_eq!(
            kept(8, &["abcdefgh", "ijk", "lmnop"]),
            "abcd\n… 8 bytes left out …\nmnop"
        );
    }

    #[test]
    fn a_secret_is_cut_out_wherever_the_pipe_or_the_limit_cuts_it() {
        const KEY: &str = "output-key-0123456789";
        redact::add_secret(KEY);
        for at in 0..KEY.len() {
            let (a, b) = KEY.split_at(at);
            assert_eq!(
                kept(1_000, &["before ", a, b, " after"]),
                "before *** after"
            );
            // The first half ends with `at` bytes of the key.
            let text = kept(
                2 * ("before ".len() + at),
                &[&format!("before {KEY}"), &"x".repeat(100)],
            );
            assert!(!text.contains(&KEY[..4]), "{text}");
            let text = kept(
                2 * (KEY.len() - at + 6),
                &[&"x".repeat(100), &format!("{KEY} after")],
            );
            assert!(!text.contains(&KEY[KEY.len() - 4..]), "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_not_lose_the_rest() {
        let mut output = Output::new(100);
        output.push(b"a\xff\xfeb");
        assert_eq!(output.text(), "a\u{fffd}\u{fffd}b");
    }
}
