//! Measures time and memory of a what-if simulation.

use divisi_core::governor::RateSettings;
use divisi_sim::what_if::{Limits, sample, what_if};
use std::time::Instant;

/// Tasks at once in the measured run: as many as the governor permits.
const AT_ONCE: u32 = 1_024;

/// Requests per minute, a limit of about equal effect.
const REQUESTS_PER_MINUTE: u64 = 6_000;

/// Simulates a run of `count` tasks ahead; returns its figures and the measured time and memory.
pub(crate) fn of(count: usize) -> String {
    let began = Instant::now();
    let tasks = sample::tasks(count);
    let rate = RateSettings {
        requests_per_minute: Some(REQUESTS_PER_MINUTE),
        ..RateSettings::default()
    };
    let limits = Limits {
        in_flight_max: AT_ONCE,
        programs_max: AT_ONCE,
        cap: None,
        rates: vec![rate],
        families: vec![0],
    };
    let answer = what_if(&tasks, &limits, |repetition, works| {
        sample::draw(count, repetition, works);
    });
    let memory = peak_megabytes()
        .map(|peak| format!(", {peak} MB at the most"))
        .unwrap_or_default();
    format!(
        "{count} tasks in {} runs, and again for each limit: {:.1} s{memory}\n{answer:#?}",
        answer.repetitions,
        began.elapsed().as_secs_f64(),
    )
}

/// Peak memory of this process, if the system reports it.
fn peak_megabytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes / 1_024)
}
