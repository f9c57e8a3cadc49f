//! Duration of 1,000 calls of 200 ms, from the start of the process to its end.

use crate::bench::{Bench, best_of_both};
use crate::groups::FAN_OUT;
use crate::stand::machine::{Body, Machine};
use crate::stand::mock::MockProcess;
use crate::table::{Aim, Figure};
use anyhow::Result;
use divisi_mock::{Config, Latency};

const TASKS: usize = 1_000;

/// Connections of a run without settings, if each request takes one.
const BY_DEFAULT: usize = 250;

/// Largest permitted ratios to the loop's makespan: with 64 at once, with all at once, and by
/// default over HTTP/2 against a loop with all at once.
const TIMES: [f64; 3] = [1.15, 1.3, 1.5];

/// Name, machine, arguments, number at once in the loop, and aim.
type Row<'a> = (
    &'a str,
    &'a dyn Fn(&Bench) -> Result<Machine>,
    &'a [&'a str],
    usize,
    Aim,
);

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let latency = Latency {
        first_byte_ms: 200,
        ..Latency::default()
    };
    let config = Config {
        latency,
        encrypted: true,
        requests_kept_max: 0,
        ..Config::default()
    };
    let mock = MockProcess::start(&config)?;
    let body = Body::of(bench, FAN_OUT)?;
    let plain = |bench: &Bench| Machine::new(bench, mock.url());
    let multiplexed = |bench: &Bench| Machine::over_http2(bench, &mock);
    let rows: [Row<'_>; 4] = [
        (
            "64 at once",
            &plain,
            &["--jobs", "64"],
            64,
            Aim::TimesBare(TIMES[0]),
        ),
        ("by default", &plain, &[], BY_DEFAULT, Aim::Open),
        (
            "all at once",
            &plain,
            &["--jobs", "1000"],
            TASKS,
            Aim::TimesBare(TIMES[1]),
        ),
        (
            "by default over HTTP/2, loop all at once",
            &multiplexed,
            &[],
            TASKS,
            Aim::TimesBare(TIMES[2]),
        ),
    ];
    for (how, machine, args, at_once, aim) in rows {
        let (bare, ours) = best_of_both(bench.rounds, || {
            let bare = body.send(&mock.url(), &[TASKS], at_once)?;
            mock.reset()?;
            let ours = machine(bench)?.run(FAN_OUT, TASKS, args)?;
            mock.reset()?;
            Ok((bare.wall, ours.wall))
        })?;
        let what = format!("1,000 × 200 ms, {how}");
        bench.table.row(
            &what,
            Figure::seconds(ours),
            Some(Figure::seconds(bare)),
            aim,
        );
    }
    Ok(())
}
