//! Money, end to end: what the ledger says is what the mock would bill.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;
#[path = "support/money.rs"]
mod ledger;

use divisi_mock::{Breakage, Config, ErrorKind, Reply, Rule, When};
use ledger::{bill, pico, prices, said};
use serde_json::Value;
use support::{FILES, Machine, whole_args, whole_flow};

#[test]
fn the_ledger_equals_the_bill_to_the_last_unit() {
    let mut config = whole_flow(0);
    let refusals = [("Extract the finding", ErrorKind::Overloaded), ("Verify about", ErrorKind::RateLimit)];
    for (prompt, kind) in refusals {
        config.rules.insert(0, Rule::fault(When::prompt(prompt), kind).times(3));
    }
    let machine = Machine::new(prices(config));
    let run = machine.run(&["run", "crates/divisi/tests/flows/whole.js", "--args", &whole_args()]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));

    let stats = machine.mock.stats();
    assert!(stats.tokens.cache_read > 0 && stats.tokens.cache_write_short > 0, "{:?}", stats.tokens);
    assert_eq!(stats.statuses.iter().filter(|(status, _)| **status != 200).map(|(_, n)| n).sum::<u64>(), 6);
    let bill = bill(&machine);
    assert!(stats.cost_pico > 0);
    assert_eq!(pico(&bill["total"]["cost"]), stats.cost_pico);
    assert_eq!(bill["total"]["usage"]["cache_read"], stats.tokens.cache_read);

    // Every breakdown is of the same money.
    let sum = |parts: &Value| parts.as_array().unwrap().iter().map(|part| pico(&part["cost"])).sum::<u128>();
    for breakdown in ["phases", "models", "attempts"] {
        assert_eq!(sum(&bill[breakdown]), stats.cost_pico, "{breakdown}");
    }
    let classes = bill["classes"].as_object().unwrap();
    assert_eq!(classes.values().map(|class| pico(&class["cost"])).sum::<u128>(), stats.cost_pico);
    assert_eq!(bill["beside_the_list"], serde_json::json!({"more": 0, "less": 0}));
    assert_eq!(bill["tasks"].as_array().unwrap().len(), 10);
    assert_eq!(bill["tasks_left_out"], FILES * 3 + 5 - 10);
    assert_eq!(bill["saved"]["models"]["strongest"], "claude-fable-5-2");

    let shown = said(&machine.run(&["cost"]));
    for words in ["by caching", "cache reads", "claude-haiku-5-5", "Audit"] {
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn a_request_that_was_never_answered_is_settled_above_its_bill() {
    let cut = Rule::fault(When::prompt("Say one"), Breakage::DropStream).times(1);
    let machine = Machine::new(prices(Config::default().rule(cut)));
    let run = machine.run(&["map", "Say {}", "one", "two", "--model", "haiku"]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let bill = bill(&machine);
    assert!(pico(&bill["total"]["cost"]) >= machine.mock.stats().cost_pico);
    let attempts = bill["attempts"].as_array().unwrap();
    let names: Vec<&str> = attempts.iter().map(|attempt| attempt["name"].as_str().unwrap()).collect();
    assert!(names.iter().any(|name| name.starts_with("unanswered")), "{names:?}");
}

#[test]
fn another_model_than_the_one_asked_is_told_of() {
    let other = Rule::fault(When::any(), Breakage::WrongModel);
    let machine = Machine::new(prices(Config::default().rule(other)));
    let run = said(&machine.run(&["map", "Say {}", "one", "two", "three", "--model", "haiku"]));
    let warning = "warning: claude-haiku-5-5 was asked, but not-claude-haiku-5-5 answered";
    assert_eq!(run.matches(warning).count(), 1, "{run}");
    assert!(run.contains("other model: not-claude-haiku-5-5 answered 3 tasks"), "{run}");
    let shown = said(&machine.run(&["show", "last"]));
    assert!(shown.contains("not-claude-haiku-5-5, not claude-haiku-5-5"), "{shown}");
    let substitution = &bill(&machine)["substitutions"][0];
    assert_eq!((&substitution["asked"], &substitution["replies"]), (&"claude-haiku-5-5".into(), &3.into()));
}

#[test]
fn a_model_without_a_price_is_refused_until_the_user_gives_one() {
    let machine = Machine::new(Config {
        rules: vec![Rule::new(When::any(), Reply::text("fine"))],
        ..Config::default()
    });
    let map = ["map", "Say {}", "one", "--model", "claude-unheard-of"];
    let refused = machine.run(&map);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("has no price"), "{}", said(&refused));
    assert!(
        said(&refused).contains("prices.\"claude-unheard-of\" = { input = 1.0, output = 2.0 }"),
        "{}",
        said(&refused)
    );
    assert_eq!(machine.requests(), 0);

    let config = machine.home().join(".config/divisi");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(
        config.join("config.toml"),
        "prices.\"claude-unheard-*\" = { input = 1.0, output = '2.5' }",
    )
    .unwrap();
    let run = machine.run(&map);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let tokens = machine.mock.stats().tokens;
    let prompt = tokens.input + tokens.cache_write_short + tokens.cache_read;
    let cost = u128::from(prompt) * 1_000_000 + u128::from(tokens.output) * 2_500_000;
    assert_eq!(pico(&bill(&machine)["total"]["cost"]), cost);
}

#[test]
fn models_are_listed_with_their_prices() {
    let machine = Machine::new(Config::default());
    let listed = said(&machine.run(&["models"]));
    for words in
        ["anthropic  ready", "openai  no key", "claude-fable-5-2", "prompt over 272,000", "2026-11-22"]
    {
        assert!(listed.contains(words), "{listed}");
    }
    let all = machine.run(&["models", "--all", "gemini-4-argon", "--json"]);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    let models = all["models"].as_array().unwrap();
    assert!(
        models.iter().any(|row| row["provider"] == "google" && pico(&row["price"]["base"]["input"]) > 0),
        "{all}"
    );
}
