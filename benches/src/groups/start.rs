//! From the start of the process to its first request.

use crate::bench::Bench;
use crate::groups::FAN_OUT;
use crate::stand::doorbell::Doorbell;
use crate::stand::machine::Machine;
use crate::stand::process::Running;
use crate::table::{Aim, Figure};
use anyhow::Result;
use std::time::{Duration, Instant};

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let first_ever = fastest(bench, Machine::new)?;
    let usual = {
        // The store exists already: the very first run would create its tables.
        let machine = |bench: &Bench, url: String| {
            let machine = Machine::new(bench, url)?;
            Running::start(&mut machine.divisi(&["runs"]))?.finish()?;
            Ok(machine)
        };
        fastest(bench, machine)?
    };
    bench.table.row(
        "start of the process to its first request",
        Figure::millis(usual.0),
        None,
        Aim::AtMost(10.0),
    );
    bench.table.row(
        "most memory until then",
        Figure::megabytes(usual.1),
        None,
        Aim::AtMost(15.0),
    );
    bench.table.row(
        "the same where there is no store yet",
        Figure::millis(first_ever.0),
        None,
        Aim::Open,
    );
    Ok(())
}

/// The shortest time of many starts, and the most memory of that one.
fn fastest(
    bench: &Bench,
    machine: impl Fn(&Bench, String) -> Result<Machine>,
) -> Result<(Duration, u64)> {
    crate::bench::best(bench.rounds * 10, || {
        let doorbell = Doorbell::before(None)?;
        let machine = machine(bench, doorbell.url())?;
        let flow = machine.file("flow.js", FAN_OUT)?;
        let mut command = machine.divisi(&["run", &flow, "--args", "1", "--quiet"]);
        let start = Instant::now();
        let run = Running::start(&mut command)?;
        let took = doorbell.first()? - start;
        Ok((took, run.memory_max()?))
    })
}
