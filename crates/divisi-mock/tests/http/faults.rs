//! What goes wrong goes wrong in the ways of the vendors.

use crate::client::{Api, Got};
use serde_json::{Value, json};

async fn faulty(fault: &str) -> Api {
    Api::start_json(json!({"rules": [{"fault": fault}]})).await
}

async fn streamed(fault: &str) -> (Api, Got) {
    let api = faulty(fault).await;
    let got = api.messages("hello", json!({"stream": true})).await;
    (api, got)
}

#[tokio::test]
async fn every_error_has_the_status_and_type_of_its_vendor() {
    let expected = [
        (
            "bad_request",
            400,
            "invalid_request_error",
            400,
            Value::Null,
        ),
        (
            "authentication",
            401,
            "authentication_error",
            401,
            json!("invalid_api_key"),
        ),
        (
            "billing",
            402,
            "billing_error",
            402,
            json!("insufficient_quota"),
        ),
        (
            "permission",
            403,
            "permission_error",
            403,
            json!("permission_denied"),
        ),
        (
            "not_found",
            404,
            "not_found_error",
            404,
            json!("model_not_found"),
        ),
        (
            "too_large",
            413,
            "request_too_large",
            413,
            json!("request_too_large"),
        ),
        (
            "unprocessable",
            422,
            "invalid_request_error",
            422,
            Value::Null,
        ),
        (
            "rate_limit",
            429,
            "rate_limit_error",
            429,
            json!("rate_limit_exceeded"),
        ),
        (
            "spend_limit",
            429,
            "rate_limit_error",
            429,
            json!("insufficient_quota"),
        ),
        ("internal", 500, "api_error", 500, Value::Null),
        ("timeout", 504, "timeout_error", 504, json!("timeout")),
        (
            "overloaded",
            529,
            "overloaded_error",
            503,
            json!("server_is_overloaded"),
        ),
    ];
    for (fault, anthropic_status, anthropic_type, openai_status, openai_code) in expected {
        let api = faulty(fault).await;
        let anthropic = api.messages("hello", json!({"stream": true})).await;
        assert_eq!(anthropic.status, anthropic_status, "{fault}");
        assert_eq!(anthropic.json()["error"]["type"], anthropic_type, "{fault}");
        for openai in [
            api.chat("hello", json!({})).await,
            api.responses("hello", json!({})).await,
        ] {
            assert_eq!(openai.status, openai_status, "{fault}");
            assert_eq!(openai.json()["error"]["code"], openai_code, "{fault}");
        }
    }
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back_and_a_spend_limit_does_not() {
    let limited = faulty("rate_limit")
        .await
        .messages("hello", json!({}))
        .await;
    assert_eq!(limited.header("retry-after"), Some("1"));
    assert_eq!(
        limited.header("anthropic-ratelimit-requests-remaining"),
        Some("0")
    );
    let spent = faulty("spend_limit")
        .await
        .messages("hello", json!({}))
        .await;
    assert_eq!(spent.header("retry-after"), None);
    assert_eq!(
        spent.json()["error"]["details"]["error_code"],
        "enforced_spend_limit_reached"
    );
}

#[tokio::test]
async fn a_dropped_stream_breaks_off_after_some_events() {
    let (api, got) = streamed("drop_stream").await;
    assert!(got.broken);
    assert_eq!(got.types()[0], "message_start");
    api.wait_until(|stats| stats.dropped == 1).await;
    assert_eq!(api.mock.stats().completed, 0);
    assert!(api.mock.stats().tokens.output > 0);
}

#[tokio::test]
async fn a_stream_that_ends_early_looks_whole_to_http() {
    let (api, got) = streamed("end_early").await;
    assert!(!got.broken);
    assert!(!got.body.contains("message_stop"));
    api.wait_until(|stats| stats.dropped == 1).await;
}

#[tokio::test]
async fn an_error_can_come_after_the_status() {
    let (_api, got) = streamed("error_mid_stream").await;
    assert_eq!(got.status, 200);
    assert_eq!(
        got.events().last().unwrap()["error"]["type"],
        "overloaded_error"
    );
    let api = faulty("error_mid_stream").await;
    assert_eq!(api.messages("hello", json!({})).await.status, 529);
    let response = api.responses("hello", json!({"stream": true})).await;
    assert_eq!(response.events().last().unwrap()["type"], "error");
}

#[tokio::test]
async fn a_malformed_chunk_stands_between_good_ones() {
    let (_api, got) = streamed("malformed_chunk").await;
    let data = got
        .body
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    let bad = data.filter(|data| serde_json::from_str::<Value>(data).is_err());
    assert_eq!(bad.count(), 1);
    assert!(got.body.contains("message_stop"));
}

#[tokio::test]
async fn a_document_breaks_as_a_stream_does() {
    assert!(
        faulty("drop_stream")
            .await
            .messages("hello", json!({}))
            .await
            .broken
    );
    let cut = faulty("end_early").await.messages("hello", json!({})).await;
    assert!(serde_json::from_str::<Value>(&cut.body).is_err());
}

#[tokio::test]
async fn another_model_may_answer() {
    let (api, got) = streamed("wrong_model").await;
    assert_eq!(got.events()[0]["message"]["model"], "not-claude-haiku-5-5");
    assert_eq!(api.mock.stats().completed, 1);
}

#[tokio::test]
async fn a_client_that_gives_up_counts_as_dropped() {
    for fault in ["hang", "stall"] {
        let api = faulty(fault).await;
        tokio::select! {
            _ = api.messages("hello", json!({"stream": true})) => panic!("it answered"),
            () = api.wait_until(|stats| stats.in_flight == 1) => {}
        }
        api.wait_until(|stats| stats.in_flight == 0 && stats.dropped == 1)
            .await;
    }
}

#[tokio::test]
async fn random_faults_depend_on_the_seed_and_not_on_the_order() {
    let statuses = async |seed: u64, prompts: &[&str]| {
        let rates = json!({"seed": seed, "faults": [{"fault": "overloaded", "rate": 0.5}]});
        let api = Api::start_json(json!({"fault_rates": rates})).await;
        let mut statuses = Vec::new();
        for prompt in prompts {
            statuses.push((
                prompt.to_string(),
                api.messages(prompt, json!({})).await.status,
            ));
        }
        statuses.sort();
        statuses
    };
    let prompts = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mut reversed = prompts;
    reversed.reverse();
    let found = statuses(1, &prompts).await;
    assert_eq!(found, statuses(1, &reversed).await);
    assert_ne!(found, statuses(2, &prompts).await);
    assert!(
        found.iter().any(|(_, status)| *status == 200)
            && found.iter().any(|(_, status)| *status == 529)
    );
}
