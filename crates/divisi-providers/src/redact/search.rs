//! Searches a text for many words.
//!
//! All text that is read, sent and written passes through here, so it must cost less than the rest
//! of its processing. An automaton looks at every byte, and takes some five nanoseconds for each if
//! letter case is ignored; this is the method of Wu and Manber, which looks at three bytes and, if
//! no word contains them, skips almost the length of the shortest word.

/// Bytes examined together.
const BLOCK_BYTES: usize = 3;

/// Entries of the skip table: few enough to stay in the first-level cache, many enough to
/// distinguish blocks.
const STEPS: usize = 1 << 15;

/// Searches for many words, ignoring the case of ASCII letters.
pub(super) struct Search {
    words: Vec<Box<[u8]>>,
    /// Number of leading bytes of each word that are examined first: the length of the shortest
    /// word.
    window: usize,
    /// Number of bytes to skip after a block, by its hash.
    steps: Box<[u8]>,
    /// Words by the hash of the last block in their window, sorted.
    ends: Vec<(usize, usize)>,
}

impl Search {
    /// A search for `words`; `None` without any. Words of fewer than three bytes are ignored.
    pub(super) fn new(words: Vec<Box<[u8]>>) -> Option<Self> {
        let words: Vec<_> = words
            .into_iter()
            .filter(|word| word.len() >= BLOCK_BYTES)
            .collect();
        let window = words
            .iter()
            .map(|word| word.len())
            .min()?
            // Steps are stored in one byte each.
            .min(usize::from(u8::MAX));
        let last = window - BLOCK_BYTES;
        let mut steps = vec![(last + 1) as u8; STEPS].into_boxed_slice();
        for word in &words {
            for at in 0..=last {
                let step = &mut steps[hash(&word[at..])];
                *step = (*step).min((last - at) as u8);
            }
        }
        let numbered = words
            .iter()
            .enumerate()
            .map(|(number, word)| (hash(&word[last..]), number));
        let mut ends: Vec<_> = numbered.collect();
        ends.sort_unstable();
        Some(Self {
            words,
            window,
            steps,
            ends,
        })
    }

    /// Whether a text of this length is too short for any word.
    pub(super) fn is_too_long_for(&self, bytes: usize) -> bool {
        bytes < self.window
    }

    /// The words.
    pub(super) fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.words.iter().map(AsRef::as_ref)
    }

    /// Begin and end of words in `text`, by begin.
    pub(super) fn spans<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = (usize, usize)> + 'a {
        let last = self.window - BLOCK_BYTES;
        let mut begin = 0;
        let candidates = std::iter::from_fn(move || {
            while let Some(block) = text.get(begin + last..begin + self.window) {
                let hash = hash(block);
                match self.steps[hash] {
                    0 => {
                        begin += 1;
                        return Some((begin - 1, hash));
                    }
                    step => begin += usize::from(step),
                }
            }
            None
        });
        candidates.flat_map(move |(begin, hash)| {
            let from = self.ends.partition_point(|end| end.0 < hash);
            let same = self.ends[from..]
                .iter()
                .take_while(move |end| end.0 == hash);
            same.filter_map(move |(_, number)| {
                let word = &self.words[*number];
                let found = text
                    .get(begin..begin + word.len())?
                    .eq_ignore_ascii_case(word);
                found.then_some((begin, begin + word.len()))
            })
        })
    }
}

/// Hash of the first three bytes.
fn hash(block: &[u8]) -> usize {
    let byte = |at: usize| usize::from(block[at].to_ascii_lowercase());
    ((byte(0) << 8) ^ (byte(1) << 4) ^ byte(2)) % STEPS
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(words: &[String], text: &str) -> Vec<(usize, usize)> {
        let text = text.to_ascii_lowercase().into_bytes();
        let at = |begin: usize| {
            let rest = &text[begin..];
            let found = words
                .iter()
                .filter(move |word| rest.starts_with(word.to_ascii_lowercase().as_bytes()));
            found.map(move |word| (begin, begin + word.len()))
        };
        let mut spans: Vec<_> = (0..text.len()).flat_map(at).collect();
        spans.sort_unstable();
        spans
    }

    proptest! {
        #[test]
        fn it_finds_what_there_is(
            words in prop::collection::btree_set("[abAB]{3,9}", 1..8),
            text in "[abABc]{0,60}",
        ) {
            let mut words: Vec<String> = words.into_iter().collect();
            words.dedup_by_key(|word| word.to_ascii_lowercase());
            let search = Search::new(words.iter().map(|word| word.as_bytes().into()).collect()).unwrap();
            let mut found: Vec<_> = search.spans(text.as_bytes()).collect();
            found.sort_unstable();
            prop_assert_eq!(found, naive(&words, &text));
        }
    }

    #[test]
    fn words_may_be_long_and_texts_short() {
        assert!(Search::new(vec![]).is_none());
        assert!(Search::new(vec![b"ab"[..].into()]).is_none());
        let long = "x".repeat(1_000);
        let search = Search::new(vec![long.as_bytes().into()]).unwrap();
        assert_eq!(
            search.spans(long.as_bytes()).collect::<Vec<_>>(),
            [(0, 1_000)]
        );
        assert_eq!(
            search.spans(b"").count() + search.spans(&long.as_bytes()[1..]).count(),
            0
        );
    }
}
