//! What may not grow, and numbers from outside that are out of all proportion.

use super::{resumed, started, step, trace};
use crate::preflight::{Estimate, Spread};
use crate::retry::{RetryPolicy, Told, Tries};
use crate::run::Run;
use crate::{AttemptId, Event, FailureClass, Input, Limits, Millis, PicoUsd, TaskId, Timestamp, Usage};
use insta::assert_snapshot;

#[test]
fn a_run_has_as_many_tasks_as_it_may_have() {
    assert_snapshot!(trace("
        2 tasks at most
        a: success after 10 ms
        b: success after 10 ms
        c: success after 10 ms
    "), @r"
     0 ms  refused   c
     0 ms  scheduled a#1
     0 ms  scheduled b#1
    10 ms  reply     a#1
    10 ms  ended     a#1 success
    10 ms  outcome   a ok
    10 ms  reply     b#1
    10 ms  ended     b#1 success
    10 ms  outcome   b ok
    10 ms  finished  ok
    ");
}

#[test]
fn a_run_with_no_slots_still_has_one() {
    assert_snapshot!(trace("0 at once\na: success after 10 ms\nb: success after 10 ms"), @r"
     0 ms  scheduled a#1
    10 ms  reply     a#1
    10 ms  ended     a#1 success
    10 ms  outcome   a ok
    10 ms  scheduled b#1
    20 ms  reply     b#1
    20 ms  ended     b#1 success
    20 ms  outcome   b ok
    20 ms  finished  ok
    ");
}

#[test]
fn a_flow_that_repeats_itself_is_heard_only_so_often() {
    let mut run = started(Limits { logs_max: 3, ..Limits::default() });
    let heard: usize = (0..10).map(|_| step(&mut run, Input::Log("again".into())).len()).sum();
    assert_eq!(heard, 3);
}

#[test]
fn a_flow_has_only_so_many_phases() {
    let mut run = started(Limits::default());
    let begun: usize = (0..2_000)
        .map(|i| step(&mut run, Input::Phase { title: format!("{i}").into(), cap: None }).len())
        .sum();
    assert_eq!(begun, Run::PHASES_MAX);
}

#[test]
fn each_execution_keeps_its_first_estimate() {
    let estimate = |dollars| Estimate {
        cost: Spread { p50: PicoUsd(dollars), ..Spread::default() },
        ceiling: None,
        took: Spread::default(),
        tasks: 1,
        guessed: 0,
    };
    let tell = |run: &mut Run, dollars| step(run, Input::Estimate(Box::new(estimate(dollars)))).len();
    let mut run = started(Limits::default());
    assert_eq!((tell(&mut run, 5), tell(&mut run, 6)), (1, 0));
    assert_eq!(run.estimate(), Some(&estimate(5)));
    let mut run = resumed(run);
    assert_eq!(run.estimate(), Some(&estimate(5)), "a resume is not estimated by itself");
    assert_eq!((tell(&mut run, 7), tell(&mut run, 8)), (1, 0));
    assert_eq!(run.estimate(), Some(&estimate(7)));
    let again = Event::Estimated { estimate: Box::new(estimate(9)) };
    assert!(run.apply(Timestamp(0), &again).is_err(), "two estimates of one execution");
    step(&mut run, Input::Cancel);
    assert_eq!(tell(&mut resumed(Run::new()), 5), 0, "nothing is expected of a run that is none");
    assert_eq!(tell(&mut run, 9), 0, "nor of one that is over");
}

#[test]
fn absurd_token_counts_do_not_overflow() {
    let most = Usage { input: u64::MAX, output: u64::MAX, cache_read: u64::MAX, ..Usage::default() };
    assert_eq!((most + most).total(), u64::MAX);
}

#[test]
fn absurd_rests_do_not_overflow() {
    let policy =
        RetryPolicy { rest_first: Millis(u64::MAX), rest_max: Millis(u64::MAX), ..RetryPolicy::default() };
    let attempt = AttemptId { task: TaskId(7), number: 1 };
    policy.verdict(attempt, FailureClass::Server, Tries::default(), Told::default(), Timestamp(0));
}
