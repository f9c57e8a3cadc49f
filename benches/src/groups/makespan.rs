//! How long 1,000 calls of 200 ms take, from the start of the process to its end.

use crate::bench::{Bench, best_of_both};
use crate::groups::FAN_OUT;
use crate::stand::machine::{Body, Machine};
use crate::stand::mock::MockProcess;
use crate::table::{Aim, Figure};
use anyhow::Result;
use divisi_mock::{Config, Latency};

const TASKS: usize = 1_000;

/// Most the makespan may be of the loop's.
const TIMES: f64 = 1.15;

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let latency = Latency { first_byte_ms: 200, ..Latency::default() };
    let mock = MockProcess::start(&Config { latency, requests_kept_max: 0, ..Config::default() })?;
    let body = Body::of(bench, FAN_OUT)?;
    for (at_once, how) in [(64, "64 at once, as by default"), (256, "256 at once"), (TASKS, "all at once")] {
        let (bare, ours) = best_of_both(bench.rounds, || {
            let bare = body.send(&mock.url(), &[TASKS], at_once)?;
            mock.reset()?;
            let jobs = at_once.to_string();
            let ours = Machine::new(bench, mock.url())?.run(FAN_OUT, TASKS, &["--jobs", &jobs])?;
            mock.reset()?;
            Ok((bare.wall, ours.wall))
        })?;
        let what = format!("1,000 × 200 ms, {how}");
        bench.table.row(&what, Figure::seconds(ours), Some(Figure::seconds(bare)), Aim::TimesBare(TIMES));
    }
    Ok(())
}
