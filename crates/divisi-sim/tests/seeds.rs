//! Two thousand seeds keep every promise, and the same seed is the same story.

use divisi_sim::{Spending, Tally, simulate, spend};

/// Enough to find within seconds what a day of use would; each seed that breaks a promise gets a
/// separate test.
const SEEDS: u64 = 2_000;

/// Runs of a thousand tasks at once under a cap that holds a part of them.
const FAN_OUTS: u64 = 20;

#[test]
fn every_seed_keeps_the_promises() {
    let mut all = Tally::default();
    for seed in 0..SEEDS {
        match simulate(seed) {
            Ok(tally) => all += tally,
            Err(broken) => panic!("{broken}"),
        }
    }
    // Every kind of event must have occurred, or it is not tested.
    let Tally {
        kills,
        cut,
        refusals,
        stand_ins,
        waited,
        withdrawn,
        turned_away,
        limited,
        warm,
        parks,
        ..
    } = all;
    let Tally {
        hedges,
        wakes,
        polled,
        fired,
        fired_late,
        timed_out,
        ..
    } = all;
    for (seen, what) in [
        (kills, "kill"),
        (cut, "cut"),
        (refusals, "refusal"),
        (stand_ins, "stand-in"),
        (waited, "wait at a gate"),
        (withdrawn, "withdrawn request"),
        (turned_away, "closed gate"),
        (limited, "refusal by a limit"),
        (warm, "warm prefix"),
        (parks, "park"),
        (hedges, "second request"),
        (wakes, "wait for quota"),
        (polled, "polled wait"),
        (fired, "timer"),
        (fired_late, "timer that was due while no process ran"),
        (timed_out, "race won by a timer"),
    ] {
        assert!(seen > 100, "only {seen} of {what}: {all:?}");
    }
}

#[test]
fn a_thousand_tasks_at_once_use_up_their_budget_and_no_more() {
    let (mut at_once, mut exhausted) = (0, 0);
    for seed in 0..FAN_OUTS {
        match spend(seed, 1_000) {
            Ok((tally, spending)) => {
                exhausted += u64::from(spending.exhausted);
                assert_eq!(spending.overshoot().0, 0, "seed {seed}");
                let is_used_up = spending.usable() >= Spending::USABLE_MIN;
                assert!(
                    is_used_up || !spending.exhausted,
                    "seed {seed}: {spending:?}"
                );
                at_once = at_once.max(tally.at_once);
            }
            Err(broken) => panic!("seed {seed}: {}", broken.what),
        }
    }
    assert_eq!(at_once, 1_000);
    // If replies turn out short, a cap may suffice for all of them.
    assert!(
        exhausted * 10 >= FAN_OUTS * 9,
        "only {exhausted} caps are used up"
    );
}

#[test]
fn a_seed_is_always_the_same_story() {
    for seed in [1, 7, 42] {
        let tally = simulate(seed).expect("it keeps the promises");
        assert_eq!(simulate(seed).expect("it keeps the promises"), tally);
        assert_ne!(tally, Tally::default());
    }
}
