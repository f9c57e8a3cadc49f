//! A process that is killed halfway and resumed.

use crate::bench::{Bench, best, wait_until};
use crate::groups::FAN_OUT;
use crate::stand::doorbell::Doorbell;
use crate::stand::machine::Machine;
use crate::stand::mock::MockProcess;
use crate::stand::process::Running;
use crate::table::{Aim, Figure};
use anyhow::{Result, ensure};
use divisi_mock::{Config, Latency, Stats};
use std::time::{Duration, Instant};

const TASKS: u64 = 1_000;
const AT_ONCE: &str = "50";

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let latency = Latency {
        first_byte_ms: 100,
        ..Latency::default()
    };
    let mock = MockProcess::start(&Config {
        latency,
        requests_kept_max: 0,
        ..Config::default()
    })?;
    // The worst round counts for errors, the best for times.
    let (mut sent_again, mut unwritten) = (0, 0);
    let first = best(bench.rounds, || {
        mock.reset()?;
        let end = kill_and_resume(bench, &mock)?;
        sent_again = sent_again.max(end.sent_again);
        unwritten = unwritten.max(end.unwritten);
        Ok(end.first)
    })?;
    let mut row = |what, ours, aim| bench.table.row(what, ours, None, aim);
    row(
        "requests sent again whose reply was written",
        Figure::count(sent_again),
        Aim::AtMost(0.0),
    );
    row(
        "replies that were answered and not written when it died",
        Figure::count(unwritten),
        Aim::Open,
    );
    row(
        "restart of the process to its first new request",
        Figure::millis(first),
        Aim::AtMost(50.0),
    );
    Ok(())
}

struct End {
    sent_again: u64,
    unwritten: u64,
    first: Duration,
}

fn kill_and_resume(bench: &Bench, mock: &MockProcess) -> Result<End> {
    let mut machine = Machine::new(bench, mock.url())?;
    let flow = machine.file("flow.js", FAN_OUT)?;
    let args = [
        "run",
        &flow,
        "--args",
        &TASKS.to_string(),
        "--jobs",
        AT_ONCE,
        "--quiet",
    ];
    let mut run = Running::start(&mut machine.divisi(&args))?;
    wait_until("half of the run", Duration::from_secs(30), || {
        ensure!(run.is_alive()?, "the run ended by itself");
        Ok(mock.stats()?.completed >= TASKS / 2)
    })?;
    run.kill()?;
    let Stats {
        received,
        completed,
        ..
    } = mock.wait_until_idle()?;
    let asked: u64 = received.values().sum();
    let written = machine
        .count("SELECT count(*) FROM events WHERE json_extract(event, '$.event') = 'turn_ended'");
    ensure!(
        written > 0 && written < TASKS,
        "{written} replies were written when it died"
    );

    let doorbell = Doorbell::before(Some(mock.address()))?;
    machine.ask(doorbell.url());
    let start = Instant::now();
    let resumed = Running::start(&mut machine.divisi(&["resume", "last", "--quiet"]))?;
    let first = doorbell.first()? - start;
    resumed.finish()?;
    ensure!(
        machine.count("SELECT max(ok) FROM runs") == TASKS,
        "the resumed run did not do every task"
    );
    let asked_now = mock.stats()?.received.values().sum::<u64>() - asked;
    Ok(End {
        sent_again: asked_now.saturating_sub(TASKS - written),
        unwritten: completed - written,
        first,
    })
}
