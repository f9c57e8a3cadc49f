//! Simulates many seeds, and prints the story of the first that breaks a promise.

mod figures;
mod measure;

use clap::Parser;
use divisi_sim::{Broken, simulate, spend};
use figures::Figures;
use std::io::Write;
use std::num::NonZero;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Simulates runs of divisi, one from each seed.
#[derive(Clone, Copy, Parser)]
struct Args {
    /// Number of seeds
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Let many tasks at once spend a cap that is too small for all of them, and print how much of
    /// it they used
    #[arg(long)]
    budget: bool,
    /// Simulate ahead a run of many tasks under limits, and print how long that takes
    #[arg(long, conflicts_with = "budget")]
    what_if: bool,
    /// Number of tasks for that
    #[arg(long, default_value_t = 1_000)]
    tasks: u32,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let started = Instant::now();
    if args.what_if {
        say(&mut std::io::stdout(), &measure::of(args.tasks as usize));
        return ExitCode::SUCCESS;
    }
    match all(args, started) {
        Ok(figures) => {
            say(
                &mut std::io::stdout(),
                &figures.summary(args.from, started.elapsed().as_secs_f64()),
            );
            ExitCode::SUCCESS
        }
        Err(broken) => {
            say(&mut std::io::stderr(), &broken.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Simulates all seeds, with one thread per processor.
fn all(
    Args {
        seeds,
        from,
        budget,
        tasks,
        ..
    }: Args,
    started: Instant,
) -> Result<Figures, Box<Broken>> {
    let (next, figures) = (AtomicU64::new(0), Mutex::new(Ok(Figures::default())));
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= seeds {
                return;
            }
            let seed = from.saturating_add(place);
            let seen = match budget {
                true => spend(seed, tasks).map(|(tally, spending)| (tally, Some(spending))),
                false => simulate(seed).map(|tally| (tally, None)),
            };
            let Ok(mut figures) = figures.lock() else {
                return;
            };
            match (&mut *figures, seen) {
                (Ok(figures), Ok((tally, spending))) => figures.add(tally, spending),
                (figures, Err(broken)) => {
                    *figures = Err(broken);
                    next.store(seeds, Ordering::Relaxed);
                }
                (Err(_), Ok(_)) => return,
            }
            if budget && place > 0 && place % 500 == 0 {
                let text = format!(
                    "{place} of {seeds} in {:.0} s",
                    started.elapsed().as_secs_f64()
                );
                say(&mut std::io::stderr(), &text);
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    figures
        .into_inner()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A closed output is ignored.
fn say(to: &mut impl Write, text: &str) {
    let _ = writeln!(to, "{text}");
}
