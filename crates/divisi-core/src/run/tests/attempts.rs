//! Success, retries, rests and giving up.

use super::trace;
use insta::assert_snapshot;

#[test]
fn transient_failure_rests_then_retries() {
    assert_snapshot!(trace("a: server after 120 ms, then success after 180 ms"), @r"
      0 ms  scheduled a#1
    120 ms  ended     a#1 server error
    120 ms  retry     a at 498 ms
    498 ms  scheduled a#2
    678 ms  reply     a#2
    678 ms  ended     a#2 success
    678 ms  outcome   a ok
    678 ms  finished  ok
    ");
}

#[test]
fn the_vendors_wish_is_the_shortest_rest() {
    assert_snapshot!(trace("a: server for 2 s after 100 ms, then success after 100 ms"), @r"
       0 ms  scheduled a#1
     100 ms  ended     a#1 server error
     100 ms  retry     a at 2100 ms
    2100 ms  scheduled a#2
    2200 ms  reply     a#2
    2200 ms  ended     a#2 success
    2200 ms  outcome   a ok
    2200 ms  finished  ok
    ");
}

#[test]
fn five_failures_are_enough() {
    assert_snapshot!(trace("a: server after 100 ms"), @r"
       0 ms  scheduled a#1
     100 ms  ended     a#1 server error
     100 ms  retry     a at 478 ms
     478 ms  scheduled a#2
     578 ms  ended     a#2 server error
     578 ms  retry     a at 1448 ms
    1448 ms  scheduled a#3
    1548 ms  ended     a#3 server error
    1548 ms  retry     a at 3248 ms
    3248 ms  scheduled a#4
    3348 ms  ended     a#4 server error
    3348 ms  retry     a at 7012 ms
    7012 ms  scheduled a#5
    7112 ms  ended     a#5 server error
    7112 ms  outcome   a failed: server error
    7112 ms  finished  failed
    ");
}

#[test]
fn what_cannot_succeed_is_given_up_at_once() {
    assert_snapshot!(trace("a: declined after 100 ms\nb: auth after 200 ms\nc: success after 300 ms"), @r"
      0 ms  scheduled a#1
      0 ms  scheduled b#1
      0 ms  scheduled c#1
    100 ms  ended     a#1 declined
    100 ms  outcome   a failed: declined
    200 ms  ended     b#1 not authorised
    200 ms  outcome   b failed: not authorised
    300 ms  reply     c#1
    300 ms  ended     c#1 success
    300 ms  outcome   c ok
    300 ms  finished  partial
    ");
}

#[test]
fn rate_limits_are_waited_out() {
    assert_snapshot!(trace("a: limited for 1 s after 10 ms, then limited after 10 ms, then success after 10 ms"), @r"
       0 ms  scheduled a#1
      10 ms  ended     a#1 rate limited
      10 ms  retry     a at 1010 ms
    1010 ms  scheduled a#2
    1020 ms  ended     a#2 rate limited
    1020 ms  retry     a at 1890 ms
    1890 ms  scheduled a#3
    1900 ms  reply     a#3
    1900 ms  ended     a#3 success
    1900 ms  outcome   a ok
    1900 ms  finished  ok
    ");
}

#[test]
fn results_feed_the_tasks_that_need_them() {
    assert_snapshot!(trace("
        a: success after 100 ms
        b: declined after 50 ms
        c needs a b: success after 10 ms
    "), @r"
      0 ms  scheduled a#1
      0 ms  scheduled b#1
     50 ms  ended     b#1 declined
     50 ms  outcome   b failed: declined
    100 ms  reply     a#1
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    100 ms  scheduled c#1
    110 ms  reply     c#1
    110 ms  ended     c#1 success
    110 ms  outcome   c ok
    110 ms  finished  partial
    ");
}

#[test]
fn long_chains_go_first_and_slots_are_kept() {
    assert_snapshot!(trace("
        2 at once
        a: success after 100 ms
        b: success after 100 ms
        c (priority 2): success after 100 ms
        d (priority 1): success after 50 ms
    "), @r"
      0 ms  scheduled c#1
      0 ms  scheduled d#1
     50 ms  reply     d#1
     50 ms  ended     d#1 success
     50 ms  outcome   d ok
     50 ms  scheduled a#1
    100 ms  reply     c#1
    100 ms  ended     c#1 success
    100 ms  outcome   c ok
    100 ms  scheduled b#1
    150 ms  reply     a#1
    150 ms  ended     a#1 success
    150 ms  outcome   a ok
    200 ms  reply     b#1
    200 ms  ended     b#1 success
    200 ms  outcome   b ok
    200 ms  finished  ok
    ");
}

#[test]
fn the_rested_go_before_those_who_never_started() {
    assert_snapshot!(trace("
        1 at once
        a: server after 10 ms, then success after 10 ms
        b: success after 1 s
        c: success after 10 ms
    "), @r"
       0 ms  scheduled a#1
      10 ms  ended     a#1 server error
      10 ms  retry     a at 388 ms
      10 ms  scheduled b#1
    1010 ms  reply     b#1
    1010 ms  ended     b#1 success
    1010 ms  outcome   b ok
    1010 ms  scheduled a#2
    1020 ms  reply     a#2
    1020 ms  ended     a#2 success
    1020 ms  outcome   a ok
    1020 ms  scheduled c#1
    1030 ms  reply     c#1
    1030 ms  ended     c#1 success
    1030 ms  outcome   c ok
    1030 ms  finished  ok
    ");
}

#[test]
fn nothing_but_failures_is_a_failed_run() {
    assert_snapshot!(trace("a: declined after 1 ms\nb: declined after 2 ms"), @r"
    0 ms  scheduled a#1
    0 ms  scheduled b#1
    1 ms  ended     a#1 declined
    1 ms  outcome   a failed: declined
    2 ms  ended     b#1 declined
    2 ms  outcome   b failed: declined
    2 ms  finished  failed
    ");
}

#[test]
fn a_flow_without_tasks_is_ok() {
    assert_snapshot!(trace(""), @r"
        0 ms  finished  ok
    ");
}

#[test]
fn what_a_flow_left_running_is_still_finished() {
    assert_snapshot!(trace("
        1 at once
        a: success after 100 ms
        b: server after 100 ms, then success after 100 ms
        at 50 ms: flow returns
    "), @r"
      0 ms  scheduled a#1
    100 ms  reply     a#1
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    100 ms  scheduled b#1
    200 ms  ended     b#1 server error
    200 ms  retry     b at 616 ms
    616 ms  scheduled b#2
    716 ms  reply     b#2
    716 ms  ended     b#2 success
    716 ms  outcome   b ok
    716 ms  finished  ok
    ");
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
    "), @r"
      0 ms  scheduled a#1
      0 ms  scheduled b#1
     10 ms  ended     a#1 server error
     10 ms  retry     a at 388 ms
     10 ms  scheduled c#1
     50 ms  flow      failed
     50 ms  outcome   d skipped: the flow failed before it started
     50 ms  outcome   a skipped: the flow failed before it was tried again
    100 ms  reply     b#1
    100 ms  ended     b#1 success
    100 ms  outcome   b ok
    110 ms  reply     c#1
    110 ms  ended     c#1 success
    110 ms  outcome   c ok
    110 ms  finished  failed
    ");
}

#[test]
fn turns_follow_one_another() {
    assert_snapshot!(trace("a: turn after 10 ms; turn after 20 ms; success after 30 ms"), @r"
     0 ms  scheduled a#1
    10 ms  reply     a#1
    10 ms  turn      a#1
    30 ms  reply     a#1
    30 ms  turn      a#1
    60 ms  reply     a#1
    60 ms  ended     a#1 success
    60 ms  outcome   a ok
    60 ms  finished  ok
    ");
}

#[test]
fn a_retry_goes_on_where_the_conversation_broke() {
    assert_snapshot!(trace("
        a: turn after 10 ms; turn after 10 ms; server after 10 ms, then turn after 10 ms; turn after 10 ms; success after 10 ms
    "), @r"
      0 ms  scheduled a#1
     10 ms  reply     a#1
     10 ms  turn      a#1
     20 ms  reply     a#1
     20 ms  turn      a#1
     30 ms  ended     a#1 server error
     30 ms  retry     a at 408 ms
    408 ms  scheduled a#2
    408 ms  turn      a#2
    418 ms  reply     a#2
    418 ms  ended     a#2 success
    418 ms  outcome   a ok
    418 ms  finished  ok
    ");
}

#[test]
fn overloads_within_the_time_allowed_use_up_no_retry() {
    assert_snapshot!(trace("a (overloaded 3 s): overloaded after 10 ms"), @r"
        0 ms  scheduled a#1
       10 ms  ended     a#1 overloaded
       10 ms  retry     a at 388 ms
      388 ms  scheduled a#2
      398 ms  ended     a#2 overloaded
      398 ms  retry     a at 1268 ms
     1268 ms  scheduled a#3
     1278 ms  ended     a#3 overloaded
     1278 ms  retry     a at 2978 ms
     2978 ms  scheduled a#4
     2988 ms  ended     a#4 overloaded
     2988 ms  retry     a at 6652 ms
     6652 ms  scheduled a#5
     6662 ms  ended     a#5 overloaded
     6662 ms  retry     a at 14288 ms
    14288 ms  scheduled a#6
    14298 ms  ended     a#6 overloaded
    14298 ms  retry     a at 29500 ms
    29500 ms  scheduled a#7
    29510 ms  ended     a#7 overloaded
    29510 ms  retry     a at 57201 ms
    57201 ms  scheduled a#8
    57211 ms  ended     a#8 overloaded
    57211 ms  retry     a at 82664 ms
    82664 ms  scheduled a#9
    82674 ms  ended     a#9 overloaded
    82674 ms  outcome   a failed: overloaded
    82674 ms  finished  failed
    ");
}
