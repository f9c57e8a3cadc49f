//! The cost of a task when the model answers at once.

use crate::bench::{Bench, best_of_both, time};
use crate::floor;
use crate::inside::{AT_ONCE, by_script, fan_out, scripted};
use crate::table::{Aim, Figure};
use anyhow::Result;
use divisi_engine::store::{MemoryStore, SqliteStore};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

const SIZES: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// Largest permitted ratio of the figure at 100,000 tasks to that at 1,000.
const FLAT: f64 = 1.3;

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let runtime = Runtime::new()?;
    let bare = |tasks| time(|| runtime.block_on(floor::tasks::in_memory(tasks, AT_ONCE)));
    let in_memory =
        |tasks| time(|| runtime.block_on(fan_out(Arc::new(MemoryStore::new()), scripted(), tasks)));
    sizes(
        bench,
        "in memory, Rust API",
        Aim::AtMost(8.0),
        |_, tasks| Ok((bare(tasks)?, in_memory(tasks)?)),
    )?;
    let scripted_run =
        |tasks| time(|| runtime.block_on(by_script(Arc::new(MemoryStore::new()), tasks)));
    sizes(bench, "in memory, script", Aim::Open, |_, tasks| {
        Ok((bare(tasks)?, scripted_run(tasks)?))
    })?;
    sizes(
        bench,
        "durable, Rust API",
        Aim::AtMost(30.0),
        |bench, tasks| {
            let folder = bench.scratch()?;
            let bare =
                time(|| runtime.block_on(floor::tasks::durable(tasks, AT_ONCE, folder.path())))?;
            let store = Arc::new(SqliteStore::open(folder.path().join("divisi.db"))?);
            Ok((
                bare,
                time(|| runtime.block_on(fan_out(store, scripted(), tasks)))?,
            ))
        },
    )
}

/// One row per size, and the ratio of the figure at 100,000 tasks to that at 1,000.
fn sizes(
    bench: &mut Bench,
    what: &str,
    aim: Aim,
    mut round: impl FnMut(&Bench, usize) -> Result<(Duration, Duration)>,
) -> Result<()> {
    let mut figures = vec![];
    for tasks in SIZES {
        let (bare, ours) = best_of_both(rounds(bench.rounds, tasks), || round(bench, tasks))?;
        let [bare, ours] = [bare, ours].map(|total| Figure::micros_each(total, tasks));
        bench.table.row(
            &format!("task {what}, fan-out of {tasks}"),
            ours,
            Some(bare),
            aim,
        );
        figures.push(ours);
    }
    let [_, small, _, large] = figures[..] else {
        return Ok(());
    };
    let what = format!("{what}: figure at 100,000 over figure at 1,000");
    bench
        .table
        .row(&what, large.over(small), None, Aim::AtMost(FLAT));
    Ok(())
}

/// Small fan-outs are short, so a single one says little.
fn rounds(rounds: u32, tasks: usize) -> u32 {
    match tasks {
        ..10_000 => rounds * 10,
        10_000..100_000 => rounds,
        _ => rounds.min(2),
    }
}
