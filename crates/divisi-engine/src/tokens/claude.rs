//! Estimates Claude's tokens from the measured cost of text features.

use super::features::Features;
use super::{Count, bytes};

/// A generation of Claude's tokenisers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Generation {
    /// Up to 4.6.
    Old,
    /// From 4.7 on.
    New,
}

/// Counts the tokens of `text`.
pub(super) fn count(generation: Generation, text: &str) -> Count {
    let weights = match generation {
        Generation::Old => &OLD,
        Generation::New => &NEW,
    };
    let tokens = Features::of(text).weighed(weights).round() as u64;
    // A non-empty text has at least one token, and a token has at least one byte.
    let tokens = tokens.max(u64::from(!text.is_empty())).min(bytes(text));
    let upper = (tokens as f64 * UPPER).ceil() as u64 + UPPER_TOKENS;
    Count {
        tokens,
        upper: upper.min(bytes(text)),
    }
}

/// Factor that keeps the upper estimate above the tokens of nearly every text.
const UPPER: f64 = 1.5;
/// Added for texts of a few words, which vary more.
const UPPER_TOKENS: u64 = 8;

// In the order of `Features::NAMES`, from `scripts/measure-tokens --fit`; see `docs/tokens.md`.
const OLD: [f64; 17] = [
    0.960, 1.021, 1.109, 0.821, 0.428, 0.134, 0.316, 0.238, 0.936, 0.221, 0.644, 1.057, 1.156,
    0.040, 0.633, 0.986, 6.654,
];
const NEW: [f64; 17] = [
    1.166, 1.590, 2.037, 2.169, 0.601, 0.669, 0.372, 0.239, 0.921, 0.498, 0.324, 1.097, 1.277,
    0.041, 0.643, 0.994, 6.802,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts of `ctok`, an independent reconstruction of the tokenisers, on texts that no weight
    /// was fitted to; `docs/tokens.md` has the errors on a corpus.
    #[test]
    fn counts_are_close_to_the_tokenisers() {
        for (text, old, new) in SAMPLES {
            for (generation, tokens) in [(Generation::Old, old), (Generation::New, new)] {
                let count = count(generation, text);
                let error = count.tokens as f64 / tokens as f64 - 1.0;
                assert!(error.abs() < 0.2, "{generation:?} {error:+.2}: {text}");
                assert!(count.upper >= tokens, "{generation:?}: {text}");
            }
        }
    }

    const SAMPLES: [(&str, u64, u64); 4] = [
        (
            "The run stops at its budget. Everything that was finished is kept, and what is missing runs again tomorrow when somebody raises the limit.",
            26,
            43,
        ),
        (
            "fn next_due(&self, now: Timestamp) -> Option<&Task> {\n    self.tasks.iter().find(|task| task.due_at <= now)\n}",
            41,
            54,
        ),
        (
            r#"{"name": "audit", "modules": ["auth", "payment", "user"], "max_cost": 12.5, "strict": true}"#,
            32,
            42,
        ),
        (
            "# Install\n\n- Download the archive for your system.\n- Unpack it and put `divisi` on your `PATH`.\n",
            27,
            36,
        ),
    ];
}
