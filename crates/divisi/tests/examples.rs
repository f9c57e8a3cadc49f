//! The examples run as they are, on scripted answers and against the mock, and
//! `check` says of each what its comment says.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "shared with the tests of the whole")]
mod support;
#[path = "support/money.rs"]
#[allow(dead_code, reason = "shared with the tests of money")]
mod ledger;

use divisi_mock::Config;
use ledger::prices;
use serde_json::Value;
use std::process::Output;
use support::{Machine, repository};

/// The examples, with how they end where that does not depend on an answer.
const EXAMPLES: [(&str, &str); 7] = [
    ("fan-out.js", "5 ok"),
    ("steps.js", "3 ok"),
    ("top-five.js", "ok"),
    ("reviews.js", "4 ok"),
    ("list-expensive.js", "4 ok"),
    ("list-optimised.js", "4 ok"),
    ("release.yaml", "3 ok"),
];

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// Runs all examples; each must succeed and print a result.
fn run_all(flags: &[&str]) {
    let machine = Machine::new(Config::default());
    for (example, ended) in EXAMPLES {
        let output = machine.run(&[&["run", &format!("examples/{example}")], flags].concat());
        let said = said(&output);
        assert_eq!(output.status.code(), Some(0), "{example}: {said}");
        assert!(said.contains(ended), "{example}: {said}");
        assert!(!output.stdout.is_empty(), "{example}: {said}");
    }
}

#[test]
fn every_example_is_here() {
    let mut found: Vec<String> = std::fs::read_dir(repository().join("examples"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut here: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
    here.sort_unstable();
    assert_eq!(found, here);
}

#[test]
fn they_run_on_scripted_answers() {
    run_all(&["--demo"]);
}

#[test]
fn they_run_on_models() {
    run_all(&[]);
}

/// What `check` says of an example.
/// The list of the mission, done expensively and well: the plan of each is true of its run, and
/// what the plan of the first says that cheaper models save is what the second has saved.
#[test]
fn the_two_lists_cost_what_their_plans_say() {
    let mut config = prices(Config::default());
    // So short a beginning is not cached by vendors.
    config.cache.tokens_min = 4_096;
    let machine = Machine::new(config);
    let json = |args: &[&str]| -> Value {
        let output = machine.run(&[args, &["--json"]].concat());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)))
    };
    let run = |list: &str| assert_eq!(machine.run(&["run", list, "-q"]).status.code(), Some(0));
    let planned_and_paid = |list: &str| {
        run(list);
        let planned = json(&["plan", list])["forecast"]["cost"].clone();
        run(list);
        let paid = json(&["cost"])["total"]["cost"].as_f64().unwrap();
        // The mock counts tokens in its own way, and the plan has learnt that only in part.
        let ratio = paid / planned["p50"].as_f64().unwrap();
        assert!((0.7..1.3).contains(&ratio), "{list}: {paid} {planned}");
        paid
    };
    let [dear, good] = ["examples/list-expensive.js", "examples/list-optimised.js"];
    let paid = (planned_and_paid(dear), planned_and_paid(good));
    let plan = said(&machine.run(&["plan", dear]));
    let named = plan
        .split("cheaper    $")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let named: f64 = named.unwrap_or_else(|| panic!("{plan}")).parse().unwrap();
    let saved = paid.0 - paid.1;
    assert!(saved > 0.5 * paid.0, "{paid:?}");
    assert!((0.7..1.4).contains(&(named / saved)), "{named} for {saved}");
    assert!(!said(&machine.run(&["plan", good])).contains("cheaper    "));
}

fn checked(example: &str) -> String {
    checked_with(example, &[])
}

fn checked_with(example: &str, flags: &[&str]) -> String {
    let machine = Machine::new(Config::default());
    let example = format!("examples/{example}");
    let output = machine.run(&[&["check", &example, "--max-cost", "10"], flags].concat());
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    String::from_utf8(output.stdout)
        .unwrap()
        .trim_end()
        .to_owned()
}

#[test]
fn check_of_a_plan() {
    insta::assert_snapshot!(checked("release.yaml"), @"
    ✓ pattern identified?             scatter-gather: fan-out of 2, and `release notes` reads them
    ✓ dependencies mapped?            3 tasks, 2 results go from one to another
    ✓ parallelisation opportunities?  up to 2 tasks at the same time
    ✓ right model per agent?          1 on haiku, 2 on sonnet
    ✓ cost estimated?                 about $0.3322, mostly $0.1403 to $0.8494
                                      capped at $10.00
    ✓ error handling planned?         timeout 20 min to 30 min, retries 4
    ");
}

#[test]
fn check_of_scripts() {
    insta::assert_snapshot!(checked("fan-out.js"), @"
    ✓ pattern identified?             fan-out of 5
    ✓ dependencies mapped?            5 tasks, no result goes from one to another
    ✓ parallelisation opportunities?  up to 5 tasks at the same time
    ✓ right model per agent?          5 on haiku
    ✓ cost estimated?                 about $0.0088, mostly $0.0037 to $0.0225
                                      capped at $10.00
    ✓ error handling planned?         timeout 30 min, retries 4
    ");
    insta::assert_snapshot!(checked_with("steps.js", &["--allow", "run"]), @"
    ✓ pattern identified?             Build → Test → Deploy: sequence of 3
    ✓ dependencies mapped?            3 tasks, 3 results go from one to another
    ✓ parallelisation opportunities?  nothing runs at the same time
    ✓ right model per agent?          3 on sonnet
    ✓ cost estimated?                 about $0.9655, mostly $0.4063 to $2.56
                                      capped at $10.00
    ✓ error handling planned?         timeout 20 min, retries 4
    ");
    insta::assert_snapshot!(checked("top-five.js"), @"
    ✓ pattern identified?             Find → Audit: hierarchy: `find` decides the width of a fan-out of 5
    ✓ dependencies mapped?            6 tasks, 5 results go from one to another
    ✓ parallelisation opportunities?  up to 5 tasks at the same time
    ✓ right model per agent?          5 on sonnet, 1 on opus
    ✓ cost estimated?                 about $1.32, mostly $0.5890 to $2.92
                                      capped at $10.00
    ✓ error handling planned?         timeout 30 min, retries 4
    ");
    insta::assert_snapshot!(checked("reviews.js"), @"
    ✓ pattern identified?             Review → Plan: scatter-gather: fan-out of 3, and `plan` reads them
    ✓ dependencies mapped?            4 tasks, 3 results go from one to another
    ✓ parallelisation opportunities?  up to 3 tasks at the same time
    ✓ right model per agent?          4 on sonnet
    ✓ cost estimated?                 about $0.5088, mostly $0.2213 to $1.27
                                      capped at $10.00
    ✓ error handling planned?         timeout 30 min, retries 4
    ");
    insta::assert_snapshot!(checked("list-expensive.js"), @"
    ✓ pattern identified?             sequence of 4
    ✓ dependencies mapped?            4 tasks, 3 results go from one to another
    ! parallelisation opportunities?  nothing runs at the same time
                                      about 5 min instead of 6 min without the waits below
      ! examples/list-expensive.js:22  `read configs` waits for `find files` without reading what came of it · 0:42
        start them together with `parallel()`, unless `find files` changes files that `read configs` needs
    ! right model per agent?          4 on opus
                                      about $0.2905 less on average on the tiers that suffice
      ! examples/list-expensive.js:15  opus for `find files`, which is of the kind search · $0.1520
        give it `model: 'haiku'`; if it is harder than it looks, say its `kind`
      ! examples/list-expensive.js:22  opus for `read configs`, which is of the kind read · $0.0869
        give it `model: 'haiku'`; if it is harder than it looks, say its `kind`
      ! examples/list-expensive.js:29  opus for `format`, which is of the kind format · $0.0515
        give it `model: 'haiku'`; if it is harder than it looks, say its `kind`
    ✓ cost estimated?                 about $0.7193, mostly $0.3244 to $1.97
                                      capped at $10.00
    ✓ error handling planned?         timeout 30 min, retries 4
    ");
    insta::assert_snapshot!(checked("list-optimised.js"), @"
    ✓ pattern identified?             graph of 4 tasks in 3 waves (2, 1, 1)
    ✓ dependencies mapped?            4 tasks, 3 results go from one to another
    ✓ parallelisation opportunities?  up to 2 tasks at the same time
    ✓ right model per agent?          3 on haiku, 1 on opus
    ✓ cost estimated?                 about $0.4438, mostly $0.1402 to $1.45
                                      capped at $10.00
    ✓ error handling planned?         timeout 30 min, retries 4
    ");
}
