//! The examples run as they are, on scripted answers and against the mock, and
//! `check` says of each what its comment says.
#![allow(clippy::unwrap_used, missing_docs)]

#[allow(dead_code, reason = "shared with the tests of the whole")]
mod support;

use divisi_mock::Config;
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

/// Runs all of them, which must go as smoothly as for a reader who tries them.
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
fn checked(example: &str) -> String {
    let machine = Machine::new(Config::default());
    let output = machine.run(&["check", &format!("examples/{example}"), "--max-cost", "10"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn check_of_a_plan() {
    insta::assert_snapshot!(checked("release.yaml"), @r"
    ✓ pattern identified?             scatter-gather: fan-out of 2, and `release notes` reads them
    ✓ dependencies mapped?            3 tasks, 2 results go from one to another
    ✓ parallelisation opportunities?  up to 2 tasks at the same time
    ✓ right model per agent?          1 on haiku, 2 on sonnet
    ✓ cost estimated?                 about $0.3089, mostly $0.0837 to $0.9936
                                      $2342.16 at the very most
                                      capped at $10.00
    ✓ error handling planned?         timeout 20 min to 30 min, retries 4
    ");
}

#[test]
#[ignore = "pending: scripts are checked as soon as `preflight::graph_of` has the tracer; then fill the snapshots in"]
fn check_of_scripts() {
    insta::assert_snapshot!(checked("fan-out.js"), @"");
    insta::assert_snapshot!(checked("steps.js"), @"");
    insta::assert_snapshot!(checked("top-five.js"), @"");
    insta::assert_snapshot!(checked("reviews.js"), @"");
    insta::assert_snapshot!(checked("list-expensive.js"), @"");
    insta::assert_snapshot!(checked("list-optimised.js"), @"");
}
