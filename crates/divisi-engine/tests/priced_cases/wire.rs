//! The same from the bytes on: usage as the three wire formats write it.

use super::{TODAY, midnight, usd};
use divisi_core::PicoUsd;
use divisi_engine::Model;
use divisi_engine::prices::Catalogue;
use divisi_mock::{http, serve_raw};
use divisi_providers::{Anthropic, Endpoint, OpenAiChat, OpenAiResponses, Provider, Request};
use serde_json::{Value, json};
use std::sync::Arc;

#[derive(Clone, Copy)]
pub(super) enum Format {
    Messages,
    Responses,
    Chat,
}

/// The cost of one reply with this usage.
async fn cost(format: Format, model: &str, usage: Value, more: Value) -> u128 {
    let body = stream(format, model, usage, more);
    cost_at(format, "", model, body).await
}

/// The cost of one reply with this body, asked of the provider of this name; of the format's own
/// vendor if that is empty.
pub(super) async fn cost_at(format: Format, name: &str, model: &str, body: String) -> u128 {
    let provider = provider(format, name, serve(body));
    let model = Model {
        id: model.into(),
        free: false,
        tier: None,
        price: None,
        provider,
        governors: Default::default(),
    };
    let reply = model
        .provider
        .send(&Request::new(&*model.id, "hello", 100), &|_| {})
        .await
        .unwrap();
    let PicoUsd(cost) = Catalogue::default()
        .cost(&model, &reply, midnight(TODAY))
        .unwrap();
    cost.into()
}

fn provider(format: Format, name: &str, url: String) -> Arc<dyn Provider> {
    let at = |vendor: &str| Endpoint::new(if name.is_empty() { vendor } else { name }, &url);
    match format {
        Format::Messages => Arc::new(Anthropic::new(at("anthropic")).unwrap()),
        Format::Responses => Arc::new(OpenAiResponses::new(at("openai")).unwrap()),
        Format::Chat => Arc::new(OpenAiChat::new(at("openai")).unwrap()),
    }
}

/// The events of a reply. `more` is added next to the usage, where the service tier is named.
fn stream(format: Format, model: &str, usage: Value, more: Value) -> String {
    let events = match format {
        Format::Messages => vec![
            json!({"type": "message_start", "message": {"model": model, "usage": usage}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}),
            json!({"type": "message_stop"}),
        ],
        Format::Responses => {
            vec![
                json!({"type": "response.completed", "response": merged(json!({"model": model, "usage": usage}), more)}),
            ]
        }
        Format::Chat => vec![merged(
            json!({"model": model, "usage": usage, "choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}),
            more,
        )],
    };
    let events: String = events
        .iter()
        .map(|event| format!("data: {event}\n\n"))
        .collect();
    events
        + if matches!(format, Format::Chat) {
            "data: [DONE]\n\n"
        } else {
            ""
        }
}

pub(super) fn merged(mut value: Value, more: Value) -> Value {
    let fields = more.as_object().cloned().unwrap_or_default();
    value.as_object_mut().unwrap().extend(fields);
    value
}

/// Answers requests with `body`.
fn serve(body: String) -> String {
    serve_raw(move |_| http("200 OK", "text/event-stream", &body))
}

#[tokio::test]
async fn messages_leave_the_cached_part_out_of_the_input() {
    let of = async |model, usage| cost(Format::Messages, model, usage, json!({})).await;
    let usage = json!({
        "input_tokens": 120, "output_tokens": 900, "output_tokens_details": {"thinking_tokens": 600},
        "cache_creation_input_tokens": 5_000, "cache_read_input_tokens": 40_000,
        "cache_creation": {"ephemeral_5m_input_tokens": 1_000, "ephemeral_1h_input_tokens": 4_000},
        "service_tier": "standard", "inference_geo": "not_available"
    });
    let expected = 120 * usd("2")
        + 1_000 * usd("2.50")
        + 4_000 * usd("4")
        + 40_000 * usd("0.10")
        + 900 * usd("10");
    assert_eq!(of("claude-sonnet-5-5", usage.clone()).await, expected);

    // Only together do the parts pass the threshold.
    let over =
        json!({"input_tokens": 60_000, "cache_read_input_tokens": 40_001, "output_tokens": 10});
    let expected = 60_000 * usd("0.50") + 40_001 * usd("0.05") + 10 * usd("2.50");
    assert_eq!(of("claude-haiku-5-5", over).await, expected);

    let no_lives = json!({"input_tokens": 1, "cache_creation_input_tokens": 9, "cache_creation": null, "output_tokens": 2});
    assert_eq!(
        of("claude-opus-5-5", no_lives).await,
        usd("4") + 9 * usd("5") + 2 * usd("20")
    );
}

#[tokio::test]
async fn messages_say_how_they_were_served() {
    let of = async |usage| cost(Format::Messages, "claude-opus-5-5", usage, json!({})).await;
    let list = 1_000 * usd("4") + 10 * usd("20");
    let usage = |more: Value| merged(json!({"input_tokens": 1_000, "output_tokens": 10}), more);
    assert_eq!(of(usage(json!({"service_tier": "batch"}))).await, list / 2);
    assert_eq!(of(usage(json!({"speed": "fast"}))).await, list * 2);
    assert_eq!(
        of(usage(json!({"inference_geo": "us"}))).await,
        list * 11 / 10
    );
    assert_eq!(
        of(usage(json!({"speed": "fast", "inference_geo": "us"}))).await,
        list * 2 * 11 / 10
    );
    // 3 tokens read for 0.2 µ$ each, half of it in a batch, a tenth more: 330,000 picodollars.
    let odd = json!({"input_tokens": 0, "cache_read_input_tokens": 3, "output_tokens": 0,
        "service_tier": "batch", "inference_geo": "us"});
    assert_eq!(of(odd).await, 3 * usd("0.20") * 11 / 20);
}

#[tokio::test]
async fn responses_include_the_cached_part_in_the_input() {
    let of = async |usage, more| cost(Format::Responses, "gpt-6.1-sol", usage, more).await;
    let usage = json!({
        "input_tokens": 10_000, "output_tokens": 500, "output_tokens_details": {"reasoning_tokens": 400},
        "input_tokens_details": {
            "cached_tokens": 6_000, "cache_write_tokens": 3_000,
            "cache_write_tokens_details": {"ttl_30m_tokens": 2_000, "ttl_12h_tokens": 1_000}
        }
    });
    let list = 1_000 * usd("2")
        + 2_000 * usd("2.50")
        + 1_000 * usd("5")
        + 6_000 * usd("0.10")
        + 500 * usd("10");
    assert_eq!(of(usage.clone(), json!({})).await, list);
    assert_eq!(
        of(usage.clone(), json!({"service_tier": "default"})).await,
        list
    );
    assert_eq!(
        of(usage.clone(), json!({"service_tier": "flex"})).await,
        list / 2
    );
    assert_eq!(
        of(usage, json!({"service_tier": "priority"})).await,
        list * 2
    );
    let over = json!({"input_tokens": 272_001, "input_tokens_details": {"cached_tokens": 272_000}, "output_tokens": 2});
    assert_eq!(
        of(over, json!({})).await,
        usd("4") + 272_000 * usd("0.20") + 2 * usd("15")
    );
}

#[tokio::test]
async fn chat_completions_do_so_too() {
    let of = async |usage, more| cost(Format::Chat, "gpt-6-luna", usage, more).await;
    let usage = json!({
        "prompt_tokens": 2_000, "completion_tokens": 70, "completion_tokens_details": {"reasoning_tokens": 50},
        "prompt_tokens_details": {"cached_tokens": 1_200, "cache_write_tokens": 500}
    });
    let list = 300 * usd("0.10") + 500 * usd("0.125") + 1_200 * usd("0.01") + 70 * usd("0.50");
    assert_eq!(of(usage.clone(), json!({})).await, list);
    assert_eq!(of(usage, json!({"service_tier": "fast"})).await, list * 2);
    let plain = json!({"prompt_tokens": 10, "completion_tokens": 1});
    assert_eq!(of(plain, json!({})).await, 10 * usd("0.10") + usd("0.50"));
}
