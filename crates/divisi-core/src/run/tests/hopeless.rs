//! Fan-outs of which there is nothing to hope for.

use super::trace;
use insta::assert_snapshot;

#[test]
fn when_the_first_all_fail_alike_the_rest_waits_for_a_person() {
    assert_snapshot!(trace("
        hopeless after 3
        4 at once
        a: auth after 10 ms
        b: auth after 20 ms
        c: auth after 30 ms
        d: auth after 50 ms
        e: auth after 50 ms
        f: auth after 50 ms
        g: auth after 50 ms
        h: success after 10 ms
        i: success after 10 ms
    "), @r"
     0 ms  scheduled a#1
     0 ms  scheduled b#1
     0 ms  scheduled c#1
     0 ms  scheduled d#1
    10 ms  ended     a#1 not authorised
    10 ms  outcome   a failed: not authorised
    10 ms  scheduled e#1
    20 ms  ended     b#1 not authorised
    20 ms  outcome   b failed: not authorised
    20 ms  scheduled f#1
    30 ms  ended     c#1 not authorised
    30 ms  outcome   c failed: not authorised
    30 ms  parking   hopeless: 3 tasks, not authorised
    50 ms  ended     d#1 not authorised
    50 ms  outcome   d failed: not authorised
    60 ms  ended     e#1 not authorised
    60 ms  outcome   e failed: not authorised
    70 ms  ended     f#1 not authorised
    70 ms  outcome   f failed: not authorised
    70 ms  parked    hopeless: 3 tasks, not authorised
    ");
}

#[test]
fn a_resume_counts_from_the_beginning_and_keeps_the_failures() {
    assert_snapshot!(trace("
        hopeless after 2
        1 at once
        a: declined after 10 ms
        b: declined after 10 ms
        c: declined after 10 ms
        d: success after 10 ms
        e: declined after 10 ms
        at 1 s: resume
    "), @r"
       0 ms  scheduled a#1
      10 ms  ended     a#1 declined
      10 ms  outcome   a failed: declined
      10 ms  scheduled b#1
      20 ms  ended     b#1 declined
      20 ms  outcome   b failed: declined
      20 ms  parking   hopeless: 2 tasks, declined
      20 ms  parked    hopeless: 2 tasks, declined
    1000 ms  resumed   execution 2
    1000 ms  claimed   a
    1000 ms  claimed   b
    1000 ms  claimed   c
    1000 ms  claimed   d
    1000 ms  claimed   e
    1000 ms  caught up 2 reused, 3 to run
    1000 ms  scheduled c#1
    1010 ms  ended     c#1 declined
    1010 ms  outcome   c failed: declined
    1010 ms  scheduled d#1
    1020 ms  reply     d#1
    1020 ms  ended     d#1 success
    1020 ms  outcome   d ok
    1020 ms  scheduled e#1
    1030 ms  ended     e#1 declined
    1030 ms  outcome   e failed: declined
    1030 ms  finished  partial
    ");
}

#[test]
fn one_success_or_another_reason_is_hope() {
    let told = trace(
        "
        hopeless after 2
        1 at once
        a (in 1): declined after 10 ms
        b (in 1): success after 10 ms
        c (in 1): declined after 10 ms
        d (in 1): declined after 10 ms
        e (in 2): declined after 10 ms
        f (in 2): auth after 10 ms
        g (in 2): auth after 10 ms
        h (in 2): auth after 10 ms
    ",
    );
    assert!(told.ends_with("finished  partial\n"), "{told}");
}

#[test]
fn those_that_started_first_count_and_not_those_that_fail_fast() {
    assert_snapshot!(trace("
        hopeless after 2
        3 at once
        a: success after 1 s
        b: declined after 10 ms
        c: declined after 10 ms
        d: declined after 10 ms
        e: success after 10 ms
    "), @r"
       0 ms  scheduled a#1
       0 ms  scheduled b#1
       0 ms  scheduled c#1
      10 ms  ended     b#1 declined
      10 ms  outcome   b failed: declined
      10 ms  scheduled d#1
      10 ms  ended     c#1 declined
      10 ms  outcome   c failed: declined
      10 ms  scheduled e#1
      20 ms  ended     d#1 declined
      20 ms  outcome   d failed: declined
      20 ms  reply     e#1
      20 ms  ended     e#1 success
      20 ms  outcome   e ok
    1000 ms  reply     a#1
    1000 ms  ended     a#1 success
    1000 ms  outcome   a ok
    1000 ms  finished  partial
    ");
}

#[test]
fn one_that_hangs_does_not_let_all_the_others_be_burnt() {
    let told = trace(
        "
        hopeless after 2
        2 at once
        a: success after 1 s
        b: declined after 10 ms
        c: declined after 10 ms
        d: declined after 10 ms
        e: declined after 10 ms
        f: declined after 10 ms
    ",
    );
    assert!(
        told.contains("30 ms  parking   hopeless: 3 tasks, declined\n"),
        "{told}"
    );
    assert!(
        told.ends_with("1000 ms  parked    hopeless: 3 tasks, declined\n"),
        "{told}"
    );
}

#[test]
fn other_sorts_and_those_that_do_not_wait_are_left_alone() {
    let told = trace(
        "
        hopeless after 2
        a: declined after 10 ms
        b: declined after 10 ms
        c: declined after 10 ms
        d (on opus): declined after 10 ms
        e needs a: declined after 10 ms
        f needs e: declined after 10 ms
        g needs f: success after 10 ms
    ",
    );
    assert!(told.ends_with("finished  partial\n"), "{told}");
}

#[test]
fn who_keeps_going_tries_them_all() {
    let told = trace(
        "
        hopeless after 0
        1 at once
        a: declined after 10 ms
        b: declined after 10 ms
        c: declined after 10 ms
    ",
    );
    assert!(told.ends_with("finished  failed\n"), "{told}");
}

#[test]
fn retries_that_are_used_up_count_and_siblings_at_rest_wait() {
    let told = trace(
        "
        hopeless after 1
        2 at once
        a: server after 10 ms
        b: server after 400 ms
    ",
    );
    assert!(
        told.ends_with("parked    hopeless: 1 tasks, server error\n"),
        "{told}"
    );
}

#[test]
fn what_was_never_tried_counts_for_nothing() {
    let told = trace(
        "
        hopeless after 2
        1 at once
        a ($0.40, own $0.10): success after 10 ms
        b ($0.40, own $0.10): success after 10 ms
        c ($0.40, own $0.10): success after 10 ms
        d ($0.40): success after 10 ms
    ",
    );
    assert!(told.ends_with("finished  partial\n"), "{told}");
}
