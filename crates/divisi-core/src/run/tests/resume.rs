//! Going on after a kill, an edit or a failure.

use super::{facts, key, resumed, started, step, text, trace, traced};
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
    "), @"");
}

#[test]
fn an_edited_prompt_runs_again_with_what_depends_on_it() {
    assert_snapshot!(trace("
        a: success after 100 ms
        b: success after 100 ms
        c needs a: success after 100 ms
        at 1 s: edit b
        at 2 s: resume
    "), @"");
}

#[test]
fn a_conversation_goes_on_after_a_kill() {
    assert_snapshot!(trace("
        a ($0.40): turn $0.10 after 100 ms; turn $0.10 after 100 ms; success $0.10 after 100 ms
        at 250 ms: kill
        at 500 ms: resume
    "), @"");
}

#[test]
fn tool_results_survive_the_turn_after_them() {
    let (_, run) = traced("
        flow never returns
        a: turn after 100 ms; turn after 100 ms; success after 100 ms
        at 150 ms: kill
        at 160 ms: resume
        at 170 ms: kill
    ");
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
    "), @"");
}

#[test]
fn a_reopened_conversation_that_broke_for_outer_reasons_goes_on() {
    assert_snapshot!(trace("
        a: turn after 100 ms; auth after 100 ms, then turn after 100 ms; success after 100 ms
        at 1 s: resume reopening failed
    "), @"");
}

#[test]
fn a_reopened_conversation_that_failed_by_itself_starts_afresh() {
    assert_snapshot!(trace("
        a: turn after 100 ms; declined after 100 ms, then turn after 100 ms; success after 100 ms
        at 1 s: resume reopening failed
    "), @"");
}

#[test]
fn identical_tasks_are_told_apart_by_their_occurrence() {
    assert_snapshot!(trace("
        a: success after 100 ms
        b asks a: declined after 200 ms, then success after 10 ms
        c asks a: success after 300 ms
        at 250 ms: kill
        at 500 ms: resume reopening failed
    "), @"");
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
    "), @"");
}

#[test]
fn a_rest_is_not_continued_after_a_resume() {
    assert_snapshot!(trace("
        a: server for 60 s after 100 ms, then success after 100 ms
        at 200 ms: kill
        at 300 ms: resume
    "), @"");
}

#[test]
fn logs_and_phases_are_told_once() {
    let mut run = started(Limits::default());
    let say = |run: &mut crate::Run, line: &str| step(run, Input::Log(line.into())).len();
    let begin = |run: &mut crate::Run, title: &str| step(run, Input::Phase(title.into())).len();
    assert_eq!((say(&mut run, "one"), say(&mut run, "one"), begin(&mut run, "Scan")), (1, 1, 1));
    let mut run = resumed(run);
    assert_eq!((say(&mut run, "one"), say(&mut run, "two"), begin(&mut run, "Scan")), (0, 1, 0));
    step(&mut run, Input::CaughtUp);
    assert_eq!((say(&mut run, "one"), begin(&mut run, "Scan"), begin(&mut run, "Fix")), (1, 0, 1));
}

#[test]
fn a_cut_log_line_is_told_once_too() {
    let mut run = started(Limits { log_bytes_max: 10, ..Limits::default() });
    assert_eq!(step(&mut run, Input::Log("a line of more bytes".into())).len(), 1);
    let mut run = resumed(run);
    assert_eq!(step(&mut run, Input::Log("a line of more bytes".into())), []);
}

#[test]
fn a_flow_that_returns_without_waiting_has_caught_up() {
    let mut run = started(Limits::default());
    submit(&mut run, None);
    let mut run = resumed(run);
    submit(&mut run, None);
    step(&mut run, Input::FlowEnded(Ok(text("null"))));
    let events = step(&mut run, Input::Tick);
    let attempt = AttemptId { task: TaskId(0), number: 1 };
    assert_eq!(events, [Event::AttemptScheduled { attempt, model: None, reserved: PicoUsd::ZERO }]);
}

#[test]
fn an_outcome_known_at_submission_holds_for_claimed_tasks_too() {
    let mut run = started(Limits::default());
    submit(&mut run, None);
    let mut run = resumed(run);
    let outcome = Outcome::Failed(Failure::new(FailureClass::Unavailable, "no agent of that name"));
    submit(&mut run, Some(outcome.clone()));
    assert_eq!(run.task(TaskId(0)).expect("the task").outcome(), Some(&outcome));
}

fn submit(run: &mut crate::Run, outcome: Option<Outcome>) {
    let submission = Submission { key: key("a"), facts: facts("a", 0, PicoUsd::ZERO), spec: text("{}"), outcome };
    step(run, Input::Submit(Box::new(submission)));
}
