//! The headers of OpenAI's rate limits, which most others also use.

use super::{RateLimits, Window, number, span, text};
use jiff::Timestamp;
use reqwest::header::HeaderMap;

pub(super) fn limits(headers: &HeaderMap, now: Timestamp) -> RateLimits {
    let window = |kind: &str| Window {
        limit: number(headers, &format!("x-ratelimit-limit-{kind}")),
        remaining: number(headers, &format!("x-ratelimit-remaining-{kind}")),
        resets_in: text(headers, &format!("x-ratelimit-reset-{kind}"))
            .and_then(|end| span(end, now)),
    };
    RateLimits {
        requests: window("requests"),
        tokens: window("tokens"),
        ..RateLimits::default()
    }
}
