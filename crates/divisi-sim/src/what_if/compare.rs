//! How often it is played, and with which limits.

use super::answer::Runs;
use super::play::Play;
use super::{Answer, Limits, Played, Tasks, Works};
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Most runs that are drawn: with more, percentiles hardly move.
pub const REPETITIONS_MAX: usize = 200;

/// Fewest, however many requests one has. Sums of many tasks vary little.
const REPETITIONS_MIN: usize = 3;

/// Requests of all runs together, before runs become fewer: seconds of work.
const REQUESTS_MAX: u64 = 12_000_000;

/// Most runs that are played again for each limit. The draws are the same, so a
/// difference shows in few.
const COMPARED_MAX: usize = 20;

/// Plays `tasks` under `limits` as often as their number allows, and again with
/// each limit doubled.
///
/// `draw` pushes what all tasks take in the repetition of this number, the same
/// each time it is asked. The answer is the same on every machine.
pub fn what_if(tasks: &Tasks, limits: &Limits, draw: impl Fn(u64, &mut Works) + Sync) -> Answer {
    let mut first = Works::default();
    draw(0, &mut first);
    let affordable = (REQUESTS_MAX / first.requests().max(1)) as usize;
    drop(first);
    let repetitions = affordable.clamp(REPETITIONS_MIN, REPETITIONS_MAX);
    let compared = affordable.clamp(1, COMPARED_MAX);
    let play = |limits: &[(Limits, usize)]| all(tasks, limits, &draw);

    let base = play(&[(limits.clone(), repetitions)]).swap_remove(0);
    let stops = base.iter().any(|run| run.parked);
    // Where the cap ends the run, what else would hold it back is seen without.
    let free = if stops { Limits { cap: None, ..limits.clone() } } else { limits.clone() };
    let doubles = free.all();
    let mut variants = vec![(Limits::lifted(), compared)];
    variants.extend(doubles.iter().map(|limit| (free.clone().doubled(*limit), compared)));
    variants.extend(stops.then(|| (free.clone(), compared)));
    let mut played = play(&variants).into_iter();
    let unlimited = played.next().unwrap_or_default();
    let doubled = doubles.into_iter().zip(played.by_ref()).collect();
    Answer::of(Runs { all: base, uncapped: played.next(), unlimited, doubled })
}

/// Plays each of these as often as it says, on all processors.
fn all(
    tasks: &Tasks,
    wanted: &[(Limits, usize)],
    draw: &(impl Fn(u64, &mut Works) + Sync),
) -> Vec<Vec<Played>> {
    let jobs: Vec<(usize, usize)> = wanted
        .iter()
        .enumerate()
        .flat_map(|(variant, (_, times))| (0..*times).map(move |time| (variant, time)))
        .collect();
    let (next, results) = (AtomicUsize::new(0), Mutex::new(vec![Played::default(); jobs.len()]));
    let work = || {
        let mut works = Works::default();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(&(variant, time)) = jobs.get(place) else { return };
            works.clear();
            draw(time as u64, &mut works);
            let played = Play::new(tasks, &works, &wanted[variant].0).play();
            if let Ok(mut results) = results.lock() {
                results[place] = played;
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(jobs.len());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let results = results.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut results = results.into_iter();
    wanted.iter().map(|(_, times)| results.by_ref().take(*times).collect()).collect()
}
