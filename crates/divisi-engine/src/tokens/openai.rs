//! OpenAI's tokens, by their own tokeniser.
//!
//! One vocabulary, `o200k`, serves all models from GPT-4o on. Older ones make a
//! few percent more tokens of a text; they are counted as if they were new.

use super::{Count, bytes};

/// Bytes that are counted one by one. A longer text goes on like it began.
const EXACT_BYTES_MAX: usize = 1 << 20;

/// Counts the tokens of `text`.
pub(super) fn count(text: &str) -> Count {
    let exact = &text[..text.floor_char_boundary(EXACT_BYTES_MAX)];
    let tokens = tiktoken_rs::o200k_base_singleton().count_ordinary(exact) as u64;
    if exact.len() == text.len() {
        return Count { tokens, upper: tokens };
    }
    let whole = (tokens as f64 * text.len() as f64 / exact.len() as f64).round() as u64;
    // What was not looked at may be anything.
    Count { tokens: whole, upper: tokens + bytes(&text[exact.len()..]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts that OpenAI has published as examples of this vocabulary.
    #[test]
    fn counts_are_those_of_the_vocabulary() {
        for (text, tokens) in [
            ("hello world", 2),
            ("antidisestablishmentarianism", 6),
            ("2 + 2 = 4", 7),
            ("お誕生日おめでとう", 8),
        ] {
            assert_eq!(count(text), Count { tokens, upper: tokens }, "{text}");
        }
    }

    #[test]
    fn a_special_token_in_a_text_is_a_text() {
        assert!(count("<|endoftext|>").tokens > 1);
    }

    #[test]
    fn what_is_too_long_goes_on_as_it_began() {
        let text = "word ".repeat(EXACT_BYTES_MAX / 4);
        let Count { tokens, upper } = count(&text);
        let words = EXACT_BYTES_MAX as u64 / 4;
        assert!(tokens.abs_diff(words) < words / 100 && upper > tokens, "{tokens} {upper}");
    }
}
