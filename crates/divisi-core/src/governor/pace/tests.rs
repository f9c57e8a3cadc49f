use super::super::*;
use proptest::prelude::*;

/// Two governors that share a credential, and their shared state.
struct Two {
    governors: [Governor; 2],
    between: Pace,
}

impl Two {
    fn new(settings: [RateSettings; 2]) -> Self {
        Self {
            governors: settings.map(|settings| Governor::new(&settings)),
            between: Pace::default(),
        }
    }

    fn step<T>(&mut self, who: usize, step: impl FnOnce(&mut Governor) -> T) -> T {
        let governor = &mut self.governors[who];
        // As it is read from a file.
        let read = serde_json::from_str(&serde_json::to_string(&self.between).unwrap()).unwrap();
        governor.adopt(read);
        let done = step(governor);
        self.between = governor.share().clone();
        done
    }

    fn ask(&mut self, who: usize, at: u64) -> Decision {
        self.step(who, |governor| {
            governor.ask(Timestamp(at), Estimate::default())
        })
    }

    fn go(&mut self, who: usize, at: u64) -> PermitId {
        match self.ask(who, at) {
            Decision::Go(permit) => permit,
            decision => panic!("{decision:?} at {at} ms"),
        }
    }

    fn done(&mut self, who: usize, at: u64, permit: PermitId, ending: Ending, limits: &RateLimits) {
        self.step(who, |governor| {
            governor.done(Timestamp(at), permit, None, ending, limits);
        });
    }
}

const UNSET: RateSettings = RateSettings {
    in_flight: None,
    requests_per_minute: None,
    burst: None,
    input_tokens_per_minute: None,
    output_tokens_per_minute: None,
    count_cached: false,
};

fn limited(per_minute: u64, burst: u64) -> RateSettings {
    RateSettings {
        requests_per_minute: Some(per_minute),
        burst: Some(burst),
        ..UNSET
    }
}

fn told(per_minute: u64, remaining: u64) -> RateLimits {
    let window = Window {
        limit: Some(per_minute),
        remaining: Some(remaining),
        resets_in: None,
    };
    RateLimits {
        requests: window,
        ..RateLimits::default()
    }
}

#[test]
fn what_one_has_taken_the_other_has_not() {
    let mut two = Two::new([limited(3_000, 2); 2]);
    two.go(0, 0);
    two.go(1, 0);
    assert_eq!(
        [two.ask(0, 0), two.ask(1, 0)],
        [Decision::Wait(Timestamp(145)); 2]
    );
    two.go(1, 145);
    assert_eq!(two.ask(0, 145), Decision::Wait(Timestamp(165)));
}

#[test]
fn what_a_vendor_tells_one_the_other_knows() {
    let mut two = Two::new([UNSET; 2]);
    let permit = two.go(0, 0);
    two.done(0, 10, permit, Ending::Ok, &told(3_000, 0));
    assert_eq!(two.ask(1, 10), Decision::Wait(Timestamp(30)));
    let permit = two.go(1, 30);
    let ending = Ending::RateLimited {
        retry_after: Some(Millis(500)),
    };
    two.done(1, 40, permit, ending, &RateLimits::default());
    assert_eq!(two.ask(0, 41), Decision::Wait(Timestamp(540)));
}

#[test]
fn what_left_before_the_limit_was_known_counts() {
    let mut two = Two::new([UNSET; 2]);
    let first = two.go(0, 0);
    // The other says nothing of these until it has something to say.
    for _ in 0..5 {
        let _ = two.governors[1].ask(Timestamp(1), Estimate::default());
    }
    two.done(0, 10, first, Ending::Ok, &told(3_000, 7));
    two.step(1, |_| ());
    assert_eq!(
        two.between.buckets[REQUESTS].as_ref().map(Bucket::left),
        Some(2)
    );
}

#[test]
fn each_keeps_the_limits_of_its_own_settings() {
    let mut two = Two::new([limited(60, 1), UNSET]);
    two.go(0, 0);
    two.go(1, 0);
    two.go(1, 0);
    // Three have left; one per second may, by the settings of the first.
    assert_eq!(two.ask(0, 0), Decision::Wait(Timestamp(3_125)));
    assert!(matches!(two.ask(1, 0), Decision::Go(_)));
}

/// A request of `who` with this many input tokens.
fn takes(two: &mut Two, who: usize, at: u64, input: u64) -> Decision {
    two.step(who, |governor| {
        governor.ask(Timestamp(at), Estimate { input, output: 0 })
    })
}

/// A governor that sends a prompt every 100 ms for ten minutes, 500,000 tokens per minute, next to
/// another one that is limited to 30,000.
fn beside_one_that_nothing_limits(shares: bool) -> Two {
    let mut two = Two::new([
        RateSettings {
            input_tokens_per_minute: Some(30_000),
            ..UNSET
        },
        UNSET,
    ]);
    takes(&mut two, 0, 0, 1);
    for at in (0..600_000).step_by(100) {
        let Decision::Go(permit) = (match shares {
            true => takes(&mut two, 1, at, 833),
            false => two.governors[1].ask(
                Timestamp(at),
                Estimate {
                    input: 833,
                    output: 0,
                },
            ),
        }) else {
            panic!("nothing limits it")
        };
        let usage = Usage {
            input: 833,
            ..Usage::default()
        };
        let done = |governor: &mut Governor| {
            governor.done(
                Timestamp(at),
                permit,
                Some(&usage),
                Ending::Ok,
                &RateLimits::default(),
            );
        };
        match shares {
            true => two.step(1, done),
            false => done(&mut two.governors[1]),
        }
    }
    two
}

#[test]
fn whom_nothing_limits_leaves_a_debt_of_a_minute_at_most() {
    for shares in [true, false] {
        let mut two = beside_one_that_nothing_limits(shares);
        two.step(1, |_| ());
        // Ten minutes have passed since the other one has looked.
        assert!(
            matches!(takes(&mut two, 0, 600_000, 29_000), Decision::Go(_)),
            "shares: {shares}"
        );
        for _ in 0..1_000 {
            takes(&mut two, 1, 600_000, 833);
        }
        // Two minutes, and a rest for the path.
        let Decision::Wait(until) = takes(&mut two, 0, 600_000, 30_000) else {
            panic!("none is left")
        };
        assert!((715_000..725_000).contains(&until.0), "{until:?}");
        assert!(matches!(
            takes(&mut two, 0, until.0, 30_000),
            Decision::Go(_)
        ));
    }
}

#[test]
fn a_debt_of_ones_own_is_kept() {
    let settings = RateSettings {
        output_tokens_per_minute: Some(1_000),
        ..UNSET
    };
    let mut two = Two::new([settings; 2]);
    let Decision::Go(permit) = takes(&mut two, 0, 0, 0) else {
        panic!("it is full")
    };
    let usage = Usage {
        output: 11_000,
        ..Usage::default()
    };
    two.step(0, |governor| {
        governor.done(
            Timestamp(0),
            permit,
            Some(&usage),
            Ending::Ok,
            &RateLimits::default(),
        );
    });
    let estimate = Estimate {
        input: 0,
        output: 1_000,
    };
    assert_eq!(
        two.step(1, |governor| governor.ask(Timestamp(0), estimate)),
        Decision::Wait(Timestamp(660_125))
    );
}

#[test]
fn what_one_has_learnt_alone_is_kept_and_told() {
    let mut two = Two::new([limited(60, 10), limited(60, 10)]);
    let [first, second] = [two.go(0, 0), two.go(0, 0)];
    // These do not get at what lies between.
    let alone = &mut two.governors[0];
    let refused = Ending::RateLimited {
        retry_after: Some(Millis(5_000)),
    };
    alone.done(Timestamp(10), first, None, refused, &RateLimits::default());
    alone.done(
        Timestamp(10),
        second,
        None,
        Ending::Auth,
        &RateLimits::default(),
    );
    assert_eq!(two.ask(0, 11), Decision::Closed(None));
    assert!(two.between.closed.is_some());
    assert_eq!(two.ask(1, 11), Decision::Wait(Timestamp(5_010)));
    let left = two.between.buckets[REQUESTS].as_ref().map(Bucket::left);
    assert_eq!(left, Some(0), "eight were left before the refusal");
}

#[test]
fn where_one_has_found_it_closed_another_sends_one_to_see() {
    let mut two = Two::new([UNSET; 2]);
    let permit = two.go(0, 0);
    let until = Some(Timestamp(9_000));
    two.done(
        0,
        10,
        permit,
        Ending::Quota { until },
        &RateLimits::default(),
    );
    assert_eq!(two.ask(0, 11), Decision::Closed(until));
    let probe = two.go(1, 11);
    assert_eq!(two.ask(1, 11), Decision::Full);
    let again = Two {
        governors: two.governors.clone(),
        between: two.between.clone(),
    };
    two.done(
        1,
        20,
        probe,
        Ending::Quota { until: None },
        &RateLimits::default(),
    );
    assert_eq!(two.ask(1, 21), Decision::Closed(None));

    let mut paid = again;
    paid.done(1, 20, probe, Ending::Ok, &RateLimits::default());
    paid.go(1, 21);
    paid.go(1, 21);
    assert_eq!(paid.between.closed, None);
}

#[test]
fn whoever_opens_it_again_need_not_wait_as_long_as_the_vendor_wanted() {
    let mut two = Two::new([UNSET; 2]);
    let [permit, old] = [two.go(0, 0), two.go(1, 0)];
    let refused = Ending::RateLimited {
        retry_after: Some(Millis(1_800_000)),
    };
    two.done(0, 10, permit, refused, &RateLimits::default());
    assert_eq!(two.ask(1, 20), Decision::Wait(Timestamp(1_800_010)));
    assert!(two.governors[1].is_shut(Timestamp(20)));
    two.step(1, Governor::reopen);
    two.done(1, 30, old, Ending::Other, &RateLimits::default());
    let probe = two.go(1, 30);
    assert!(
        !two.governors[1].is_shut(Timestamp(30)),
        "one is on its way to see"
    );
    assert_eq!(
        [two.ask(1, 30), two.ask(0, 30)],
        [Decision::Full, Decision::Wait(Timestamp(1_800_010))]
    );
    let mut refused_again = Two {
        governors: two.governors.clone(),
        between: two.between.clone(),
    };
    two.step(1, |governor| {
        governor.begun(Timestamp(40), probe, &RateLimits::default());
    });
    for who in [1, 1, 0] {
        two.go(who, 40);
    }
    refused_again.done(1, 40, probe, refused, &RateLimits::default());
    assert_eq!(
        refused_again.ask(1, 50),
        Decision::Wait(Timestamp(1_800_040))
    );
}

#[test]
fn when_its_time_has_come_each_sends_one_to_see_and_then_all() {
    let mut two = Two::new([UNSET; 2]);
    let permit = two.go(0, 0);
    let ending = Ending::Quota {
        until: Some(Timestamp(9_000)),
    };
    two.done(0, 10, permit, ending, &RateLimits::default());
    let [mine, yours] = [two.go(0, 9_000), two.go(1, 9_000)];
    assert_eq!([two.ask(0, 9_000), two.ask(1, 9_000)], [Decision::Full; 2]);
    two.done(
        0,
        9_100,
        mine,
        Ending::Quota {
            until: Some(Timestamp(20_000)),
        },
        &RateLimits::default(),
    );
    assert_eq!(two.ask(0, 9_100), Decision::Closed(Some(Timestamp(20_000))));
    two.step(1, |governor| {
        governor.begun(Timestamp(9_100), yours, &RateLimits::default());
    });
    for _ in 0..2 {
        two.go(1, 9_200);
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Rest(u64),
    Ask(usize),
    End {
        which: usize,
        remaining: Option<u64>,
        refused: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (0..200_u64).prop_map(Step::Rest),
        4 => (0..2_usize).prop_map(Step::Ask),
        2 => (any::<usize>(), proptest::option::of(0..40_u64), proptest::bool::weighted(0.1))
            .prop_map(|(which, remaining, refused)| Step::End { which, remaining, refused }),
    ]
}

proptest! {
    /// For any interleaving of two governors over one state: together they never exceed the limit,
    /// and if the vendor reports nothing they act like a single governor.
    #[test]
    fn two_over_one_state_are_as_one(
        tells in any::<bool>(),
        per_minute in 1..10_000_u64,
        burst in 1..40_u64,
        steps in proptest::collection::vec(step(), 1..200),
    ) {
        let mut two = Two::new([limited(per_minute, burst); 2]);
        let mut one = Governor::new(&limited(per_minute, burst));
        let (mut now, mut left, mut under_way) = (0, vec![], vec![]);
        for step in steps {
            match step {
                Step::Rest(millis) => now += millis,
                Step::Ask(who) => {
                    let alone = one.ask(Timestamp(now), Estimate::default());
                    match (two.ask(who, now), alone) {
                        (Decision::Go(permit), Decision::Go(alone)) => {
                            left.push(now);
                            under_way.push((who, permit, alone));
                        }
                        (Decision::Go(permit), alone) => {
                            prop_assert!(tells, "{alone:?} alone");
                            left.push(now);
                            under_way.push((who, permit, PermitId(0)));
                        }
                        (together, alone) => prop_assert!(tells || together == alone, "{together:?} {alone:?}"),
                    }
                }
                Step::End { which, remaining, refused } if !under_way.is_empty() => {
                    let (who, permit, alone) = under_way.swap_remove(which % under_way.len());
                    let ending = match refused {
                        true => Ending::RateLimited { retry_after: Some(Millis(100)) },
                        false => Ending::Ok,
                    };
                    let limits = remaining.filter(|_| tells).map_or(RateLimits::default(), |left| told(per_minute, left));
                    two.done(who, now, permit, ending, &limits);
                    one.done(Timestamp(now), alone, None, ending, &limits);
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
}
