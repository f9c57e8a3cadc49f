//! The other vendors, from the bytes on: reasoning beside the output, cache hits under other names,
//! usage in other places of the stream, a bill that the reply states.

use super::wire::{Format, cost_at, merged};
use super::{Case, case, tokens, usd};
use divisi_core::price::Service::Batch;
use serde_json::{Value, json};

pub(super) fn cases() -> Vec<Case> {
    vec![
        case(
            "mistral before its cut",
            "mistral",
            "mistral-large-4",
            tokens(100, 0, 0, 40, 10),
            100 * usd("1.36") + 40 * usd("0.14") + 10 * usd("4.18"),
        )
        .on("2026-10-28"),
        case(
            "mistral since",
            "mistral",
            "mistral-large-4",
            tokens(100, 0, 0, 40, 10),
            100 * usd("0.70") + 40 * usd("0.07") + 10 * usd("2.10"),
        ),
        case(
            "mistral by its other name",
            "mistral",
            "mistral-large-4-0",
            tokens(100, 0, 0, 40, 10),
            100 * usd("0.70") + 40 * usd("0.07") + 10 * usd("2.10"),
        ),
        case(
            "a Gemini of OpenRouter",
            "openrouter",
            "google/gemini-3.8-flash",
            tokens(100, 0, 0, 40, 10),
            100 * usd("0.75") + 40 * usd("0.075") + 10 * usd("3.75"),
        ),
        case(
            "mistral's latest",
            "mistral",
            "mistral-large-latest",
            tokens(100, 0, 0, 40, 10),
            100 * usd("0.50") + 40 * usd("0.05") + 10 * usd("1.50"),
        ),
        case(
            "mistral in a batch",
            "mistral",
            "mistral-medium-3-5",
            tokens(100, 0, 0, 0, 10),
            100 * usd("0.75") + 10 * usd("3.75"),
        )
        .served(Batch),
        case(
            "xai's threshold",
            "xai",
            "grok-4.7",
            tokens(199_999, 0, 0, 0, 10),
            199_999 * usd("2") + 10 * usd("6"),
        ),
        case(
            "xai at the threshold",
            "xai",
            "grok-4.7",
            tokens(100_000, 0, 0, 100_000, 10),
            100_000 * usd("4") + 100_000 * usd("1") + 10 * usd("12"),
        ),
        case(
            "xai in a batch",
            "xai",
            "grok-4.3",
            tokens(100, 0, 0, 10, 10),
            100 * usd("1") + 10 * usd("0.16") + 10 * usd("2"),
        )
        .served(Batch),
        case(
            "a retired model of xai",
            "xai",
            "grok-code-fast-1",
            tokens(100, 0, 0, 10, 10),
            100 * usd("1") + 10 * usd("0.20") + 10 * usd("2"),
        ),
        case(
            "deepseek at night",
            "deepseek",
            "deepseek-flash",
            tokens(100, 0, 0, 50, 10),
            100 * usd("0.15") + 50 * usd("0.003") + 10 * usd("0.60"),
        ),
        case(
            "moonshot",
            "moonshot",
            "kimi-k2.6",
            tokens(100, 0, 0, 50, 10),
            100 * usd("0.95") + 50 * usd("0.16") + 10 * usd("4"),
        ),
        case(
            "moonshot with cache writes",
            "moonshotai",
            "kimi-k3.1-pro",
            tokens(100, 20, 30, 50, 10),
            100 * usd("2") + 20 * usd("2") + 30 * usd("4") + 50 * usd("0.20") + 10 * usd("10"),
        ),
    ]
}

/// A chunk with content; `more` is added to its choice.
fn said(model: &str, more: Value) -> Value {
    let choice = json!({"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"});
    json!({"model": model, "choices": [merged(choice, more)]})
}

/// The forms in which usage arrives: with the last content, in a chunk of its own without choices,
/// in the choice, in a reply that is not streamed.
fn forms(model: &str, usage: &Value) -> Vec<String> {
    let stream = |chunks: &[Value]| {
        let chunks: String = chunks
            .iter()
            .map(|chunk| format!("data: {chunk}\n\n"))
            .collect();
        chunks + "data: [DONE]\n\n"
    };
    let beside = merged(said(model, json!({})), json!({"usage": usage}));
    let alone = json!({"model": model, "choices": [], "usage": usage});
    let empty = json!({"model": model, "choices": [], "usage": null});
    let whole = json!({"object": "chat.completion", "model": model, "usage": usage,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]});
    vec![
        stream(&[beside]),
        stream(&[said(model, json!({})), alone]),
        stream(&[empty, said(model, json!({"usage": usage}))]),
        whole.to_string(),
    ]
}

async fn costs(name: &str, model: &str, usage: Value, expected: u128) {
    for body in forms(model, &usage) {
        let cost = cost_at(Format::Chat, name, model, body.clone()).await;
        assert_eq!(cost, expected, "{name}: {body}");
    }
}

#[tokio::test]
async fn xai_counts_reasoning_beside_the_output_and_states_its_bill() {
    let usage = json!({"prompt_tokens": 1_000, "completion_tokens": 200, "total_tokens": 1_500,
        "prompt_tokens_details": {"cached_tokens": 400}, "completion_tokens_details": {"reasoning_tokens": 300}});
    let list = 600 * usd("2") + 400 * usd("0.50") + 500 * usd("6");
    costs("xai", "grok-4.7", usage.clone(), list).await;
    let mut without_total = usage.clone();
    without_total["total_tokens"] = Value::Null;
    costs("x-ai", "grok-4.7", without_total.clone(), list).await;
    without_total["completion_tokens_details"]["reasoning_tokens"] = 100.into();
    let fewer = 600 * usd("2") + 400 * usd("0.50") + 300 * usd("6");
    costs("xai", "grok-4.7", without_total, fewer).await;
    // A tick is a hundred picodollars.
    let stated = merged(usage, json!({"cost_in_usd_ticks": 37_756_000}));
    costs("xai", "grok-4.7", stated, 3_775_600_000).await;
}

#[tokio::test]
async fn gemini_leaves_thoughts_out_of_the_output() {
    let list = 100 * usd("2") + 905 * usd("10");
    let by_total = json!({"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 1_005});
    costs("gemini", "gemini-4-argon", by_total, list).await;
    let by_details = json!({"prompt_tokens": 100, "completion_tokens": 5,
        "completion_tokens_details": {"reasoning_tokens": 900}});
    costs("google", "gemini-4-argon", by_details, list).await;
    let few = json!({"prompt_tokens": 100, "completion_tokens": 50,
        "completion_tokens_details": {"reasoning_tokens": 40}});
    let expected = 100 * usd("2") + 90 * usd("10");
    costs("gemini", "gemini-4-argon", few, expected).await;
    let own = json!({"promptTokenCount": 100, "cachedContentTokenCount": 30, "candidatesTokenCount": 5,
        "thoughtsTokenCount": 7, "totalTokenCount": 112});
    let expected = 70 * usd("2") + 30 * usd("0.10") + 12 * usd("10");
    costs("gemini", "gemini-4-argon", own, expected).await;
}

#[tokio::test]
async fn cache_hits_have_many_names() {
    let list =
        |input: &str, read: &str, output: &str| 36 * usd(input) + 64 * usd(read) + 5 * usd(output);
    let counts = |more: Value| merged(json!({"prompt_tokens": 100, "completion_tokens": 5}), more);
    let deepseek = counts(json!({"prompt_cache_hit_tokens": 64, "prompt_cache_miss_tokens": 36}));
    costs(
        "deepseek",
        "deepseek-flash",
        deepseek,
        list("0.15", "0.003", "0.60"),
    )
    .await;
    let moonshot = list("0.95", "0.16", "4");
    costs(
        "moonshot",
        "kimi-k2.6",
        counts(json!({"cached_tokens": 64})),
        moonshot,
    )
    .await;
    let details = counts(json!({"prompt_tokens_details": {"cached_tokens": 64}}));
    costs("kimi", "kimi-k2.6", details, moonshot).await;
    let mistral = list("0.70", "0.07", "2.10");
    costs(
        "mistral",
        "mistral-large-4",
        counts(json!({"num_cached_tokens": 64})),
        mistral,
    )
    .await;
    let absent = counts(json!({"prompt_tokens_details": null, "completion_tokens_details": null}));
    let uncached = 100 * usd("0.70") + 5 * usd("2.10");
    costs("mistral", "mistral-large-4", absent, uncached).await;
}

#[tokio::test]
async fn openrouter_states_its_bill() {
    let usage = |more: Value| {
        merged(
            json!({"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}),
            more,
        )
    };
    let model = "anthropic/claude-opus-5.5";
    let list = 1_000 * usd("4") + 100 * usd("20");
    costs("openrouter", model, usage(json!({})), list).await;
    // A free or an unknown cost is no bill of a priced model.
    costs("openrouter", model, usage(json!({"cost": 0})), list).await;
    let cost = json!({"cost": 0.0026, "cost_details": {"upstream_inference_cost": null}});
    costs("openrouter", model, usage(cost.clone()), 2_600_000_000).await;
    let own_key = json!({"cost": 0.0003, "is_byok": true, "cost_details": {"upstream_inference_cost": 0.006}});
    costs("openrouter", model, usage(own_key), 6_300_000_000).await;
    // Only vendors of the table state a bill.
    let expected = 1_000 * usd("4") + 100 * usd("20");
    costs("corp", "claude-opus-5-5", usage(cost), expected).await;
}

#[tokio::test]
async fn responses_may_count_beside_the_response() {
    let usage = json!({"input_tokens": 100, "output_tokens": 10, "input_tokens_details": null, "output_tokens_details": {}});
    let list = 100 * usd("2") + 10 * usd("10");
    let content = json!([{"type": "message", "content": [{"type": "output_text", "text": "x"}]}]);
    let done = json!({"model": "gpt-6.2-sol", "status": "completed", "output": content});
    let stream = |events: &[Value]| -> String {
        events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect()
    };
    let with_usage = merged(done.clone(), json!({"usage": usage}));
    let early = json!({"model": "gpt-6.2-sol", "usage": usage, "service_tier": "default"});
    for body in [
        stream(&[json!({"type": "response.completed", "response": with_usage})]),
        stream(&[json!({"type": "response.completed", "response": done, "usage": usage})]),
        stream(&[
            json!({"type": "response.in_progress", "response": early}),
            json!({"type": "response.completed", "response": done}),
        ]),
        merged(with_usage.clone(), json!({"object": "response"})).to_string(),
    ] {
        let cost = cost_at(Format::Responses, "", "gpt-6.2-sol", body.clone()).await;
        assert_eq!(cost, list, "{body}");
    }
    let tier = json!({"type": "response.created", "response": {"service_tier": "ultrafast"}});
    let body = stream(&[
        tier,
        json!({"type": "response.completed", "response": with_usage}),
    ]);
    assert_eq!(
        cost_at(Format::Responses, "", "gpt-6.2-sol", body).await,
        6 * list
    );
}
