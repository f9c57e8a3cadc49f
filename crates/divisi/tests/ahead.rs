//! Before a run, end to end: what `plan` counts and expects, against the mock.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;

use divisi_mock::{Config, Reply, Rule, When};
use serde_json::Value;
use support::Machine;

/// Twenty tasks of the same sort.
const FLOW: &str = "export const meta = {name: 'audit', description: 'Audits'}
const modules = Array.from({length: 20}, (_, i) => `module ${i}`)
return parallel(modules.map(m => () => agent(`Audit the ${m} and say what you found`, {label: 'audit', model: 'sonnet', tools: []})))";

fn machine() -> Machine {
    let answer = "The module is sound. ".repeat(40);
    let rules = vec![Rule::new(When::prompt("Audit the"), Reply::text(answer))];
    let machine = Machine::new(Config {
        rules,
        ..Config::default()
    });
    std::fs::write(machine.home().join("audit.js"), FLOW).unwrap();
    machine
}

fn json(machine: &Machine, args: &[&str]) -> Value {
    let output = machine
        .divisi(args)
        .current_dir(machine.home())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

fn middle(plan: &Value) -> f64 {
    plan["forecast"]["cost"]["p50"].as_f64().unwrap()
}

#[test]
fn plan_sends_nothing_and_exact_only_for_counts() {
    let machine = machine();
    let plan = json(&machine, &["plan", "audit.js", "--json"]);
    assert_eq!(machine.requests(), 0);
    let exact = json(&machine, &["plan", "audit.js", "--exact", "--json"]);
    let requests = machine.mock.stats().requests;
    assert_eq!(requests.get("/v1/messages"), None, "{requests:?}");
    assert_eq!(requests["/v1/messages/count_tokens"], 20);
    let tokens = |plan: &Value| {
        plan["tasks"][0]["assigned"]["prompt_tokens"]
            .as_u64()
            .unwrap()
    };
    let (counted, charged) = (tokens(&plan), tokens(&exact));
    assert!(
        counted != charged && counted.abs_diff(charged) < charged,
        "{counted} against {charged}"
    );
    assert!(!machine.store().exists(), "a plan leaves nothing behind");
}

#[test]
fn what_a_flow_has_cost_is_what_it_is_expected_to_cost() {
    let machine = machine();
    let before = json(&machine, &["plan", "audit.js", "--json"]);
    assert_eq!(before["forecast"]["tasks"][0]["source"]["from"], "prior");
    let run = machine
        .divisi(&["run", "audit.js"])
        .current_dir(machine.home())
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let cost = json(&machine, &["cost", "--json"])["total"]["cost"]
        .as_f64()
        .unwrap();
    let after = json(&machine, &["plan", "audit.js", "--json"]);
    assert_eq!(after["forecast"]["tasks"][0]["source"]["from"], "label");
    let off = |plan: &Value| (middle(plan) / cost).ln().abs();
    assert!(
        off(&after) < 1.2_f64.ln(),
        "{} expected, {cost} spent",
        middle(&after)
    );
    assert!(off(&after) < off(&before));
}
