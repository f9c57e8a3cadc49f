//! 1,000 tasks; one in twenty requests is refused and one in a hundred breaks off.

use crate::bench::Bench;
use crate::groups::FAN_OUT;
use crate::stand::machine::{Body, Machine};
use crate::stand::mock::MockProcess;
use crate::table::{Aim, Figure};
use anyhow::Result;
use divisi_mock::{Breakage, Config, ErrorKind, FaultRate, FaultRates, Latency, Stats};

const TASKS: usize = 1_000;

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let faults = vec![
        FaultRate {
            fault: ErrorKind::Overloaded.into(),
            rate: 0.05,
        },
        FaultRate {
            fault: Breakage::DropStream.into(),
            rate: 0.01,
        },
    ];
    let latency = Latency {
        first_byte_ms: 100,
        ..Latency::default()
    };
    let fault_rates = FaultRates { seed: 1, faults };
    let config = Config {
        latency,
        fault_rates,
        requests_kept_max: 0,
        ..Config::default()
    };
    let mock = MockProcess::start(&config)?;
    let body = Body::of(bench, FAN_OUT)?;
    let (bare, statuses) = body.try_send(&mock.url(), &[TASKS], 64)?;
    let lost = TASKS as u64 - statuses.get(&200).copied().unwrap_or(0);
    mock.reset()?;

    let machine = Machine::new(bench, mock.url())?;
    let ours = machine.try_run(FAN_OUT, TASKS, &[])?;
    let stats = mock.stats()?;
    let failed = TASKS as u64 - machine.count("SELECT max(ok) FROM runs");
    let mut row = |what, ours, bare, most| bench.table.row(what, ours, bare, Aim::AtMost(most));
    row(
        "tasks failed",
        Figure::count(failed),
        Some(Figure::count(lost)),
        0.0,
    );
    row(
        "answered requests that were sent again",
        Figure::count(sent_again(&stats)),
        None,
        0.0,
    );
    row(
        "1,000 × 100 ms, 64 at once",
        Figure::seconds(ours.wall),
        Some(Figure::seconds(bare.wall)),
        4.0,
    );
    bench.table.row(
        "requests that met a fault",
        Figure::count(faults_met(&stats)),
        Some(Figure::count(lost)),
        Aim::Open,
    );
    Ok(())
}

/// Requests without a complete answer.
fn faults_met(stats: &Stats) -> u64 {
    stats.received.values().sum::<u64>() - stats.completed
}

/// Requests sent again although an equal one had been answered.
fn sent_again(stats: &Stats) -> u64 {
    stats.answered.values().map(|times| times - 1).sum()
}
