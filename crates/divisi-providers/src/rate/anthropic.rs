//! The headers of Anthropic's rate limits.

use super::{RateLimits, Window, number, text, until};
use jiff::Timestamp;
use reqwest::header::HeaderMap;

pub(super) fn limits(headers: &HeaderMap, now: Timestamp) -> RateLimits {
    let window = |kind: &str| Window {
        limit: number(headers, &format!("anthropic-ratelimit-{kind}-limit")),
        remaining: number(headers, &format!("anthropic-ratelimit-{kind}-remaining")),
        resets_in: text(headers, &format!("anthropic-ratelimit-{kind}-reset"))
            .and_then(|at| until(at, now)),
    };
    RateLimits {
        requests: window("requests"),
        tokens: window("tokens"),
        input_tokens: window("input-tokens"),
        output_tokens: window("output-tokens"),
    }
}
