//! Common parts of OpenAI's two APIs: errors, headers, usage and the blocks of a prompt.

use crate::ask::{Block, Life, join};
use crate::dialect::{Vendor, set};
use crate::fault::{ErrorKind, Failure};
use crate::limits::{Meter, Meters};
use axum::http::HeaderMap;
use serde_json::{Value, json};
use std::borrow::Cow;

/// The date of all answers, so that they depend only on the request.
pub(crate) const CREATED: u64 = 1_795_000_000;

/// The vendor of GPT.
pub(crate) struct OpenAi;

impl Vendor for OpenAi {
    const REQUEST_ID: &'static str = "x-request-id";

    fn status(kind: ErrorKind) -> u16 {
        match kind {
            ErrorKind::BadRequest => 400,
            ErrorKind::Authentication => 401,
            ErrorKind::Billing => 402,
            ErrorKind::Permission => 403,
            ErrorKind::NotFound => 404,
            ErrorKind::TooLarge => 413,
            ErrorKind::Unprocessable => 422,
            ErrorKind::RateLimit | ErrorKind::SpendLimit => 429,
            ErrorKind::Internal => 500,
            ErrorKind::Timeout => 504,
            ErrorKind::Overloaded => 503,
        }
    }

    fn error(failure: &Failure, _request_id: &str) -> Value {
        let (kind, code) = error_words(failure.kind);
        json!({"error": {"message": failure.message, "type": kind, "param": null, "code": code}})
    }

    fn show_meters(meters: &Meters, headers: &mut HeaderMap) {
        show(
            headers,
            meters.requests,
            [
                "x-ratelimit-limit-requests",
                "x-ratelimit-remaining-requests",
                "x-ratelimit-reset-requests",
            ],
        );
        show(
            headers,
            meters.tokens(),
            [
                "x-ratelimit-limit-tokens",
                "x-ratelimit-remaining-tokens",
                "x-ratelimit-reset-tokens",
            ],
        );
    }
}

/// The `type` and the `code` of an error.
fn error_words(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    match kind {
        ErrorKind::BadRequest | ErrorKind::Unprocessable => ("invalid_request_error", None),
        ErrorKind::Authentication => ("invalid_request_error", Some("invalid_api_key")),
        ErrorKind::Billing | ErrorKind::SpendLimit => {
            ("insufficient_quota", Some("insufficient_quota"))
        }
        ErrorKind::Permission => ("invalid_request_error", Some("permission_denied")),
        ErrorKind::NotFound => ("invalid_request_error", Some("model_not_found")),
        ErrorKind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        ErrorKind::RateLimit => ("requests", Some("rate_limit_exceeded")),
        ErrorKind::Internal => ("server_error", None),
        ErrorKind::Timeout => ("server_error", Some("timeout")),
        ErrorKind::Overloaded => ("service_unavailable_error", Some("server_is_overloaded")),
    }
}

/// The body of the error in the middle of a stream.
pub(crate) fn overloaded_error() -> Value {
    OpenAi::error(&Failure::new(ErrorKind::Overloaded, "Overloaded"), "")
}

fn show(
    headers: &mut HeaderMap,
    meter: Option<Meter>,
    [limit, remaining, reset]: [&'static str; 3],
) {
    let Some(meter) = meter else { return };
    set(headers, limit, meter.limit);
    set(headers, remaining, meter.remaining);
    set(headers, reset, format!("{}ms", meter.reset.as_millis()));
}

/// The model of a request.
pub(crate) fn model(body: &Value) -> Result<&str, Failure> {
    body["model"]
        .as_str()
        .ok_or_else(|| Failure::bad_request("you must provide a model parameter"))
}

/// A block of a prompt. OpenAI caches implicitly, up to any block.
pub(crate) fn block<'a>(place: &'a str, text: Cow<'a, str>) -> Block<'a> {
    Block {
        place,
        text,
        breakpoint: Some(Life::Implicit),
    }
}

/// The text of a string or of the text parts of a message, if there is any.
pub(crate) fn text(content: &Value) -> Option<Cow<'_, str>> {
    match content {
        Value::String(text) => Some(text.into()),
        Value::Array(parts) => {
            let texts: Vec<_> = parts
                .iter()
                .filter_map(|part| part["text"].as_str().map(Cow::Borrowed))
                .collect();
            (!texts.is_empty()).then(|| join(texts))
        }
        _ => None,
    }
}
