//! The reading thread: a read waits up to [`BUSY_TIMEOUT`] while another process locks the store,
//! and parsing a page of a journal takes milliseconds.

use super::BUSY_TIMEOUT;
use super::error::{cannot_open, failure};
use super::format::format_of;
use crate::store::{PAGE_EVENTS_MAX, Room, RunSummary, StoreError};
use divisi_core::{Digest, Event, PicoUsd, Position, Recorded, RunId, Timestamp};
use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Reads on a thread of its own.
#[derive(Debug)]
pub(super) struct Reader {
    /// Bounded by the number of callers: each waits for its answer before it asks again.
    queue: Option<mpsc::Sender<Query>>,
    thread: Option<JoinHandle<()>>,
}

type Query = Box<dyn FnOnce(&Journals) + Send>;

/// A connection for reading.
pub(super) struct Journals {
    path: PathBuf,
    connection: Connection,
}

impl Reader {
    /// A reader of the store at `path`, whose log exists.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let journals = Journals::open(path, BUSY_TIMEOUT)?;
        let (queue, queries) = mpsc::channel::<Query>();
        let thread = std::thread::Builder::new()
            .name("divisi-store-reader".into())
            .spawn(move || queries.iter().for_each(|query| query(&journals)))
            .map_err(|source| cannot_open(path, source))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
        })
    }

    /// Runs `query`, in the order of the calls. A query whose future is dropped before its turn is
    /// skipped.
    pub(super) async fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Journals) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let query = Box::new(move |journals: &Journals| {
            if !answer.is_closed() {
                // The future may have been dropped.
                let _ = answer.send(query(journals));
            }
        });
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(query).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Reader {
    /// Waits until the file is closed.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A reader that panicked has closed it already.
            let _ = thread.join();
        }
    }
}

impl Journals {
    /// A connection that waits at most `patience` while another process locks the store.
    pub(super) fn open(path: &Path, patience: Duration) -> Result<Self, StoreError> {
        let failed = |source| failure(path, source);
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(patience).map_err(failed)?;
        // Reading creates the log of a store that has never been written.
        connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
            .map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            connection,
        })
    }

    /// The format of the store.
    pub(super) fn format(&self) -> Result<u32, StoreError> {
        let reading = Transaction::new_unchecked(&self.connection, TransactionBehavior::Deferred);
        let reading = reading.map_err(|source| failure(&self.path, source))?;
        format_of(&reading, &self.path)
    }

    /// One page of the events of `run` from `from` on.
    pub(super) fn page(&self, run: &RunId, from: Position) -> Result<Vec<Recorded>, StoreError> {
        let unreadable = |position, source| StoreError::Unreadable {
            run: run.clone(),
            position,
            source,
        };
        // Read first, so that concurrent appends can only add events beyond it.
        let end = self.end(run)?;
        let mut page = Vec::new();
        let mut next = from;
        while page.len() < PAGE_EVENTS_MAX {
            let Some((first, text)) = self.row(run, next)? else {
                break;
            };
            let events: Vec<(Timestamp, Event)> =
                serde_json::from_str(&text).map_err(|source| unreadable(first, source))?;
            let seen = next.0.saturating_sub(first.0) as usize;
            if events.len() <= seen {
                break;
            }
            next = first.after(events.len());
            let recorded = events
                .into_iter()
                .enumerate()
                .skip(seen)
                .map(|(place, (at, event))| Recorded {
                    position: first.after(place),
                    at,
                    event,
                });
            page.extend(recorded.take(PAGE_EVENTS_MAX - page.len()));
        }
        if page.len() < PAGE_EVENTS_MAX && next < end {
            let gap = format!("events are missing, of {} there should be", end.0);
            return Err(unreadable(next, serde::de::Error::custom(gap)));
        }
        Ok(page)
    }

    pub(super) fn blob(&self, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.read(|connection| {
            let mut query =
                connection.prepare_cached("SELECT text FROM blobs WHERE digest = ?1")?;
            query
                .query_row([digest.as_bytes()], |row| row.get::<_, Arc<str>>(0))
                .optional()
        })
    }

    pub(super) fn room(&self, path: &Path) -> Result<Room, StoreError> {
        self.read(|connection| super::remove::room(connection, path))
    }

    pub(super) fn run(&self, run: &RunId) -> Result<Option<RunSummary>, StoreError> {
        self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT * FROM runs WHERE id = ?1")?;
            query.query_row([run.as_str()], summary).optional()
        })
    }

    pub(super) fn runs(&self, most: usize) -> Result<Vec<RunSummary>, StoreError> {
        self.read(|connection| {
            let mut query = connection
                .prepare_cached("SELECT * FROM runs ORDER BY started_at DESC, id DESC LIMIT ?1")?;
            let rows = query.query_map([i64::try_from(most).unwrap_or(i64::MAX)], summary)?;
            rows.collect()
        })
    }

    /// The row of a journal that contains `position`, and the position of its first event.
    fn row(
        &self,
        run: &RunId,
        position: Position,
    ) -> Result<Option<(Position, String)>, StoreError> {
        self.read(|connection| {
            let mut query = connection.prepare_cached(
                "SELECT position, events FROM journal WHERE run = ?1 AND position <= ?2
                 ORDER BY position DESC LIMIT 1",
            )?;
            let row = |row: &Row<'_>| Ok((Position(row.get::<_, i64>(0)? as u64), row.get(1)?));
            query
                .query_row(params![run.as_str(), position.0 as i64], row)
                .optional()
        })
    }

    /// The end of the journal of `run`, as noted by its last append.
    fn end(&self, run: &RunId) -> Result<Position, StoreError> {
        let end: Option<i64> = self.read(|connection| {
            let mut query = connection.prepare_cached("SELECT position FROM runs WHERE id = ?1")?;
            query.query_row([run.as_str()], |row| row.get(0)).optional()
        })?;
        Ok(Position(end.unwrap_or(0) as u64))
    }

    pub(super) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        query(&self.connection).map_err(|source| failure(&self.path, source))
    }
}

/// The tags of a run, which are stored as a JSON array.
fn tags(json: Option<String>) -> Vec<String> {
    // Only divisi writes them; without them a run is still found by everything else.
    json.and_then(|json| serde_json::from_str(&json).ok())
        .unwrap_or_default()
}

fn summary(row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    let id: String = row.get("id")?;
    let id = RunId::new(id).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error.into())
    })?;
    // An older divisi stored the largest numbers as negative ones.
    let number = |column| {
        row.get::<_, i64>(column)
            .map(|n| u64::try_from(n).unwrap_or(i64::MAX as u64))
    };
    Ok(RunSummary {
        id,
        flow: row.get("name")?,
        name: row.get("given_name")?,
        tags: tags(row.get("tags")?),
        about: row.get("about")?,
        folder: row.get("folder")?,
        status: row.get("status")?,
        ok: row.get("ok")?,
        failed: row.get("failed")?,
        skipped: row.get("skipped")?,
        open: row.get("open")?,
        tokens: number("tokens")?,
        cost: PicoUsd(number("cost_pico_usd")?),
        unconfirmed: PicoUsd(number("unconfirmed_pico_usd")?),
        over: PicoUsd(number("over_pico_usd")?),
        estimated: PicoUsd(number("estimated_pico_usd")?),
        refused: number("refused")?,
        started_at: Timestamp(number("started_at")?),
        updated_at: Timestamp(number("updated_at")?),
    })
}

#[cfg(test)]
mod tests {
    use crate::store::conformance::batch;
    use crate::store::{SqliteStore, Store};
    use divisi_core::{Digest, Position, RunId};
    use std::sync::{Arc, mpsc};
    use std::time::Duration;
    use tokio::time::timeout;

    /// The runtime has one thread, which a blocking read would stop.
    #[tokio::test]
    async fn a_read_that_waits_does_not_block_the_runtime() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("divisi.db")).unwrap();
        store.append(Arc::new(batch("a", 0, 2))).await.unwrap();
        let run = RunId::new("a").unwrap();
        let (go_on, held) = mpsc::channel();
        // In place of a lock by another process.
        let keeps = store.reader.ask(move |_| {
            _ = held.recv_timeout(Duration::from_secs(10));
            Ok(())
        });
        let reads = async {
            let digest = Digest::of(b"unknown");
            tokio::join!(
                store.events(&run, Position(0)),
                store.run(&run),
                store.runs(9),
                store.blob(digest)
            )
        };
        let mut both = std::pin::pin!(async { tokio::join!(keeps, reads).1 });
        assert!(
            timeout(Duration::from_millis(20), &mut both).await.is_err(),
            "they wait"
        );
        store.append(Arc::new(batch("a", 2, 1))).await.unwrap();
        go_on.send(()).unwrap();
        let (events, found, runs, blob) = both.await;
        let of_journal = (
            events.unwrap().len(),
            found.unwrap().is_some(),
            runs.unwrap().len(),
        );
        assert_eq!((of_journal, blob.unwrap()), ((3, true, 1), None));
    }
}
