//! Removes runs, and tells how much room each takes.
//!
//! A long text is stored once, however many runs have it. So a text goes with the last run whose
//! journal names it; which journals do is found by reading them, because a count of references
//! would have to be written with every append.

use super::BUSY_TIMEOUT;
use super::files_of;
use crate::store::Room;
use divisi_core::{Digest, RunId};
use rusqlite::{Connection, Row, TransactionBehavior, params};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

/// Stands in a journal before the digest of a text. In a text of a user the quotes are escaped; a
/// text that would be kept needlessly is harmless.
const BEFORE_DIGEST: &str = "\"digest\":\"";

/// Hexadecimal digits of a digest.
const DIGITS: usize = 64;

/// Removes runs in one transaction, then rewrites the file without the room that they took.
///
/// The rewriting is a transaction of its own. If the process dies in it, or if another one does not
/// let go of the store, the runs are removed all the same, and the file is smaller after the next
/// time.
pub(super) fn remove(path: &Path, runs: &[RunId]) -> rusqlite::Result<()> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Immediate: no other process can append, and so name a text again, until the end.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut candidates = HashSet::new();
        for run in runs {
            let mut query =
                transaction.prepare_cached("SELECT events FROM journal WHERE run = ?1")?;
            let mut rows = query.query([run.as_str()])?;
            while let Some(row) = rows.next()? {
                candidates.extend(digests_in(row.get_ref(0)?.as_str()?));
            }
            for statement in [
                "DELETE FROM journal WHERE run = ?1",
                "DELETE FROM runs WHERE id = ?1",
                "DELETE FROM inbox WHERE run = ?1",
            ] {
                transaction.execute(statement, [run.as_str()])?;
            }
        }
        if !candidates.is_empty() {
            let mut query = transaction.prepare("SELECT events FROM journal")?;
            let mut rows = query.query([])?;
            while let Some(row) = rows.next()? {
                for digest in digests_in(row.get_ref(0)?.as_str()?) {
                    candidates.remove(&digest);
                }
            }
        }
        let mut delete = transaction.prepare("DELETE FROM blobs WHERE digest = ?1")?;
        for digest in candidates {
            delete.execute(params![digest.as_bytes()])?;
        }
    }
    transaction.commit()?;
    let shrunk = connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);");
    if let Err(error) = shrunk {
        tracing::warn!(path = %path.display(), %error, "the room of removed runs is not given back yet");
    }
    Ok(())
}

/// How much room the store at `path` and its runs take.
pub(super) fn room(connection: &Connection, path: &Path) -> rusqlite::Result<Room> {
    let mut room = Room {
        total: files_of(path)
            .filter_map(|file| Some(file.metadata().ok()?.len()))
            .sum(),
        ..Room::default()
    };
    let mut sizes = HashMap::new();
    let mut query = connection.prepare("SELECT digest, octet_length(text) FROM blobs")?;
    let mut rows = query.query([])?;
    while let Some(row) = rows.next()? {
        let digest: [u8; 32] = row.get(0)?;
        sizes.insert(Digest::from(blake3::Hash::from_bytes(digest)), size(row)?);
    }
    // The only run of each text, or `None` for several.
    let mut owners: HashMap<Digest, Option<RunId>> = HashMap::new();
    let mut query = connection.prepare("SELECT run, octet_length(events), events FROM journal")?;
    let mut rows = query.query([])?;
    let mut runs: BTreeMap<RunId, u64> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let Ok(run) = RunId::new(row.get::<_, String>(0)?) else {
            continue;
        };
        for digest in digests_in(row.get_ref(2)?.as_str()?) {
            let owner = owners.entry(digest).or_insert_with(|| Some(run.clone()));
            if owner.as_ref() != Some(&run) {
                *owner = None;
            }
        }
        *runs.entry(run).or_default() += size(row)?;
    }
    for (digest, owner) in owners {
        let bytes = sizes.get(&digest).copied().unwrap_or_default();
        match owner {
            Some(run) => *runs.entry(run).or_default() += bytes,
            None => room.shared += bytes,
        }
    }
    room.runs = runs;
    Ok(room)
}

/// The second column as a number of bytes.
fn size(row: &Row<'_>) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(1)?).unwrap_or_default())
}

/// The digests that part of a journal names.
fn digests_in(events: &str) -> impl Iterator<Item = Digest> {
    let rest =
        |(at, before): (usize, &str)| events.get(at + before.len()..at + before.len() + DIGITS);
    events
        .match_indices(BEFORE_DIGEST)
        .filter_map(rest)
        .filter_map(|digits| Digest::try_from(digits.to_owned()).ok())
}

#[cfg(test)]
mod tests {
    use crate::store::conformance::batch;
    use crate::store::{SqliteStore, Store};
    use divisi_core::{Content, Event, Position, RunId};
    use rusqlite::Connection;
    use std::sync::Arc;

    #[tokio::test]
    async fn the_disk_has_the_room_again_and_open_stores_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        let store = SqliteStore::open(&path).unwrap();
        for (run, letter) in [("a", "a"), ("b", "b")] {
            let mut batch = batch(run, 0, 1);
            let (result, blob) = Content::of(letter.repeat(4 << 20).into());
            batch.blobs.extend(blob);
            batch.events[0].event = Event::FlowEnded { result: Ok(result) };
            store.append(Arc::new(batch)).await.unwrap();
        }
        let id = |name: &str| RunId::new(name).unwrap();
        let before = store.room().await.unwrap();
        assert!(
            before.runs[&id("a")] > 4 << 20 && before.shared == 0,
            "{before:?}"
        );
        // Another process has the store open, and goes on writing afterwards.
        let other = SqliteStore::open(&path).unwrap();
        other.append(Arc::new(batch("c", 0, 1))).await.unwrap();
        store.remove(&[id("a"), id("unknown")]).await.unwrap();
        let after = store.room().await.unwrap();
        assert!(
            after.total + (4 << 20) < before.total,
            "{before:?} {after:?}"
        );
        assert!(
            store
                .events(&id("a"), Position(0))
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(store.run(&id("a")).await.unwrap(), None);
        for store in [&store, &other] {
            let position = store.events(&id("c"), Position(0)).await.unwrap().len();
            let more = batch("c", position as u64, 1);
            store.append(Arc::new(more)).await.unwrap();
        }
        let sound: String = Connection::open(&path)
            .unwrap()
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
    }
}
