//! What the vendors do not accept, the mock does not accept.

use crate::client::{Api, messages, read};
use divisi_mock::Config;
use serde_json::{Value, json};

async fn status(more: Value) -> u16 {
    Api::start(Config::default())
        .await
        .messages("hello", more)
        .await
        .status
}

#[tokio::test]
async fn anthropic_needs_a_limit_of_tokens_and_a_version() {
    assert_eq!(status(json!({"max_tokens": null})).await, 400);
    assert_eq!(status(json!({"messages": []})).await, 400);
    assert_eq!(status(json!({"model": null})).await, 400);
    assert_eq!(status(json!({"max_tokens": 0, "stream": true})).await, 400);
    let api = Api::start(Config::default()).await;
    let plain = api
        .http
        .post(api.mock.url() + "/v1/messages")
        .json(&messages("hello", json!({})));
    assert_eq!(read(plain).await.status, 400);
}

#[tokio::test]
async fn models_that_always_think_cannot_be_forced_to_a_tool() {
    let forced = |model| json!({"model": model, "tool_choice": {"type": "tool", "name": "x"}});
    for model in ["claude-sonnet-5-5", "claude-opus-5-5", "claude-fable-5-2"] {
        assert_eq!(status(forced(model)).await, 400, "{model}");
    }
    assert_eq!(status(forced("claude-haiku-5-5")).await, 200);
}

#[tokio::test]
async fn the_fifth_generation_takes_no_temperature() {
    let warm = |model| json!({"model": model, "temperature": 0.2});
    assert_eq!(status(warm("claude-haiku-5-5")).await, 400);
    assert_eq!(status(warm("claude-sonnet-4-5")).await, 200);
    assert_eq!(status(json!({"temperature": 1.0})).await, 200);
}

#[tokio::test]
async fn breakpoints_are_few_and_long_ones_come_first() {
    let block = |ttl: &str| json!({"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": ttl}});
    let system =
        |ttls: &[&str]| json!({"system": ttls.iter().map(|ttl| block(ttl)).collect::<Vec<_>>()});
    assert_eq!(status(system(&["1h", "5m", "5m", "5m"])).await, 200);
    assert_eq!(status(system(&["5m"; 5])).await, 400);
    assert_eq!(status(system(&["5m", "1h"])).await, 400);
    assert_eq!(status(system(&["2h"])).await, 400);
}

#[tokio::test]
async fn keys_are_checked_when_there_are_any() {
    let api = Api::start_json(json!({"keys": ["secret"]})).await;
    let body = messages("hello", json!({}));
    let ask = || api.post("/v1/messages", &body);
    assert_eq!(read(ask()).await.status, 401);
    assert_eq!(read(ask().header("x-api-key", "other")).await.status, 401);
    assert_eq!(read(ask().header("x-api-key", "secret")).await.status, 200);
    assert_eq!(read(ask().bearer_auth("secret")).await.status, 200);
}

#[tokio::test]
async fn a_body_that_is_no_json_is_a_bad_request() {
    let api = Api::start(Config::default()).await;
    let request = api.post("/v1/messages", &json!({})).body("{");
    let got = read(request).await;
    assert_eq!(got.status, 400);
    assert_eq!(got.json()["type"], "error");
}
