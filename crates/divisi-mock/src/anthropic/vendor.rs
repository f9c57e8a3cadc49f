//! Anthropic's errors and headers.

use crate::dialect::{Vendor, set};
use crate::fault::{ErrorKind, Failure};
use crate::limits::{Meter, Meters};
use axum::http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The vendor of Claude.
pub(crate) struct Anthropic;

impl Vendor for Anthropic {
    const REQUEST_ID: &'static str = "request-id";

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
            ErrorKind::Overloaded => 529,
        }
    }

    fn error(failure: &Failure, request_id: &str) -> Value {
        let mut error = json!({"type": error_type(failure.kind), "message": failure.message});
        if let Some(code) = error_code(failure.kind) {
            error["details"] = json!({"error_code": code});
        }
        json!({"type": "error", "error": error, "request_id": request_id})
    }

    fn show_meters(meters: &Meters, headers: &mut HeaderMap) {
        show(
            headers,
            meters.requests,
            [
                "anthropic-ratelimit-requests-limit",
                "anthropic-ratelimit-requests-remaining",
                "anthropic-ratelimit-requests-reset",
            ],
        );
        show(
            headers,
            meters.tokens(),
            [
                "anthropic-ratelimit-tokens-limit",
                "anthropic-ratelimit-tokens-remaining",
                "anthropic-ratelimit-tokens-reset",
            ],
        );
        show(
            headers,
            meters.input,
            [
                "anthropic-ratelimit-input-tokens-limit",
                "anthropic-ratelimit-input-tokens-remaining",
                "anthropic-ratelimit-input-tokens-reset",
            ],
        );
        show(
            headers,
            meters.output,
            [
                "anthropic-ratelimit-output-tokens-limit",
                "anthropic-ratelimit-output-tokens-remaining",
                "anthropic-ratelimit-output-tokens-reset",
            ],
        );
    }
}

fn error_type(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::BadRequest | ErrorKind::Unprocessable => "invalid_request_error",
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::Billing => "billing_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::RateLimit | ErrorKind::SpendLimit => "rate_limit_error",
        ErrorKind::Internal => "api_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Overloaded => "overloaded_error",
    }
}

fn error_code(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::SpendLimit => Some("enforced_spend_limit_reached"),
        ErrorKind::Billing => Some("linked_organization_spend_limit_reached"),
        _ => None,
    }
}

fn show(
    headers: &mut HeaderMap,
    meter: Option<Meter>,
    [limit, remaining, reset]: [&'static str; 3],
) {
    let Some(meter) = meter else { return };
    set(headers, limit, meter.limit);
    set(headers, remaining, meter.remaining);
    set(
        headers,
        reset,
        whole_seconds(Timestamp::now() + meter.reset),
    );
}

/// Rounds up, so that no client returns too early.
fn whole_seconds(time: Timestamp) -> Timestamp {
    let seconds = time.as_second() + i64::from(time.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds).unwrap_or(time)
}
