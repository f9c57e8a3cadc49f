//! Prompt caches, end to end: what tasks share is written once and read by the rest.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "other tests use the rest")]
mod support;
#[path = "support/money.rs"]
mod ledger;

use divisi_mock::{Config, ErrorKind, Latency, Price, Reply, Rule, Stats, When};
use ledger::{PRICES, bill, pico, prices, said};
use support::Machine;

const TASKS: u64 = 20;

/// Replies begin late enough for all tasks to be requested before the first does.
fn vendor() -> Config {
    let answer = Rule::new(When::any(), Reply::text("At dawn."));
    let latency = Latency {
        first_byte_ms: 200,
        ..Latency::default()
    };
    prices(
        Config {
            latency,
            ..Config::default()
        }
        .rule(answer),
    )
}

/// Twenty questions about one text of 20,000 tokens; returns what the mock has seen.
fn ask(machine: &Machine, model: &str) -> Stats {
    let args = serde_json::json!({ "model": model }).to_string();
    let run = machine.run(&[
        "run",
        "crates/divisi/tests/flows/shared_context.js",
        "--args",
        &args,
    ]);
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    assert!(
        String::from_utf8_lossy(&run.stdout).contains(&TASKS.to_string()),
        "{}",
        said(&run)
    );
    machine.mock.stats()
}

/// What the prompts have in common, by the mock's count of tokens: what is not
/// the task's own question.
fn shared_tokens(stats: &Stats) -> u64 {
    let question = |n: u64| {
        format!("Question {n}: when does the gate open?")
            .len()
            .div_ceil(4) as u64
    };
    let tokens = &stats.tokens;
    let prompts = tokens.input + tokens.cache_write_short + tokens.cache_read;
    (prompts - (0..TASKS).map(question).sum::<u64>()) / TASKS
}

/// The cost of the tasks if `writes` of them write the shared prefix and the others read it.
fn cost(stats: &Stats, price: &Price, writes: u64) -> u128 {
    let shared = shared_tokens(stats);
    let tokens = &stats.tokens;
    let own = tokens.input + tokens.cache_write_short + tokens.cache_read - TASKS * shared;
    let input = own * price.input
        + shared * (writes * price.cache_write_short + (TASKS - writes) * price.cache_read);
    (input + tokens.output * price.output).into()
}

#[test]
fn a_fan_out_over_one_context_costs_what_one_write_and_the_reads_cost() {
    for (model, price) in &PRICES[..2] {
        let machine = Machine::new(vendor());
        let stats = ask(&machine, model);
        let shared = shared_tokens(&stats);
        assert!((20_000..22_000).contains(&shared), "{shared}");

        let (optimum, without) = (cost(&stats, price, 1), cost(&stats, price, TASKS));
        assert!(
            stats.cost_pico * 100 <= optimum * 105,
            "{} is over {optimum}",
            stats.cost_pico
        );
        assert!(
            without >= optimum * 5,
            "{without} is not much over {optimum}"
        );
        assert!(
            stats.tokens.cache_write_short <= shared + TASKS,
            "{:?}",
            stats.tokens
        );
        assert!(stats.in_flight_max > 1, "the others went one by one");

        let bill = bill(&machine);
        assert_eq!(pico(&bill["total"]["cost"]), stats.cost_pico);
        assert_eq!(
            bill["total"]["usage"]["cache_read"],
            stats.tokens.cache_read
        );
    }
}

#[test]
fn when_the_first_request_fails_another_one_leads() {
    let mut config = vendor();
    config
        .rules
        .insert(0, Rule::fault(When::any(), ErrorKind::Internal).times(1));
    let machine = Machine::new(config);
    let stats = ask(&machine, "haiku");
    assert_eq!(stats.statuses[&500], 1);
    assert_eq!(stats.statuses[&200], TASKS);
    assert!(
        stats.tokens.cache_write_short <= shared_tokens(&stats) + TASKS,
        "{:?}",
        stats.tokens
    );
    assert_eq!(pico(&bill(&machine)["total"]["cost"]), stats.cost_pico);
}
