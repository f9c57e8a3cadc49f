//! The bytes of an answer, with the positions at which it can pause or break off.

use axum::body::Bytes;
use serde::Serialize;

/// A body in frames: the events of a stream, or the halves of a document.
#[derive(Default)]
pub(crate) struct Frames {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Frames {
    /// A document, which can break in its middle.
    pub(crate) fn document(bytes: Vec<u8>) -> Self {
        let ends = vec![bytes.len() / 2, bytes.len()];
        Self { bytes, ends }
    }

    /// Adds a server-sent event with a name.
    pub(crate) fn event(&mut self, name: &str, data: &impl Serialize) {
        self.bytes.extend_from_slice(b"event: ");
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(b'\n');
        self.data(data);
    }

    /// Adds a server-sent event without a name.
    pub(crate) fn data(&mut self, data: &impl Serialize) {
        self.bytes.extend_from_slice(b"data: ");
        serde_json::to_writer(&mut self.bytes, data).expect("JSON into memory does not fail");
        self.bytes.extend_from_slice(b"\n\n");
        self.ends.push(self.bytes.len());
    }

    /// Adds a frame unchanged.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Keeps the first half, at least one frame.
    pub(crate) fn halve(&mut self) {
        self.ends.truncate((self.ends.len() / 2).max(1));
        self.bytes.truncate(self.ends.last().copied().unwrap_or(0));
    }

    /// Inserts `bytes` in the middle as a separate frame.
    pub(crate) fn insert_in_middle(&mut self, bytes: &[u8]) {
        let middle = (self.ends.len() / 2).max(1);
        let at = self.ends[middle - 1];
        self.bytes.splice(at..at, bytes.iter().copied());
        for end in &mut self.ends[middle..] {
            *end += bytes.len();
        }
        self.ends.insert(middle, at + bytes.len());
    }

    /// Applies `change` to each frame; frames that become empty are left out.
    pub(crate) fn map(self, mut change: impl FnMut(&str) -> String) -> Self {
        let mut changed = Self::default();
        for frame in self.into_iter() {
            let frame = change(&String::from_utf8_lossy(&frame));
            if !frame.is_empty() {
                changed.raw(frame.as_bytes());
            }
        }
        changed
    }

    /// All frames as one piece.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }

    /// The frames one by one.
    pub(crate) fn into_iter(self) -> impl Iterator<Item = Bytes> + Send + 'static {
        let bytes = Bytes::from(self.bytes);
        let mut start = 0;
        self.ends
            .into_iter()
            .map(move |end| bytes.slice(std::mem::replace(&mut start, end)..end))
    }
}

/// The pieces of `text`, `chars` characters each.
pub(crate) fn pieces(text: &str, chars: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest
            .char_indices()
            .nth(chars.max(1))
            .map_or(rest.len(), |(index, _)| index);
        let (piece, after) = rest.split_at(end);
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(frames: Frames) -> Vec<String> {
        frames
            .into_iter()
            .map(|frame| String::from_utf8_lossy(&frame).into_owned())
            .collect()
    }

    fn four() -> Frames {
        let mut frames = Frames::default();
        for frame in ["a", "bb", "ccc", "d"] {
            frames.raw(frame.as_bytes());
        }
        frames
    }

    #[test]
    fn frames_can_break_and_be_broken_into() {
        assert_eq!(shown(four()), ["a", "bb", "ccc", "d"]);
        let mut half = four();
        half.halve();
        assert_eq!(shown(half), ["a", "bb"]);
        let mut odd = four();
        odd.insert_in_middle(b"!!");
        assert_eq!(shown(odd), ["a", "bb", "!!", "ccc", "d"]);
    }

    #[test]
    fn pieces_end_between_characters() {
        assert_eq!(pieces("añb¿c", 2).collect::<Vec<_>>(), ["añ", "b¿", "c"]);
        assert_eq!(pieces("", 2).count(), 0);
    }
}
