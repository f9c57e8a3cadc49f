//! OpenAI's tokens, by their own tokeniser.
//!
//! One vocabulary, `o200k`, is used by all models from GPT-4o on. Older models use a few percent
//! more tokens; they are counted like new ones.

use super::{Count, bytes};

/// Bytes counted exactly. The rest of a longer text is assumed to be similar.
const EXACT_BYTES_MAX: usize = 1 << 20;

/// Bytes given to the tokeniser at once. It fails on long runs of blanks, and is slow on long runs
/// of letters.
const PART_BYTES_MAX: usize = 8 << 10;

/// Counts the tokens of `text`.
pub(super) fn count(text: &str) -> Count {
    let tokeniser = tiktoken_rs::o200k_base_singleton();
    let exact = &text[..text.floor_char_boundary(EXACT_BYTES_MAX)];
    let mut tokens = 0;
    let mut rest = exact;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(part_bytes(rest));
        tokens += tokeniser.count_ordinary(part) as u64;
        rest = after;
    }
    if exact.len() == text.len() {
        return Count {
            tokens,
            upper: tokens,
        };
    }
    let whole = (tokens as f64 * text.len() as f64 / exact.len() as f64).round() as u64;
    // The uncounted rest may have as many tokens as bytes.
    Count {
        tokens: whole,
        upper: tokens + bytes(&text[exact.len()..]),
    }
}

/// Where to split: before a line that begins with a non-blank, which no token crosses, or else
/// where the part is full.
fn part_bytes(text: &str) -> usize {
    let full = text.floor_char_boundary(PART_BYTES_MAX);
    if full == text.len() {
        return full;
    }
    let lines = text[..full].rmatch_indices('\n').map(|(at, _)| at + 1);
    let begins = |at: &usize| text[*at..].starts_with(|c: char| !c.is_whitespace());
    lines.into_iter().find(begins).unwrap_or(full)
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
            assert_eq!(
                count(text),
                Count {
                    tokens,
                    upper: tokens
                },
                "{text}"
            );
        }
    }

    #[test]
    fn a_special_token_in_a_text_is_a_text() {
        assert!(count("<|endoftext|>").tokens > 1);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let line = "    let x = self.find(name)?; // 42 times\n";
        let text = format!("fn f() {{\n{line}}}\n").repeat(1_000);
        let whole = tiktoken_rs::o200k_base_singleton().count_ordinary(&text) as u64;
        assert_eq!(count(&text).tokens, whole);
    }

    #[test]
    fn endless_runs_are_counted_too() {
        for run in [" ", "a", "\n", "=", "日"] {
            assert!(count(&run.repeat(100_000)).tokens > 0);
        }
    }

    #[test]
    fn what_is_too_long_goes_on_as_it_began() {
        let text = "word ".repeat(EXACT_BYTES_MAX / 4);
        let Count { tokens, upper } = count(&text);
        let words = EXACT_BYTES_MAX as u64 / 4;
        assert!(
            tokens.abs_diff(words) < words / 100 && upper > tokens,
            "{tokens} {upper}"
        );
    }
}
