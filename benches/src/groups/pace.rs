//! 600 tasks against a vendor that accepts 50 requests per second.

use crate::bench::Bench;
use crate::groups::FAN_OUT;
use crate::stand::machine::{Body, Machine};
use crate::stand::mock::MockProcess;
use crate::table::{Aim, Figure};
use anyhow::Result;
use divisi_mock::{Config, Limits, Stats};
use std::time::Duration;

const TASKS: usize = 600;
const PER_SECOND: u32 = 50;
const BURST: u32 = 50;

/// Largest permitted ratio to the ideal makespan.
const TIMES: f64 = 1.02;

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let limits = Limits {
        requests_per_second: Some(PER_SECOND.into()),
        requests_burst: BURST,
        ..Limits::default()
    };
    let config = Config {
        limits,
        requests_kept_max: 0,
        ..Config::default()
    };
    let ideal = f64::from(TASKS as u32 - BURST) / f64::from(PER_SECOND);

    let mock = MockProcess::start(&config)?;
    let body = Body::of(bench, FAN_OUT)?;
    let (bare, statuses) = body.try_send(&mock.url(), &[TASKS], 64)?;
    let refused = statuses.get(&429).copied().unwrap_or(0);
    let bare = Run {
        wall: bare.wall,
        failed: refused,
        refused: Figure::percent(refused, TASKS as u64),
    };

    for (known, how) in [(true, "limit in the settings"), (false, "limit not told")] {
        let mock = MockProcess::start(&config)?;
        let machine = Machine::new(bench, mock.url())?;
        if known {
            machine.file("divisi.toml", &settings())?;
        }
        let ours = run(&machine, &mock)?;
        let aim = |aim| if known { aim } else { Aim::Open };
        let mut row = |what: &str, ours, bare, aim| {
            bench
                .table
                .row(&format!("{what}, {how}"), ours, Some(bare), aim);
        };
        row(
            "tasks failed",
            Figure::count(ours.failed),
            Figure::count(bare.failed),
            Aim::AtMost(0.0),
        );
        row(
            "requests answered 429",
            ours.refused,
            bare.refused,
            aim(Aim::AtMost(1.0)),
        );
        let what = format!("makespan, ideal {ideal:.2} s");
        row(
            &what,
            Figure::seconds(ours.wall),
            Figure::seconds(bare.wall),
            aim(Aim::AtMost(TIMES * ideal)),
        );
    }
    Ok(())
}

struct Run {
    wall: Duration,
    failed: u64,
    refused: Figure,
}

fn run(machine: &Machine, mock: &MockProcess) -> Result<Run> {
    let spent = machine.try_run(FAN_OUT, TASKS, &[])?;
    let Stats { statuses, .. } = mock.stats()?;
    let refused = statuses.get(&429).copied().unwrap_or(0);
    let failed = TASKS as u64 - machine.count("SELECT max(ok) FROM runs");
    Ok(Run {
        wall: spent.wall,
        failed,
        refused: Figure::percent(refused, statuses.values().sum()),
    })
}

/// Settings with the vendor's actual limit.
fn settings() -> String {
    format!(
        "[providers.anthropic]\nkind = 'anthropic'\ntiers = {{ sonnet = 'claude-sonnet-5-5' }}\n\
         rate = {{ requests_per_second = {PER_SECOND}, burst = {BURST} }}\n"
    )
}
