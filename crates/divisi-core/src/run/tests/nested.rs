//! Budgets inside the budget: of phases, of tasks, and of one reply.

use super::{trace, traced};
use crate::PicoUsd;
use insta::assert_snapshot;

#[test]
fn the_last_of_the_money_goes_to_shorter_replies() {
    assert_snapshot!(trace("
        cap $1.00
        1 at once
        a ($0.10 + 4000 at $0.0001): success $0.30 after 10 ms
        b ($0.10 + 4000 at $0.0001): success $0.30 after 10 ms
        c ($0.10 + 4000 at $0.0001): success $0.10 after 10 ms
        d ($0.10 + 4000 at $0.0001): success $0.15 after 10 ms
        e ($0.10 + 4000 at $0.0001): success $0.15 after 10 ms
    "), @r"
     0 ms  scheduled a#1 $0.5000
    10 ms  reply     a#1 $0.3000
    10 ms  ended     a#1 success
    10 ms  outcome   a ok
    10 ms  scheduled b#1 $0.5000
    20 ms  reply     b#1 $0.3000
    20 ms  ended     b#1 success
    20 ms  outcome   b ok
    20 ms  scheduled c#1 $0.4000, 3000 tokens
    30 ms  reply     c#1 $0.1000
    30 ms  ended     c#1 success
    30 ms  outcome   c ok
    30 ms  scheduled d#1 $0.3000, 2000 tokens
    40 ms  reply     d#1 $0.1500
    40 ms  ended     d#1 success
    40 ms  outcome   d ok
    40 ms  parking   budget
    40 ms  parked    budget
    ");
}

#[test]
fn a_later_turn_gets_a_shorter_reply_when_nobody_else_will_free_any() {
    assert_snapshot!(trace("
        cap $1.00
        a ($0.10 + 4000 at $0.0001): turn $0.40 after 10 ms; turn $0.30 after 10 ms; success $0.20 after 10 ms
    "), @r"
     0 ms  scheduled a#1 $0.5000
    10 ms  reply     a#1 $0.4000
    10 ms  turn      a#1 $0.5000
    20 ms  reply     a#1 $0.3000
    20 ms  turn      a#1 $0.3000, 2000 tokens
    30 ms  reply     a#1 $0.2000
    30 ms  ended     a#1 success
    30 ms  outcome   a ok
    30 ms  finished  ok
    ");
}

#[test]
fn a_reply_that_was_cut_is_asked_for_again_only_with_more_room() {
    assert_snapshot!(trace("
        cap $0.40
        1 at once
        a ($0.10 + 4000 at $0.0001): cut $0.38 after 10 ms, then limited after 10 ms, then success $0.40 after 10 ms
        at 50 ms: cap $0.80
        at 60 ms: resume
        at 70 ms: cap $1.00
        at 80 ms: resume
        b ($0.50): success $0.15 after 10 ms
        at 600 ms: cap $1.20
        at 610 ms: resume
    "), @r"
      0 ms  scheduled a#1 $0.4000, 3000 tokens
     10 ms  reply     a#1 $0.3800
     10 ms  ended     a#1 interrupted
     10 ms  retry     a at 10 ms
     10 ms  parking   budget
     10 ms  parked    budget
     60 ms  resumed   execution 2
     60 ms  claimed   a
     60 ms  claimed   b
     60 ms  caught up 0 reused, 2 to run
     60 ms  parking   budget
     60 ms  parked    budget
     80 ms  resumed   execution 3
     80 ms  claimed   a
     80 ms  claimed   b
     80 ms  caught up 0 reused, 2 to run
     80 ms  scheduled a#2 $0.5000
     80 ms  turn      a#2 $0.5000
     90 ms  ended     a#2 rate limited
     90 ms  retry     a at 525 ms
     90 ms  scheduled b#1 $0.5000
    100 ms  reply     b#1 $0.1500
    100 ms  ended     b#1 success
    100 ms  outcome   b ok
    100 ms  parking   budget
    100 ms  parked    budget
    610 ms  resumed   execution 4
    610 ms  claimed   a
    610 ms  claimed   b
    610 ms  caught up 1 reused $0.1500, 1 to run
    610 ms  scheduled a#3 $0.5000
    610 ms  turn      a#3 $0.5000
    620 ms  reply     a#3 $0.4000
    620 ms  ended     a#3 success
    620 ms  outcome   a ok
    620 ms  finished  ok
    ");
}

#[test]
fn a_phase_over_its_cap_holds_up_nobody_else() {
    let (told, run) = traced(
        "
        cap $5.00
        Audit may spend $0.50
        a ($0.40, in Audit): success $0.30 after 10 ms
        b ($0.40, in Audit): success $0.30 after 10 ms
        c ($0.40, in Fix): success $0.30 after 10 ms
        d ($0.40): success $0.30 after 30 ms
    ",
    );
    assert_snapshot!(told, @r"
     0 ms  scheduled a#1 $0.4000
     0 ms  scheduled c#1 $0.4000
     0 ms  scheduled d#1 $0.4000
    10 ms  reply     a#1 $0.3000
    10 ms  ended     a#1 success
    10 ms  outcome   a ok
    10 ms  reply     c#1 $0.3000
    10 ms  ended     c#1 success
    10 ms  outcome   c ok
    30 ms  reply     d#1 $0.3000
    30 ms  ended     d#1 success
    30 ms  outcome   d ok
    30 ms  parking   budget of Audit
    30 ms  parked    budget of Audit
    ");
    let spent: Vec<_> = run
        .phase_budgets()
        .map(|(phase, budget)| (phase.to_string(), budget.settled))
        .collect();
    let thirty_cents = PicoUsd(PicoUsd::DOLLAR.0 / 100 * 30);
    assert_eq!(
        spent,
        [
            ("Audit".to_owned(), thirty_cents),
            ("Fix".to_owned(), thirty_cents)
        ]
    );
}

#[test]
fn a_task_over_its_own_budget_fails_and_the_others_go_on() {
    assert_snapshot!(trace("
        cap $5.00
        a ($0.20, own $0.50): turn $0.20 after 10 ms; turn $0.20 after 10 ms; success $0.20 after 10 ms
        b ($0.20, own $0.10): success $0.05 after 10 ms
        c ($0.20): success $0.05 after 10 ms
    "), @r"
     0 ms  scheduled a#1 $0.2000
     0 ms  outcome   b failed: over its budget
     0 ms  scheduled c#1 $0.2000
    10 ms  reply     a#1 $0.2000
    10 ms  turn      a#1 $0.2000
    10 ms  reply     c#1 $0.0500
    10 ms  ended     c#1 success
    10 ms  outcome   c ok
    20 ms  reply     a#1 $0.2000
    20 ms  ended     a#1 over its budget
    20 ms  outcome   a failed: over its budget
    20 ms  finished  partial
    ");
}

#[test]
fn an_own_budget_shortens_replies_too() {
    assert_snapshot!(trace("
        a ($0.10 + 4000 at $0.0001, own $0.40): success $0.20 after 10 ms
    "), @r"
     0 ms  scheduled a#1 $0.4000, 3000 tokens
    10 ms  reply     a#1 $0.2000
    10 ms  ended     a#1 success
    10 ms  outcome   a ok
    10 ms  finished  ok
    ");
}

#[test]
fn most_of_the_budget_is_warned_of_once() {
    assert_snapshot!(trace("
        cap $1.00
        warn at 80 %
        1 at once
        a ($0.40): success $0.40 after 10 ms
        b ($0.40): success $0.40 after 10 ms
        c ($0.10): success $0.10 after 10 ms
    "), @r"
     0 ms  scheduled a#1 $0.4000
    10 ms  reply     a#1 $0.4000
    10 ms  ended     a#1 success
    10 ms  outcome   a ok
    10 ms  scheduled b#1 $0.4000
    20 ms  reply     b#1 $0.4000
    20 ms  ended     b#1 success
    20 ms  outcome   b ok
    20 ms  warned    $0.8000 of $1.00
    20 ms  scheduled c#1 $0.1000
    30 ms  reply     c#1 $0.1000
    30 ms  ended     c#1 success
    30 ms  outcome   c ok
    30 ms  finished  ok
    ");
}
