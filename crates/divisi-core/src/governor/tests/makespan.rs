//! How long a fan-out takes against a vendor's limit, and how many are refused,
//! with what is between them: a path, a model that thinks, and chance.

use super::*;
use std::collections::BTreeMap;

const TASKS: u64 = 600;
const PER_SECOND: u64 = 50;
const BURST: u64 = 50;
/// What one run has under way.
const AT_ONCE: usize = 64;

/// What lies between us and the vendor, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct World {
    path: u64,
    jitter: u64,
    thinks: u64,
    /// More for the first requests, over new connections.
    connects: u64,
}

enum Event {
    Arrives(PermitId),
    Answered(PermitId, Ending, Box<RateLimits>),
    Look,
}

/// Milliseconds until the last answer, and how many were refused.
fn run(settings: &RateSettings, world: World) -> (u64, u64) {
    let mut governor = Governor::new(settings);
    let mut rng = fastrand::Rng::with_seed(7);
    let mut events: BTreeMap<(u64, u64), Event> = BTreeMap::from([((0, 0), Event::Look)]);
    let (mut open, mut under_way, mut refused, mut number) = (TASKS, 0, 0, 0);
    let (mut level, mut filled_at) = (BURST * 1_000, 0);
    let mut now = 0;
    while let Some(((at, _), event)) = events.pop_first() {
        now = at;
        match event {
            Event::Arrives(permit) => {
                level = (level + PER_SECOND * (now - filled_at)).min(BURST * 1_000);
                filled_at = now;
                let ending = match level >= 1_000 {
                    true => Ending::Ok,
                    false => Ending::RateLimited { retry_after: None },
                };
                if ending == Ending::Ok {
                    level -= 1_000;
                }
                let limits = requests(
                    Some(PER_SECOND * 60),
                    level / 1_000,
                    (BURST * 1_000 - level) / PER_SECOND,
                );
                number += 1;
                let thinks = if ending == Ending::Ok {
                    world.thinks
                } else {
                    0
                };
                let back = now + thinks + world.path + rng.u64(0..=world.jitter);
                events.insert(
                    (back, number),
                    Event::Answered(permit, ending, Box::new(limits)),
                );
            }
            Event::Answered(permit, ending, limits) => {
                under_way -= 1;
                if ending != Ending::Ok {
                    refused += 1;
                    open += 1;
                }
                done(&mut governor, now, permit, ending, &limits);
            }
            Event::Look => {}
        }
        while open > 0 && under_way < AT_ONCE {
            match ask(&mut governor, now) {
                Decision::Go(permit) => {
                    (open, under_way, number) = (open - 1, under_way + 1, number + 1);
                    let connects = if number <= AT_ONCE as u64 {
                        world.connects
                    } else {
                        0
                    };
                    let there = now + connects + world.path + rng.u64(0..=world.jitter);
                    events.insert((there, number), Event::Arrives(permit));
                }
                Decision::Wait(until) => {
                    events.insert((until.0, 0), Event::Look);
                    break;
                }
                _ => break,
            }
        }
    }
    (now, refused)
}

/// The worst of all worlds there are: thousandths of the ideal time, and how
/// many were refused.
fn worst(settings: &RateSettings) -> (u64, u64) {
    let mut worst = (0, 0);
    for (path, jitter) in [0, 2, 20, 80]
        .into_iter()
        .flat_map(|path| [0, 2, 10, 40].map(|jitter| (path, jitter)))
    {
        for thinks in [0, 100, 1_000] {
            for connects in [0, 3 * path] {
                let (took, refused) = run(
                    settings,
                    World {
                        path,
                        jitter,
                        thinks,
                        connects,
                    },
                );
                let around = 2 * path + jitter + thinks + connects;
                let ideal = (TASKS - BURST) * 1_000 / PER_SECOND + around;
                worst = (worst.0.max(took * 1_000 / ideal), worst.1.max(refused));
            }
        }
    }
    worst
}

#[test]
fn a_limit_that_is_set_costs_a_fiftieth_of_the_time_and_one_refusal_in_a_hundred() {
    let settings = RateSettings {
        requests_per_minute: Some(PER_SECOND * 60),
        burst: Some(BURST),
        ..RateSettings::default()
    };
    let (thousandths, refused) = worst(&settings);
    assert!(
        thousandths <= 1_020 && refused * 100 <= TASKS,
        "{thousandths} {refused}"
    );
}

/// As many leave before the first answer as one run may have under way.
#[test]
fn a_limit_that_only_the_vendor_tells_of_costs_a_tenth() {
    let (thousandths, refused) = worst(&RateSettings::default());
    assert!(
        thousandths <= 1_100 && refused * 10 <= TASKS,
        "{thousandths} {refused}"
    );
}
