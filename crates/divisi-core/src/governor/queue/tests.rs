use super::*;
use crate::governor::{IN_FLIGHT_MAX, RateSettings};
use proptest::prelude::*;

const RUNS: u8 = 4;
const SOME: Estimate = Estimate {
    input: 0,
    output: 0,
};

fn queue(per_minute: Option<u64>) -> Queue<u8, &'static str> {
    let settings = RateSettings {
        requests_per_minute: per_minute,
        burst: Some(1),
        ..RateSettings::default()
    };
    Queue::new(Governor::new(&settings))
}

/// All requests let through now, in order.
fn through<R: Copy + Ord, T>(queue: &mut Queue<R, T>, at: u64) -> Vec<(T, PermitId)> {
    std::iter::from_fn(|| match queue.next_through(Timestamp(at)) {
        Next::Through(waiter, permit) => Some((waiter, permit)),
        _ => None,
    })
    .collect()
}

fn names<T>(through: Vec<(T, PermitId)>) -> Vec<T> {
    through.into_iter().map(|(name, _)| name).collect()
}

#[test]
fn runs_take_turns_and_the_longest_chain_of_a_run_goes_first() {
    let mut queue = queue(None);
    for (run, priority, name) in [
        (1, 0, "a1"),
        (1, 0, "a2"),
        (1, 2, "chain"),
        (1, 0, "a3"),
        (2, 0, "b1"),
        (2, 1, "b2"),
        (3, 0, "c1"),
    ] {
        queue.enter(run, priority, SOME, name);
    }
    assert_eq!(queue.len(), 7);
    assert_eq!(
        names(through(&mut queue, 0)),
        ["chain", "b2", "c1", "a1", "b1", "a2", "a3"]
    );
    assert_eq!(queue.next_through(Timestamp(0)), Next::Nobody);
}

#[test]
fn a_run_that_has_just_had_its_turn_does_not_get_ahead_by_coming_again() {
    let mut queue = queue(Some(60_000));
    queue.enter(1, 0, SOME, "a1");
    queue.enter(2, 0, SOME, "b1");
    assert_eq!(names(through(&mut queue, 0)), ["a1"]);
    queue.enter(1, 9, SOME, "a2");
    assert_eq!(queue.next_through(Timestamp(0)), Next::Wait(Timestamp(126)));
    assert_eq!(names(through(&mut queue, 126)), ["b1"]);
    assert_eq!(names(through(&mut queue, 127)), ["a2"]);
}

#[test]
fn whoever_leaves_takes_nobodys_turn() {
    let mut queue = queue(None);
    let gone = queue.enter(1, 0, SOME, "gone");
    queue.enter(2, 0, SOME, "b1");
    assert_eq!((queue.leave(gone), queue.leave(gone)), (Some("gone"), None));
    assert_eq!(
        (names(through(&mut queue, 0)), queue.len()),
        (vec!["b1"], 0)
    );
}

#[test]
fn everybody_who_waits_is_turned_away_when_it_closes() {
    let mut queue = queue(Some(60));
    let Some(Decision::Go(permit)) = queue.ask(Timestamp(0), SOME) else {
        panic!("nobody waits")
    };
    for name in ["a", "b"] {
        queue.enter(1, 0, SOME, name);
    }
    let until = Some(Timestamp(9_000));
    queue.done(
        Timestamp(5),
        permit,
        None,
        Ending::Quota { until },
        &RateLimits::default(),
    );
    for name in ["a", "b"] {
        assert_eq!(queue.next_through(Timestamp(5)), Next::Closed(name, until));
    }
    assert_eq!(queue.ask(Timestamp(5), SOME), Some(Decision::Closed(until)));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Rest(u64),
    Enter { run: u8, priority: u32, input: u64 },
    Leave(usize),
    End(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let enter = (0..RUNS, 0..3_u32, 0..50_u64);
    let enter = enter.prop_map(|(run, priority, input)| Step::Enter {
        run,
        priority,
        input,
    });
    prop_oneof![
        2 => (0..100_u64).prop_map(Step::Rest),
        4 => enter,
        1 => any::<usize>().prop_map(Step::Leave),
        2 => any::<usize>().prop_map(Step::End),
    ]
}

/// A waiting request, as known outside of the queue.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    number: usize,
    run: u8,
    priority: u32,
    place: Place<u8>,
}

proptest! {
    /// Within a run requests leave in order; no run gets two permits while another one waits; none
    /// waits while there is a permit; all leave.
    #[test]
    fn everybody_leaves_in_turn_as_soon_as_they_may(
        per_minute in proptest::option::of(600..60_000_u64),
        tokens in proptest::option::of(1_000..600_000_u64),
        steps in proptest::collection::vec(step(), 1..150),
    ) {
        let settings = RateSettings {
            requests_per_minute: per_minute,
            input_tokens_per_minute: tokens,
            ..RateSettings::default()
        };
        let mut queue: Queue<u8, usize> = Queue::new(Governor::new(&settings));
        let (mut now, mut number, mut under_way) = (0, 0, vec![]);
        let mut waiting: Vec<Waiter> = vec![];
        // The runs that had a turn since each run's last one.
        let mut passed_by: [Vec<u8>; RUNS as usize] = Default::default();
        let first_of = |waiting: &[Waiter], run: u8| {
            let of_run = waiting.iter().filter(|waiter| waiter.run == run);
            of_run.min_by_key(|waiter| (Reverse(waiter.priority), waiter.number)).map(|waiter| waiter.number)
        };
        for step in steps.into_iter().chain(std::iter::repeat_n(Step::Rest(60_000), 160)) {
            match step {
                Step::Rest(millis) => now += millis,
                Step::Enter { run, priority, input } => {
                    number += 1;
                    let place = queue.enter(run, priority, Estimate { input, output: 0 }, number);
                    waiting.push(Waiter { number, run, priority, place });
                }
                Step::Leave(which) if !waiting.is_empty() => {
                    let gone = waiting.remove(which % waiting.len());
                    prop_assert_eq!(queue.leave(gone.place), Some(gone.number));
                }
                Step::End(which) if !under_way.is_empty() => {
                    let permit = under_way.swap_remove(which % under_way.len());
                    queue.done(Timestamp(now), permit, None, Ending::Ok, &RateLimits::default());
                }
                Step::Leave(_) | Step::End(_) => {}
            }
            loop {
                for run in (0..RUNS).filter(|run| waiting.iter().all(|waiter| waiter.run != *run)) {
                    passed_by[usize::from(run)].clear();
                }
                match queue.next_through(Timestamp(now)) {
                    Next::Through(number, permit) => {
                        let index = waiting.iter().position(|waiter| waiter.number == number);
                        let waiter = waiting[index.expect("they wait")];
                        prop_assert_eq!(first_of(&waiting, waiter.run), Some(number));
                        for run in (0..RUNS).filter(|run| *run != waiter.run) {
                            let passed_by = &mut passed_by[usize::from(run)];
                            prop_assert!(!passed_by.contains(&waiter.run), "run {run} is passed by");
                            passed_by.push(waiter.run);
                        }
                        passed_by[usize::from(waiter.run)].clear();
                        waiting.retain(|waiter| waiter.number != number);
                        under_way.push(permit);
                    }
                    Next::Wait(until) => {
                        prop_assert!(until.0 > now && !waiting.is_empty());
                        let mut at_once = queue.clone();
                        prop_assert_eq!(at_once.next_through(Timestamp(until.0 - 1)), Next::Wait(until));
                        prop_assert!(matches!(at_once.next_through(until), Next::Through(..)));
                        break;
                    }
                    Next::Nobody => {
                        prop_assert!(waiting.is_empty());
                        break;
                    }
                    next => prop_assert!(under_way.len() as u32 >= IN_FLIGHT_MAX, "{next:?}"),
                }
            }
            prop_assert_eq!(queue.len(), waiting.len());
        }
        prop_assert_eq!(waiting.len(), 0);
    }
}
