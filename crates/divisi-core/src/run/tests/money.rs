//! Caps, reservations and what they stop.

use super::{facts, key, started, step, text, trace, traced, turn};
use crate::run::{AttemptEnd, Submission};
use crate::{AttemptId, Input, Limits, PicoUsd, TaskId, Timestamp, Usage};
use insta::assert_snapshot;

#[test]
fn what_does_not_fit_parks_the_run() {
    assert_snapshot!(trace("
        cap $1.00
        a ($0.60): success $0.50 after 100 ms
        b ($0.60): success $0.50 after 100 ms
    "), @"");
}

#[test]
fn smaller_work_behind_larger_goes_first() {
    assert_snapshot!(trace("
        cap $1.00
        a ($0.60): success $0.10 after 100 ms
        b ($0.60): success $0.10 after 100 ms
        c ($0.40): success $0.10 after 200 ms
    "), @"");
}

#[test]
fn no_work_is_too_far_behind_larger() {
    let large: String = (0..1_100).map(|i| format!("large{i} ($2.00): success after 1 ms\n")).collect();
    let (told, run) = traced(&format!("cap $1.00\n{large}small ($0.50): success after 1 ms"));
    assert_eq!(run.counts().ok, 1, "{told}");
}

#[test]
fn a_request_without_a_reply_settles_at_its_reservation() {
    let (told, run) = traced("
        cap $1.00
        a ($0.40): silence after 100 ms, then success $0.10 after 100 ms
    ");
    assert_snapshot!(told, @"");
    assert_eq!(run.budget().settled.to_string(), "$0.5000");
    assert_eq!(run.budget().reserved, PicoUsd::ZERO);
}

#[test]
fn a_turn_over_the_budget_ends_its_attempt_and_waits_for_more() {
    assert_snapshot!(trace("
        cap $1.00
        a ($0.40): turn $0.35 after 100 ms; turn $0.35 after 100 ms; success $0.35 after 100 ms
        at 1 s: cap $2.00
        at 1 s: resume
    "), @"");
}

#[test]
fn a_turn_over_the_budget_goes_on_when_others_have_settled() {
    assert_snapshot!(trace("
        cap $1.00
        a ($0.40): turn $0.30 after 100 ms; success $0.10 after 100 ms
        b ($0.60): success $0.20 after 300 ms
    "), @"");
}

#[test]
fn rested_work_that_comes_to_fit_is_waited_for_before_parking() {
    assert_snapshot!(trace("
        cap $1.00
        a ($0.30): server after 10 ms, then success $0.10 after 100 ms
        b ($0.60): turn $0.60 after 50 ms; success after 10 ms
    "), @"");
}

#[test]
fn a_reply_that_cost_more_than_reserved_is_booked_as_it_is() {
    let (told, run) = traced("
        cap $1.00
        a ($0.40): success $1.50 after 100 ms
        b ($0.40): turn $0.01 after 200 ms; success after 1 ms
        c needs a ($0.40): success after 100 ms
    ");
    assert_snapshot!(told, @"");
    assert_eq!(run.budget().settled.to_string(), "$1.51");
}

#[test]
fn a_lowered_cap_stops_what_is_new() {
    assert_snapshot!(trace("
        a ($0.60): success $0.50 after 100 ms
        b ($0.60): success $0.50 after 200 ms
        at 150 ms: kill
        at 160 ms: cap $0.20
        at 170 ms: resume
    "), @"");
}

#[test]
fn an_attempt_is_billed_for_all_it_did() {
    let mut run = started(Limits::default());
    let facts = facts("a", 0, PicoUsd(100));
    let submission = Submission { key: key("a"), facts, spec: text("{}"), outcome: None };
    step(&mut run, Input::Submit(Box::new(submission)));
    step(&mut run, Input::Tick);
    let attempt = AttemptId { task: TaskId(0), number: 1 };
    step(&mut run, Input::TurnEnded { attempt, turn: Box::new(turn("1", PicoUsd(30))) });
    step(&mut run, Input::TurnWanted { attempt, tool_results: None, cost_max: PicoUsd(100) });
    let end = AttemptEnd {
        result: Ok(text("{}")),
        last_turn: Some(Box::new(turn("2", PicoUsd(40)))),
        usage: Usage { input: 5, ..Usage::default() },
        cost: PicoUsd(7),
        unanswered: false,
        retry_after: None,
    };
    step(&mut run, Input::AttemptEnded { attempt, end: Box::new(end) });
    let task = run.task(TaskId(0)).expect("the task");
    assert_eq!((task.cost(), run.budget().settled, run.budget().reserved), (PicoUsd(77), PicoUsd(77), PicoUsd::ZERO));
    assert_eq!((task.usage().input, run.usage().input), (25, 25));
    assert_eq!(run.wake_at(), None::<Timestamp>);
}
