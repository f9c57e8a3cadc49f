//! Vendors that refuse, end to end: what is left out, what is said of it, and what it costs.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;
#[path = "support/money.rs"]
mod ledger;

use divisi_mock::{Config, Refusal, Reply, Rule, When};
use ledger::{bill, pico, prices, said};
use serde_json::json;
use std::process::Output;
use support::{Machine, SECRET};

const FLOW: &str = "export const meta = {name: 'f', description: 'f'}
const schema = {type: 'object', properties: {a: {type: 'integer'}}, required: ['a']}
const first = await agent('one', {schema})
const second = await agent('two', {schema})
return [first, second]
";

/// A mock that refuses these parts, and answers what fits the schema of the flow.
fn machine(refuses: &[Refusal]) -> Machine {
    let answer = Rule::new(When::any(), Reply::Json(json!({"a": 1})));
    Machine::new(Config {
        refuses: refuses.to_vec(),
        ..prices(Config::default().rule(answer))
    })
}

fn run(machine: &Machine, model: &str) -> Output {
    let flow = machine.home().join("f.js");
    std::fs::write(&flow, FLOW).unwrap();
    let mut command = machine.divisi(&["run", flow.to_str().unwrap(), "--model", model]);
    command
        .env("OPENROUTER_API_KEY", SECRET)
        .env("OPENROUTER_BASE_URL", format!("{}/v1", machine.mock.url()));
    command.output().unwrap()
}

#[test]
fn a_part_that_is_not_taken_is_left_out_after_one_refusal_and_said_once() {
    for (refusal, model, what) in [
        (
            Refusal::SchemaWithTools,
            "openrouter:anthropic/claude-haiku-5.5",
            "a schema together with tools",
        ),
        (
            Refusal::StreamOptions,
            "openrouter:anthropic/claude-haiku-5.5",
            "stream_options",
        ),
        (
            Refusal::Tools,
            "openrouter:anthropic/claude-haiku-5.5",
            "tools",
        ),
        (Refusal::OutputConfig, "haiku", "a schema for the answer"),
        (Refusal::LargeGrammar, "haiku", "this schema"),
    ] {
        let machine = machine(&[refusal]);
        let run = run(&machine, model);
        let shown = said(&run);
        assert_eq!(run.status.code(), Some(0), "{refusal:?}: {shown}");
        let statuses = machine.mock.stats().statuses;
        assert_eq!(statuses[&200], 2, "{refusal:?}: {shown}");
        assert_eq!(statuses.values().sum::<u64>(), 3, "{refusal:?}: {shown}");
        assert_eq!(shown.matches("does not take").count(), 1, "{shown}");
        assert!(
            shown.contains(&format!("does not take {what}: ")),
            "{shown}"
        );
        let attempts =
            "SELECT count(*) FROM events WHERE json_extract(event, '$.event') = 'attempt_ended'";
        assert_eq!(machine.count(attempts), 2, "a refusal is no attempt");
    }
}

#[test]
fn a_refused_request_costs_nothing() {
    let machine = machine(&[Refusal::OutputConfig]);
    let run = run(&machine, "haiku");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let stats = machine.mock.stats();
    assert!(stats.cost_pico > 0);
    assert_eq!(pico(&bill(&machine)["total"]["cost"]), stats.cost_pico);
}
