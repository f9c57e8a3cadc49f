//! Extracts the time to wait from error bodies.

use crate::rate;
use divisi_core::Millis;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

/// The wait in a field named `name`, in lower case.
pub(super) fn in_field(name: &str, value: &Value, now: Timestamp) -> Option<Millis> {
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    match name.as_str() {
        "retryafterms" | "retrydelayms" => text.parse::<f64>().ok().map(|ms| Millis(ms as u64)),
        // Fields of Google's RetryInfo, LiteLLM, Cloudflare, and OpenAI's usage limits.
        "retryafter" | "retryafterseconds" | "retrydelay" | "resetsinseconds" | "resetsat"
        | "resetat" | "xratelimitreset" => {
            rate::span(&text, now).or_else(|| rate::until(&text, now))
        }
        _ => None,
    }
}

/// Words before a time span.
const SPANS: [&str; 10] = [
    "try again in",
    "try again after",
    "retry in",
    "retry after",
    "retry-after:",
    "reset after",
    "resets in",
    "reset in",
    "available in",
    "please wait",
];

/// Words before a moment.
const MOMENTS: [&str; 6] = [
    "reset at",
    "resets at",
    "regain access on",
    "try again at",
    "available at",
    "将在",
];

/// The wait in the text `said`, in lower case. Moments without a time zone are read as `east` hours
/// east of Greenwich.
pub(super) fn in_words(said: &str, now: Timestamp, east: i8) -> Option<Millis> {
    let after = |cue: &'static str| {
        said.match_indices(cue)
            .map(move |(at, _)| &said[at + cue.len()..])
    };
    let span = SPANS.into_iter().flat_map(after).find_map(span);
    let until = || {
        let at = MOMENTS
            .into_iter()
            .flat_map(after)
            .find_map(|rest| moment(rest, east))?;
        Some(Millis(
            u64::try_from(at.duration_since(now).as_millis()).unwrap_or(0),
        ))
    };
    span.or_else(until)
}

/// Parses a time span at the beginning of `text`: `6m0s`, `4.77s`, `20 seconds`, `1 hour 5
/// minutes`, `60`.
fn span(text: &str) -> Option<Millis> {
    let text = text.trim_start_matches([' ', ':', '~', '`']);
    let mut rest = ["for ", "another ", "about ", "at least "]
        .iter()
        .find_map(|word| text.strip_prefix(word))
        .unwrap_or(text);
    let mut millis = None;
    loop {
        let digits = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
        let Ok(number) = rest[..digits].trim_end_matches('.').parse::<f64>() else {
            return millis.map(Millis);
        };
        let after = rest[digits..].trim_start_matches(' ');
        let letters = after.len()
            - after
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let factor = match &after[..letters] {
            "ms" | "msec" | "milliseconds" => 1.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1e3,
            "m" | "min" | "mins" | "minute" | "minutes" => 60e3,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3_600e3,
            "d" | "day" | "days" => 86_400e3,
            _ if millis.is_some() => return millis.map(Millis),
            // A number without a unit is in seconds.
            _ => 1e3,
        };
        // The cast saturates.
        millis = Some(
            millis
                .unwrap_or(0)
                .saturating_add((number * factor).ceil() as u64),
        );
        rest = after[letters..].trim_start_matches([' ', ',']);
        rest = rest.strip_prefix("and ").unwrap_or(rest);
    }
}

/// Parses a date and time near the beginning of `text`: `2026-04-01 at 00:00 utc`, `2026-09-12
/// 00:35:41`.
fn moment(text: &str, east: i8) -> Option<Timestamp> {
    let text = text.trim_start();
    let date = text.get(..10)?;
    let rest = text[10..].trim_start_matches([' ', 't']);
    let rest = rest.strip_prefix("at ").unwrap_or(rest);
    let length = rest.len()
        - rest
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == ':')
            .len();
    let time = match length {
        5 => format!("{}:00", &rest[..5]),
        8 => rest[..8].to_owned(),
        _ => return None,
    };
    let local: DateTime = format!("{date}T{time}").parse().ok()?;
    let zone = rest[length..].trim_start();
    let hours = match zone {
        zone if zone.starts_with("utc") || zone.starts_with("gmt") || zone.starts_with('z') => 0,
        zone => zone
            .strip_prefix('+')
            .and_then(|hours| hours.get(..2)?.parse().ok())
            .unwrap_or(east),
    };
    let zone = TimeZone::fixed(Offset::from_hours(hours).ok()?);
    local
        .checked_add(0.seconds())
        .ok()?
        .to_zoned(zone)
        .ok()
        .map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        "2026-11-29T12:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_wait_is_read_from_words() {
        let wait = |said: &str| in_words(said, now(), 8).map(|wait| wait.0);
        for (said, millis) in [
            ("please try again in 6m0s. visit", 360_000),
            ("please try again in 1m2.5s.", 62_500),
            ("please try again in 9m38.016s. need more tokens?", 578_016),
            ("please try again in 4.77s", 4_770),
            ("please try again in 120ms.", 120),
            ("please retry in 45.578569677s.", 45_579),
            (
                "please retry after 20 seconds. for improved latency",
                20_000,
            ),
            ("max rpm: 3, please try again after 1 seconds", 1_000),
            ("try again in 60 seconds. passed model", 60_000),
            ("try again in 1 hour and 5 minutes", 3_900_000),
            ("your quota will reset after 18h3m2s.", 64_982_000),
            ("please wait 30 seconds before", 30_000),
            ("retry after 5", 5_000),
            (
                "you will regain access on 2026-12-01 at 00:00 utc.",
                36 * 3_600_000,
            ),
            ("your limit will reset at 2026-11-29 21:00:00", 3_600_000),
            ("limit resets at 2026-11-29t13:00:00z", 3_600_000),
            ("您的限额将在 2026-11-29 20:30:00 重置", 1_800_000),
            ("resets at 2026-11-29 11:00:00 utc", 0),
        ] {
            assert_eq!(wait(said), Some(millis), "{said}");
        }
        for said in [
            "please try again later",
            "too many tokens, please wait before trying again.",
            "resets at 10:00 utc",
            "retry in a moment",
            "",
        ] {
            assert_eq!(wait(said), None, "{said}");
        }
        assert_eq!(
            wait("try again in 99999999999999999999999999999 hours"),
            Some(u64::MAX)
        );
    }

    #[test]
    fn a_wait_is_read_from_fields() {
        let wait = |name: &str, value: Value| in_field(name, &value, now()).map(|wait| wait.0);
        assert_eq!(wait("retrydelay", json!("4.207s")), Some(4_207));
        assert_eq!(wait("retry_after", json!(7)), Some(7_000));
        assert_eq!(wait("retry-after-ms", json!(250)), Some(250));
        assert_eq!(
            wait("x-ratelimit-reset", json!("1795953660000")),
            Some(60_000)
        );
        assert_eq!(wait("resets_at", json!(1_795_953_660)), Some(60_000));
        assert_eq!(
            wait("resets_at", json!("2026-11-29T12:00:05Z")),
            Some(5_000)
        );
        assert_eq!(wait("retry_after", json!(null)), None);
        assert_eq!(wait("limit", json!(7)), None);
    }
}
