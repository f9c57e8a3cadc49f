//! The list of models, in the format of the vendor whose headers the request has.

use crate::anthropic::Anthropic;
use crate::config::Config;
use crate::exchange::{authenticate, failure_response};
use crate::openai::{CREATED, OpenAi};
use axum::Json;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The list if the configuration names no models.
const MODELS: [&str; 7] = [
    "claude-fable-5-2",
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "gpt-6.1-sol",
    "gpt-6.1-terra",
    "gpt-6-luna",
];

/// Answers `GET /v1/models`.
pub(crate) fn list(config: &Config, headers: &HeaderMap) -> Response {
    let is_anthropic = headers.contains_key("anthropic-version");
    if let Err(failure) = authenticate(config, headers) {
        let respond = if is_anthropic {
            failure_response::<Anthropic>
        } else {
            failure_response::<OpenAi>
        };
        return respond(&failure, "req_models", None);
    }
    let names: Vec<&str> = match config.models.as_slice() {
        [] => MODELS
            .into_iter()
            .filter(|name| name.starts_with("claude") == is_anthropic)
            .collect(),
        models => models.iter().map(String::as_str).collect(),
    };
    Json(if is_anthropic {
        anthropic(&names)
    } else {
        openai(&names)
    })
    .into_response()
}

fn anthropic(names: &[&str]) -> Value {
    let models: Vec<_> = names
        .iter()
        .map(|name| {
            json!({
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2026-11-18T00:00:00Z",
                "max_input_tokens": 1_000_000,
                "max_tokens": 128_000,
            })
        })
        .collect();
    json!({"data": models, "has_more": false, "first_id": names.first(), "last_id": names.last()})
}

fn openai(names: &[&str]) -> Value {
    let model = |name: &&str| json!({"id": name, "object": "model", "created": CREATED, "owned_by": "openai"});
    json!({"object": "list", "data": names.iter().map(model).collect::<Vec<_>>()})
}
