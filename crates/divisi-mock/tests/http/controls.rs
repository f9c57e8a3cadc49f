//! Limits, the quota wall, and the numbers afterwards.

use crate::client::{Api, messages, read};
use divisi_mock::{Config, MockThread, Stats, body_digest};
use serde_json::{Value, json};

#[tokio::test]
async fn rate_limits_are_shown_and_kept_for_each_model() {
    let limits = json!({
        "requests_per_second": 0.001,
        "requests_burst": 2,
        "input_tokens_per_minute": 6000,
        "output_tokens_per_minute": 600_000,
    });
    let api = Api::start_json(json!({"limits": limits})).await;
    let first = api.messages(&"x".repeat(4000), json!({})).await;
    assert_eq!(
        first.header("anthropic-ratelimit-requests-remaining"),
        Some("1")
    );
    assert_eq!(
        first.header("anthropic-ratelimit-input-tokens-limit"),
        Some("6000")
    );
    let remaining: u64 = first
        .header("anthropic-ratelimit-input-tokens-remaining")
        .unwrap()
        .parse()
        .unwrap();
    assert!(remaining >= 5000);
    assert_eq!(
        first.header("anthropic-ratelimit-tokens-limit"),
        Some("6000")
    );
    let reset = first.header("anthropic-ratelimit-requests-reset").unwrap();
    assert!(reset.starts_with("20") && reset.ends_with('Z'), "{reset}");
    api.messages("two", json!({})).await;
    let third = api.messages("three", json!({})).await;
    assert_eq!(third.status, 429);
    assert!(third.header("retry-after").unwrap().parse::<u64>().unwrap() > 500);
    assert_eq!(
        third.header("anthropic-ratelimit-requests-remaining"),
        Some("0")
    );
    assert_eq!(
        api.messages("four", json!({"model": "claude-sonnet-5-5"}))
            .await
            .status,
        200
    );
    let chat = api.chat("five", json!({})).await;
    assert_eq!(chat.header("x-ratelimit-remaining-requests"), Some("1"));
    assert!(
        chat.header("x-ratelimit-reset-tokens")
            .unwrap()
            .ends_with("ms")
    );
}

#[tokio::test]
async fn the_wall_stands_until_it_is_opened() {
    let api = Api::start_json(json!({"quota": {"after": 2, "answer": "spend_limit"}})).await;
    let mut statuses = Vec::new();
    for prompt in ["a", "b", "c", "d"] {
        statuses.push(api.messages(prompt, json!({})).await.status);
    }
    assert_eq!(statuses, [200, 200, 429, 429]);
    assert_eq!(
        api.send("/control/quota", json!({"open": true}))
            .await
            .status,
        204
    );
    assert_eq!(api.messages("c", json!({})).await.status, 200);
    api.mock.set_quota(false);
    assert_eq!(api.messages("d", json!({})).await.status, 402);
}

#[tokio::test]
async fn the_numbers_tell_what_was_received_and_answered() {
    let api = Api::start_json(json!({"rules": [{"times": 1, "fault": "overloaded"}]})).await;
    let body = messages("hello", json!({"stream": true}));
    for _ in 0..3 {
        api.send("/v1/messages", body.clone()).await;
    }
    api.chat("hello", json!({})).await;
    let stats: Stats = serde_json::from_value(api.get("/stats").await).unwrap();
    assert_eq!(stats, api.mock.stats());
    let digest = body_digest(&body);
    assert_eq!((stats.received[&digest], stats.answered[&digest]), (3, 2));
    assert_eq!(
        (
            stats.requests["/v1/messages"],
            stats.requests["/v1/chat/completions"]
        ),
        (3, 1)
    );
    assert_eq!((stats.statuses[&200], stats.statuses[&529]), (3, 1));
    assert_eq!(
        (
            stats.completed,
            stats.dropped,
            stats.in_flight,
            stats.in_flight_max
        ),
        (3, 0, 0, 1)
    );
    assert_eq!(stats.models["claude-haiku-5-5"], 3);
}

#[tokio::test]
async fn requests_at_the_same_time_are_counted() {
    let api = Api::start_json(json!({"rules": [{"fault": "hang"}]})).await;
    let ask = || api.messages("hello", json!({}));
    tokio::select! {
        _ = async { tokio::join!(ask(), ask(), ask()) } => panic!("it answered"),
        () = api.wait_until(|stats| stats.in_flight_max == 3) => {}
    }
}

#[tokio::test]
async fn the_last_requests_can_be_read_without_their_keys() {
    let api = Api::start_json(json!({"requests_kept_max": 2})).await;
    for prompt in ["a", "b", "c"] {
        let body = messages(prompt, json!({}));
        read(
            api.post("/v1/messages", &body)
                .header("x-api-key", "secret"),
        )
        .await;
    }
    let requests = api.get("/requests").await;
    let prompts: Vec<&Value> = requests
        .as_array()
        .unwrap()
        .iter()
        .map(|request| &request["body"]["messages"][0]["content"])
        .collect();
    assert_eq!(prompts, ["b", "c"]);
    assert_eq!(requests[0]["headers"]["x-api-key"], "[redacted]");
    assert_eq!(requests[0]["headers"]["anthropic-version"], "2023-06-01");
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let api = Api::start_json(json!({"quota": {"after": 1}})).await;
    api.messages("a", json!({})).await;
    assert_eq!(api.messages("b", json!({})).await.status, 402);
    assert_eq!(api.send("/reset", json!({})).await.status, 204);
    assert_eq!(api.mock.stats(), Stats::default());
    assert_eq!(api.messages("b", json!({})).await.status, 200);
}

#[test]
fn a_mock_can_have_its_own_thread() {
    let mock = MockThread::start(Config::default());
    let url = mock.url();
    let address = url.strip_prefix("http://").unwrap();
    assert!(std::net::TcpStream::connect(address).is_ok());
    assert_eq!(mock.stats(), Stats::default());
    drop(mock);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn dropping_a_mock_cuts_its_connections() {
    let api = Api::start_json(json!({"rules": [{"fault": "hang"}]})).await;
    let request = api.post("/v1/messages", &messages("hello", json!({})));
    let asking = tokio::spawn(request.send());
    api.wait_until(|stats| stats.in_flight == 1).await;
    drop(api);
    assert!(asking.await.unwrap().is_err());
}
