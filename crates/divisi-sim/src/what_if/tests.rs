//! Runs whose time and cost are known by arithmetic.

use super::*;
use divisi_core::Millis;
use divisi_core::budget::TurnBound;

/// As many tasks at once as there may be, on one model, with one request of this length each.
fn equal(tasks: &Tasks, took: u32, limits: &Limits) -> Answer {
    let leg = Leg {
        family: Some(0),
        requests: 1,
        took,
        input: 1_000,
        output: 100,
        cost: PicoUsd(1_000),
        bound: TurnBound::fixed(PicoUsd(3_000)),
    };
    what_if(tasks, limits, |_, works| {
        (0..tasks.count()).for_each(|task| works.push(task, leg));
    })
}

fn wide(count: usize) -> Tasks {
    Tasks::new(count, |_| &[])
}

fn limits(in_flight_max: u32, rate: RateSettings) -> Limits {
    Limits {
        in_flight_max,
        programs_max: in_flight_max,
        cap: None,
        rates: vec![rate],
        families: vec![0],
    }
}

fn free(in_flight_max: u32) -> Limits {
    limits(
        in_flight_max,
        RateSettings {
            in_flight: Some(in_flight_max),
            ..RateSettings::default()
        },
    )
}

fn seconds(answer: &Answer) -> f64 {
    assert_eq!(answer.took.p10, answer.took.p90, "there is nothing to draw");
    answer.took.p50.0 as f64 / 1_000.0
}

#[test]
fn tasks_at_once_are_as_many_as_they_may_be() {
    let answer = equal(&wide(1_000), 200, &free(64));
    assert_eq!(seconds(&answer), 16.0 * 0.2);
    assert_eq!(answer.holds, Holds::One(Limit::TasksAtOnce));
    let gain = answer.gains[0];
    assert_eq!((gain.from, gain.to), (Millis(3_200), Millis(1_600)));
    assert_eq!(answer.cost.p50, PicoUsd(1_000_000));
}

/// One second per task, without a provider or a bill.
fn seconds_of_programs(tasks: &Tasks, limits: &Limits) -> Answer {
    let leg = Leg {
        requests: 1,
        took: 1_000,
        ..Leg::default()
    };
    what_if(tasks, limits, |_, works| {
        (0..tasks.count()).for_each(|task| works.push(task, leg));
    })
}

#[test]
fn programs_have_slots_of_their_own() {
    let limits = Limits {
        programs_max: 64,
        ..free(1_000)
    };
    let requests = seconds_of_programs(&wide(130), &limits);
    assert_eq!(
        (seconds(&requests), requests.holds),
        (1.0, Holds::CriticalPath)
    );
    let at_once = |answer: &Answer| {
        answer
            .gains
            .iter()
            .map(|gain| gain.limit)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        at_once(&requests),
        [Limit::TasksAtOnce],
        "without programs nothing is to be gained from more of them"
    );
    let programs = seconds_of_programs(&wide(130).programs(|_| true), &limits);
    assert_eq!(seconds(&programs), 3.0, "64, 64 and 2");
    assert_eq!(programs.holds, Holds::One(Limit::ProgramsAtOnce));
    assert_eq!(
        at_once(&programs),
        [Limit::ProgramsAtOnce, Limit::TasksAtOnce]
    );
    let [gain, other] = programs.gains[..] else {
        panic!("{:?}", programs.gains)
    };
    assert_eq!((gain.from, gain.to), (Millis(3_000), Millis(2_000)));
    assert!(!other.is_any());
    assert_eq!(programs.unlimited, Millis(1_000));
}

#[test]
fn programs_without_a_slot_are_passed_by() {
    let limits = Limits {
        programs_max: 1,
        ..free(2)
    };
    // Two programs and two requests after them: one of each at a time.
    let mixed = wide(4).programs(|task| task < 2);
    assert_eq!(seconds(&seconds_of_programs(&mixed, &limits)), 2.0);
    // With three programs, only one task runs at a time in the end.
    let mixed = wide(4).programs(|task| task < 3);
    assert_eq!(seconds(&seconds_of_programs(&mixed, &limits)), 3.0);
    let none = Limits {
        programs_max: 0,
        ..limits
    };
    assert_eq!(
        seconds(&seconds_of_programs(&mixed, &none)),
        3.0,
        "there is always one"
    );
}

#[test]
fn as_many_programs_as_tasks_are_one_limit() {
    let answer = seconds_of_programs(&wide(8).programs(|_| true), &free(2));
    assert_eq!(seconds(&answer), 4.0);
    assert_eq!(answer.holds, Holds::One(Limit::TasksAtOnce));
    assert_eq!(answer.gains.len(), 1);
    assert_eq!(answer.gains[0].to, Millis(2_000), "four of both");
}

#[test]
fn a_program_that_waits_for_money_lets_go_of_its_slot() {
    let leg = |reserved| Leg {
        requests: 1,
        took: 100,
        cost: PicoUsd(1_000),
        bound: TurnBound::fixed(PicoUsd(reserved)),
        ..Leg::default()
    };
    let limits = Limits {
        programs_max: 2,
        cap: Some(PicoUsd(13_000)),
        ..free(8)
    };
    // The second leg of the second task does not fit beside another second leg until the end, and
    // the other tasks overtake it: first legs at 0, 0, 100 and 200 ms, second ones at 100, 200, 300
    // and 400.
    let answer = what_if(&wide(4).programs(|_| true), &limits, |_, works| {
        for task in 0..4 {
            works.push(task, leg(1_000));
            works.push(task, leg(6_000));
        }
    });
    assert_eq!((answer.parked, answer.cost.p50), (0, PicoUsd(8_000)));
    assert_eq!(seconds(&answer), 0.5);
}

#[test]
fn a_rate_is_kept() {
    let rate = RateSettings {
        requests_per_minute: Some(3_000),
        burst: Some(50),
        ..RateSettings::default()
    };
    let answer = equal(&wide(600), 100, &limits(64, rate));
    // 550 at 50 a second, the first of them on its way for 125 ms, and the last one's reply.
    assert_eq!(seconds(&answer), 11.0 + 0.125 + 0.1);
    assert_eq!(
        answer.holds,
        Holds::One(Limit::RequestsPerMinute { provider: 0 })
    );
    assert_eq!(answer.gains[0].to, Millis(5_500 + 125 + 100));
    assert!(
        !answer.gains[1].is_any(),
        "more of them at once would wait, too"
    );
}

#[test]
fn tokens_of_prompts_and_of_replies_are_counted() {
    let input = RateSettings {
        input_tokens_per_minute: Some(60_000),
        ..RateSettings::default()
    };
    let answer = equal(&wide(100), 100, &limits(1_000, input));
    assert_eq!(
        answer.holds,
        Holds::One(Limit::InputTokensPerMinute { provider: 0 })
    );
    // The first sixty at once, then one a second.
    assert_eq!(seconds(&answer), 40.0 + 0.125 + 0.1);
    let output = RateSettings {
        output_tokens_per_minute: Some(6_000),
        ..RateSettings::default()
    };
    let answer = equal(&wide(100), 100, &limits(1_000, output));
    assert_eq!(
        answer.holds,
        Holds::One(Limit::OutputTokensPerMinute { provider: 0 })
    );
}

#[test]
fn a_chain_takes_the_sum() {
    let before: Vec<[usize; 1]> = (0..20_usize).map(|task| [task.saturating_sub(1)]).collect();
    let chain = Tasks::new(20, |task| if task == 0 { &[] } else { &before[task] });
    let answer = equal(&chain, 300, &free(64));
    assert_eq!(seconds(&answer), 6.0);
    assert_eq!(
        (answer.holds, answer.unlimited),
        (Holds::CriticalPath, Millis(6_000))
    );
}

#[test]
fn the_longest_chain_goes_first() {
    // Two tasks without followers, and after them in the list a chain of three.
    let before = [vec![], vec![], vec![], vec![2], vec![3]];
    let tasks = Tasks::new(5, |task| &before[task]);
    assert_eq!(seconds(&equal(&tasks, 100, &free(1))), 0.5);
    assert_eq!(
        seconds(&equal(&tasks, 100, &free(2))),
        0.3,
        "the others go beside the chain"
    );
}

#[test]
fn two_limits_that_hold_together_are_told() {
    // Ten at once and fifty requests a second of 200 ms: to raise one alone brings nothing.
    let rate = RateSettings {
        requests_per_minute: Some(3_000),
        burst: Some(1),
        ..RateSettings::default()
    };
    let answer = equal(&wide(500), 200, &limits(10, rate));
    assert_eq!(answer.holds, Holds::Several);
}

#[test]
fn a_cap_that_is_too_small_is_named_with_what_it_takes() {
    let limits = Limits {
        cap: Some(PicoUsd(50_000)),
        ..free(8)
    };
    let answer = equal(&wide(100), 100, &limits);
    // What is left holds less than the three thousand that one might cost.
    assert_eq!(
        (answer.holds, answer.parked),
        (Holds::Cap, answer.repetitions)
    );
    assert_eq!(answer.done.unwrap().p50, 48);
    assert_eq!(answer.uncapped.unwrap().cost.p50, PicoUsd(100_000));
    assert!(answer.cost.p90 <= PicoUsd(50_000));
}

#[test]
fn a_cap_slows_down_before_it_stops() {
    let leg = Leg {
        requests: 1,
        took: 100,
        cost: PicoUsd(1_000),
        ..Leg::default()
    };
    let leg = Leg {
        bound: TurnBound::fixed(PicoUsd(50_000)),
        ..leg
    };
    let limits = Limits {
        cap: Some(PicoUsd(200_000)),
        ..free(8)
    };
    let answer = what_if(&wide(100), &limits, |_, works| {
        (0..100).for_each(|task| works.push(task, leg));
    });
    assert_eq!((answer.parked, answer.cost.p50), (0, PicoUsd(100_000)));
    // Four reservations fit once, three sixteen times, until 50 are done; then two.
    assert_eq!(
        (answer.holds, answer.took.p50),
        (Holds::Cap, Millis(100 + 1_600 + 2_400))
    );
    assert_eq!(answer.uncapped.unwrap().took.p50, Millis(1_300));
}

#[test]
fn nothing_to_do_takes_no_time() {
    let answer = equal(&wide(0), 100, &free(8));
    assert_eq!(
        (answer.took.p50, answer.holds),
        (Millis(0), Holds::CriticalPath)
    );
}

#[test]
fn the_same_tasks_have_the_same_answer() {
    let tasks = sample::tasks(200);
    let rate = RateSettings {
        requests_per_minute: Some(600),
        ..RateSettings::default()
    };
    let answer = || {
        what_if(&tasks, &limits(200, rate), |time, works| {
            sample::draw(200, time, works);
        })
    };
    assert_eq!(answer(), answer());
    assert!(answer().took.p10 < answer().took.p90);
}
