//! Checks, ladders and fallbacks.

use super::{ended, facts, flow_source, key, resumed, started, step, text, trace, traced, turn};
use crate::budget::TurnBound;
use crate::event::{Caps, TaskFacts};
use crate::run::Submission;
use crate::{
    AttemptId, Event, Failure, FailureClass, Input, Limits, Millis, PicoUsd, RetryPolicy, Run,
    TaskId,
};
use insta::assert_snapshot;
use std::sync::Arc;

#[test]
fn a_refused_result_is_tried_on_the_next_rung() {
    assert_snapshot!(trace("
        a (on haiku opus): refused after 10 ms, then success after 20 ms
    "), @r"
     0 ms  scheduled a#1 on haiku
    10 ms  ended     a#1 check failed
    10 ms  retry     a at 10 ms
    10 ms  scheduled a#2 on opus
    30 ms  reply     a#2
    30 ms  ended     a#2 success
    30 ms  outcome   a ok
    30 ms  finished  ok
    ");
}

#[test]
fn there_is_nothing_above_the_last_rung() {
    assert_snapshot!(trace("
        a (on haiku opus): refused after 10 ms
    "), @r"
     0 ms  scheduled a#1 on haiku
    10 ms  ended     a#1 check failed
    10 ms  retry     a at 10 ms
    10 ms  scheduled a#2 on opus
    20 ms  ended     a#2 check failed
    20 ms  outcome   a failed: check failed
    20 ms  finished  failed
    ");
}

#[test]
fn a_lost_attempt_does_not_climb_and_a_resume_stays_where_it_was() {
    assert_snapshot!(trace("
        a (on haiku opus): refused after 10 ms, then success after 100 ms
        at 50 ms: kill
        at 60 ms: resume
    "), @r"
      0 ms  scheduled a#1 on haiku
     10 ms  ended     a#1 check failed
     10 ms  retry     a at 10 ms
     10 ms  scheduled a#2 on opus
     50 ms  killed
     60 ms  ended     a#2 lost
     60 ms  resumed   execution 2
     60 ms  claimed   a
     60 ms  caught up 0 reused, 1 to run
     60 ms  scheduled a#3 on opus
    160 ms  reply     a#3
    160 ms  ended     a#3 success
    160 ms  outcome   a ok
    160 ms  finished  ok
    ");
}

#[test]
fn a_climb_forgets_the_conversation() {
    let (told, run) = traced(
        "a (on haiku opus): turn after 10 ms; refused after 10 ms, then turn after 10 ms; success after 10 ms",
    );
    assert_snapshot!(told, @r"
     0 ms  scheduled a#1 on haiku
    10 ms  reply     a#1
    10 ms  turn      a#1
    20 ms  ended     a#1 check failed
    20 ms  retry     a at 20 ms
    20 ms  scheduled a#2 on opus
    30 ms  reply     a#2
    30 ms  turn      a#2
    40 ms  reply     a#2
    40 ms  ended     a#2 success
    40 ms  outcome   a ok
    40 ms  finished  ok
    ");
    assert_eq!(run.tasks().next().map(|(_, task)| task.rung()), Some(1));
}

#[test]
fn a_model_out_of_order_is_stood_in_for() {
    assert_snapshot!(trace("
        a (on opus, else sonnet): overloaded after 10 ms, then overloaded after 10 ms, then success after 10 ms
    "), @r"
       0 ms  scheduled a#1 on opus
      10 ms  ended     a#1 overloaded
      10 ms  retry     a at 388 ms
     388 ms  scheduled a#2 on opus
     398 ms  ended     a#2 overloaded
     398 ms  retry     a at 1268 ms
    1268 ms  scheduled a#3 on sonnet
    1278 ms  reply     a#3
    1278 ms  ended     a#3 success
    1278 ms  outcome   a ok
    1278 ms  finished  ok
    ");
}

#[test]
fn what_was_wrong_is_known_until_there_is_another_result() {
    let (told, run) = traced(
        "
        a (on haiku opus): refused after 10 ms, then limited after 10 ms, then success after 10 ms
        at 15 ms: park
    ",
    );
    assert_snapshot!(told, @r"
     0 ms  scheduled a#1 on haiku
    10 ms  ended     a#1 check failed
    10 ms  retry     a at 10 ms
    10 ms  scheduled a#2 on opus
    15 ms  parking   asked
    20 ms  ended     a#2 rate limited
    20 ms  retry     a at 455 ms
    20 ms  parked    asked
    ");
    let findings = run.tasks().next().and_then(|(_, task)| task.findings());
    assert_eq!(findings, Some(&text("it is wrong")));
}

/// Found by the simulator with seed 275.
#[test]
fn what_a_stand_in_waits_for_does_not_hold_up_the_model_itself() {
    let fixed = |most| TurnBound::fixed(PicoUsd(most));
    let facts = TaskFacts {
        models: vec!["opus".into()],
        fallbacks: vec!["sonnet".into()],
        first_turns: vec![fixed(30), fixed(40)],
        retry: Some(Arc::new(RetryPolicy {
            rest_first: Millis(0),
            ..RetryPolicy::default()
        })),
        ..facts("a", 0, PicoUsd::ZERO)
    };
    let submission = Submission::new(key("a"), facts, text("{}"), None);
    let submit = Input::Submit(Box::new(submission));
    let (limits, caps) = (Limits::default(), Caps::of(Some(PicoUsd(100))));
    let attempt = |number| AttemptId {
        task: TaskId(0),
        number,
    };
    let overloaded = || Err(Failure::new(FailureClass::Overloaded, "come back later"));

    let mut run = Run::new();
    let (name, flow) = ("test".into(), flow_source());
    step(
        &mut run,
        Input::Start {
            name,
            flow,
            limits: limits.clone(),
            caps: caps.clone(),
        },
    );
    step(&mut run, submit.clone());
    for number in [1, 2] {
        step(&mut run, Input::Tick);
        step(&mut run, ended(attempt(number), overloaded()));
    }
    step(&mut run, Input::Tick);
    step(
        &mut run,
        Input::TurnEnded {
            attempt: attempt(3),
            turn: Box::new(turn("first", PicoUsd(40))),
        },
    );
    step(
        &mut run,
        Input::TurnWanted {
            attempt: attempt(3),
            tool_results: None,
            bound: fixed(80),
            tools: vec![],
        },
    );
    step(&mut run, Input::Tick);
    step(
        &mut run,
        Input::Resume {
            flow: flow_source(),
            limits,
            caps,
            reopen_failed: false,
            reopen: vec![],
        },
    );
    step(&mut run, submit);
    step(&mut run, Input::CaughtUp);

    let model = Some("opus".into());
    let start = Event::AttemptScheduled {
        attempt: attempt(4),
        model,
        reserved: PicoUsd(30),
        reply_tokens: None,
    };
    assert_eq!(step(&mut run, Input::Tick), [start]);
}

/// Found by the simulator with seed 277.
#[test]
fn tool_results_go_to_the_conversation_that_asked_for_them() {
    let facts = TaskFacts {
        models: vec!["opus".into()],
        fallbacks: vec!["sonnet".into()],
        retry: Some(Arc::new(RetryPolicy {
            rest_first: Millis(0),
            ..RetryPolicy::default()
        })),
        ..facts("a", 0, PicoUsd::ZERO)
    };
    let submission = Submission::new(key("a"), facts, text("{}"), None);
    let submit = Input::Submit(Box::new(submission));
    let attempt = |number| AttemptId {
        task: TaskId(0),
        number,
    };
    let out_of_order = |run: &mut Run, number| {
        let overloaded = Failure::new(FailureClass::Overloaded, "come back later");
        step(run, ended(attempt(number), Err(overloaded)));
        step(run, Input::Tick);
    };
    let answered = |run: &mut Run, number, request: &str| {
        let turn = Box::new(turn(request, PicoUsd::ZERO));
        step(
            run,
            Input::TurnEnded {
                attempt: attempt(number),
                turn,
            },
        );
    };
    let tools_done = |run: &mut Run, number, results: &str| {
        let (attempt, tool_results) = (attempt(number), Some(text(results)));
        step(
            run,
            Input::TurnWanted {
                attempt,
                tool_results,
                bound: TurnBound::default(),
                tools: vec![],
            },
        );
    };

    let mut run = started(Limits::default());
    step(&mut run, submit.clone());
    step(&mut run, Input::Tick);
    out_of_order(&mut run, 1);
    out_of_order(&mut run, 2);
    answered(&mut run, 3, "of the stand-in");
    let mut run = resumed(run);
    step(&mut run, submit);
    step(&mut run, Input::CaughtUp);
    step(&mut run, Input::Tick);
    answered(&mut run, 4, "of the model");
    tools_done(&mut run, 4, "for the model");
    out_of_order(&mut run, 4);
    out_of_order(&mut run, 5);
    tools_done(&mut run, 6, "for the stand-in");

    let results: Vec<_> = run
        .task(TaskId(0))
        .expect("a")
        .kept_turns()
        .iter()
        .map(|kept| kept.tool_results.clone())
        .collect();
    assert_eq!(
        results,
        [Some(text("for the stand-in")), Some(text("for the model"))]
    );
}
