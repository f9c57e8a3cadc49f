//! Parking, by request or for want of quota, and cancelling.

use super::{trace, traced};
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
    "), @r"
       0 ms  scheduled a#1
       0 ms  scheduled b#1
      50 ms  parking   asked
     100 ms  reply     a#1
     100 ms  ended     a#1 success
     100 ms  outcome   a ok
     200 ms  ended     b#1 server error
     200 ms  retry     b at 616 ms
     200 ms  parked    asked
    1000 ms  resumed   execution 2
    1000 ms  claimed   a
    1000 ms  claimed   b
    1000 ms  claimed   c
    1000 ms  caught up 1 reused, 2 to run
    1000 ms  scheduled b#2
    1000 ms  scheduled c#1
    1100 ms  reply     b#2
    1100 ms  ended     b#2 success
    1100 ms  outcome   b ok
    1100 ms  reply     c#1
    1100 ms  ended     c#1 success
    1100 ms  outcome   c ok
    1100 ms  finished  ok
    ");
}

#[test]
fn parking_stops_an_attempt_between_its_turns() {
    assert_snapshot!(trace("
        a: turn after 100 ms; success after 100 ms
        at 50 ms: park
        at 1 s: resume
    "), @r"
       0 ms  scheduled a#1
      50 ms  parking   asked
     100 ms  reply     a#1
     100 ms  ended     a#1 interrupted
     100 ms  retry     a at 100 ms
     100 ms  parked    asked
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
fn a_used_up_quota_parks_before_the_next_hundred_start() {
    assert_snapshot!(trace("
        2 at once
        a: quota after 50 ms, then success after 10 ms
        b: success after 100 ms
        c: success after 100 ms
        at 1 s: resume
    "), @r"
       0 ms  scheduled a#1
       0 ms  scheduled b#1
      50 ms  ended     a#1 quota used up
      50 ms  retry     a at 50 ms
      50 ms  parking   quota: quota
     100 ms  reply     b#1
     100 ms  ended     b#1 success
     100 ms  outcome   b ok
     100 ms  parked    quota: quota
    1000 ms  resumed   execution 2
    1000 ms  claimed   a
    1000 ms  claimed   b
    1000 ms  claimed   c
    1000 ms  caught up 1 reused, 2 to run
    1000 ms  scheduled a#2
    1000 ms  scheduled c#1
    1010 ms  reply     a#2
    1010 ms  ended     a#2 success
    1010 ms  outcome   a ok
    1100 ms  reply     c#1
    1100 ms  ended     c#1 success
    1100 ms  outcome   c ok
    1100 ms  finished  ok
    ");
}

#[test]
fn a_run_that_is_done_when_it_should_park_ends() {
    assert_snapshot!(trace("
        flow never returns
        a: success after 100 ms
        at 40 ms: flow returns
        at 50 ms: park
    "), @r"
      0 ms  scheduled a#1
     50 ms  parking   asked
    100 ms  reply     a#1
    100 ms  ended     a#1 success
    100 ms  outcome   a ok
    100 ms  finished  ok
    ");
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
    "), @r"
     0 ms  scheduled a#1
     0 ms  scheduled b#1 $0.2000
     0 ms  scheduled c#1
    10 ms  reply     a#1
    10 ms  ended     a#1 success
    10 ms  outcome   a ok
    10 ms  scheduled d#1
    20 ms  ended     c#1 server error
    20 ms  retry     c at 438 ms
    20 ms  scheduled e#1
    50 ms  ended     b#1 interrupted $0.2000
    50 ms  ended     d#1 interrupted
    50 ms  ended     e#1 interrupted
    50 ms  outcome   b cancelled
    50 ms  outcome   c cancelled
    50 ms  outcome   d cancelled
    50 ms  outcome   e cancelled
    50 ms  finished  cancelled
    ");
}

#[test]
fn what_was_cancelled_can_be_taken_up_again() {
    assert_snapshot!(trace("
        a: success after 10 ms
        b: turn after 20 ms; success after 100 ms
        at 50 ms: cancel
        at 60 ms: resume
    "), @r"
      0 ms  scheduled a#1
      0 ms  scheduled b#1
     10 ms  reply     a#1
     10 ms  ended     a#1 success
     10 ms  outcome   a ok
     20 ms  reply     b#1
     20 ms  turn      b#1
     50 ms  ended     b#1 interrupted
     50 ms  outcome   b cancelled
     50 ms  finished  cancelled
     60 ms  resumed   execution 2
     60 ms  claimed   a
     60 ms  claimed   b
     60 ms  caught up 1 reused, 1 to run
     60 ms  scheduled b#2
     60 ms  turn      b#2
    160 ms  reply     b#2
    160 ms  ended     b#2 success
    160 ms  outcome   b ok
    160 ms  finished  ok
    ");
}

#[test]
fn a_parked_run_can_be_cancelled() {
    assert_snapshot!(trace("
        1 at once
        a: success after 10 ms
        b: success after 10 ms
        at 5 ms: park
        at 50 ms: cancel
    "), @r"
     0 ms  scheduled a#1
     5 ms  parking   asked
    10 ms  reply     a#1
    10 ms  ended     a#1 success
    10 ms  outcome   a ok
    10 ms  parked    asked
    50 ms  outcome   b cancelled
    50 ms  finished  cancelled
    ");
}

#[test]
fn who_waits_for_quota_goes_on_when_the_vendor_says_so() {
    assert_snapshot!(trace("
        waits for quota
        2 at once
        a: quota for 5 s after 50 ms, then success after 10 ms
        b: success after 100 ms
        c: success after 10 ms
    "), @r"
       0 ms  scheduled a#1
       0 ms  scheduled b#1
      50 ms  ended     a#1 quota used up
      50 ms  retry     a at 50 ms
      50 ms  parking   quota: quota, until 5050 ms
     100 ms  reply     b#1
     100 ms  ended     b#1 success
     100 ms  outcome   b ok
     100 ms  parked    quota: quota, until 5050 ms
     100 ms  waits     until 5050 ms
    5050 ms  woken
    5050 ms  scheduled a#2
    5050 ms  scheduled c#1
    5060 ms  reply     a#2
    5060 ms  ended     a#2 success
    5060 ms  outcome   a ok
    5060 ms  reply     c#1
    5060 ms  ended     c#1 success
    5060 ms  outcome   c ok
    5060 ms  finished  ok
    ");
}

#[test]
fn quota_that_is_back_before_the_run_is_parked_wakes_it_at_once() {
    let (told, _) = traced(
        "
        waits for quota
        a: quota for 10 ms after 50 ms, then success after 10 ms
        b: success after 100 ms
    ",
    );
    assert!(
        told.contains("  100 ms  waits     until 101 ms\n  101 ms  woken\n"),
        "{told}"
    );
}

#[test]
fn who_is_not_told_when_tries_after_growing_rests() {
    assert_snapshot!(trace("
        waits for quota
        a: quota after 50 ms, then quota for 1 s after 50 ms, then quota after 50 ms, then turn after 10 ms; quota after 10 ms, then success after 10 ms
    "), @r"
        0 ms  scheduled a#1
       50 ms  ended     a#1 quota used up
       50 ms  retry     a at 50 ms
       50 ms  parking   quota: quota
       50 ms  parked    quota: quota
       50 ms  waits     until 60050 ms
    60050 ms  woken
    60050 ms  scheduled a#2
    60100 ms  ended     a#2 quota used up
    60100 ms  retry     a at 60100 ms
    60100 ms  parking   quota: quota, until 61100 ms
    60100 ms  parked    quota: quota, until 61100 ms
    60100 ms  waits     until 120100 ms
    120100 ms  woken
    120100 ms  scheduled a#3
    120150 ms  ended     a#3 quota used up
    120150 ms  retry     a at 120150 ms
    120150 ms  parking   quota: quota
    120150 ms  parked    quota: quota
    120150 ms  waits     until 360150 ms
    360150 ms  woken
    360150 ms  scheduled a#4
    360160 ms  reply     a#4
    360160 ms  turn      a#4
    360170 ms  ended     a#4 quota used up
    360170 ms  retry     a at 360170 ms
    360170 ms  parking   quota: quota
    360170 ms  parked    quota: quota
    360170 ms  waits     until 420170 ms
    420170 ms  woken
    420170 ms  scheduled a#5
    420170 ms  turn      a#5
    420180 ms  reply     a#5
    420180 ms  ended     a#5 success
    420180 ms  outcome   a ok
    420180 ms  finished  ok
    ");
}

#[test]
fn the_answers_of_one_vendor_say_nothing_of_anothers_quota() {
    assert_snapshot!(trace("
        waits for quota
        2 at once
        a (on haiku): quota after 50 ms, then quota after 50 ms, then success after 10 ms
        b (on gpt): success after 60 ms
        c (on gpt): success after 10 ms
    "), @r"
        0 ms  scheduled a#1 on haiku
        0 ms  scheduled b#1 on gpt
       50 ms  ended     a#1 quota used up
       50 ms  retry     a at 50 ms
       50 ms  parking   quota: quota
       60 ms  reply     b#1
       60 ms  ended     b#1 success
       60 ms  outcome   b ok
       60 ms  parked    quota: quota
       60 ms  waits     until 60060 ms
    60060 ms  woken
    60060 ms  scheduled a#2 on haiku
    60060 ms  scheduled c#1 on gpt
    60070 ms  reply     c#1
    60070 ms  ended     c#1 success
    60070 ms  outcome   c ok
    60110 ms  ended     a#2 quota used up
    60110 ms  retry     a at 60110 ms
    60110 ms  parking   quota: quota
    60110 ms  parked    quota: quota
    60110 ms  waits     until 180110 ms
    180110 ms  woken
    180110 ms  scheduled a#3 on haiku
    180120 ms  reply     a#3
    180120 ms  ended     a#3 success
    180120 ms  outcome   a ok
    180120 ms  finished  ok
    ");
}

#[test]
fn a_result_without_a_turn_shows_as_well_that_there_is_quota() {
    assert_snapshot!(trace("
        waits for quota
        1 at once
        a: quota after 50 ms, then quota after 50 ms, then done after 10 ms
        b: quota after 50 ms, then done after 10 ms
    "), @r"
        0 ms  scheduled a#1
       50 ms  ended     a#1 quota used up
       50 ms  retry     a at 50 ms
       50 ms  parking   quota: quota
       50 ms  parked    quota: quota
       50 ms  waits     until 60050 ms
    60050 ms  woken
    60050 ms  scheduled a#2
    60100 ms  ended     a#2 quota used up
    60100 ms  retry     a at 60100 ms
    60100 ms  parking   quota: quota
    60100 ms  parked    quota: quota
    60100 ms  waits     until 180100 ms
    180100 ms  woken
    180100 ms  scheduled a#3
    180110 ms  ended     a#3 success
    180110 ms  outcome   a ok
    180110 ms  scheduled b#1
    180160 ms  ended     b#1 quota used up
    180160 ms  retry     b at 180160 ms
    180160 ms  parking   quota: quota
    180160 ms  parked    quota: quota
    180160 ms  waits     until 240160 ms
    240160 ms  woken
    240160 ms  scheduled b#2
    240170 ms  ended     b#2 success
    240170 ms  outcome   b ok
    240170 ms  finished  ok
    ");
}

#[test]
fn a_run_that_waits_can_be_resumed_by_another_process() {
    assert_snapshot!(trace("
        waits for quota
        a: quota for 50 s after 50 ms, then success after 10 ms
        at 1 s: kill
        at 2 s: resume
    "), @r"
       0 ms  scheduled a#1
      50 ms  ended     a#1 quota used up
      50 ms  retry     a at 50 ms
      50 ms  parking   quota: quota, until 50050 ms
      50 ms  parked    quota: quota, until 50050 ms
      50 ms  waits     until 50050 ms
    1000 ms  killed
    2000 ms  resumed   execution 2
    2000 ms  claimed   a
    2000 ms  caught up 0 reused, 1 to run
    2000 ms  scheduled a#2
    2010 ms  reply     a#2
    2010 ms  ended     a#2 success
    2010 ms  outcome   a ok
    2010 ms  finished  ok
    ");
}

#[test]
fn a_run_that_waits_can_be_cancelled() {
    assert_snapshot!(trace("
        waits for quota
        a: quota for 50 s after 50 ms
        at 1 s: cancel
    "), @r"
       0 ms  scheduled a#1
      50 ms  ended     a#1 quota used up
      50 ms  retry     a at 50 ms
      50 ms  parking   quota: quota, until 50050 ms
      50 ms  parked    quota: quota, until 50050 ms
      50 ms  waits     until 50050 ms
    1000 ms  outcome   a cancelled
    1000 ms  finished  cancelled
    ");
}

#[test]
fn who_wants_it_to_rest_ends_the_wait_even_at_its_last_moment() {
    for moment in [1_000, 5_050] {
        let (told, run) = traced(&format!(
            "
            waits for quota
            a: quota for 5 s after 50 ms, then success after 10 ms
            at {moment} ms: park
        "
        ));
        assert!(
            told.ends_with(&format!(
                "{moment:>5} ms  parked    quota: quota, until 5050 ms\n"
            )),
            "{told}"
        );
        assert_eq!((run.waits_until(), run.wake_at()), (None, None));
    }
}

#[test]
fn a_flow_that_fails_meanwhile_ends_the_run_at_once() {
    assert_snapshot!(trace("
        waits for quota
        a: quota for 2 s after 50 ms
        at 1 s: flow fails
    "), @r"
       0 ms  scheduled a#1
      50 ms  ended     a#1 quota used up
      50 ms  retry     a at 50 ms
      50 ms  parking   quota: quota, until 2050 ms
      50 ms  parked    quota: quota, until 2050 ms
      50 ms  waits     until 2050 ms
    1000 ms  flow      failed
    1000 ms  outcome   a skipped: the flow failed before it was tried again
    1000 ms  finished  failed
    ");
}

#[test]
fn nobody_waits_for_money_or_at_a_persons_wish() {
    assert_snapshot!(trace("
        waits for quota
        1 at once
        a: success after 50 ms
        b: success after 50 ms
        at 10 ms: park
    "), @r"
     0 ms  scheduled a#1
    10 ms  parking   asked
    50 ms  reply     a#1
    50 ms  ended     a#1 success
    50 ms  outcome   a ok
    50 ms  parked    asked
    ");
}
