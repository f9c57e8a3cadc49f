//! Digests, and random numbers drawn from them: the mock's answers depend only on the request.

use serde_json::Value;
use std::fmt;

/// The digest of `text` as answers and templates print it: sixteen hexadecimal digits.
pub fn text_digest(text: &str) -> String {
    Digest::of(text.as_bytes()).to_string()
}

/// The digest under which [`Stats`](crate::Stats) counts a request with this body.
///
/// The order of object keys and the white space of the original do not matter.
pub fn body_digest(body: &Value) -> String {
    Digest::of_body(body).to_string()
}

/// The first 64 bits of a BLAKE3 hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Digest(pub(crate) u64);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::from(blake3::hash(bytes))
    }

    pub(crate) fn of_body(body: &Value) -> Self {
        let mut canonical = Vec::with_capacity(1024);
        write_canonical(body, &mut canonical);
        Self::of(&canonical)
    }

    /// An endless sequence of draws that starts from this digest.
    pub(crate) fn dice(self) -> Dice {
        Dice(self.0)
    }
}

impl From<blake3::Hash> for Digest {
    fn from(hash: blake3::Hash) -> Self {
        let (head, _) = hash
            .as_bytes()
            .split_first_chunk()
            .expect("a hash has 32 bytes");
        Self(u64::from_be_bytes(*head))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (key, value) in entries {
                write_text(key, out);
                write_canonical(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::String(text) => write_text(text, out),
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            out.extend_from_slice(value.to_string().as_bytes());
            out.push(b',');
        }
    }
}

/// Writes the length first, so that different sequences of texts never give the same bytes.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(&text.len().to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// A SplitMix64 generator.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn fraction(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(crate) fn word(&mut self) -> &'static str {
        WORDS[self.below(WORDS.len() as u64) as usize]
    }

    /// `count` words with spaces between them.
    pub(crate) fn words(&mut self, count: u64) -> String {
        let words: Vec<_> = (0..count).map(|_| self.word()).collect();
        words.join(" ")
    }
}

const WORDS: [&str; 32] = [
    "adagio", "allegro", "alto", "andante", "aria", "bass", "cadence", "canon", "cello", "chord",
    "coda", "flute", "forte", "fugue", "harp", "horn", "largo", "legato", "lyre", "motif", "oboe",
    "octave", "opus", "piano", "presto", "reed", "rondo", "scale", "score", "sonata", "tempo",
    "viola",
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn order_of_keys_does_not_change_a_body_digest() {
        assert_eq!(
            body_digest(&json!({"a": 1, "b": [2]})),
            body_digest(&json!({"b": [2], "a": 1}))
        );
        assert_ne!(
            body_digest(&json!(["ab", "c"])),
            body_digest(&json!(["a", "bc"]))
        );
        assert_ne!(body_digest(&json!([1, 23])), body_digest(&json!([12, 3])));
    }
}
