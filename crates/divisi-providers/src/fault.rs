//! Distinguishes errors from replies.
//!
//! Vendors and gateways send errors with status 200, as the only event of a stream, in the middle
//! of one, or in the format of another vendor. So the fields decide what a value is.

use serde_json::{Value, json};

/// Fields that only replies have.
const OF_REPLIES: [&str; 8] = [
    "choices",
    "content",
    "delta",
    "output",
    "usage",
    "content_block",
    "message_start",
    "response",
];

/// Fields with the reason of an error.
const REASONS: [&str; 7] = [
    "message",
    "msg",
    "detail",
    "error_msg",
    "error_message",
    "errorMessage",
    "error_description",
];

/// The error in `value`; `None` if it is not an error.
pub(crate) fn of(value: &Value) -> Option<Value> {
    let value = value.get(0).unwrap_or(value);
    let holds = |name: &str| value.get(name).filter(|field| says_something(field));
    if holds("error").is_some() || holds("errors").is_some() {
        return Some(value.clone());
    }
    if let Some(error) = value.pointer("/base_resp").and_then(of_status) {
        return Some(error);
    }
    let is_named = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .is_some_and(|kind| kind == "error")
    };
    if is_named("object") || is_named("type") {
        return Some(value.clone());
    }
    let is_reply = OF_REPLIES.iter().any(|name| holds(name).is_some());
    let is_reason = |reason: &Value| reason.is_string() || reason.is_array();
    let has_reason = REASONS
        .iter()
        .any(|name| holds(name).is_some_and(is_reason));
    (!is_reply && has_reason && value.get("type").is_none_or(|kind| !kind.is_string()))
        .then(|| value.clone())
}

/// The HTTP status named in an error.
pub(crate) fn status(error: &Value) -> Option<u16> {
    let inner = error
        .get("error")
        .filter(|inner| inner.is_object())
        .unwrap_or(error);
    let names = ["code", "status", "status_code", "statusCode", "http_status"];
    let number = |value: &Value| {
        value
            .as_u64()
            .or_else(|| value.as_str()?.trim().parse().ok())
    };
    let found = [inner, error]
        .into_iter()
        .flat_map(|value| names.iter().filter_map(|name| value.get(*name)));
    found
        .filter_map(number)
        .find(|status| (400..600).contains(status))
        .and_then(|status| u16::try_from(status).ok())
}

/// MiniMax sends a status with every reply, which is zero without an error.
fn of_status(base: &Value) -> Option<Value> {
    let code = base
        .get("status_code")
        .filter(|code| says_something(code))?;
    Some(json!({"error": {"message": base.get("status_msg"), "code": code}}))
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) => true,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.trim().is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_from_replies() {
        for error in [
            json!({"error": {"message": "no"}}),
            json!({"error": "no"}),
            json!([{"error": {"code": 429}}]),
            json!({"errors": [{"message": "no"}]}),
            json!({"object": "error", "message": "no", "code": 400}),
            json!({"type": "error", "error": {"type": "overloaded_error"}}),
            json!({"choices": null, "base_resp": {"status_code": 1008, "status_msg": "no"}}),
            json!({"code": "InvalidApiKey", "message": "no", "request_id": "x"}),
            json!({"detail": "Not Found"}),
            json!({"id": "x", "choices": [], "error": {"message": "no"}}),
        ] {
            assert!(of(&error).is_some(), "{error}");
        }
        for reply in [
            json!({"choices": [], "usage": {"prompt_tokens": 1}}),
            json!({"id": "", "model": "", "choices": [], "prompt_filter_results": [{}]}),
            json!({"error": null, "base_resp": {"status_code": 0, "status_msg": "success"}}),
            json!({"type": "ping"}),
            json!({"type": "novelty", "message": "x"}),
            json!({"type": "message", "content": [], "error": {}}),
            json!({}),
            json!("word"),
        ] {
            assert_eq!(of(&reply), None, "{reply}");
        }
    }

    #[test]
    fn a_status_inside_is_found() {
        assert_eq!(status(&json!({"error": {"code": 403}})), Some(403));
        assert_eq!(
            status(&json!({"error": {"message": "x", "code": "429"}})),
            Some(429)
        );
        assert_eq!(status(&json!({"error": "x", "status": 502})), Some(502));
        assert_eq!(status(&json!({"error": {"code": "server_error"}})), None);
        assert_eq!(status(&json!({"error": {"code": 1008}})), None);
    }
}
