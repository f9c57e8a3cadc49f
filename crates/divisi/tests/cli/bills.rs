//! What replies cost, from the bytes of a vendor to what the user is shown.

use crate::home::Home;
use divisi_mock::{Config, MockThread, http, serve_raw};

/// A server that answers every request with this body; returns its address.
fn serve(body: &'static str) -> String {
    serve_raw(move |_| http("200 OK", "application/json", body))
}

/// Settings with one provider at `url`, trusted.
fn home(name: &str, url: &str, more: &str) -> Home {
    let home = Home::new().variable("ANTHROPIC_API_KEY", "sk-ant-a-key-of-the-vendor");
    home.write(
        "divisi.toml",
        &format!("provider = '{name}'\nestimate = false\nlocal = false\n[providers.{name}]\nbase_url = '{url}'\n{more}"),
    );
    home.ends(0, &["trust"]);
    home
}

fn bill(home: &Home) -> serde_json::Value {
    serde_json::from_str(&home.ends(0, &["cost", "--json"]).stdout).unwrap()
}

#[test]
fn a_reply_without_counts_is_estimated_and_marked_wherever_its_cost_stands() {
    let url = serve(
        r#"{"object": "chat.completion", "model": "m1", "choices":
            [{"index": 0, "message": {"role": "assistant", "content": "twelve chars"}, "finish_reason": "stop"}]}"#,
    );
    let more = "kind = 'openai-chat'\n[prices.m1]\ninput = 1000.0\noutput = 1000.0\n";
    let home = home("lab", &url, more);
    let said = home.ends(
        0,
        &[
            "map",
            "Review {}",
            "a",
            "--model",
            "m1",
            "--max-cost",
            "$900",
        ],
    );
    let summary = said.stdout + &said.stderr;
    assert!(summary.contains(" is estimated"), "{summary}");
    let bill = bill(&home);
    let estimated = bill["total"]["estimated"].as_f64().unwrap();
    assert!(
        estimated > 0.0 && bill["total"]["cost"] == estimated,
        "{bill}"
    );
    let text = home.ends(0, &["cost"]).stdout;
    assert!(
        text.contains("is estimated") && text.contains("~$"),
        "{text}"
    );
    let text = home.ends(0, &["runs"]).stdout;
    assert!(text.contains(" ~$"), "{text}");
    let text = home.ends(0, &["show"]).stdout;
    assert!(
        text.contains("is estimated") && text.contains("~$"),
        "{text}"
    );
}

#[test]
fn a_bill_that_the_vendor_states_is_the_cost() {
    let url = serve(
        r#"{"object": "chat.completion", "model": "anthropic/claude-opus-5.5", "choices":
            [{"index": 0, "message": {"role": "assistant", "content": "done"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100, "cost": 0.0026}}"#,
    );
    let home = home("openrouter", &url, "");
    home.ends(0, &["map", "Review {}", "a", "--model", "opus"]);
    let bill = bill(&home);
    assert_eq!(bill["total"]["cost"], 0.0026, "{bill}");
    assert_eq!(bill["total"]["estimated"], serde_json::Value::Null);
}

#[test]
fn a_gateway_under_a_vendors_name_has_its_tiers_prices_and_key() {
    let mock = MockThread::start(Config::default());
    let home = home("anthropic", &mock.url(), "");
    home.ends(0, &["map", "Review {}", "a", "--model", "haiku"]);
    let bill = bill(&home);
    assert!(bill["total"]["cost"].as_f64().unwrap() > 0.0, "{bill}");
    let request = &mock.requests()[0];
    assert_eq!(request.body["model"], "claude-haiku-5-5");
}

#[test]
fn two_providers_that_know_every_model_do_not_spoil_the_bill() {
    let mock = MockThread::start(Config::default());
    let home = Home::new();
    let provider = |name: &str| {
        format!(
            "[providers.{name}]\nkind = 'openai-chat'\nbase_url = '{}/v1'\nmodels = ['*']\n",
            mock.url()
        )
    };
    home.write(
        "divisi.toml",
        &format!(
            "provider = 'second'\nlocal = false\n{}{}[prices.'second:ours']\ninput = 2.0\noutput = 3.0\n",
            provider("first"),
            provider("second"),
        ),
    );
    home.ends(0, &["trust"]);
    home.ends(0, &["map", "Review {}", "a", "--model", "ours"]);
    let bill = bill(&home);
    assert_eq!(bill["unpriced"]["input"], 0, "{bill}");
    assert!(
        bill["classes"]["input"]["cost"].as_f64().unwrap() > 0.0,
        "{bill}"
    );
    assert_eq!(bill["beside_the_list"]["more"], 0, "{bill}");
}

#[test]
fn a_newer_public_list_is_used_from_then_on_and_named() {
    let home = Home::with(
        "list.json",
        r#"{"claude-haiku-5-5": {"litellm_provider": "anthropic",
            "input_cost_per_token": 3e-07, "output_cost_per_token": 7e-07}}"#,
    );
    let said = home.ends(0, &["models", "--update", "list.json"]);
    assert!(
        said.stderr.contains("1 models of litellm"),
        "{}",
        said.stderr
    );
    let listing = home.ends(0, &["models"]).stdout;
    assert!(
        listing.contains("litellm, loaded from list.json"),
        "{listing}"
    );
    assert!(listing.contains("0.30"), "{listing}");
    home.write("no-list.json", "{}");
    let refused = home.ends(1, &["models", "--update", "no-list.json"]).stderr;
    insta::assert_snapshot!(refused, @r"
    error: no-list.json is no price list
      caused by: it is neither a list of genai-prices nor one of LiteLLM
      hint: lists are read as they are published: prices/data.json of genai-prices, and model_prices_and_context_window.json of LiteLLM
    ");
}
