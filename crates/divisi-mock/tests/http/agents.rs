//! A conversation with tools goes as the script says.

use crate::client::{Api, messages};
use divisi_mock::{Config, Reply, Rule, When, text_digest};
use serde_json::{Value, json};

async fn reader() -> Api {
    let config = Config::default()
        .rule(Rule::new(
            When::prompt("audit").tool_result(false),
            Reply::tool_call("read_file", json!({"path": "src/lib.rs"})),
        ))
        .rule(Rule::new(
            When::prompt("audit"),
            Reply::text("{turn} {tool_result_digest}"),
        ));
    Api::start(config).await
}

/// The conversation after a message was answered with `content`, and its tool call with `result`.
fn second_turn(content: &Value, result: &str) -> Value {
    let id = &content[0]["id"];
    let results = json!([{"type": "tool_result", "tool_use_id": id, "content": result}]);
    messages(
        "",
        json!({"messages": [
            {"role": "user", "content": "audit this"},
            {"role": "assistant", "content": content},
            {"role": "user", "content": results},
        ]}),
    )
}

#[tokio::test]
async fn the_second_turn_proves_that_the_tool_result_arrived() {
    let api = reader().await;
    let first = api.messages("audit this", json!({})).await.json();
    assert_eq!(first["stop_reason"], "tool_use");
    let second = api
        .send(
            "/v1/messages",
            second_turn(&first["content"], "pub fn main()"),
        )
        .await
        .json();
    assert_eq!(second["stop_reason"], "end_turn");
    assert_eq!(
        second["content"][0]["text"],
        format!("1 {}", text_digest("pub fn main()"))
    );
}

#[tokio::test]
async fn chat_and_responses_know_turns_too() {
    let api = reader().await;
    let expected = format!("1 {}", text_digest("found"));
    let message = api.chat("audit this", json!({})).await.json()["choices"][0]["message"].clone();
    let chat = api.chat(
        "",
        json!({"messages": [
            {"role": "user", "content": "audit this"},
            message,
            {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "found"},
        ]}),
    );
    assert_eq!(
        chat.await.json()["choices"][0]["message"]["content"],
        expected
    );
    let call = api.responses("audit this", json!({})).await.json()["output"][0].clone();
    let response = api.responses(
        "",
        json!({"input": [
            {"role": "user", "content": "audit this"},
            call,
            {"type": "function_call_output", "call_id": call["call_id"], "output": "found"},
        ]}),
    );
    assert_eq!(
        response.await.json()["output"][0]["content"][0]["text"],
        expected
    );
}

#[tokio::test]
async fn a_tool_call_without_its_result_is_rejected() {
    let api = reader().await;
    let first = api.messages("audit this", json!({})).await.json();
    let mut body = second_turn(&first["content"], "x");
    body["messages"][2]["content"][0]["tool_use_id"] = "toolu_other".into();
    assert_eq!(api.send("/v1/messages", body.clone()).await.status, 400);
    body["messages"][2]["content"] = "never mind".into();
    assert_eq!(api.send("/v1/messages", body).await.status, 400);
}

#[tokio::test]
async fn thinking_has_to_come_back_as_it_was() {
    let api =
        Api::start_json(json!({"rules": [{"thinking": "hm", "reply": {"text": "well"}}]})).await;
    let first = api.messages("hello", json!({})).await.json();
    let mut next = messages(
        "",
        json!({"messages": [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": first["content"]},
            {"role": "user", "content": "go on"},
        ]}),
    );
    assert_eq!(api.send("/v1/messages", next.clone()).await.status, 200);
    next["messages"][1]["content"][0]["thinking"] = "changed".into();
    assert_eq!(api.send("/v1/messages", next).await.status, 400);
}

#[tokio::test]
async fn a_rule_steps_aside_when_it_is_used_up() {
    let api = Api::start_json(json!({"rules": [
        {"when": {"any_contains": "be brief"}, "times": 2, "reply": {"text": "first"}},
        {"reply": {"text": "then"}},
    ]}))
    .await;
    let mut texts = Vec::new();
    for _ in 0..3 {
        let message = api
            .messages("hello", json!({"system": "be brief"}))
            .await
            .json();
        texts.push(message["content"][0]["text"].as_str().unwrap().to_owned());
    }
    assert_eq!(texts, ["first", "first", "then"]);
}
