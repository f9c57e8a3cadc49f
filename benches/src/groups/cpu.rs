//! Processor time of a call over HTTP, of the whole process from start to end.

use crate::bench::{Bench, best_of_both, this_program};
use crate::groups::FAN_OUT;
use crate::stand::machine::{Body, Machine};
use crate::stand::mock::MockProcess;
use crate::stand::process::spend;
use crate::table::{Aim, Figure};
use anyhow::Result;
use divisi_mock::Config;
use std::process::Command;

const CALLS: usize = 4_000;

const AT_ONCE: usize = 64;

/// Largest permitted ratio to the loop's processor time.
const TIMES: f64 = 1.5;

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let mock = MockProcess::start(&Config {
        requests_kept_max: 0,
        ..Config::default()
    })?;
    let body = Body::of(bench, FAN_OUT)?;
    let call = |total| Figure::micros_each(total, CALLS);

    let (bare, ours) = best_of_both(bench.rounds, || {
        let bare = body.send(&mock.url(), &[CALLS], AT_ONCE)?;
        mock.reset()?;
        let jobs = AT_ONCE.to_string();
        let ours = Machine::new(bench, mock.url())?.run(FAN_OUT, CALLS, &["--jobs", &jobs])?;
        mock.reset()?;
        Ok((bare.cpu, ours.cpu))
    })?;
    let what = format!("processor time of a call, binary, durable, {AT_ONCE} at once");
    bench
        .table
        .row(&what, call(ours), Some(call(bare)), Aim::TimesBare(TIMES));

    let small = Body::of(
        bench,
        &FAN_OUT.replace("agent(`task ${i}`)", "agent(`task ${i}`, { tools: [] })"),
    )?;
    let (bare, ours) = best_of_both(bench.rounds, || {
        let bare = small.send(&mock.url(), &[CALLS], AT_ONCE)?;
        mock.reset()?;
        let mut tasks = Command::new(this_program()?);
        let ours =
            spend(tasks.args(["tasks", "--tasks", &CALLS.to_string(), "--url", &mock.url()]))?
                .well()?;
        mock.reset()?;
        Ok((bare.cpu, ours.cpu))
    })?;
    let what =
        format!("processor time of a call, Rust API, in memory, no tools, {AT_ONCE} at once");
    bench
        .table
        .row(&what, call(ours), Some(call(bare)), Aim::TimesBare(TIMES));
    Ok(())
}
