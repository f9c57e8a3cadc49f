//! Caps, reservations and what they stop.

use super::{ended, facts, flow_source, key, started, step, text, trace, traced, turn};
use crate::budget::{TurnBound, Unanswered};
use crate::event::{Caps, ParkReason, RunStatus, TaskFacts};
use crate::run::{AttemptEnd, Stage, Submission};
use crate::{
    AttemptId, Event, Failure, FailureClass, Input, Limits, PicoUsd, RetryPolicy, Run, TaskId,
    Timestamp, Usage,
};
use insta::assert_snapshot;
use std::sync::Arc;

#[test]
fn what_does_not_fit_parks_the_run() {
    assert_snapshot!(trace("
        cap $1.00
        a ($0.60): success $0.50 after 100 ms
        b ($0.60): success $0.50 after 100 ms
    "), @r"
      0 ms  scheduled a#1 $0.6000
    100 ms  reply     a#1 $0.5000
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    100 ms  parking   budget
    100 ms  parked    budget
    ");
}

#[test]
fn smaller_work_behind_larger_goes_first() {
    assert_snapshot!(trace("
        cap $1.00
        a ($0.60): success $0.10 after 100 ms
        b ($0.60): success $0.10 after 100 ms
        c ($0.40): success $0.10 after 200 ms
    "), @r"
      0 ms  scheduled a#1 $0.6000
      0 ms  scheduled c#1 $0.4000
    100 ms  reply     a#1 $0.1000
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    200 ms  reply     c#1 $0.1000
    200 ms  ended     c#1 success
    200 ms  outcome   c ok
    200 ms  scheduled b#1 $0.6000
    300 ms  reply     b#1 $0.1000
    300 ms  ended     b#1 success
    300 ms  outcome   b ok
    300 ms  finished  ok
    ");
}

#[test]
fn no_work_is_too_far_behind_larger() {
    let large: String = (0..1_100)
        .map(|i| format!("large{i} ($2.00): success after 1 ms\n"))
        .collect();
    let (told, run) = traced(&format!(
        "cap $1.00\n{large}small ($0.50): success after 1 ms"
    ));
    assert_eq!(run.counts().ok, 1, "{told}");
}

#[test]
fn a_request_without_a_reply_settles_at_its_reservation() {
    let (told, run) = traced(
        "
        cap $1.00
        a ($0.40): silence after 100 ms, then success $0.10 after 100 ms
    ",
    );
    assert_snapshot!(told, @r"
      0 ms  scheduled a#1 $0.4000
    100 ms  ended     a#1 connection lost $0.4000
    100 ms  retry     a at 478 ms
    478 ms  scheduled a#2 $0.4000
    578 ms  reply     a#2 $0.1000
    578 ms  ended     a#2 success
    578 ms  outcome   a ok
    578 ms  finished  ok
    ");
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
    "), @r"
       0 ms  scheduled a#1 $0.4000
     100 ms  reply     a#1 $0.3500
     100 ms  turn      a#1 $0.4000
     200 ms  reply     a#1 $0.3500
     200 ms  ended     a#1 interrupted
     200 ms  retry     a at 200 ms
     200 ms  parking   budget
     200 ms  parked    budget
    1000 ms  resumed   execution 2
    1000 ms  claimed   a
    1000 ms  caught up 0 reused, 1 to run
    1000 ms  scheduled a#2 $0.4000
    1000 ms  turn      a#2 $0.4000
    1100 ms  reply     a#2 $0.3500
    1100 ms  ended     a#2 success
    1100 ms  outcome   a ok
    1100 ms  finished  ok
    ");
}

#[test]
fn a_turn_over_the_budget_goes_on_when_others_have_settled() {
    assert_snapshot!(trace("
        cap $1.00
        a ($0.40): turn $0.30 after 100 ms; success $0.10 after 100 ms
        b ($0.60): success $0.20 after 300 ms
    "), @r"
      0 ms  scheduled a#1 $0.4000
      0 ms  scheduled b#1 $0.6000
    100 ms  reply     a#1 $0.3000
    100 ms  ended     a#1 interrupted
    100 ms  retry     a at 100 ms
    300 ms  reply     b#1 $0.2000
    300 ms  ended     b#1 success
    300 ms  outcome   b ok
    300 ms  scheduled a#2 $0.4000
    300 ms  turn      a#2 $0.4000
    400 ms  reply     a#2 $0.1000
    400 ms  ended     a#2 success
    400 ms  outcome   a ok
    400 ms  finished  ok
    ");
}

#[test]
fn rested_work_that_comes_to_fit_is_waited_for_before_parking() {
    assert_snapshot!(trace("
        cap $1.00
        a ($0.30): server after 10 ms, then success $0.10 after 100 ms
        b ($0.60): turn $0.60 after 50 ms; success after 10 ms
    "), @r"
      0 ms  scheduled a#1 $0.3000
      0 ms  scheduled b#1 $0.6000
     10 ms  ended     a#1 server error
     10 ms  retry     a at 388 ms
     50 ms  reply     b#1 $0.6000
     50 ms  ended     b#1 interrupted
     50 ms  retry     b at 50 ms
    388 ms  scheduled a#2 $0.3000
    488 ms  reply     a#2 $0.1000
    488 ms  ended     a#2 success
    488 ms  outcome   a ok
    488 ms  parking   budget
    488 ms  parked    budget
    ");
}

#[test]
fn a_reply_that_cost_more_than_reserved_is_booked_as_it_is() {
    let (told, run) = traced(
        "
        cap $1.00
        a ($0.40): success $1.50 after 100 ms
        b ($0.40): turn $0.01 after 200 ms; success after 1 ms
        c needs a ($0.40): success after 100 ms
    ",
    );
    assert_snapshot!(told, @r"
      0 ms  scheduled a#1 $0.4000
      0 ms  scheduled b#1 $0.4000
    100 ms  reply     a#1 $1.50
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    100 ms  parking   t0 of haiku: $1.50 of $0.4000
    200 ms  reply     b#1 $0.0100
    200 ms  ended     b#1 interrupted
    200 ms  retry     b at 200 ms
    200 ms  parked    t0 of haiku: $1.50 of $0.4000
    ");
    assert_eq!(run.budget().spent().total().to_string(), "$1.51");
    assert_eq!(run.budget().settled.to_string(), "$0.4100");
}

#[test]
fn a_lowered_cap_stops_what_is_new() {
    assert_snapshot!(trace("
        a ($0.60): success $0.50 after 100 ms
        b ($0.60): success $0.50 after 200 ms
        at 150 ms: kill
        at 160 ms: cap $0.20
        at 170 ms: resume
    "), @r"
      0 ms  scheduled a#1 $0.6000
      0 ms  scheduled b#1 $0.6000
    100 ms  reply     a#1 $0.5000
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    150 ms  killed
    170 ms  ended     b#1 lost $0.6000
    170 ms  resumed   execution 2
    170 ms  claimed   a
    170 ms  claimed   b
    170 ms  caught up 1 reused $0.5000, 1 to run
    170 ms  parking   budget
    170 ms  parked    budget
    ");
}

#[test]
fn what_the_budget_interrupts_uses_up_no_wait() {
    let mut run = Run::new();
    let (limits, caps) = (Limits::default(), Caps::of(Some(PicoUsd(100))));
    step(
        &mut run,
        Input::Start {
            name: "test".into(),
            flow: flow_source(),
            limits,
            caps,
        },
    );
    let retry: Arc<RetryPolicy> = RetryPolicy {
        waits_max: 1,
        ..RetryPolicy::default()
    }
    .into();
    for (name, first_turn_max) in [("a", 40), ("b", 60)] {
        let facts = TaskFacts {
            retry: Some(retry.clone()),
            ..facts(name, 0, PicoUsd(first_turn_max))
        };
        let submission = Submission::new(key(name), facts, text("{}"), None);
        step(&mut run, Input::Submit(Box::new(submission)));
    }
    step(&mut run, Input::Tick);
    let attempt = |task, number| AttemptId {
        task: TaskId(task),
        number,
    };
    step(
        &mut run,
        Input::TurnEnded {
            attempt: attempt(0, 1),
            turn: Box::new(turn("1", PicoUsd(10))),
        },
    );
    let wanted = Input::TurnWanted {
        attempt: attempt(0, 1),
        tool_results: None,
        bound: TurnBound::fixed(PicoUsd(40)),
        tools: vec![],
    };
    assert!(matches!(
        step(&mut run, wanted)[..],
        [Event::AttemptEnded { .. }, Event::RetryPlanned { .. }]
    ));
    step(&mut run, ended(attempt(1, 1), Ok(text("{}"))));
    step(&mut run, Input::Tick);
    let limited = Failure::new(FailureClass::RateLimited, "slow down");
    let events = step(&mut run, ended(attempt(0, 2), Err(limited)));
    assert!(
        matches!(
            events[..],
            [Event::AttemptEnded { .. }, Event::RetryPlanned { .. }]
        ),
        "{events:?}"
    );
}

#[test]
fn an_attempt_is_billed_for_all_it_did() {
    let mut run = started(Limits::default());
    let facts = facts("a", 0, PicoUsd(100));
    let submission = Submission::new(key("a"), facts, text("{}"), None);
    step(&mut run, Input::Submit(Box::new(submission)));
    step(&mut run, Input::Tick);
    let attempt = AttemptId {
        task: TaskId(0),
        number: 1,
    };
    step(
        &mut run,
        Input::TurnEnded {
            attempt,
            turn: Box::new(turn("1", PicoUsd(30))),
        },
    );
    step(
        &mut run,
        Input::TurnWanted {
            attempt,
            tool_results: None,
            bound: TurnBound::fixed(PicoUsd(100)),
            tools: vec![],
        },
    );
    let end = AttemptEnd {
        last_turn: Some(Box::new(turn("2", PicoUsd(40)))),
        usage: Usage {
            input: 5,
            ..Usage::default()
        },
        cost: PicoUsd(7),
        ..AttemptEnd::of(Ok(text("{}")))
    };
    step(
        &mut run,
        Input::AttemptEnded {
            attempt,
            end: Box::new(end),
        },
    );
    let task = run.task(TaskId(0)).expect("the task");
    assert_eq!(
        (
            task.cost(),
            run.budget().spent().total(),
            run.budget().reserved
        ),
        (PicoUsd(77), PicoUsd(77), PicoUsd::ZERO)
    );
    assert_eq!((task.usage().input, run.usage().input), (25, 25));
    assert_eq!(run.wake_at(), None::<Timestamp>);
}

/// A conversation whose next request needs more of the task's budget than its first: while others
/// have reserved that amount, it waits, and does not begin again and again.
#[test]
fn an_attempt_begins_only_where_its_next_request_will_be_granted() {
    let mut run = Run::new();
    let (limits, caps) = (Limits::default(), Caps::of(Some(PicoUsd(171))));
    step(
        &mut run,
        Input::Start {
            name: "test".into(),
            flow: flow_source(),
            limits,
            caps,
        },
    );
    let bound = |prompt, token, max, min| TurnBound {
        prompt: PicoUsd(prompt),
        reply_token: PicoUsd(token),
        reply_tokens_max: max,
        reply_tokens_min: min,
    };
    let mut own = facts("a", 1, PicoUsd(0));
    (own.first_turns, own.cost_max) = (vec![bound(27, 1, 4, 0)], Some(PicoUsd(99)));
    for (name, facts) in [("a", own), ("b", facts("b", 0, PicoUsd(100)))] {
        let submission = Submission::new(key(name), facts, text("{}"), None);
        step(&mut run, Input::Submit(Box::new(submission)));
    }
    step(&mut run, Input::Tick);
    let attempt = |task, number| AttemptId {
        task: TaskId(task),
        number,
    };
    step(
        &mut run,
        Input::TurnEnded {
            attempt: attempt(0, 1),
            turn: Box::new(turn("1", PicoUsd(31))),
        },
    );
    let wants = |number| Input::TurnWanted {
        attempt: attempt(0, number),
        tool_results: None,
        bound: bound(8, 3, 21, 13),
        tools: vec![],
    };
    let events = step(&mut run, wants(1));
    assert!(
        matches!(
            events[..],
            [Event::AttemptEnded { .. }, Event::RetryPlanned { .. }]
        ),
        "{events:?}"
    );
    assert_eq!(
        step(&mut run, Input::Tick),
        [],
        "40 are left, and it will want 66"
    );
    step(&mut run, ended(attempt(1, 1), Ok(text("{}"))));
    let events = step(&mut run, Input::Tick);
    assert!(
        matches!(
            events[..],
            [Event::AttemptScheduled {
                reserved: PicoUsd(68),
                ..
            }]
        ),
        "{events:?}"
    );
    let events = step(&mut run, wants(2));
    assert!(
        matches!(
            events[..],
            [Event::TurnScheduled {
                reserved: PicoUsd(68),
                ..
            }]
        ),
        "{events:?}"
    );
}

#[test]
fn after_a_reply_that_costs_more_than_was_set_aside_nothing_new_starts() {
    let (told, run) = traced(
        "
        cap $1.00
        2 at once
        a ($0.30): success $0.90 after 100 ms
        b ($0.30): success $0.20 after 200 ms
        c ($0.30): success $0.20 after 100 ms
    ",
    );
    assert_snapshot!(told, @r"
      0 ms  scheduled a#1 $0.3000
      0 ms  scheduled b#1 $0.3000
    100 ms  reply     a#1 $0.9000
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    100 ms  parking   t0 of haiku: $0.9000 of $0.3000
    200 ms  reply     b#1 $0.2000
    200 ms  ended     b#1 success
    200 ms  outcome   b ok
    200 ms  parked    t0 of haiku: $0.9000 of $0.3000
    ");
    let spent = run.budget().spent();
    let shown = [spent.billed, spent.unconfirmed, spent.over].map(|amount| amount.to_string());
    assert_eq!(shown, ["$0.5000", "$0.0000", "$0.6000"]);
    assert_eq!(
        run.budget().settled.to_string(),
        "$0.5000",
        "what requests were allowed to cost"
    );
    assert_eq!(run.overcharged().to_string(), "$0.6000");
}

#[test]
fn a_run_without_a_cap_parks_as_well() {
    assert_snapshot!(trace("
        1 at once
        a ($0.30): success $0.90 after 100 ms
        b ($0.30): success $0.20 after 200 ms
    "), @r"
      0 ms  scheduled a#1 $0.3000
    100 ms  reply     a#1 $0.9000
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    100 ms  parking   t0 of haiku: $0.9000 of $0.3000
    100 ms  parked    t0 of haiku: $0.9000 of $0.3000
    ");
}

/// A run of one task, and its attempt with this much set aside.
fn under_way(reserved: u64) -> (Run, AttemptId) {
    let mut run = started(Limits::default());
    let (facts, spec) = (facts("a", 0, PicoUsd(reserved)), text("{}"));
    step(
        &mut run,
        Input::Submit(Box::new(Submission::new(key("a"), facts, spec, None))),
    );
    step(&mut run, Input::Tick);
    (
        run,
        AttemptId {
            task: TaskId(0),
            number: 1,
        },
    )
}

#[test]
fn whatever_a_run_was_to_rest_for_an_overcharge_is_told() {
    let (mut run, attempt) = under_way(10);
    step(&mut run, Input::Park);
    step(&mut run, Input::FlowEnded(Ok(text("null"))));
    let end = AttemptEnd {
        last_turn: Some(Box::new(turn("1", PicoUsd(11)))),
        ..AttemptEnd::of(Ok(text("{}")))
    };
    let events = step(
        &mut run,
        Input::AttemptEnded {
            attempt,
            end: Box::new(end),
        },
    );
    let reason = ParkReason::Overcharged {
        task: attempt.task,
        model: Some("haiku".into()),
        reserved: PicoUsd(10),
        cost: PicoUsd(11),
    };
    assert_eq!(events.last(), Some(&Event::ParkingStarted { reason }));
    // All is done, and yet it is not ok.
    assert_eq!(
        step(&mut run, Input::Tick),
        [Event::RunEnded {
            status: RunStatus::Partial
        }]
    );
}

#[test]
fn what_an_executor_has_spent_beside_its_requests_was_not_set_aside() {
    let (mut run, attempt) = under_way(10);
    let end = AttemptEnd {
        cost: PicoUsd(11),
        ..AttemptEnd::of(Ok(text("{}")))
    };
    let events = step(
        &mut run,
        Input::AttemptEnded {
            attempt,
            end: Box::new(end),
        },
    );
    assert!(matches!(
        events.last(),
        Some(Event::ParkingStarted {
            reason: ParkReason::Overcharged { .. }
        })
    ));
    let (mut run, attempt) = under_way(10);
    let failure = Failure::new(FailureClass::Network, "gone");
    let end = AttemptEnd {
        cost: PicoUsd(2),
        unanswered: Some(Unanswered::UNKNOWN),
        ..AttemptEnd::of(Err(failure))
    };
    step(
        &mut run,
        Input::AttemptEnded {
            attempt,
            end: Box::new(end),
        },
    );
    let spent = run.budget().spent();
    assert_eq!(
        (spent.billed.0, spent.unconfirmed.0, spent.over.0),
        (0, 10, 2)
    );
}

#[test]
fn a_bill_beyond_all_numbers_is_recorded_and_does_not_overflow() {
    let (mut run, attempt) = under_way(10);
    for _ in 0..2 {
        step(
            &mut run,
            Input::TurnEnded {
                attempt,
                turn: Box::new(turn("1", PicoUsd::MAX)),
            },
        );
    }
    let budget = run.budget();
    assert_eq!(
        (budget.settled, budget.spent().total()),
        (PicoUsd(10), PicoUsd::MAX)
    );
    assert!(matches!(
        run.stage(),
        Stage::Parking(ParkReason::Overcharged { .. })
    ));
}

#[test]
fn what_was_set_aside_for_a_lost_request_is_told_apart() {
    let (mut run, attempt) = under_way(10);
    step(&mut run, Input::HedgeWanted { attempt });
    step(
        &mut run,
        Input::HedgeEnded {
            attempt,
            most: PicoUsd::MAX,
        },
    );
    step(
        &mut run,
        Input::TurnEnded {
            attempt,
            turn: Box::new(turn("1", PicoUsd(4))),
        },
    );
    let spent = run.budget().spent();
    assert_eq!((spent.billed, spent.unconfirmed), (PicoUsd(4), PicoUsd(10)));
    let mut killed = under_way(10).0;
    step(&mut killed, Input::Cancel);
    assert_eq!(killed.budget().spent().unconfirmed, PicoUsd(10));
    assert_eq!(
        killed.task(TaskId(0)).unwrap().spent().unconfirmed,
        PicoUsd(10)
    );
}
