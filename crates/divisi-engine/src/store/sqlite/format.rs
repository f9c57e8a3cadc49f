//! The format of a store: its identification, its tables, and the migration of older formats.

use super::BUSY_TIMEOUT;
use super::error::{failure, is_busy};
use crate::store::{FileLeases, StoreError};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::path::Path;
use std::time::{Duration, Instant};

/// SQLite's application id of a divisi store: the bytes `dvsi`.
const APPLICATION_ID: i32 = 0x6476_7369;

/// Version of the tables below and of their events.
pub const FORMAT: u32 = 7;
const _: () = assert!(FORMAT >= divisi_core::event::FORMAT);

/// Pages of the log after which it is overwritten from its start. Syncing an overwrite takes two
/// thirds of the time of syncing a growing file.
const LOG_PAGES_MAX: u32 = 250;

/// First interval between two checks whether another process has set up the log.
const FIRST_LOOK: Duration = Duration::from_millis(5);

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, position INTEGER NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL,
    ok INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL, open INTEGER NOT NULL,
    tokens INTEGER NOT NULL, cost_pico_usd INTEGER NOT NULL,
    started_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    unconfirmed_pico_usd INTEGER NOT NULL DEFAULT 0, over_pico_usd INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0, folder TEXT,
    given_name TEXT, tags TEXT, about TEXT, estimated_pico_usd INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_start ON runs (started_at);
CREATE TABLE IF NOT EXISTS journal (
    run TEXT NOT NULL, position INTEGER NOT NULL, events TEXT NOT NULL, PRIMARY KEY (run, position)
) WITHOUT ROWID;
CREATE VIEW IF NOT EXISTS events AS
    SELECT run, position + key AS position, json_extract(value, '$[0]') AS at,
        json_extract(value, '$[1]') AS event
    FROM journal, json_each(journal.events);
CREATE TABLE IF NOT EXISTS blobs (digest BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS inbox (
    number INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL, message TEXT NOT NULL, receipt TEXT
);
CREATE INDEX IF NOT EXISTS inbox_by_run ON inbox (run);
";

/// Formats 1 and 2 had a row for each event, in a table with the name of the present view.
const SET_ASIDE: &str = "ALTER TABLE events RENAME TO single_events;";
const TAKE_OVER: &str = "
INSERT INTO journal (run, position, events)
    SELECT run, min(position), '[' || group_concat('[' || at || ',' || event || ']' ORDER BY position) || ']'
    FROM single_events GROUP BY run, position / 1024;
DROP TABLE single_events;
";

/// Formats 1 to 3 lacked the folder of a run. The recorded options contain the workspace, which
/// nearly always was the folder.
const ADD_FOLDER: &str = "ALTER TABLE runs ADD COLUMN folder TEXT;";
const FILL_FOLDER: &str = "
UPDATE runs SET folder = (
    SELECT CASE WHEN json_valid(options) THEN json_extract(options, '$.workspace') END FROM (
        SELECT coalesce(
            json_extract(events, '$[0][1].flow.options.inline'),
            (SELECT text FROM blobs WHERE digest = unhex(json_extract(events, '$[0][1].flow.options.stored.digest')))
        ) AS options
        FROM journal WHERE run = runs.id AND position = 0 AND json_valid(events)
    )
) WHERE folder IS NULL;
";

/// Before format 4, runs lacked unconfirmed costs, overcharges and refused calls.
const TELL_MORE: &str = "
ALTER TABLE runs ADD COLUMN unconfirmed_pico_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN over_pico_usd INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;
";

/// Before format 6, runs had neither names nor tags.
const ADD_LABELS: &str = "
ALTER TABLE runs ADD COLUMN given_name TEXT;
ALTER TABLE runs ADD COLUMN tags TEXT;
ALTER TABLE runs ADD COLUMN about TEXT;
";

/// Before format 7, runs did not say which part of their cost is estimated.
const ADD_ESTIMATED: &str = "
ALTER TABLE runs ADD COLUMN estimated_pico_usd INTEGER NOT NULL DEFAULT 0;
";

/// Checks the file and migrates it to the current format, unless `leases` show that a run of an
/// older divisi is in progress.
pub(super) fn prepare(
    connection: &Connection,
    path: &Path,
    leases: &FileLeases,
) -> Result<(), StoreError> {
    let failed = |source| failure(path, source);
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    let reading =
        Transaction::new_unchecked(connection, TransactionBehavior::Deferred).map_err(failed)?;
    let found = format_of(&reading, path)?;
    reading.commit().map_err(failed)?;
    write_ahead(connection).map_err(failed)?;
    if found < FORMAT {
        bring_up_to_date(connection, path, leases)?;
    }
    Ok(())
}

/// Sets up the log. FULL syncs it at each commit, so that acknowledged events survive a power cut.
/// Several processes that do this first block each other, and SQLite does not wait for them here.
fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    let pragmas = format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = {LOG_PAGES_MAX};"
    );
    let up_to = Instant::now() + BUSY_TIMEOUT;
    loop {
        match connection.execute_batch(&pragmas) {
            Err(error) if is_busy(&error) && Instant::now() < up_to => {
                std::thread::sleep(FIRST_LOOK);
            }
            result => return result,
        }
    }
}

/// The format of a store, 0 for an empty file. All values are read in one `transaction`, so that a
/// process that is creating the store cannot change them in between.
pub(super) fn format_of(transaction: &Transaction<'_>, path: &Path) -> Result<u32, StoreError> {
    let number = |pragma| {
        let number = transaction.query_row(pragma, [], |row| row.get::<_, i64>(0));
        number.map_err(|source| failure(path, source))
    };
    let application = number("PRAGMA application_id")?;
    let format = number("PRAGMA user_version")?;
    let tables = number("SELECT count(*) FROM sqlite_schema")?;
    if application != i64::from(APPLICATION_ID) && (application != 0 || tables > 0) {
        return Err(StoreError::Foreign(path.display().to_string()));
    }
    let found = u32::try_from(format).unwrap_or(u32::MAX);
    if found > FORMAT {
        return Err(StoreError::TooNew {
            path: path.display().to_string(),
            found,
            known: FORMAT,
        });
    }
    Ok(found)
}

fn bring_up_to_date(
    connection: &Connection,
    path: &Path,
    leases: &FileLeases,
) -> Result<(), StoreError> {
    let failed = |source| failure(path, source);
    let transaction =
        Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(failed)?;
    // Another process may have migrated it while this one waited for the lock.
    let found = format_of(&transaction, path)?;
    let is_older = (1..FORMAT).contains(&found);
    if is_older && let Some((run, holder)) = leases.first_held() {
        // The next write of that run would fail and lose paid replies.
        return Err(StoreError::InUse {
            path: path.display().to_string(),
            found,
            run,
            holder,
        });
    }
    let had_single_events = (1..3).contains(&found);
    let [set_aside, take_over] = if had_single_events {
        [SET_ASIDE, TAKE_OVER]
    } else {
        ["", ""]
    };
    let told_less = (1..4).contains(&found);
    let [tell_more, add_folder, fill_folder] = if told_less {
        [TELL_MORE, ADD_FOLDER, FILL_FOLDER]
    } else {
        [""; 3]
    };
    let add_labels = match found {
        1..6 => ADD_LABELS,
        _ => "",
    };
    let add_estimated = if is_older { ADD_ESTIMATED } else { "" };
    let marks =
        format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};");
    let steps = [
        set_aside,
        tell_more,
        add_folder,
        add_labels,
        add_estimated,
        SCHEMA,
        take_over,
        fill_folder,
        &marks,
    ]
    .concat();
    transaction.execute_batch(&steps).map_err(failed)?;
    transaction.commit().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Leases, SqliteStore, Store};
    use divisi_core::{Event, Position, RunId, Timestamp};
    use rusqlite::params;

    /// A store of format 2.
    const TWO: &str = "
        CREATE TABLE runs (
            id TEXT PRIMARY KEY, position INTEGER NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL,
            ok INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL, open INTEGER NOT NULL,
            tokens INTEGER NOT NULL, cost_pico_usd INTEGER NOT NULL,
            started_at INTEGER NOT NULL, updated_at INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE events (
            run TEXT NOT NULL, position INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL,
            PRIMARY KEY (run, position)
        ) WITHOUT ROWID;
        CREATE TABLE blobs (digest BLOB PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;
        PRAGMA user_version = 2;";

    fn of_format_2(path: &Path) -> Connection {
        let old = Connection::open(path).unwrap();
        old.execute_batch(&format!("{TWO} PRAGMA application_id = {APPLICATION_ID};"))
            .unwrap();
        old
    }

    #[test]
    fn a_store_of_a_later_format_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        drop(SqliteStore::open(&path).unwrap());
        Connection::open(&path)
            .unwrap()
            .execute_batch("PRAGMA user_version = 99")
            .unwrap();
        let error = SqliteStore::open(&path).unwrap_err();
        assert!(
            matches!(error, StoreError::TooNew { found: 99, .. }),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_store_of_format_6_gets_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        drop(SqliteStore::open(&path).unwrap());
        let older = "ALTER TABLE runs DROP COLUMN estimated_pico_usd; PRAGMA user_version = 6;";
        Connection::open(&path)
            .unwrap()
            .execute_batch(older)
            .unwrap();
        let store = SqliteStore::open(&path).unwrap();
        let batch = crate::store::conformance::batch("a", 0, 1);
        store.append(std::sync::Arc::new(batch)).await.unwrap();
        assert_eq!(store.runs(9).await.unwrap().len(), 1);
    }

    #[test]
    fn files_of_others_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("notes.txt");
        std::fs::write(
            &text,
            "not a database, but long enough to be looked at".repeat(9),
        )
        .unwrap();
        assert!(matches!(
            SqliteStore::open(&text),
            Err(StoreError::Foreign(_))
        ));
        let other = folder.path().join("other.db");
        Connection::open(&other)
            .unwrap()
            .execute_batch("CREATE TABLE t (x)")
            .unwrap();
        assert!(matches!(
            SqliteStore::open(&other),
            Err(StoreError::Foreign(_))
        ));
    }

    #[tokio::test]
    async fn a_store_is_not_changed_under_a_run_of_an_older_divisi() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        let old = of_format_2(&path);
        let run = RunId::new("long").unwrap();
        let leases = FileLeases::new(folder.path().join("divisi.locks"));
        let lease = leases.take(&run).await.unwrap();
        let error = SqliteStore::open(&path).unwrap_err();
        assert_eq!(
            error
                .to_string()
                .replace(&path.display().to_string(), "PATH"),
            format!(
                "the store PATH has format 2 and cannot be changed while process {} drives run long in it",
                std::process::id()
            )
        );
        let written =
            "INSERT INTO events VALUES ('long', 0, 0, '{\"event\":\"logged\",\"message\":\"\"}')";
        assert_eq!(old.execute(written, []).unwrap(), 1);
        drop(lease);
        drop(SqliteStore::open(&path).unwrap());
        // An up-to-date store opens while a run is in progress.
        let _lease = leases.take(&run).await.unwrap();
        assert!(SqliteStore::open(&path).is_ok());
    }

    #[test]
    fn many_may_be_the_first_to_open_a_store() {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("divisi.db");
            let start = std::sync::Barrier::new(8);
            std::thread::scope(|scope| {
                let open = || {
                    start.wait();
                    SqliteStore::open(&path).map(drop)
                };
                let all: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
                all.into_iter().for_each(|one| one.join().unwrap().unwrap());
            });
        }
    }

    #[tokio::test]
    async fn runs_of_an_older_store_belong_to_the_folder_that_their_agents_saw() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        let old = of_format_2(&path);
        let long = format!(r#"{{"workspace":"/long","model":"{}"}}"#, "x".repeat(600));
        let digest = divisi_core::Digest::of(long.as_bytes());
        let blob = params![digest.as_bytes(), long];
        old.execute("INSERT INTO blobs VALUES (?1, ?2)", blob)
            .unwrap();
        let stored = format!(
            r#"{{"stored":{{"digest":"{digest}","bytes":{}}}}}"#,
            long.len()
        );
        let runs = [
            ("a", r#"{"inline":"{\"workspace\":\"/work\"}"}"#),
            ("b", stored.as_str()),
            ("c", r#"{"inline":"no JSON"}"#),
            ("d", "null"),
            // An unreadable journal does not prevent opening the store.
            ("e", "{"),
        ];
        for (run, options) in runs {
            let event = format!(r#"{{"event":"run_started","flow":{{"options":{options}}}}}"#);
            old.execute(
                "INSERT INTO events VALUES (?1, 0, 0, ?2)",
                params![run, event],
            )
            .unwrap();
            let row = "INSERT INTO runs VALUES (?1, 1, 'n', 'ok', 0, 0, 0, 0, 0, 0, 0, 0)";
            old.execute(row, [run]).unwrap();
        }
        drop(old);
        let store = SqliteStore::open(&path).unwrap();
        let folders = store
            .runs(9)
            .await
            .unwrap()
            .into_iter()
            .map(|run| (run.id.to_string(), run.folder));
        let mut folders: Vec<_> = folders.collect();
        folders.sort();
        let told: Vec<_> = folders
            .iter()
            .map(|(run, folder)| (run.as_str(), folder.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("a", Some("/work")),
                ("b", Some("/long")),
                ("c", None),
                ("d", None),
                ("e", None)
            ]
        );
    }

    #[tokio::test]
    async fn a_store_with_a_row_for_each_event_is_brought_up_to_date() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        let old = of_format_2(&path);
        old.execute_batch("BEGIN").unwrap();
        for (run, events) in [("a", 5_000), ("b", 3)] {
            for position in 0..events {
                let event = format!(r#"{{"event":"logged","message":"{run} {position}"}}"#);
                let row = params![run, position, position * 2, event];
                old.execute("INSERT INTO events VALUES (?1, ?2, ?3, ?4)", row)
                    .unwrap();
            }
        }
        old.execute_batch(
            "INSERT INTO runs VALUES ('a', 5000, 'f', 'ok', 1, 0, 0, 0, 9, 7, 0, 0); COMMIT",
        )
        .unwrap();
        drop(old);
        let store = SqliteStore::open(&path).unwrap();
        for (run, events) in [("a", 5_000), ("b", 3)] {
            let id = RunId::new(run).unwrap();
            let mut read = store.events(&id, Position(0)).await.unwrap();
            let page = store
                .events(&id, Position(read.len() as u64))
                .await
                .unwrap();
            read.extend(page);
            assert_eq!(read.len(), events);
            for (position, recorded) in read.into_iter().enumerate() {
                assert_eq!(recorded.position, Position(position as u64));
                assert_eq!(recorded.at, Timestamp(position as u64 * 2));
                let message = format!("{run} {position}").into();
                assert_eq!(recorded.event, Event::Logged { message });
            }
        }
        let count = "SELECT count(*) FROM events WHERE run = 'a' AND position = at / 2";
        let by_hand = Connection::open(&path).unwrap();
        assert_eq!(
            by_hand
                .query_row(count, [], |row| row.get::<_, i64>(0))
                .unwrap(),
            5_000
        );
        drop(by_hand);
        let listed = store.runs(10).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!(listed[0].spent().billed, divisi_core::PicoUsd(7));
        drop(store);
        assert!(SqliteStore::open(&path).is_ok());
    }
}
