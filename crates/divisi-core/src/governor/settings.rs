//! Limits set by the user.

/// The user's limits. An absent one does not limit until the vendor reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSettings {
    /// Requests.
    pub requests_per_minute: Option<u64>,
    /// Requests that may be sent at once after a pause; by default one second's worth.
    pub burst: Option<u64>,
    /// Tokens of prompts.
    pub input_tokens_per_minute: Option<u64>,
    /// Tokens of replies.
    pub output_tokens_per_minute: Option<u64>,
    /// Requests under way at once. By default the governor finds the number: 64 at first.
    pub in_flight: Option<u32>,
    /// Whether prompt tokens read from a cache count.
    pub count_cached: bool,
}
