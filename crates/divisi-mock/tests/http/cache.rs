//! Prefixes can be read back from when the first answer has begun.

use crate::client::{Api, Got};
use divisi_mock::{Config, Latency, Reply, Rule, When};
use serde_json::{Value, json};

fn system(chars: usize) -> Value {
    json!([{"type": "text", "text": "s".repeat(chars), "cache_control": {"type": "ephemeral"}}])
}

/// Written, read and fresh tokens.
fn usage(got: &Got) -> [u64; 3] {
    let usage = &got.json()["usage"];
    [
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "input_tokens",
    ]
    .map(|name| usage[name].as_u64().unwrap())
}

#[tokio::test]
async fn two_at_once_both_write_and_a_third_reads() {
    let slow = Latency {
        first_byte_ms: 500,
        ..Latency::default()
    };
    let api = Api::start(
        Config::default().rule(Rule::new(When::prompt("one"), Reply::Auto).latency(slow)),
    )
    .await;
    let options = json!({"system": system(4000)});
    let second = async {
        api.wait_until(|stats| stats.in_flight == 1).await;
        api.messages("two!", options.clone()).await
    };
    let (first, second) = tokio::join!(api.messages("one!", options.clone()), second);
    assert_eq!(usage(&first), [1000, 0, 1]);
    assert_eq!(usage(&second), [1000, 0, 1]);
    assert_eq!(usage(&api.messages("three", options).await), [0, 1000, 2]);
    let tokens = api.mock.stats().tokens;
    assert_eq!(
        [tokens.cache_write_short, tokens.cache_read, tokens.input],
        [2000, 1000, 4]
    );
}

#[tokio::test]
async fn an_answer_that_never_begins_makes_nothing_readable() {
    let rule = json!({"when": {"prompt_contains": "one"}, "fault": "hang"});
    let api = Api::start_json(json!({"rules": [rule]})).await;
    let options = json!({"system": system(4000)});
    tokio::select! {
        _ = api.messages("one", options.clone()) => panic!("it answered"),
        () = api.wait_until(|stats| stats.in_flight == 1) => {}
    }
    assert_eq!(usage(&api.messages("two!", options).await), [1000, 0, 1]);
}

#[tokio::test]
async fn entries_of_an_hour_are_reported_apart_and_small_prefixes_not_at_all() {
    let api = Api::start(Config::default()).await;
    let mut long = system(4000);
    long[0]["cache_control"]["ttl"] = "1h".into();
    let got = api.messages("hello", json!({"system": long})).await.json();
    let creation = json!({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 1000});
    assert_eq!(got["usage"]["cache_creation"], creation);
    assert_eq!(
        usage(&api.messages("some", json!({"system": system(400)})).await),
        [0, 0, 101]
    );
}

#[tokio::test]
async fn the_whole_request_can_be_cached_at_once() {
    let api = Api::start(Config::default()).await;
    let options = json!({"cache_control": {"type": "ephemeral"}});
    let prompt = "p".repeat(4000);
    assert_eq!(
        usage(&api.messages(&prompt, options.clone()).await),
        [1000, 0, 0]
    );
    assert_eq!(usage(&api.messages(&prompt, options).await), [0, 1000, 0]);
}

#[tokio::test]
async fn openai_caches_unasked_and_includes_it_in_the_prompt() {
    let api = Api::start(Config::default()).await;
    let long = "s".repeat(8000);
    let ask = async |prompt: &str| {
        let messages =
            json!([{"role": "system", "content": long}, {"role": "user", "content": prompt}]);
        let usage = api.chat("", json!({"messages": messages})).await.json()["usage"].clone();
        (
            usage["prompt_tokens"].clone(),
            usage["prompt_tokens_details"]["cached_tokens"].clone(),
        )
    };
    assert_eq!(ask("one!").await, (json!(2001), json!(0)));
    assert_eq!(ask("two!").await, (json!(2001), json!(2000)));
}
