//! Success, retries, rests and giving up.

use super::trace;
use insta::assert_snapshot;

#[test]
fn transient_failure_rests_then_retries() {
    assert_snapshot!(trace("a: server after 120 ms, then success after 180 ms"), @"");
}

#[test]
fn the_vendors_wish_is_the_shortest_rest() {
    assert_snapshot!(trace("a: server for 2 s after 100 ms, then success after 100 ms"), @"");
}

#[test]
fn five_failures_are_enough() {
    assert_snapshot!(trace("a: server after 100 ms"), @"");
}

#[test]
fn what_cannot_succeed_is_given_up_at_once() {
    assert_snapshot!(trace("a: declined after 100 ms\nb: auth after 200 ms\nc: success after 300 ms"), @"");
}

#[test]
fn rate_limits_are_waited_out() {
    assert_snapshot!(trace("a: limited for 1 s after 10 ms, then limited after 10 ms, then success after 10 ms"), @"");
}

#[test]
fn results_feed_the_tasks_that_need_them() {
    assert_snapshot!(trace("
        a: success after 100 ms
        b: declined after 50 ms
        c needs a b: success after 10 ms
    "), @"");
}

#[test]
fn long_chains_go_first_and_slots_are_kept() {
    assert_snapshot!(trace("
        2 at once
        a: success after 100 ms
        b: success after 100 ms
        c (priority 2): success after 100 ms
        d (priority 1): success after 50 ms
    "), @"");
}

#[test]
fn the_rested_go_before_those_who_never_started() {
    assert_snapshot!(trace("
        1 at once
        a: server after 10 ms, then success after 10 ms
        b: success after 1 s
        c: success after 10 ms
    "), @"");
}

#[test]
fn nothing_but_failures_is_a_failed_run() {
    assert_snapshot!(trace("a: declined after 1 ms\nb: declined after 2 ms"), @"");
}

#[test]
fn a_flow_without_tasks_is_ok() {
    assert_snapshot!(trace(""), @"");
}

#[test]
fn what_a_flow_left_running_is_still_finished() {
    assert_snapshot!(trace("
        1 at once
        a: success after 100 ms
        b: server after 100 ms, then success after 100 ms
        at 50 ms: flow returns
    "), @"");
}

#[test]
fn when_a_flow_fails_what_waits_is_skipped_and_what_runs_is_finished() {
    assert_snapshot!(trace("
        2 at once
        a: server after 10 ms, then success after 100 ms
        b: success after 100 ms
        c: success after 100 ms
        d: success after 100 ms
        at 50 ms: flow fails
    "), @"");
}

#[test]
fn turns_follow_one_another() {
    assert_snapshot!(trace("a: turn after 10 ms; turn after 20 ms; success after 30 ms"), @"");
}

#[test]
fn a_retry_goes_on_where_the_conversation_broke() {
    assert_snapshot!(trace("
        a: turn after 10 ms; turn after 10 ms; server after 10 ms, then turn after 10 ms; turn after 10 ms; success after 10 ms
    "), @"");
}
