//! The memory of 100,000 waiting tasks.

use crate::bench::{Bench, this_program, wait_until};
use crate::groups::FAN_OUT;
use crate::stand::machine::Machine;
use crate::stand::mock::MockProcess;
use crate::stand::process::Running;
use crate::table::{Aim, Figure};
use anyhow::{Result, ensure};
use divisi_mock::{Breakage, Config, Rule, When};
use std::process::Command;
use std::time::Duration;

const TASKS: u64 = 100_000;

/// Most megabytes permitted.
const MOST: f64 = 400.0;

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let config = Config::default().rule(Rule::fault(When::any(), Breakage::Hang));
    let mock = MockProcess::start(&config)?;
    let machine = Machine::new(bench, mock.url())?;
    let flow = machine.file("flow.js", FAN_OUT)?;
    let tasks = TASKS.to_string();
    let mut run =
        Running::start(&mut machine.divisi(&["run", &flow, "--args", &tasks, "--quiet"]))?;
    wait_until(
        "the submission of all tasks",
        Duration::from_secs(120),
        || {
            ensure!(run.is_alive()?, "the run ended by itself");
            Ok(machine.count("SELECT max(open) FROM runs") == TASKS)
        },
    )?;
    let memory = run.memory_settled()?;
    run.kill()?;
    bench.table.row(
        "100,000 waiting tasks, binary, most memory",
        Figure::megabytes(memory),
        None,
        Aim::AtMost(MOST),
    );

    let mut command = Command::new(this_program()?);
    let mut inside = Running::start(command.args(["tasks", "--wait", "--tasks", &tasks]))?;
    let memory = inside.memory_settled()?;
    inside.kill()?;
    let what = "100,000 waiting tasks, Rust API, in memory, most memory";
    bench
        .table
        .row(what, Figure::megabytes(memory), None, Aim::AtMost(MOST));
    Ok(())
}
