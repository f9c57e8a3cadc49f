//! Decides how many runs are simulated, and with which limits.

use super::answer::Runs;
use super::play::Play;
use super::{Answer, Limits, Played, Tasks, Works};
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Most runs drawn: with more, the percentiles hardly change.
const REPETITIONS_MAX: usize = 200;

/// Fewest runs, however many requests each has: sums over many tasks vary little.
const REPETITIONS_MIN: usize = 3;

/// Requests of all runs together before fewer runs are drawn: seconds of work, and as much again
/// for each limit.
const REQUESTS_MAX: u64 = 6_000_000;

/// Simulates `tasks` under `limits`, as often as the number of requests permits, and again with
/// each limit doubled.
///
/// `draw` pushes the work of all tasks in the repetition with this number; it must be
/// deterministic. The answer is the same on every machine.
pub fn what_if(tasks: &Tasks, limits: &Limits, draw: impl Fn(u64, &mut Works) + Sync) -> Answer {
    let mut first = Works::default();
    draw(0, &mut first);
    let affordable = (REQUESTS_MAX / first.requests().max(1)) as usize;
    drop(first);
    let repetitions = affordable.clamp(REPETITIONS_MIN, REPETITIONS_MAX);
    let play = |limits: &[Limits]| all(tasks, limits, repetitions, &draw);

    let base = play(std::slice::from_ref(limits)).swap_remove(0);
    // Other limits are compared without a cap, which may stop a run before they matter.
    let free = Limits {
        cap: None,
        ..limits.clone()
    };
    let doubles = free.all(tasks.has_programs());
    let mut variants = vec![Limits::lifted()];
    variants.extend(doubles.iter().map(|limit| free.clone().doubled(*limit)));
    variants.extend(limits.cap.map(|_| free));
    let mut played = play(&variants).into_iter();
    let unlimited = played.next().unwrap_or_default();
    let doubled = doubles.into_iter().zip(played.by_ref()).collect();
    Answer::of(Runs {
        all: base,
        uncapped: played.next(),
        unlimited,
        doubled,
    })
}

/// Simulates this often with each of these limits, on all processors.
fn all(
    tasks: &Tasks,
    wanted: &[Limits],
    times: usize,
    draw: &(impl Fn(u64, &mut Works) + Sync),
) -> Vec<Vec<Played>> {
    let jobs: Vec<(&Limits, usize)> = wanted
        .iter()
        .flat_map(|limits| (0..times).map(move |time| (limits, time)))
        .collect();
    let (next, results) = (
        AtomicUsize::new(0),
        Mutex::new(vec![Played::default(); jobs.len()]),
    );
    let work = || {
        let mut works = Works::default();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(limits, time)) = jobs.get(place) else {
                return;
            };
            works.clear();
            draw(time as u64, &mut works);
            let played = Play::new(tasks, &works, limits).play();
            if let Ok(mut results) = results.lock() {
                results[place] = played;
            }
        }
    };
    let threads = thread::available_parallelism()
        .map_or(1, NonZero::get)
        .min(jobs.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let results = results
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    results
        .chunks(times.max(1))
        .map(<[Played]>::to_vec)
        .collect()
}
