//! Duration of patterns whose parts depend on one another.

use crate::bench::{Bench, best_of_both};
use crate::groups::FAN_OUT;
use crate::stand::machine::{Body, Machine};
use crate::stand::mock::MockProcess;
use crate::table::{Aim, Figure};
use anyhow::Result;
use divisi_mock::{Config, Latency, Reply, Rule, When};
use serde_json::json;

const GATHER: &str = include_str!("../../flows/gather.js");
const PLANNER: &str = include_str!("../../flows/planner.js");

/// Parts of a synthesis.
const PARTS: usize = 500;

/// Parts of the plan, each with a separate planner, and workers of each part.
const AREAS: usize = 50;
const WORKERS: usize = 20;

/// Largest permitted ratio to the loop's makespan.
const TIMES: f64 = 1.15;

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let mock = MockProcess::start(&vendor())?;
    let body = Body::of(bench, FAN_OUT)?;
    let mut row =
        |script: &str, result: usize, stages: &[usize], at_once: usize, what: &str| -> Result<()> {
            let (bare, ours) = best_of_both(bench.rounds, || {
                let bare = body.send(&mock.url(), stages, at_once)?;
                mock.reset()?;
                let jobs = at_once.to_string();
                let ours =
                    Machine::new(bench, mock.url())?.run(script, result, &["--jobs", &jobs])?;
                mock.reset()?;
                Ok((bare.wall, ours.wall))
            })?;
            bench.table.row(
                what,
                Figure::seconds(ours),
                Some(Figure::seconds(bare)),
                Aim::TimesBare(TIMES),
            );
            Ok(())
        };
    row(
        GATHER,
        PARTS,
        &[PARTS, 1],
        64,
        "500 × 100 ms and a synthesis, 64 at once",
    )?;
    let stages = [1, AREAS, AREAS * WORKERS];
    row(
        PLANNER,
        AREAS * WORKERS,
        &stages,
        64,
        "planner + 50 planners + 50 × 20 × 100 ms, 64 at once",
    )?;
    row(
        PLANNER,
        AREAS * WORKERS,
        &stages,
        1_000,
        "planner + 50 planners + 50 × 20 × 100 ms, all at once",
    )
}

/// Answers after 100 ms; planners get their plans.
fn vendor() -> Config {
    let plan = |parts: usize| {
        let parts: Vec<_> = (1..=parts).map(|part| format!("part {part}")).collect();
        Reply::Json(json!({ "parts": parts }))
    };
    let latency = Latency {
        first_byte_ms: 100,
        ..Latency::default()
    };
    Config {
        latency,
        requests_kept_max: 0,
        ..Config::default()
    }
    .rule(Rule::new(When::prompt("Divide the system"), plan(AREAS)))
    .rule(Rule::new(When::prompt("Divide the area"), plan(WORKERS)))
}
