//! Rest, at someone's wish or for want of quota, and cancelling.

use super::trace;
use insta::assert_snapshot;

#[test]
fn parking_lets_what_is_in_flight_finish() {
    assert_snapshot!(trace("
        2 at once
        a: success after 100 ms
        b: server after 200 ms, then success after 100 ms
        c: success after 100 ms
        at 50 ms: park
        at 1 s: resume
    "), @"");
}

#[test]
fn parking_stops_an_attempt_between_its_turns() {
    assert_snapshot!(trace("
        a: turn after 100 ms; success after 100 ms
        at 50 ms: park
        at 1 s: resume
    "), @"");
}

#[test]
fn a_used_up_quota_parks_before_the_next_hundred_start() {
    assert_snapshot!(trace("
        2 at once
        a: quota after 50 ms, then success after 10 ms
        b: success after 100 ms
        c: success after 100 ms
        at 1 s: resume
    "), @"");
}

#[test]
fn a_run_that_is_done_when_it_should_park_ends() {
    assert_snapshot!(trace("
        flow never returns
        a: success after 100 ms
        at 40 ms: flow returns
        at 50 ms: park
    "), @"");
}

#[test]
fn cancelling_ends_everything_at_once() {
    assert_snapshot!(trace("
        cap $1.00
        3 at once
        a: success after 10 ms
        b ($0.20): success after 200 ms
        c: server after 20 ms
        d: success after 200 ms
        e: success after 200 ms
        at 50 ms: cancel
    "), @"");
}

#[test]
fn what_was_cancelled_can_be_taken_up_again() {
    assert_snapshot!(trace("
        a: success after 10 ms
        b: turn after 20 ms; success after 100 ms
        at 50 ms: cancel
        at 60 ms: resume
    "), @"");
}

#[test]
fn a_parked_run_can_be_cancelled() {
    assert_snapshot!(trace("
        1 at once
        a: success after 10 ms
        b: success after 10 ms
        at 5 ms: park
        at 50 ms: cancel
    "), @"");
}
