//! Vendors that refuse.

use crate::support::Machine;
use crate::tools::{runs, told};
use divisi_mock::{Breakage, Config, ErrorKind, Fault, Quota, QuotaAnswer, Rule, When};
use insta::assert_snapshot;

#[test]
fn a_key_that_is_refused() {
    let machine = Machine::new(Config {
        keys: vec!["another".to_owned()],
        ..Config::default()
    });
    assert_snapshot!(told(&machine, &["map", "look at {}", "a", "b", "--jobs", "1"]), @"
    exit 1
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ✗ a · not authorised: provider `anthropic` answered 401: invalid API key
    [m:ss] ✗ b · not authorised, as another task before

    error: 2 tasks failed alike: `a`, `b`
      caused by: not authorised: provider `anthropic` answered 401: invalid API key
      hint: check ANTHROPIC_API_KEY: the key in it was refused

    map [run-id] failed: no task succeeded
    0 ok · 2 failed · [time] · [tokens] · [cost]
      divisi show [run-id]    what each task did
      divisi resume [run-id]  try again what a refused key prevented, once it is mended
    stdout:
    ## a

    (no result: provider `anthropic` answered 401: invalid API key)

    ## b

    (no result: provider `anthropic` answered 401: invalid API key)
    ");
    assert_eq!(runs(&machine), ["map failed, 2 failed"]);
    // The second would have been refused as well.
    assert_eq!(machine.requests(), 1);
}

#[test]
fn money_that_runs_out_parks_the_run() {
    assert_snapshot!(parked_by(QuotaAnswer::Billing), @r"
    exit 4
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ✓ a · claude-sonnet-5-5 · [time] · [tokens] · [cost]
    [m:ss] parking: the account's quota is used up: provider `anthropic` answered 402: The credit balance is too low to answer this request.

    map [run-id] parked: the account's quota is used up: provider `anthropic` answered 402: The credit balance is too low to answer this request.
    1 ok · 2 waiting · [time] · [tokens] · [cost]
      divisi show [run-id]           what each task did
      divisi resume [run-id]         go on once there is quota again
      divisi resume [run-id] --wait  try until there is
    ");
}

#[test]
fn a_spend_limit_parks_the_run() {
    assert_snapshot!(parked_by(QuotaAnswer::SpendLimit), @r"
    exit 4
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ✓ a · claude-sonnet-5-5 · [time] · [tokens] · [cost]
    [m:ss] parking: the account's quota is used up: provider `anthropic` answered 429: The spend limit of the organization has been reached.

    map [run-id] parked: the account's quota is used up: provider `anthropic` answered 429: The spend limit of the organization has been reached.
    1 ok · 2 waiting · [time] · [tokens] · [cost]
      divisi show [run-id]           what each task did
      divisi resume [run-id]         go on once there is quota again
      divisi resume [run-id] --wait  try until there is
    ");
}

/// The output when money runs out after the first of three tasks. The run continues once there is
/// money again.
fn parked_by(answer: QuotaAnswer) -> String {
    let quota = Quota {
        after: 1,
        answer,
        closed_ms: None,
        told: false,
    };
    let machine = Machine::new(Config {
        quota: Some(quota),
        ..Config::default()
    });
    let parked = told(
        &machine,
        &["map", "look at {}", "a", "b", "c", "--jobs", "1"],
    );
    assert_eq!(runs(&machine), ["map parked, 1 ok"]);
    machine.mock.set_quota(true);
    let resumed = told(&machine, &["resume", "last"]);
    assert!(resumed.starts_with("exit 0\n"), "{resumed}");
    assert_eq!(runs(&machine), ["map ok, 3 ok"]);
    // Answered requests are not sent again; refused ones are.
    assert_eq!(machine.requests(), 4);
    parked
}

#[test]
fn a_rate_limit_is_waited_for() {
    let limited = Rule::fault(When::any(), ErrorKind::RateLimit).times(1);
    let machine = Machine::new(Config {
        retry_after_ms: 1_100,
        ..Config::default().rule(limited)
    });
    assert_snapshot!(told(&machine, &["map", "look at {}", "a"]), @"
    exit 0
    [m:ss] map [run-id] started
    [m:ss] phase Map
    [m:ss] ○ a waits: rate limited, next try in 2 s
    [m:ss] ✓ a · claude-sonnet-5-5 · [time] · [tokens] · [cost] · 2 attempts

    map [run-id] ok
    1 ok · [time] · [tokens] · [cost]
      divisi show [run-id]  what each task did
    stdout:
    ## a

    echo 285c6d78e527b366: sonata viola lyre presto alto flute cello presto opus flute piano oboe
    ");
    let rest = machine.count(
        "SELECT json_extract(event, '$.due') - at FROM events
         WHERE json_extract(event, '$.event') = 'retry_planned'",
    );
    // Our own first rest is 500 ms at most.
    assert!((1_100..=2_000).contains(&rest), "rested {rest} ms");
}

#[test]
fn what_may_succeed_is_tried_again() {
    let faults: [(&str, Fault); 6] = [
        ("overloaded", ErrorKind::Overloaded.into()),
        ("internal", ErrorKind::Internal.into()),
        ("dropped", Breakage::DropStream.into()),
        ("cut", Breakage::EndEarly.into()),
        ("error-event", Breakage::ErrorMidStream.into()),
        ("malformed", Breakage::MalformedChunk.into()),
    ];
    let rule = |(name, fault): &(&str, Fault)| Rule::fault(When::prompt(*name), *fault).times(1);
    let config = Config {
        rules: faults.iter().map(rule).collect(),
        ..Config::default()
    };
    let machine = Machine::new(config);
    let mut args = vec!["map", "try {}"];
    args.extend(faults.iter().map(|(name, _)| *name));
    let told = told(&machine, &args);
    let mut waits: Vec<&str> = told
        .lines()
        .filter(|line| line.contains(" waits: "))
        .collect();
    waits.sort_unstable();
    assert_snapshot!(waits.join("\n"), @"
    [m:ss] ○ cut waits: connection lost, next try in 1 s
    [m:ss] ○ dropped waits: connection lost, next try in 1 s
    [m:ss] ○ error-event waits: overloaded, next try in 1 s
    [m:ss] ○ internal waits: server error, next try in 1 s
    [m:ss] ○ malformed waits: server error, next try in 1 s
    [m:ss] ○ overloaded waits: overloaded, next try in 1 s
    ");
    assert!(told.starts_with("exit 0\n"), "{told}");
    assert_eq!(runs(&machine), ["map ok, 6 ok"]);
    assert_eq!(machine.requests(), 12);
}

#[test]
fn an_answer_by_another_model_is_shown() {
    let machine =
        Machine::new(Config::default().rule(Rule::fault(When::any(), Breakage::WrongModel)));
    let told_of = told(&machine, &["map", "look at {}", "a"]);
    assert!(told_of.contains("✓ a · not-claude-sonnet-5-5"), "{told_of}");
    let shown = told(&machine, &["show", "last", "t0"]);
    assert!(
        shown.contains("not-claude-sonnet-5-5 (asked for claude-sonnet-5-5)"),
        "{shown}"
    );
}
