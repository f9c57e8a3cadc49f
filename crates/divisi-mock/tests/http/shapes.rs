//! Answers have the shapes of the vendors.

use crate::client::Api;
use divisi_mock::{Config, echo};
use serde_json::{Value, json};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"title": {"type": "string"}, "severity": {"enum": ["low", "high"]}},
        "required": ["title", "severity"],
        "additionalProperties": false,
    })
}

fn assert_sample(text: &str) {
    let value: Value = serde_json::from_str(text).unwrap();
    assert!(jsonschema::is_valid(&schema(), &value), "{value}");
}

#[tokio::test]
async fn a_message_is_an_echo_with_usage() {
    let api = Api::start(Config::default()).await;
    let got = api.messages("hello", json!({})).await;
    let message = got.json();
    let output = echo("hello").chars().count().div_ceil(4);
    assert_eq!(message["type"], "message");
    assert_eq!(message["role"], "assistant");
    assert_eq!(message["model"], "claude-haiku-5-5");
    assert_eq!(
        message["content"],
        json!([{"type": "text", "text": echo("hello")}])
    );
    assert_eq!(message["stop_reason"], "end_turn");
    assert_eq!(
        message["usage"],
        json!({
            "input_tokens": 2,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": output,
            "output_tokens_details": {"thinking_tokens": 0},
            "service_tier": "standard",
        })
    );
    assert!(got.header("request-id").is_some());
}

#[tokio::test]
async fn a_streamed_message_has_all_events_and_the_same_text() {
    let api = Api::start(Config {
        chunk_chars: 7,
        ..Config::default()
    })
    .await;
    let got = api.messages("hello", json!({"stream": true})).await;
    assert_eq!(
        got.types(),
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
        ]
    );
    assert_eq!(
        got.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    assert_eq!(got.joined("/delta/text"), echo("hello"));
    let events = got.events();
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 2);
    assert_eq!(events[0]["message"]["usage"]["output_tokens"], 1);
    let delta = &events[events.len() - 2];
    assert_eq!(delta["delta"]["stop_reason"], "end_turn");
    assert_eq!(
        delta["usage"],
        api.messages("hello", json!({})).await.json()["usage"]
    );
}

#[tokio::test]
async fn thinking_preface_and_tool_call_share_a_message() {
    let rule = json!({
        "thinking": "where to look?",
        "preface": "Let me look.",
        "reply": {"tool_calls": [{"name": "read_file", "input": {"path": "{prompt}"}}]},
    });
    let api = Api::start_json(json!({"chunk_chars": 5, "rules": [rule]})).await;
    let got = api.messages("a.rs", json!({"stream": true})).await;
    assert_eq!(got.joined("/content_block/type"), "thinkingtexttool_use");
    assert_eq!(got.joined("/delta/thinking"), "where to look?");
    assert_eq!(got.joined("/delta/partial_json"), r#"{"path":"a.rs"}"#);
    let whole = api.messages("a.rs", json!({})).await.json();
    assert_eq!(whole["content"][2]["input"], json!({"path": "a.rs"}));
    assert_eq!(whole["stop_reason"], "tool_use");
    assert_eq!(
        whole["usage"]["output_tokens_details"]["thinking_tokens"],
        4
    );
}

#[tokio::test]
async fn output_ends_at_its_limit() {
    let api = Api::start(Config::default()).await;
    let message = api.messages("hello", json!({"max_tokens": 2})).await.json();
    assert_eq!(message["content"][0]["text"], echo("hello")[..8]);
    assert_eq!(message["stop_reason"], "max_tokens");
    assert_eq!(message["usage"]["output_tokens"], 2);
    let primed = api.messages("hello", json!({"max_tokens": 0})).await.json();
    assert_eq!(primed["content"], json!([]));
}

#[tokio::test]
async fn every_api_samples_the_schema_it_is_given() {
    let api = Api::start(Config::default()).await;
    let format = json!({"format": {"type": "json_schema", "schema": schema()}});
    let message = api
        .messages("hello", json!({"output_config": format}))
        .await
        .json();
    assert_sample(message["content"][0]["text"].as_str().unwrap());
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema()}});
    let completion = api
        .chat("hello", json!({"response_format": format}))
        .await
        .json();
    assert_sample(
        completion["choices"][0]["message"]["content"]
            .as_str()
            .unwrap(),
    );
    let format = json!({"format": {"type": "json_schema", "name": "x", "schema": schema()}});
    let response = api.responses("hello", json!({"text": format})).await.json();
    assert_sample(
        response["output"][0]["content"][0]["text"]
            .as_str()
            .unwrap(),
    );
}

#[tokio::test]
async fn tokens_are_counted_without_an_answer() {
    let api = Api::start(Config::default()).await;
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "x".repeat(401)}]});
    let got = api.send("/v1/messages/count_tokens", body).await;
    assert_eq!(got.json(), json!({"input_tokens": 101}));
    assert_eq!(api.mock.stats().requests["/v1/messages/count_tokens"], 1);
}

#[tokio::test]
async fn chat_answers_whole_and_streamed() {
    let api = Api::start(Config {
        chunk_chars: 7,
        ..Config::default()
    })
    .await;
    let whole = api.chat("hello", json!({})).await.json();
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["choices"][0]["message"]["content"], echo("hello"));
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");
    let options = json!({"stream": true, "stream_options": {"include_usage": true}});
    let got = api.chat("hello", options).await;
    assert_eq!(got.joined("/choices/0/delta/content"), echo("hello"));
    let events = got.events();
    let [.., finish, last] = events.as_slice() else {
        panic!("too few chunks")
    };
    assert_eq!(finish["choices"][0]["finish_reason"], "stop");
    assert_eq!(finish["usage"], Value::Null);
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], whole["usage"]);
    assert!(got.body.ends_with("data: [DONE]\n\n"));
    let unasked = api.chat("hello", json!({"stream": true})).await;
    assert!(!unasked.body.contains("usage"));
}

#[tokio::test]
async fn chat_streams_tool_calls_in_pieces() {
    let calls = json!([{"name": "a", "input": {"x": "12345678"}}, {"name": "b", "input": {}}]);
    let api =
        Api::start_json(json!({"chunk_chars": 5, "rules": [{"reply": {"tool_calls": calls}}]}))
            .await;
    let got = api.chat("hello", json!({"stream": true})).await;
    let call = "/choices/0/delta/tool_calls/0/function";
    assert_eq!(got.joined(&format!("{call}/name")), "ab");
    assert_eq!(
        got.joined(&format!("{call}/arguments")),
        r#"{"x":"12345678"}{}"#
    );
    let whole = api.chat("hello", json!({})).await.json();
    assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(
        whole["choices"][0]["message"]["tool_calls"][1]["function"]["arguments"],
        "{}"
    );
}

#[tokio::test]
async fn responses_answer_whole_and_streamed() {
    let api = Api::start(Config {
        chunk_chars: 7,
        ..Config::default()
    })
    .await;
    let whole = api.responses("hello", json!({})).await.json();
    assert_eq!(whole["object"], "response");
    assert_eq!(whole["output"][0]["content"][0]["text"], echo("hello"));
    let got = api.responses("hello", json!({"stream": true})).await;
    assert_eq!(
        got.types(),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(got.joined("/delta"), echo("hello"));
    let events = got.events();
    let response = &events.last().unwrap()["response"];
    assert_eq!(
        response["output"][0]["content"],
        whole["output"][0]["content"]
    );
    assert_eq!(response["usage"], whole["usage"]);
    let numbers: Vec<_> = events
        .iter()
        .map(|event| event["sequence_number"].as_u64().unwrap())
        .collect();
    assert!(numbers.into_iter().eq(0..events.len() as u64));
}

#[tokio::test]
async fn responses_stream_function_calls() {
    let rule = json!({"reply": {"tool_calls": [{"name": "a", "input": {"x": "12345678"}}]}});
    let api = Api::start_json(json!({"chunk_chars": 5, "rules": [rule]})).await;
    let got = api.responses("hello", json!({"stream": true})).await;
    assert_eq!(
        got.types()[2..],
        [
            "response.output_item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    assert_eq!(got.joined("/delta"), r#"{"x":"12345678"}"#);
    let events = got.events();
    let item = &events.last().unwrap()["response"]["output"][0];
    assert_eq!(item["type"], "function_call");
    assert_eq!(item["arguments"], r#"{"x":"12345678"}"#);
}

#[tokio::test]
async fn slow_streams_carry_the_same_bytes() {
    let fast = Api::start(Config::default()).await;
    let slow = Api::start_json(json!({"latency": {"first_byte_ms": 1, "chunk_ms": 1}})).await;
    let stream = json!({"stream": true});
    assert_eq!(
        slow.messages("hello", stream.clone()).await.body,
        fast.messages("hello", stream).await.body
    );
}

#[tokio::test]
async fn models_are_listed_in_the_words_of_each_vendor() {
    let any = Api::start(Config::default()).await;
    assert_eq!(any.get("/v1/models").await["data"][0]["id"], "gpt-6.1-sol");
    let api = Api::start_json(json!({"models": ["only-one"]})).await;
    assert_eq!(api.get("/v1/models").await["data"][0]["object"], "model");
    assert_eq!(api.messages("hello", json!({})).await.status, 404);
    assert_eq!(
        api.messages("hello", json!({"model": "only-one"}))
            .await
            .status,
        200
    );
}
