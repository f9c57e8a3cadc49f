//! The time of a sync to disk, with and without SQLite.

use anyhow::Result;
use rusqlite::Connection;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Appends `bytes` to a file and syncs it, `times` times.
pub(crate) fn append_and_sync(folder: &Path, bytes: usize, times: usize) -> Result<()> {
    let mut file = File::create(folder.join("log"))?;
    let text = vec![b'x'; bytes];
    for _ in 0..times {
        file.write_all(&text)?;
        file.sync_data()?;
    }
    Ok(())
}

/// Commits a row of `bytes` to SQLite, `times` times, synced like divisi's store.
pub(crate) fn commit(folder: &Path, bytes: usize, times: usize) -> Result<()> {
    let connection = Connection::open(folder.join("rows.db"))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE rows (text TEXT NOT NULL);",
    )?;
    let mut insert = connection.prepare("INSERT INTO rows (text) VALUES (?1)")?;
    let text = "x".repeat(bytes);
    for _ in 0..times {
        insert.execute([&text])?;
    }
    Ok(())
}
