//! Reads rate limits from response headers.
//!
//! Vendors use different names, which have a file each. All names are tried for every response,
//! because gateways pass them on. Moments are converted to spans by the vendor's own clock if it
//! sends one, so that a wrong local clock does no harm.

mod anthropic;
mod openai;

use divisi_core::Millis;
pub use divisi_core::governor::{RateLimits, Window};
use jiff::{SignedDuration, Timestamp};
use reqwest::header::HeaderMap;

/// Reads all limits in `headers`.
pub(crate) fn read(headers: &HeaderMap) -> RateLimits {
    if !headers
        .keys()
        .any(|name| name.as_str().contains("ratelimit"))
    {
        return RateLimits::default();
    }
    let now = vendor_now(headers);
    let read = [
        anthropic::limits(headers, now),
        openai::limits(headers, now),
    ];
    let first = |of: fn(&RateLimits) -> Window| {
        read.iter()
            .map(of)
            .find(|window| *window != Window::default())
            .unwrap_or_default()
    };
    RateLimits {
        requests: first(|limits| limits.requests),
        tokens: first(|limits| limits.tokens),
        input_tokens: first(|limits| limits.input_tokens),
        output_tokens: first(|limits| limits.output_tokens),
    }
}

/// The time that `headers` ask to wait.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Millis> {
    let millis = text(headers, "retry-after-ms")
        .and_then(|ms| ms.parse::<f64>().ok())
        .map(|ms| Millis(ms as u64));
    let wait = || {
        let wait = text(headers, "retry-after")?;
        let now = vendor_now(headers);
        span(wait, now).or_else(|| {
            Some(between(
                now,
                jiff::fmt::rfc2822::parse(wait).ok()?.timestamp(),
            ))
        })
    };
    millis.or_else(wait)
}

/// The time until the exhausted limits in `headers` are reset.
///
/// Vendors name them by kind (`x-ratelimit-reset-tokens`), by kind and window (`…-tokens-minute`)
/// or plainly (`x-ratelimit-reset`), and give seconds, spans or moments.
pub(crate) fn exhausted_for(headers: &HeaderMap) -> Option<Millis> {
    let now = vendor_now(headers);
    let resets = headers
        .keys()
        .map(|name| name.as_str())
        .filter(|name| name.contains("ratelimit") && name.contains("reset"));
    let exhausted =
        resets.filter(|name| number(headers, &name.replace("reset", "remaining")) == Some(0));
    exhausted
        .filter_map(|name| text(headers, name))
        .filter_map(|reset| span(reset, now).or_else(|| until(reset, now)))
        .max()
}

/// The present time by the vendor's clock.
pub(crate) fn vendor_now(headers: &HeaderMap) -> Timestamp {
    text(headers, "date")
        .and_then(|date| jiff::fmt::rfc2822::parse(date).ok())
        .map_or_else(Timestamp::now, |date| date.timestamp())
}

/// The span until an RFC 3339 moment.
pub(crate) fn until(moment: &str, now: Timestamp) -> Option<Millis> {
    moment.parse().ok().map(|at| between(now, at))
}

fn between(now: Timestamp, at: Timestamp) -> Millis {
    Millis(u64::try_from(at.duration_since(now).as_millis()).unwrap_or(0))
}

/// Numbers from here on are moments in seconds, not spans: the year 2001, or a span of 31 years.
const MOMENT_MIN: f64 = 1e9;

/// Parses a span: seconds (`2`, `0.5`), units (`6m0s`, `20ms`), or the moment of its end in seconds
/// or milliseconds since 1970.
pub(crate) fn span(text: &str, now: Timestamp) -> Option<Millis> {
    let until = |at: Result<Timestamp, _>| at.ok().map(|at| between(now, at));
    match text.parse::<f64>() {
        Ok(number) if !number.is_finite() => None,
        Ok(millis) if millis >= MOMENT_MIN * 1_000.0 => {
            until(Timestamp::from_millisecond(millis as i64))
        }
        Ok(seconds) if seconds >= MOMENT_MIN => until(Timestamp::from_second(seconds as i64)),
        // The cast saturates negative numbers to zero.
        Ok(seconds) => Some(Millis((seconds * 1_000.0).ceil() as u64)),
        Err(_) => {
            let span: SignedDuration = text.parse().ok()?;
            Some(Millis(u64::try_from(span.as_millis()).unwrap_or(0)))
        }
    }
}

pub(crate) fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}

pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn reads_anthropic_by_its_own_clock() {
        let rate = read(&headers(&[
            ("date", "Sun, 22 Nov 2026 23:00:00 GMT"),
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "2026-11-22T23:00:01Z"),
            ("anthropic-ratelimit-output-tokens-remaining", "8000"),
            (
                "anthropic-ratelimit-output-tokens-reset",
                "2026-11-22T22:59:59Z",
            ),
        ]));
        assert_eq!(
            rate.requests,
            Window {
                limit: Some(50),
                remaining: Some(49),
                resets_in: Some(Millis(1_000))
            }
        );
        assert_eq!(
            rate.output_tokens,
            Window {
                limit: None,
                remaining: Some(8_000),
                resets_in: Some(Millis(0))
            }
        );
        assert_eq!(rate.tokens, Window::default());
    }

    #[test]
    fn reads_openai() {
        let rate = read(&headers(&[
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-reset-requests", "120ms"),
            ("x-ratelimit-remaining-tokens", "29000"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]));
        assert_eq!(
            rate.requests,
            Window {
                limit: Some(500),
                remaining: None,
                resets_in: Some(Millis(120))
            }
        );
        assert_eq!(
            rate.tokens,
            Window {
                limit: None,
                remaining: Some(29_000),
                resets_in: Some(Millis::from_secs(360))
            }
        );
    }

    #[test]
    fn reads_moments_as_numbers() {
        for reset in ["1795388460", "1795388460000"] {
            let rate = read(&headers(&[
                ("date", "Sun, 22 Nov 2026 23:00:00 GMT"),
                ("x-ratelimit-reset-requests", reset),
            ]));
            assert_eq!(rate.requests.resets_in, Some(Millis(60_000)));
        }
    }

    #[test]
    fn reads_when_a_limit_that_is_used_up_lets_in_again() {
        let wait = |lines: &[(&'static str, &'static str)]| {
            exhausted_for(&headers(lines)).map(|wait| wait.0)
        };
        let date = ("date", "Sun, 22 Nov 2026 23:00:00 GMT");
        for (reset, millis) in [
            ("2", 2_000),
            ("6m0s", 360_000),
            ("120ms", 120),
            ("1795388460", 60_000),
            ("1795388460000", 60_000),
            ("2026-11-22T23:00:01Z", 1_000),
        ] {
            for name in ["", "-requests", "-tokens-minute"] {
                let [remaining, reset_name] = ["remaining", "reset"]
                    .map(|word| format!("x-ratelimit-{word}{name}").leak() as &str);
                assert_eq!(
                    wait(&[date, (remaining, "0"), (reset_name, reset)]),
                    Some(millis),
                    "{name} {reset}"
                );
                assert_eq!(wait(&[date, (remaining, "1"), (reset_name, reset)]), None);
            }
        }
        let two = [
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "3s"),
        ];
        assert_eq!(wait(&two), Some(3_000));
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn reads_how_long_to_wait() {
        let wait = |lines: &[(&'static str, &'static str)]| {
            retry_after(&headers(lines)).map(|wait| wait.0)
        };
        assert_eq!(
            wait(&[("retry-after", "2"), ("retry-after-ms", "1500")]),
            Some(1_500)
        );
        assert_eq!(wait(&[("retry-after", "2")]), Some(2_000));
        assert_eq!(wait(&[("retry-after", "0.25")]), Some(250));
        assert_eq!(wait(&[("retry-after", "-1")]), Some(0));
        assert_eq!(
            wait(&[
                ("date", "Sun, 22 Nov 2026 23:00:00 GMT"),
                ("retry-after", "Sun, 22 Nov 2026 23:01:00 GMT")
            ]),
            Some(60_000)
        );
        assert_eq!(wait(&[("retry-after", "soon")]), None);
        assert_eq!(wait(&[("retry-after", "inf")]), None);
        assert_eq!(wait(&[]), None);
    }
}
