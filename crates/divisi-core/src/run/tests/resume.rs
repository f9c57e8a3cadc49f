//! Going on after a kill, an edit or a failure.

use super::{ended, facts, flow_source, key, resumed, started, step, text, trace, traced};
use crate::run::Submission;
use crate::{AttemptId, Event, Failure, FailureClass, Input, Limits, Outcome, PicoUsd, TaskId};
use insta::assert_snapshot;

#[test]
fn a_killed_run_goes_on_with_what_is_missing() {
    assert_snapshot!(trace("
        cap $5.00
        a ($0.40): success $0.10 after 100 ms
        b ($0.40): success $0.10 after 200 ms
        c needs a ($0.40): success $0.10 after 300 ms
        at 250 ms: kill
        at 500 ms: resume
    "), @r"
      0 ms  scheduled a#1 $0.4000
      0 ms  scheduled b#1 $0.4000
    100 ms  reply     a#1 $0.1000
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    100 ms  scheduled c#1 $0.4000
    200 ms  reply     b#1 $0.1000
    200 ms  ended     b#1 success
    200 ms  outcome   b ok
    250 ms  killed
    500 ms  ended     c#1 lost $0.4000
    500 ms  resumed   execution 2
    500 ms  claimed   a
    500 ms  claimed   b
    500 ms  claimed   c
    500 ms  caught up 2 reused $0.2000, 1 to run
    500 ms  scheduled c#2 $0.4000
    800 ms  reply     c#2 $0.1000
    800 ms  ended     c#2 success
    800 ms  outcome   c ok
    800 ms  finished  ok
    ");
}

#[test]
fn an_edited_prompt_runs_again_with_what_depends_on_it() {
    assert_snapshot!(trace("
        a: success after 100 ms
        b: success after 100 ms
        c needs a: success after 100 ms
        at 1 s: edit b
        at 2 s: resume
    "), @r"
       0 ms  scheduled a#1
       0 ms  scheduled b#1
     100 ms  reply     a#1
     100 ms  ended     a#1 success
     100 ms  outcome   a ok
     100 ms  scheduled c#1
     100 ms  reply     b#1
     100 ms  ended     b#1 success
     100 ms  outcome   b ok
     200 ms  reply     c#1
     200 ms  ended     c#1 success
     200 ms  outcome   c ok
     200 ms  finished  ok
    2000 ms  resumed   execution 2
    2000 ms  claimed   a
    2000 ms  submitted b
    2000 ms  claimed   c
    2000 ms  caught up 2 reused, 1 to run
    2000 ms  scheduled b#1
    2100 ms  reply     b#1
    2100 ms  ended     b#1 success
    2100 ms  outcome   b ok
    2100 ms  finished  ok
    ");
}

#[test]
fn a_conversation_goes_on_after_a_kill() {
    assert_snapshot!(trace("
        a ($0.40): turn $0.10 after 100 ms; turn $0.10 after 100 ms; success $0.10 after 100 ms
        at 250 ms: kill
        at 500 ms: resume
    "), @r"
      0 ms  scheduled a#1 $0.4000
    100 ms  reply     a#1 $0.1000
    100 ms  turn      a#1 $0.4000
    200 ms  reply     a#1 $0.1000
    200 ms  turn      a#1 $0.4000
    250 ms  killed
    500 ms  ended     a#1 lost $0.4000
    500 ms  resumed   execution 2
    500 ms  claimed   a
    500 ms  caught up 0 reused, 1 to run
    500 ms  scheduled a#2 $0.4000
    500 ms  turn      a#2 $0.4000
    600 ms  reply     a#2 $0.1000
    600 ms  ended     a#2 success
    600 ms  outcome   a ok
    600 ms  finished  ok
    ");
}

#[test]
fn tool_results_survive_the_turn_after_them() {
    let (_, run) = traced(
        "
        flow never returns
        a: turn after 100 ms; turn after 100 ms; success after 100 ms
        at 150 ms: kill
        at 160 ms: resume
        at 170 ms: kill
    ",
    );
    let kept = run.task(TaskId(0)).expect("a").kept_turns();
    assert_eq!(kept[0].tool_results, Some(text("results 0")));
}

#[test]
fn tool_results_survive_a_park_that_comes_before_they_are_sent() {
    let (_, run) = traced(
        "
        a: turn after 100 ms; success after 100 ms
        at 50 ms: park
    ",
    );
    let kept = run.task(TaskId(0)).expect("a").kept_turns();
    assert_eq!(kept[0].tool_results, Some(text("results 0")));
}

#[test]
fn failed_tasks_stay_failed_unless_they_are_reopened() {
    assert_snapshot!(trace("
        a: declined after 100 ms, then success after 100 ms
        b: success after 100 ms
        at 1 s: resume
        at 2 s: resume reopening failed
    "), @r"
       0 ms  scheduled a#1
       0 ms  scheduled b#1
     100 ms  ended     a#1 declined
     100 ms  outcome   a failed: declined
     100 ms  reply     b#1
     100 ms  ended     b#1 success
     100 ms  outcome   b ok
     100 ms  finished  partial
    1000 ms  resumed   execution 2
    1000 ms  claimed   a
    1000 ms  claimed   b
    1000 ms  caught up 2 reused, 0 to run
    1000 ms  finished  partial
    2000 ms  resumed   execution 3
    2000 ms  claimed   a
    2000 ms  claimed   b
    2000 ms  caught up 1 reused, 1 to run
    2000 ms  scheduled a#2
    2100 ms  reply     a#2
    2100 ms  ended     a#2 success
    2100 ms  outcome   a ok
    2100 ms  finished  ok
    ");
}

#[test]
fn a_reopened_conversation_that_broke_for_outer_reasons_goes_on() {
    assert_snapshot!(trace("
        a: turn after 100 ms; auth after 100 ms, then turn after 100 ms; success after 100 ms
        at 1 s: resume reopening failed
    "), @r"
       0 ms  scheduled a#1
     100 ms  reply     a#1
     100 ms  turn      a#1
     200 ms  ended     a#1 not authorised
     200 ms  outcome   a failed: not authorised
     200 ms  finished  failed
    1000 ms  resumed   execution 2
    1000 ms  claimed   a
    1000 ms  caught up 0 reused, 1 to run
    1000 ms  scheduled a#2
    1000 ms  turn      a#2
    1100 ms  reply     a#2
    1100 ms  ended     a#2 success
    1100 ms  outcome   a ok
    1100 ms  finished  ok
    ");
}

#[test]
fn a_reopened_conversation_that_failed_by_itself_starts_afresh() {
    assert_snapshot!(trace("
        a: turn after 100 ms; declined after 100 ms, then turn after 100 ms; success after 100 ms
        at 1 s: resume reopening failed
    "), @r"
       0 ms  scheduled a#1
     100 ms  reply     a#1
     100 ms  turn      a#1
     200 ms  ended     a#1 declined
     200 ms  outcome   a failed: declined
     200 ms  finished  failed
    1000 ms  resumed   execution 2
    1000 ms  claimed   a
    1000 ms  caught up 0 reused, 1 to run
    1000 ms  scheduled a#2
    1100 ms  reply     a#2
    1100 ms  turn      a#2
    1200 ms  reply     a#2
    1200 ms  ended     a#2 success
    1200 ms  outcome   a ok
    1200 ms  finished  ok
    ");
}

#[test]
fn identical_tasks_are_told_apart_by_their_occurrence() {
    assert_snapshot!(trace("
        a: success after 100 ms
        b asks a: declined after 200 ms, then success after 10 ms
        c asks a: success after 300 ms
        at 250 ms: kill
        at 500 ms: resume reopening failed
    "), @r"
      0 ms  scheduled a#1
      0 ms  scheduled b#1
      0 ms  scheduled c#1
    100 ms  reply     a#1
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    200 ms  ended     b#1 declined
    200 ms  outcome   b failed: declined
    250 ms  killed
    500 ms  ended     c#1 lost
    500 ms  resumed   execution 2
    500 ms  claimed   a
    500 ms  claimed   b
    500 ms  claimed   c
    500 ms  caught up 1 reused, 2 to run
    500 ms  scheduled b#2
    500 ms  scheduled c#2
    510 ms  reply     b#2
    510 ms  ended     b#2 success
    510 ms  outcome   b ok
    800 ms  reply     c#2
    800 ms  ended     c#2 success
    800 ms  outcome   c ok
    800 ms  finished  ok
    ");
}

#[test]
fn a_second_resume_finds_what_the_first_has_done() {
    assert_snapshot!(trace("
        1 at once
        a: success after 100 ms
        b: success after 100 ms
        c: success after 100 ms
        at 150 ms: kill
        at 200 ms: resume
        at 350 ms: kill
        at 400 ms: resume
    "), @r"
      0 ms  scheduled a#1
    100 ms  reply     a#1
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    100 ms  scheduled b#1
    150 ms  killed
    200 ms  ended     b#1 lost
    200 ms  resumed   execution 2
    200 ms  claimed   a
    200 ms  claimed   b
    200 ms  claimed   c
    200 ms  caught up 1 reused, 2 to run
    200 ms  scheduled b#2
    300 ms  reply     b#2
    300 ms  ended     b#2 success
    300 ms  outcome   b ok
    300 ms  scheduled c#1
    350 ms  killed
    400 ms  ended     c#1 lost
    400 ms  resumed   execution 3
    400 ms  claimed   a
    400 ms  claimed   b
    400 ms  claimed   c
    400 ms  caught up 2 reused, 1 to run
    400 ms  scheduled c#2
    500 ms  reply     c#2
    500 ms  ended     c#2 success
    500 ms  outcome   c ok
    500 ms  finished  ok
    ");
}

#[test]
fn a_rest_is_not_continued_after_a_resume() {
    assert_snapshot!(trace("
        a: server for 60 s after 100 ms, then success after 100 ms
        at 200 ms: kill
        at 300 ms: resume
    "), @r"
      0 ms  scheduled a#1
    100 ms  ended     a#1 server error
    100 ms  retry     a at 60100 ms
    200 ms  killed
    300 ms  resumed   execution 2
    300 ms  claimed   a
    300 ms  caught up 0 reused, 1 to run
    300 ms  scheduled a#2
    400 ms  reply     a#2
    400 ms  ended     a#2 success
    400 ms  outcome   a ok
    400 ms  finished  ok
    ");
}

#[test]
fn a_resume_brings_new_retries() {
    let (told, run) = traced(
        "
        a: server after 1 ms
        at 5 s: kill
        at 5 s: resume
    ",
    );
    let attempts = run.task(TaskId(0)).expect("a").attempts();
    assert_eq!(attempts, 4 + 5, "{told}");
}

#[test]
fn logs_and_phases_are_told_once() {
    let mut run = started(Limits::default());
    let say = |run: &mut crate::Run, line: &str| step(run, Input::Log(line.into())).len();
    let begin = |run: &mut crate::Run, title: &str| {
        step(
            run,
            Input::Phase {
                title: title.into(),
                cap: None,
            },
        )
        .len()
    };
    assert_eq!(
        (
            say(&mut run, "one"),
            say(&mut run, "one"),
            begin(&mut run, "Scan")
        ),
        (1, 1, 1)
    );
    let mut run = resumed(run);
    assert_eq!(
        (
            say(&mut run, "one"),
            say(&mut run, "two"),
            begin(&mut run, "Scan")
        ),
        (0, 1, 0)
    );
    step(&mut run, Input::CaughtUp);
    assert_eq!(
        (
            say(&mut run, "one"),
            begin(&mut run, "Scan"),
            begin(&mut run, "Fix")
        ),
        (1, 0, 1)
    );
}

#[test]
fn a_cut_log_line_is_told_once_too() {
    let mut run = started(Limits {
        log_bytes_max: 10,
        ..Limits::default()
    });
    assert_eq!(
        step(&mut run, Input::Log("a line of more bytes".into())).len(),
        1
    );
    let mut run = resumed(run);
    assert_eq!(
        step(&mut run, Input::Log("a line of more bytes".into())),
        []
    );
}

#[test]
fn a_flow_that_returns_without_waiting_has_caught_up() {
    let mut run = started(Limits::default());
    submit(&mut run, None);
    let mut run = resumed(run);
    submit(&mut run, None);
    step(&mut run, Input::FlowEnded(Ok(text("null"))));
    let events = step(&mut run, Input::Tick);
    let attempt = AttemptId {
        task: TaskId(0),
        number: 1,
    };
    assert_eq!(
        events,
        [Event::AttemptScheduled {
            attempt,
            model: None,
            reserved: PicoUsd::ZERO,
            reply_tokens: None
        }]
    );
}

#[test]
fn an_outcome_known_at_submission_holds_for_claimed_tasks_too() {
    let mut run = started(Limits::default());
    submit(&mut run, None);
    let mut run = resumed(run);
    let outcome = Outcome::Failed(Failure::new(
        FailureClass::Unavailable,
        "no agent of that name",
    ));
    submit(&mut run, Some(outcome.clone()));
    assert_eq!(
        run.task(TaskId(0)).expect("the task").outcome(),
        Some(&outcome)
    );
}

fn submit(run: &mut crate::Run, outcome: Option<Outcome>) {
    let submission = Submission::new(key("a"), facts("a", 0, PicoUsd::ZERO), text("{}"), outcome);
    step(run, Input::Submit(Box::new(submission)));
}

#[test]
fn a_named_task_runs_again_and_its_neighbour_keeps_its_result() {
    let mut run = started(Limits::default());
    let submit = |run: &mut crate::Run, name: &str| {
        let facts = facts(name, 0, PicoUsd::ZERO);
        let submission = Submission::new(key(name), facts, text("{}"), None);
        step(run, Input::Submit(Box::new(submission)));
    };
    let id = |task: u32, number: u32| AttemptId {
        task: TaskId(task),
        number,
    };
    for name in ["a", "b"] {
        submit(&mut run, name);
    }
    step(&mut run, Input::Tick);
    for task in [0, 1] {
        step(&mut run, ended(id(task, 1), Ok(text("\"first\""))));
    }
    step(&mut run, Input::FlowEnded(Ok(text("null"))));
    step(&mut run, Input::Tick);
    let (limits, caps) = (run.limits().clone(), crate::event::Caps::default());
    step(
        &mut run,
        Input::Resume {
            flow: flow_source(),
            limits,
            caps,
            reopen_failed: false,
            // No task has the second number.
            reopen: vec![TaskId(1), TaskId(9)],
        },
    );
    for name in ["a", "b"] {
        submit(&mut run, name);
    }
    step(&mut run, Input::CaughtUp);
    step(&mut run, Input::Tick);
    assert_eq!((run.reused(), run.counts().open), (1, 1));
    step(&mut run, ended(id(1, 2), Ok(text("\"second\""))));
    let value = |task| match run.task(TaskId(task)).expect("a task").outcome() {
        Some(Outcome::Ok { value }) => value.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        [value(0), value(1)],
        [text("\"first\""), text("\"second\"")]
    );
}
