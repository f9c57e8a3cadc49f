//! The time of a step in a durable chain, compared with a sync of the same disk.

use crate::bench::{Bench, best, best_of_both, time};
use crate::floor::disk;
use crate::inside::{chain, chain_by_script};
use crate::table::{Aim, Figure};
use anyhow::{Context, Result};
use divisi_engine::store::{SqliteStore, Store};
use rusqlite::Connection;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

const STEPS: usize = 200;

/// Most syncs that the time of a step may equal.
const SYNCS: f64 = 1.3;

pub(crate) fn measure(bench: &mut Bench) -> Result<()> {
    let runtime = Runtime::new()?;
    let step = |total| Figure::micros_each(total, STEPS);
    let mut bytes = 0;
    let by_rust = |folder: &Path| -> Result<Duration> {
        let store = open(folder)?;
        time(|| runtime.block_on(chain(store, STEPS)))
    };
    let folder = bench.scratch()?;
    by_rust(folder.path())?;
    bytes += bytes_a_step(folder.path())?;

    let (sync, ours) = best_of_both(bench.rounds, || {
        let folder = bench.scratch()?;
        Ok((
            time(|| disk::append_and_sync(folder.path(), bytes, STEPS))?,
            by_rust(folder.path())?,
        ))
    })?;
    let what = format!("step, Rust API; loop: append of {bytes} bytes and sync");
    bench
        .table
        .row(&what, step(ours), Some(step(sync)), Aim::TimesBare(SYNCS));

    let (commit, scripted) = best_of_both(bench.rounds, || {
        let folder = bench.scratch()?;
        let bare = time(|| disk::commit(folder.path(), bytes, STEPS))?;
        let store = open(folder.path())?;
        Ok((
            bare,
            time(|| runtime.block_on(chain_by_script(store, STEPS)))?,
        ))
    })?;
    let what = format!("step, Rust API; loop: SQLite commit of {bytes} bytes");
    bench
        .table
        .row(&what, step(ours), Some(step(commit)), Aim::Open);
    bench.table.row(
        "step, script; loop: append and sync",
        step(scripted),
        Some(step(sync)),
        Aim::TimesBare(SYNCS),
    );

    let memory = best(bench.rounds, || {
        time(|| {
            runtime.block_on(chain(
                Arc::new(divisi_engine::store::MemoryStore::new()),
                STEPS,
            ))
        })
    })?;
    bench
        .table
        .row("step in memory, Rust API", step(memory), None, Aim::Open);
    Ok(())
}

fn open(folder: &Path) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(SqliteStore::open(folder.join("divisi.db"))?))
}

/// Bytes per step in the journal.
fn bytes_a_step(folder: &Path) -> Result<usize> {
    let store = Connection::open(folder.join("divisi.db"))?;
    let sum = "SELECT (SELECT sum(length(event)) FROM events) + (SELECT coalesce(sum(length(text)), 0) FROM blobs)";
    let bytes: i64 = store
        .query_row(sum, [], |row| row.get(0))
        .context("the store cannot be measured")?;
    Ok(usize::try_from(bytes)? / STEPS)
}
