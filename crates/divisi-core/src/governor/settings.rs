//! What the user allows.

/// Limits that the user sets. What is absent is not limited until the vendor
/// tells of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSettings {
    /// Requests.
    pub requests_per_minute: Option<u64>,
    /// Requests that may leave at once after a rest; as many as in a second,
    /// where nothing is said.
    pub burst: Option<u64>,
    /// Tokens of prompts.
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens of replies.
    pub output_tokens_per_minute: Option<u64>,
    /// Requests under way at once. Where nothing is said, some at first, and then as many
    /// as turn out to be right.
    pub in_flight: Option<u32>,
    /// Whether the part of a prompt that is read from a cache counts.
    pub count_cached: bool,
}
