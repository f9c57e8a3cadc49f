//! Simulates many seeds, and tells the story of the first that breaks a promise.

use clap::Parser;
use divisi_sim::{Tally, simulate};
use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

/// Simulates runs of divisi, one from each seed.
#[derive(Parser)]
struct Args {
    /// How many seeds.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
}

fn main() -> ExitCode {
    let Args { seeds, from } = Args::parse();
    let started = Instant::now();
    let mut all = Tally::default();
    for seed in from..from.saturating_add(seeds) {
        match simulate(seed) {
            Ok(Tally { events, requests, kills, executions }) => {
                all.events += events;
                all.requests += requests;
                all.kills += kills;
                all.executions += executions;
            }
            Err(broken) => {
                say(&mut std::io::stderr(), &broken.to_string());
                return ExitCode::FAILURE;
            }
        }
    }
    let Tally { events, requests, kills, executions } = all;
    let took = started.elapsed().as_secs_f64();
    let summary = format!(
        "{seeds} seeds from {from}: {executions} executions, {kills} kills, {requests} requests, {events} events in {took:.1} s"
    );
    say(&mut std::io::stdout(), &summary);
    ExitCode::SUCCESS
}

/// Whoever has closed the other end wants to hear no more.
fn say(to: &mut impl Write, text: &str) {
    let _ = writeln!(to, "{text}");
}
