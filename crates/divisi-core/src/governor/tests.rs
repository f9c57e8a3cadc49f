use super::*;
use proptest::prelude::*;

const NOTHING: RateLimits = RateLimits {
    requests: SILENT,
    tokens: SILENT,
    input_tokens: SILENT,
    output_tokens: SILENT,
};
const SILENT: Window = Window {
    limit: None,
    remaining: None,
    resets_in: None,
};

fn limited(per_minute: u64, burst: u64) -> Governor {
    let settings = RateSettings {
        requests_per_minute: Some(per_minute),
        burst: Some(burst),
        ..RateSettings::default()
    };
    Governor::new(&settings)
}

fn requests_left(governor: &Governor) -> Option<u64> {
    governor.pace.buckets[REQUESTS].as_ref().map(Bucket::left)
}

fn ask(governor: &mut Governor, at: u64) -> Decision {
    governor.ask(Timestamp(at), Estimate::default())
}

fn go(governor: &mut Governor, at: u64) -> PermitId {
    match ask(governor, at) {
        Decision::Go(permit) => permit,
        decision => panic!("{decision:?} at {at} ms"),
    }
}

fn done(governor: &mut Governor, at: u64, permit: PermitId, ending: Ending, limits: &RateLimits) {
    governor.done(Timestamp(at), permit, None, ending, limits);
}

fn requests(limit: Option<u64>, remaining: u64, resets_in: u64) -> RateLimits {
    let (remaining, resets_in) = (Some(remaining), Some(Millis(resets_in)));
    RateLimits {
        requests: Window {
            limit,
            remaining,
            resets_in,
        },
        ..NOTHING
    }
}

#[test]
fn a_burst_leaves_and_the_rest_follows_at_the_rate() {
    let mut governor = limited(3_000, 2);
    for _ in 0..2 {
        let permit = go(&mut governor, 0);
        done(&mut governor, 0, permit, Ending::Ok, &NOTHING);
    }
    // 125 ms until the first has arrived, 20 ms until there is another.
    assert_eq!(ask(&mut governor, 0), Decision::Wait(Timestamp(145)));
    go(&mut governor, 145);
    assert_eq!(ask(&mut governor, 145), Decision::Wait(Timestamp(165)));
}

#[test]
fn without_limits_only_the_number_under_way_is_bounded() {
    let mut governor = Governor::new(&RateSettings {
        in_flight: Some(IN_FLIGHT_MAX),
        ..RateSettings::default()
    });
    let permits: Vec<PermitId> = (0..IN_FLIGHT_MAX).map(|_| go(&mut governor, 0)).collect();
    assert_eq!(ask(&mut governor, 0), Decision::Full);
    done(&mut governor, 0, permits[0], Ending::Other, &NOTHING);
    go(&mut governor, 0);
}

#[test]
fn headers_make_a_bucket_of_what_they_cannot_know() {
    let mut governor = Governor::new(&RateSettings::default());
    let first = go(&mut governor, 0);
    for _ in 0..20 {
        go(&mut governor, 0);
    }
    // It saw the first of 21, and lets 50 a second in.
    done(
        &mut governor,
        10,
        first,
        Ending::Ok,
        &requests(Some(3_000), 49, 1_000),
    );
    assert_eq!(requests_left(&governor), Some(29));
}

#[test]
fn what_stood_in_older_headers_raises_nothing() {
    let mut governor = limited(3_000, 50);
    let old = go(&mut governor, 0);
    let mut last = old;
    for _ in 0..49 {
        last = go(&mut governor, 0);
    }
    done(
        &mut governor,
        5,
        last,
        Ending::Ok,
        &requests(Some(3_000), 0, 1_000),
    );
    done(
        &mut governor,
        6,
        old,
        Ending::Ok,
        &requests(Some(3_000), 49, 1_000),
    );
    assert_eq!(requests_left(&governor), Some(0));
}

#[test]
fn those_who_overtake_each_other_on_the_way_are_taken_off_once() {
    let mut governor = limited(3_000, 50);
    let first = go(&mut governor, 0);
    for _ in 0..39 {
        go(&mut governor, 0);
    }
    // It left first and arrived last, so its headers count all others.
    done(
        &mut governor,
        5,
        first,
        Ending::Ok,
        &requests(Some(3_000), 10, 1_000),
    );
    assert_eq!(requests_left(&governor), Some(10));
}

#[test]
fn nothing_left_and_no_limit_named_means_until_the_reset() {
    let mut governor = Governor::new(&RateSettings::default());
    let permit = go(&mut governor, 0);
    done(
        &mut governor,
        100,
        permit,
        Ending::Ok,
        &requests(None, 0, 7_000),
    );
    assert_eq!(ask(&mut governor, 200), Decision::Wait(Timestamp(7_100)));
    go(&mut governor, 7_100);
}

#[test]
fn a_limit_of_nothing_and_a_reset_in_a_lifetime_stop_nobody() {
    let epoch = 1_741_305_600_000;
    for (limits, wait) in [
        (requests(Some(0), 0, 0), 0),
        (requests(Some(0), 0, epoch), 0),
        (requests(None, 0, epoch), 0),
        (requests(Some(60), 0, epoch), 1_000),
    ] {
        let mut governor = Governor::new(&RateSettings::default());
        let permit = go(&mut governor, 0);
        done(&mut governor, 10, permit, Ending::Ok, &limits);
        if wait > 0 {
            assert_eq!(
                ask(&mut governor, 10),
                Decision::Wait(Timestamp(10 + wait)),
                "{limits:?}"
            );
        }
        go(&mut governor, 10 + wait);
    }
}

#[test]
fn a_vendor_that_wants_a_day_of_peace_is_asked_once_an_hour() {
    const HOUR: u64 = 3_600_000;
    let refused = Ending::RateLimited {
        retry_after: Some(Millis(24 * HOUR)),
    };
    let mut governor = Governor::new(&RateSettings::default());
    let [first, last] = [go(&mut governor, 0), go(&mut governor, 0)];
    done(&mut governor, 0, first, refused, &NOTHING);
    assert_eq!(ask(&mut governor, 1), Decision::Wait(Timestamp(HOUR)));
    done(&mut governor, 2, last, Ending::Ok, &NOTHING);
    let probe = go(&mut governor, HOUR);
    assert_eq!(
        ask(&mut governor, HOUR),
        Decision::Full,
        "what left before the refusal says nothing"
    );
    done(&mut governor, HOUR, probe, refused, &NOTHING);
    assert_eq!(
        ask(&mut governor, HOUR),
        Decision::Wait(Timestamp(2 * HOUR))
    );
    let probe = go(&mut governor, 2 * HOUR);
    governor.begun(Timestamp(2 * HOUR), probe, &NOTHING);
    go(&mut governor, 2 * HOUR);
}

#[test]
fn a_wait_that_cannot_be_meant_is_none() {
    let mut governor = Governor::new(&RateSettings::default());
    let permit = go(&mut governor, 0);
    done(
        &mut governor,
        0,
        permit,
        Ending::RateLimited {
            retry_after: Some(Millis(u64::MAX)),
        },
        &NOTHING,
    );
    go(&mut governor, 1);
}

#[test]
fn a_trickle_that_a_vendor_tells_of_holds_nobody_for_more_than_two_hours() {
    let tokens = Window {
        limit: Some(1_000_000),
        remaining: Some(0),
        resets_in: Some(Millis(2_000_000_000)),
    };
    let mut governor = Governor::new(&RateSettings::default());
    let permit = go(&mut governor, 0);
    let limits = RateLimits {
        input_tokens: tokens,
        ..NOTHING
    };
    done(&mut governor, 0, permit, Ending::Ok, &limits);
    let estimate = Estimate {
        input: 500_000,
        output: 0,
    };
    let mut now = 0;
    for _ in 0..4 {
        let Decision::Wait(until) = governor.ask(Timestamp(now), estimate) else {
            panic!("none is left")
        };
        assert!(until.0 - now <= 7_200_200, "{until:?}");
        assert!(matches!(governor.ask(until, estimate), Decision::Go(_)));
        now = until.0;
    }
}

#[test]
fn nobody_leaves_before_the_vendors_wish() {
    let mut governor = limited(60_000, 100);
    let permit = go(&mut governor, 0);
    let ending = Ending::RateLimited {
        retry_after: Some(Millis(3_000)),
    };
    done(&mut governor, 10, permit, ending, &NOTHING);
    assert_eq!(ask(&mut governor, 11), Decision::Wait(Timestamp(3_010)));
    go(&mut governor, 3_010);
}

#[test]
fn a_quota_opens_the_breaker_until_it_is_known_to_reset() {
    let mut governor = Governor::new(&RateSettings::default());
    let permit = go(&mut governor, 0);
    let until = Some(Timestamp(5_000));
    done(&mut governor, 1, permit, Ending::Quota { until }, &NOTHING);
    assert_eq!(ask(&mut governor, 4_999), Decision::Closed(until));
    let permit = go(&mut governor, 5_000);
    done(&mut governor, 5_001, permit, Ending::Auth, &NOTHING);
    assert_eq!(ask(&mut governor, u64::MAX), Decision::Closed(None));
}

#[test]
fn what_is_read_from_a_cache_does_not_count() {
    let usage = Usage {
        input: 100,
        cache_read: 900,
        output: 5,
        ..Usage::default()
    };
    let left = |count_cached| {
        let settings = RateSettings {
            input_tokens_per_minute: Some(2_000),
            count_cached,
            ..RateSettings::default()
        };
        let mut governor = Governor::new(&settings);
        let estimate = Estimate {
            input: 1_500,
            output: 100,
        };
        let Decision::Go(permit) = governor.ask(Timestamp(0), estimate) else {
            panic!("it is full")
        };
        governor.done(Timestamp(0), permit, Some(&usage), Ending::Ok, &NOTHING);
        let [_, _, input, _] = governor.pace.buckets;
        input.map(|bucket| bucket.left())
    };
    assert_eq!((left(false), left(true)), (Some(1_900), Some(1_000)));
}

#[test]
fn what_is_larger_than_the_bucket_waits_until_it_is_full() {
    let settings = RateSettings {
        input_tokens_per_minute: Some(600),
        ..RateSettings::default()
    };
    let mut governor = Governor::new(&settings);
    let huge = Estimate {
        input: 900,
        output: 0,
    };
    assert!(matches!(governor.ask(Timestamp(0), huge), Decision::Go(_)));
    // 300 owed and 600 wanted, at ten a second.
    assert_eq!(
        governor.ask(Timestamp(0), huge),
        Decision::Wait(Timestamp(90_125))
    );
}

/// What happens in a random life.
#[derive(Clone, Copy, Debug)]
enum Step {
    Rest(u64),
    Ask,
    /// One of those under way ends, and the vendor says what is left.
    End {
        which: usize,
        remaining: Option<u64>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..200_u64).prop_map(Step::Rest),
        Just(Step::Ask),
        Just(Step::Ask),
        (any::<usize>(), proptest::option::of(0..40_u64))
            .prop_map(|(which, remaining)| Step::End { which, remaining }),
    ]
}

proptest! {
    #[test]
    fn never_more_than_the_limit_nor_a_wait_without_need(
        per_minute in 1..10_000_u64,
        burst in 1..40_u64,
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut governor = limited(per_minute, burst);
        let (mut now, mut left, mut under_way) = (0, vec![], vec![]);
        for step in steps {
            match step {
                Step::Rest(millis) => now += millis,
                Step::Ask => match ask(&mut governor, now) {
                    Decision::Go(permit) => {
                        left.push(now);
                        under_way.push(permit);
                    }
                    Decision::Wait(until) => {
                        prop_assert!(until.0 > now);
                        let asked_at = |at| ask(&mut governor.clone(), at);
                        prop_assert_eq!(asked_at(until.0 - 1), Decision::Wait(until));
                        prop_assert!(matches!(asked_at(until.0), Decision::Go(_)));
                    }
                    decision => prop_assert!(under_way.len() as u32 >= IN_FLIGHT_MAX, "{decision:?}"),
                },
                Step::End { which, remaining } if !under_way.is_empty() => {
                    let permit = under_way.swap_remove(which % under_way.len());
                    let told = remaining.map_or(NOTHING, |left| requests(Some(per_minute), left, 0));
                    let before = requests_left(&governor);
                    done(&mut governor, now, permit, Ending::Ok, &told);
                    // What a vendor says raises nothing that the user has limited.
                    let mut untold = governor.clone();
                    prop_assert!(requests_left(&untold) <= before.max(Some(burst)));
                    let _ = ask(&mut untold, now);
                }
                Step::End { .. } => {}
            }
        }
        for (i, from) in left.iter().enumerate() {
            for (j, to) in left.iter().enumerate().skip(i) {
                let count = (j - i + 1) as u64;
                prop_assert!((count - 1) * 60_000 < burst * 60_000 + per_minute * (to - from));
            }
        }
    }

    /// A vendor with its own bucket, reported with every answer.
    #[test]
    fn a_vendor_that_tells_its_limits_refuses_nobody(
        per_second in 1..200_u64,
        burst in 1..50_u64,
        delay in 0..2_000_u64,
        tasks in 1..300_usize,
    ) {
        // The first request goes alone: the limit is not known before its answer.
        let (mut level, mut filled_at) = (burst * 1_000, 0);
        let mut governor = Governor::new(&RateSettings::default());
        let (mut now, mut sent, mut refused) = (0, 0, 0);
        let mut answers: Vec<(u64, PermitId, RateLimits)> = vec![];
        while sent < tasks || !answers.is_empty() {
            answers.sort_by_key(|(at, permit, _)| (*at, *permit));
            while answers.first().is_some_and(|(at, ..)| *at <= now) {
                let (_, permit, limits) = answers.remove(0);
                done(&mut governor, now, permit, Ending::Ok, &limits);
            }
            let mut next = answers.first().map(|(at, ..)| *at);
            while sent < tasks && (sent == 0 || requests_left(&governor).is_some()) {
                match ask(&mut governor, now) {
                    Decision::Go(permit) => {
                        sent += 1;
                        let at = now + 10;
                        level = (level + per_second * (at - filled_at)).min(burst * 1_000);
                        filled_at = at;
                        refused += u32::from(level < 1_000);
                        level = level.saturating_sub(1_000);
                        let limits = requests(Some(per_second * 60), level / 1_000, 0);
                        answers.push((now + 20 + delay, permit, limits));
                        next = Some(next.map_or(now + 20 + delay, |next| next.min(now + 20 + delay)));
                    }
                    Decision::Wait(until) => {
                        next = Some(next.map_or(until.0, |next| next.min(until.0)));
                        break;
                    }
                    decision => {
                        prop_assert_eq!(decision, Decision::Full);
                        break;
                    }
                }
            }
            let Some(next) = next.filter(|_| sent < tasks || !answers.is_empty()) else { break };
            prop_assert!(next > now || !answers.is_empty(), "it stands still at {now} ms");
            now = next;
        }
        prop_assert_eq!((sent, refused), (tasks, 0));
    }
}

mod makespan;
