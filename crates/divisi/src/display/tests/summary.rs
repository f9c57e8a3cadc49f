//! What is said in the end.

use super::{look, over, summed_up, told_plainly, under_way};
use crate::display::look::Look;
use crate::display::story::Story;
use divisi_core::retry::QuotaWait;
use divisi_core::{Failure, FailureClass, Input, Millis, PicoUsd, TaskId};
use insta::assert_snapshot;

#[test]
fn partial() {
    assert_snapshot!(summed_up(&over(), &look(80)), @r"
    error: task `user` failed
      caused by: too long: prompt and files do not fit the model
    error: task `payment finding 2: sums are rounded before they are added` gave up after 5 attempts
      caused by: server error: the server answered 500

    audit k3f97a2m partial: some tasks did not succeed
    5 ok · 2 failed · 1 skipped · 0:41 · 15 k tokens · $0.0198
      divisi show k3f97a2m            what each task did
      divisi rerun k3f97a2m --failed  try the failed tasks again, keep the others
    ");
}

#[test]
fn ok_in_a_demo() {
    let mut story = Story::begin(2);
    let task = story.task("auth", "", "haiku");
    story.at(400).ok(task, "fine");
    story.returns("\"done\"");
    assert_snapshot!(summed_up(&story, &Look { demo: true, ..look(80) }), @r"
    DEMO · answers are scripted, and dollars an example
    audit k3f97a2m ok
    1 ok · 400 ms · 2.6 k tokens · $0.0033
      divisi show k3f97a2m  what each task did
    ");
}

#[test]
fn parked_because_asked() {
    let mut story = under_way();
    story.input(Input::Park);
    story.ok(TaskId(3), "confirmed");
    story.ok(TaskId(5), "confirmed");
    story.ok(TaskId(6), "confirmed");
    assert_snapshot!(summed_up(&story, &look(80)), @r"
    error: task `user` failed
      caused by: too long: prompt and files do not fit the model

    audit k3f97a2m parked: you asked for it
    5 ok · 1 failed · 1 waiting · 0:12 · 15 k tokens · $0.0198
      divisi show k3f97a2m    what each task did
      divisi resume k3f97a2m  go on; what is finished is kept
    ");
}

#[test]
fn parked_at_the_cap() {
    let mut story = Story::with_cap("0.01");
    let costs = PicoUsd::parse_dollars("0.009").expect("an amount");
    let [first, _] = ["a", "b"].map(|label| story.submit(label, "", "haiku", costs, None));
    story.at(400).ok(first, "fine");
    assert_snapshot!(summed_up(&story, &look(80)), @r"
    audit k3f97a2m parked: what is left of the budget holds none of the waiting tasks
    1 ok · 1 waiting · 400 ms · 2.6 k tokens · $0.0033
      divisi show k3f97a2m                    what each task did
      divisi resume k3f97a2m --max-cost 0.02  the least with which a task can start
    ");
}

#[test]
fn parked_without_quota() {
    let mut story = Story::begin(1);
    let task = story.task("a", "", "haiku");
    story
        .at(900)
        .fail(task, FailureClass::Quota, "credit balance is too low");
    assert_snapshot!(summed_up(&story, &look(80)), @r"
    audit k3f97a2m parked: the account's quota is used up: credit balance is too low
    0 ok · 1 waiting · 900 ms · 0 tokens · $0.0000
      divisi show k3f97a2m           what each task did
      divisi resume k3f97a2m         go on once there is quota again
      divisi resume k3f97a2m --wait  try until there is
    ");
}

#[test]
fn parked_until_there_is_quota_again() {
    let mut story = Story::begin(1);
    let task = story.task("a", "", "haiku");
    let empty = Failure::new(FailureClass::Quota, "the weekly limit is reached");
    story
        .at(900)
        .fail_with(task, empty, Some(Millis::from_secs(5_400)));
    assert_snapshot!(summed_up(&story, &look(100)), @r"
    audit k3f97a2m parked: the account's quota is used up: the weekly limit is reached
    0 ok · 1 waiting · 900 ms · 0 tokens · $0.0000
      divisi show k3f97a2m           what each task did
      divisi resume k3f97a2m         go on once there is quota again: at 23:43:20 UTC, in 90 min
      divisi resume k3f97a2m --wait  wait for it here
    ");
}

#[test]
fn a_run_that_waits_says_until_when() {
    let mut story = Story::begin(1);
    let task = story.task("a", "", "haiku");
    let empty = || Failure::new(FailureClass::Quota, "the weekly limit is reached");
    story
        .at(900)
        .fail_with(task, empty(), Some(Millis::from_secs(172_800)));
    story.input(Input::Wait(QuotaWait::default()));
    story.at(172_900_000).input(Input::Tick);
    assert_snapshot!(told_plainly(&story, &look(120)), @r"
    [0:00] audit k3f97a2m started
    [0:00] parking: the account's quota is used up: the weekly limit is reached
    [0:00] ○ waiting until 2023-11-16 22:13 UTC (48 h); Ctrl-C leaves the run parked
    [48:01:40] going on: trying again
    ");
}

#[test]
fn parked_for_want_of_hope() {
    let mut story = Story::begin(1);
    let tasks: Vec<_> = (0..8)
        .map(|i| story.task(&format!("module {i}"), "find", "haiku"))
        .collect();
    let wrong =
        || Failure::new(FailureClass::BadRequest, "the model does not exist").hint("check its id");
    for task in &tasks[..5] {
        story.at(900).fail_with(*task, wrong(), None);
    }
    assert_snapshot!(summed_up(&story, &look(100)), @r"
    error: 5 tasks failed alike: `module 0`, `module 1`, `module 2` and 2 more
      caused by: bad request: the model does not exist
      hint: check its id

    audit k3f97a2m parked: the first tasks of find have all failed alike: bad request: the model does not exist
    0 ok · 5 failed · 3 waiting · 900 ms · 0 tokens · $0.0000
    question: is it worth trying the rest, 3 tasks? What is mended first may well succeed.
      divisi show k3f97a2m                 what each task did
      divisi resume k3f97a2m               try the rest, once the reason is mended
      divisi resume k3f97a2m --keep-going  try all of the rest, come what may
      divisi rerun k3f97a2m --failed       try the rest, and the failed ones again
    ");
}

#[test]
fn a_flow_that_threw() {
    let mut story = Story::begin(1);
    let task = story.task("a", "", "haiku");
    story.at(900).ok(task, "fine");
    story.throws("TypeError: cannot read property `x` of null");
    assert_snapshot!(summed_up(&story, &look(80)), @r"
    error: flow `audit` failed
      caused by: flow failed: TypeError: cannot read property `x` of null
      hint: mend line 3

    audit k3f97a2m failed: the flow did not come to its end
    1 ok · 900 ms · 2.6 k tokens · $0.0033
      divisi show k3f97a2m    what each task did
      divisi resume k3f97a2m  once its cause is mended; what is finished is kept
    ");
}

#[test]
fn cancelled() {
    let mut story = under_way();
    story.input(Input::Cancel);
    assert_snapshot!(summed_up(&story, &look(80)), @"
    error: task `user` failed
      caused by: too long: prompt and files do not fit the model

    audit k3f97a2m cancelled
    2 ok · 1 failed · 4 cancelled · 0:12 · 7.7 k tokens · $0.0099 + at most $0.0099 unconfirmed
      divisi show k3f97a2m    what each task did
      divisi resume k3f97a2m  go on; what is finished is kept
    ");
}

#[test]
fn stopped_in_the_middle() {
    assert_snapshot!(summed_up(&under_way(), &look(80)), @r"
    error: task `user` failed
      caused by: too long: prompt and files do not fit the model

    audit k3f97a2m stopped: what is finished is kept
    2 ok · 1 failed · 4 waiting · 0:12 · 7.7 k tokens · $0.0099
      divisi show k3f97a2m    what each task did
      divisi resume k3f97a2m  go on; what is finished is kept
    ");
}

#[test]
fn failures_that_are_alike_are_told_once() {
    let mut story = Story::begin(64);
    let wrong =
        || Failure::new(FailureClass::Auth, "the key is wrong").hint("set `ANTHROPIC_API_KEY`");
    for i in 0..12 {
        let task = story.task(&format!("module {i}"), "", "haiku");
        match i {
            0..4 => story.ok(task, "fine"),
            4..10 => story.fail_with(task, wrong(), None),
            _ => story.fail(
                task,
                FailureClass::Schema,
                "no answer fitted the schema; the last:\nat /a: 1 is no string\nat /b: is missing",
            ),
        }
    }
    story.returns("\"done\"");
    assert_snapshot!(summed_up(&story, &look(80)), @r"
    error: 6 tasks failed alike: `module 4`, `module 5`, `module 6` and 3 more
      caused by: not authorised: the key is wrong
      hint: set `ANTHROPIC_API_KEY`
    error: 2 tasks failed alike: `module 10`, `module 11`
      caused by: schema not met: no answer fitted the schema; the last:
        at /a: 1 is no string
        at /b: is missing

    audit k3f97a2m partial: some tasks did not succeed
    4 ok · 8 failed · 0 ms · 10 k tokens · $0.0132
      divisi show k3f97a2m            what each task did
      divisi resume k3f97a2m          try again what a refused key prevented, once it is mended
      divisi rerun k3f97a2m --failed  try the failed tasks again, keep the others
    ");
}

#[test]
fn more_failures_than_anyone_reads() {
    let mut story = Story::begin(64);
    for i in 0..14 {
        let task = story.task(&format!("module {i}"), "", "haiku");
        story.fail(
            task,
            FailureClass::Declined,
            &format!("declined for reason {i}"),
        );
    }
    story.returns("\"done\"");
    let told = summed_up(&story, &look(80));
    assert_eq!(told.matches("error: task").count(), 10);
    assert_snapshot!(told.lines().skip_while(|line| !line.contains("error: and")).collect::<Vec<_>>().join("\n"), @r"
    error: and 4 other failures

    audit k3f97a2m failed: no task succeeded
    0 ok · 14 failed · 0 ms · 0 tokens · $0.0000
      divisi show k3f97a2m            what each task did
      divisi rerun k3f97a2m --failed  try the failed tasks again, keep the others
    ");
}

#[test]
fn a_resumed_run_tells_what_it_cost_now_and_in_all() {
    let mut story = over();
    story.at(100_000).resume(None);
    for label in ["auth", "payment"] {
        story.task(label, "find", "claude-haiku-4-5");
    }
    let user = story.task("user", "find", "claude-haiku-4-5");
    story.input(Input::CaughtUp);
    story.at(104_000).ok(user, "fine");
    story.returns("\"done\"");
    assert_snapshot!(summed_up(&story, &look(80)), @r"
    audit k3f97a2m ok
    3 ok · 2 reused · 4.0 s · 18 k tokens · $0.0033 ($0.0231 in all)
      divisi show k3f97a2m  what each task did
    ");
}
