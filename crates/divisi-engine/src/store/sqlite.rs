//! The durable store: one SQLite file, also readable with `sqlite3`.
//!
//! One thread writes. It takes all batches queued since its last commit, writes them in one
//! transaction, syncs once, and only then answers: many runs and events share one sync, and no
//! effect follows from an event that a power cut could undo. Another thread reads (`reader.rs`) with a
//! connection of its own: it never waits for the writer, and never blocks its caller's thread.

mod reader;
mod format;
mod inbox;
mod remove;
mod place;
mod error;

pub use format::FORMAT;

use super::{
    Batch, ControlMessage, FileLeases, Leases, Receipt, Room, RunSummary, Sent, Store, StoreError,
};
use crate::private;
use async_trait::async_trait;
use divisi_core::{Digest, Position, Recorded, RunId};
use divisi_providers::redact::{self, Known};
use error::{cannot_open, failure, failure_from, is_busy};
use format::prepare;
use place::{Place, name_of};
use reader::{Journals, Reader};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Most events in one row. Rows cost more than their content; but a page of a journal may begin in
/// the middle of a row, and then the first part is read for nothing.
const ROW_EVENTS_MAX: usize = 1_024;

/// Most batches in one transaction. At this size the sync is a small part of the time; more would
/// only delay the first of them.
const COMMIT_BATCHES_MAX: usize = 1_024;

/// How long one try waits for another process that is writing.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// The same for a look that a user waits for at a prompt.
const GLANCE_TIMEOUT: std::time::Duration = std::time::Duration::from_millis(200);

/// Tries of a commit while another process keeps the store locked: two minutes in all. The events
/// have had no effect yet, and giving up would end their runs with paid replies unwritten.
const COMMIT_TRIES_MAX: u32 = 12;

/// Keeps journals in one SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    leases: FileLeases,
    reader: Reader,
    /// Bounded by the number of drivers: each waits for its answer before it sends the next batch.
    queue: Option<mpsc::UnboundedSender<Job>>,
    writer: Option<JoinHandle<()>>,
}

type Write = (Arc<Batch>, oneshot::Sender<Result<(), StoreError>>);

/// What the writer thread does.
enum Job {
    Append(Write),
    /// A change of an inbox, in a transaction of its own: there are few.
    Inbox(Change),
}

/// Gets the connection, unless the file has gone.
type Change = Box<dyn FnOnce(Result<&mut Connection, StoreError>) + Send>;

impl SqliteStore {
    /// Opens the store at `path`, creating it and its folder if they are missing.
    ///
    /// Fails with [`StoreError::TooNew`] for a later format, with [`StoreError::InUse`] for an
    /// older format in which a run is in progress, with [`StoreError::Linked`] for a file with
    /// several hard links, and with [`StoreError::Foreign`] for another kind of file; none of these
    /// is changed.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        make(&path).map_err(|source| cannot_open(&path, source))?;
        let failed = |source| failure(&path, source);
        let connection = Connection::open(&path).map_err(failed)?;
        let path = name_of(&path)?;
        let leases = FileLeases::new(path.with_extension("locks"));
        prepare(&connection, &path, &leases)?;
        // An older divisi made them readable for every user.
        for file in files_of(&path) {
            private::narrow(&file).map_err(|source| cannot_open(&file, source))?;
        }
        let reader = Reader::open(&path)?;
        let place = Place::of(&path)?;
        let (queue, jobs) = mpsc::unbounded_channel();
        let of = path.clone();
        let writer = std::thread::Builder::new()
            .name("divisi-store".into())
            .spawn(move || write_all(connection, &of, &place, jobs))
            .map_err(|source| cannot_open(&path, source))?;
        Ok(Self {
            path,
            leases,
            reader,
            queue: Some(queue),
            writer: Some(writer),
        })
    }

    /// The latest `most` runs of the store at `path`, which is only read: it is neither created nor
    /// migrated, and hardly waited for. So a program that the user does not expect to change
    /// anything, such as a completion of the shell, can ask.
    ///
    /// `None` if the store has an older format. Fails if there is none, or one of a later format, or
    /// if another process keeps it locked.
    pub fn glance(
        path: impl AsRef<Path>,
        most: usize,
    ) -> Result<Option<Vec<RunSummary>>, StoreError> {
        let path = path.as_ref();
        // Before SQLite is asked, whose reason for a failure is looked for by making the file.
        std::fs::metadata(path).map_err(|source| cannot_open(path, source))?;
        let journals = Journals::open(path, GLANCE_TIMEOUT)?;
        match journals.format()? {
            FORMAT => journals.runs(most).map(Some),
            _ => Ok(None),
        }
    }

    /// Changes an inbox on the writer thread.
    async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Connection, &Path) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let path = self.path.clone();
        let job = Job::Inbox(Box::new(move |connection| {
            let changed = connection.and_then(|connection| change(connection, &path));
            // The future may have been dropped.
            let _ = answer.send(changed);
        }));
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send(job).map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The events of a row, as `[[at, event], …]`; positions follow from the first one.
struct Events<'a>(&'a [Recorded]);

impl Serialize for Events<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|recorded| (recorded.at, &recorded.event)))
    }
}

/// The writer thread: takes queued batches, writes them, answers, until the queue is closed.
///
/// Before each commit, and again before its answer, the store's path must still lead to the open
/// files, because a commit into a deleted or replaced file would be lost.
fn write_all(
    mut connection: Connection,
    path: &Path,
    place: &Place,
    mut jobs: mpsc::UnboundedReceiver<Job>,
) {
    let mut received = Vec::with_capacity(COMMIT_BATCHES_MAX);
    let mut queued = Vec::with_capacity(COMMIT_BATCHES_MAX);
    while jobs.blocking_recv_many(&mut received, COMMIT_BATCHES_MAX) > 0 {
        for job in received.drain(..) {
            match job {
                Job::Append(write) => queued.push(write),
                Job::Inbox(change) => change(match place.check() {
                    Ok(()) => Ok(&mut connection),
                    Err(gone) => Err(gone.into()),
                }),
            }
        }
        if queued.is_empty() {
            continue;
        }
        if let Err(gone) = place.check() {
            queued
                .drain(..)
                .for_each(|(_, answer)| _ = answer.send(Err(gone.clone().into())));
            continue;
        }
        let result = write_patiently(&mut connection, path, &queued);
        // Checked again: the file may have been replaced during the commit, and then the events are
        // lost.
        let gone = place.check().err();
        for (index, (batch, answer)) in queued.drain(..).enumerate() {
            let answered = match (&result, &gone) {
                (Ok(_), Some(gone)) => Err(gone.clone().into()),
                (Ok(moved), None) if moved.contains(&index) => {
                    Err(StoreError::Moved(batch.run.clone()))
                }
                (Ok(_), None) => Ok(()),
                (Err(source), _) => Err(failure_from(path, source)),
            };
            // A driver that no longer waits has been dropped; its events are durable.
            let _ = answer.send(answered);
        }
    }
}

/// Writes batches, with further tries while another process keeps the store locked.
fn write_patiently(
    connection: &mut Connection,
    path: &Path,
    queued: &[Write],
) -> rusqlite::Result<Vec<usize>> {
    let mut tries = 1;
    loop {
        match write(connection, path, queued) {
            Err(error) if is_busy(&error) && tries < COMMIT_TRIES_MAX => {
                tracing::warn!(path = %path.display(), tries, "another process keeps the store locked");
                tries += 1;
            }
            result => return result,
        }
    }
}

/// Writes batches in one transaction; returns which of them had an outdated position.
fn write(
    connection: &mut Connection,
    path: &Path,
    queued: &[Write],
) -> rusqlite::Result<Vec<usize>> {
    let mut moved = vec![];
    let known = redact::known();
    // Immediate: the write lock is taken before positions are read, so no other process can append
    // in between.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut position = transaction.prepare_cached("SELECT position FROM runs WHERE id = ?1")?;
        let mut row = transaction
            .prepare_cached("INSERT INTO journal (run, position, events) VALUES (?1, ?2, ?3)")?;
        let mut blob = transaction
            .prepare_cached("INSERT OR IGNORE INTO blobs (digest, text) VALUES (?1, ?2)")?;
        let mut summary = transaction.prepare_cached(
            "INSERT INTO runs (id, position, name, status, ok, failed, skipped, open, tokens,
             cost_pico_usd, started_at, updated_at, unconfirmed_pico_usd, over_pico_usd, refused, folder,
             given_name, tags, about, estimated_pico_usd)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16,
             ?17, ?18, ?19, ?20)
             ON CONFLICT (id) DO UPDATE SET position = ?2, name = ?3, status = ?4, ok = ?5, failed = ?6,
             skipped = ?7, open = ?8, tokens = ?9, cost_pico_usd = ?10, updated_at = ?12,
             unconfirmed_pico_usd = ?13, over_pico_usd = ?14, refused = ?15, folder = ?16,
             given_name = ?17, tags = ?18, about = ?19, estimated_pico_usd = ?20",
        )?;
        let mut receipts =
            transaction.prepare_cached("UPDATE inbox SET receipt = ?2 WHERE number = ?1")?;
        let mut json = Vec::new();
        for (index, (batch, _)) in queued.iter().enumerate() {
            let run = batch.run.as_str();
            let end: Option<i64> = position.query_row([run], |row| row.get(0)).optional()?;
            if end.unwrap_or(0) as u64 != batch.position.0 {
                tracing::warn!(run, path = %path.display(), "a batch came too late");
                moved.push(index);
                continue;
            }
            for events in batch.events.chunks(ROW_EVENTS_MAX) {
                json.clear();
                serde_json::to_writer(&mut json, &Events(events))
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                let text = std::str::from_utf8(&json)
                    .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
                row.execute(params![
                    run,
                    events[0].position.0 as i64,
                    redacted(&known, text)
                ])?;
            }
            for kept in &batch.blobs {
                blob.execute(params![
                    kept.digest.as_bytes(),
                    redacted(&known, &kept.text)
                ])?;
            }
            for (number, receipt) in &batch.receipts {
                receipts.execute(params![*number as i64, inbox::written(receipt)?])?;
            }
            let s = &batch.summary;
            let tags = (!s.tags.is_empty()).then(|| serde_json::json!(s.tags).to_string());
            let end = batch.position.after(batch.events.len()).0 as i64;
            summary.execute(params![
                run,
                end,
                known.text(&s.flow),
                s.status,
                s.ok,
                s.failed,
                s.skipped,
                s.open,
                most(s.tokens),
                most(s.cost.0),
                most(s.started_at.0),
                most(s.updated_at.0),
                most(s.unconfirmed.0),
                most(s.over.0),
                most(s.refused),
                s.folder,
                s.name,
                tags,
                s.about,
                most(s.estimated.0)
            ])?;
        }
    }
    transaction.commit()?;
    Ok(moved)
}

#[async_trait]
impl Store for SqliteStore {
    async fn append(&self, batch: Arc<Batch>) -> Result<(), StoreError> {
        let (answer, answered) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue
            .send(Job::Append((batch, answer)))
            .map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    async fn events(&self, run: &RunId, from: Position) -> Result<Vec<Recorded>, StoreError> {
        let run = run.clone();
        self.reader
            .ask(move |journals| journals.page(&run, from))
            .await
    }

    async fn blob(&self, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        self.reader.ask(move |journals| journals.blob(digest)).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunSummary>, StoreError> {
        let run = run.clone();
        self.reader.ask(move |journals| journals.run(&run)).await
    }

    async fn runs(&self, most: usize) -> Result<Vec<RunSummary>, StoreError> {
        self.reader.ask(move |journals| journals.runs(most)).await
    }

    async fn send(&self, run: &RunId, message: ControlMessage) -> Result<u64, StoreError> {
        let run = run.clone();
        self.change(move |connection, path| inbox::send(connection, path, &run, &message))
            .await
    }

    async fn inbox(&self, run: &RunId) -> Result<Vec<Sent>, StoreError> {
        let run = run.clone();
        self.reader.ask(move |journals| journals.inbox(&run)).await
    }

    async fn receipt(&self, number: u64) -> Result<Option<Receipt>, StoreError> {
        self.reader
            .ask(move |journals| journals.receipt(number))
            .await
    }

    async fn withdraw(&self, number: u64) -> Result<Option<Receipt>, StoreError> {
        self.change(move |connection, path| inbox::withdraw(connection, path, number))
            .await
    }

    async fn room(&self) -> Result<Room, StoreError> {
        let path = self.path.clone();
        self.reader.ask(move |journals| journals.room(&path)).await
    }

    async fn remove(&self, runs: &[RunId]) -> Result<(), StoreError> {
        let (path, of, runs) = (self.path.clone(), self.path.clone(), runs.to_vec());
        let removed = tokio::task::spawn_blocking(move || remove::remove(&path, &runs));
        match removed.await {
            Ok(removed) => removed.map_err(|source| failure(&of, source)),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    fn leases(&self) -> &dyn Leases {
        &self.leases
    }

    fn files(&self) -> Vec<PathBuf> {
        files_of(&self.path)
            .chain([self.leases.folder().to_owned()])
            .collect()
    }
}

impl Drop for SqliteStore {
    /// Waits until all queued batches are written.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing left to write.
            let _ = writer.join();
        }
    }
}

/// Saturates at SQLite's largest integer, because numbers from outside may exceed it.
fn most(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Redacts a text before writing. Texts have been redacted where they entered; this is a second
/// line of defence.
fn redacted<'a>(known: &Known, text: &'a str) -> Cow<'a, str> {
    match known.finds_again(text) {
        false => Cow::Borrowed(text),
        true => Cow::Owned(known.json(text.into()).to_string()),
    }
}

/// Creates the file, empty and private, and its folder, if they are missing. SQLite gives its other
/// files the same mode.
fn make(path: &Path) -> std::io::Result<()> {
    private::folder_of(path)?;
    match private::options().write(true).create_new(true).open(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The file, and those that SQLite keeps with it.
fn files_of(path: &Path) -> impl Iterator<Item = PathBuf> {
    ["", "-wal", "-shm", "-journal"].into_iter().map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        name.into()
    })
}

#[cfg(test)]
mod tests {
    use super::super::conformance::batch;
    use super::*;
    use divisi_core::{Event, PicoUsd};
    use std::sync::Mutex;

    #[test]
    fn its_files_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".divisi/runs.db");
        let modes = |path: &Path| {
            let kept = std::fs::read_dir(path.parent().unwrap())
                .unwrap()
                .map(|file| file.unwrap().path());
            let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
            (
                mode(path.parent().unwrap().to_owned()),
                kept.map(mode).collect::<Vec<_>>(),
            )
        };
        let store = SqliteStore::open(&path).unwrap();
        assert_eq!(modes(&path), (0o700, vec![0o600; 3]));
        // As an older divisi has left them.
        for (file, mode) in files_of(&path)
            .map(|file| (file, 0o644))
            .chain([(folder.path().join(".divisi"), 0o755)])
        {
            let widened = std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode));
            assert_eq!(widened.is_ok(), file.exists());
        }
        drop(SqliteStore::open(&path).unwrap());
        assert_eq!(modes(&path), (0o700, vec![0o600; 3]));
        drop(store);
    }

    #[test]
    fn a_glance_neither_makes_nor_migrates_nor_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        SqliteStore::glance(&path, 9).unwrap_err();
        assert!(!path.exists());
        drop(SqliteStore::open(&path).unwrap());
        assert_eq!(SqliteStore::glance(&path, 9).unwrap(), Some(vec![]));
        let other = Connection::open(&path).unwrap();
        other
            .pragma_update(None, "user_version", FORMAT - 1)
            .unwrap();
        assert_eq!(SqliteStore::glance(&path, 9).unwrap(), None);
        let format = other.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0));
        assert_eq!(format.unwrap(), FORMAT - 1);
    }

    #[test]
    fn what_is_not_ours_keeps_its_mode() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        std::fs::write(
            &path,
            "no store at all, but long enough to be looked at".repeat(9),
        )
        .unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        SqliteStore::open(&path).unwrap_err();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o644);
    }

    #[tokio::test]
    async fn what_was_forgotten_elsewhere_is_not_written() {
        const KEY: &str = "store-key-0123456789";
        redact::add_secret(KEY);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        let store = SqliteStore::open(&path).unwrap();
        let mut batch = batch("a", 0, 1);
        batch.summary.flow = format!("flow {KEY}");
        batch.events[0].event = Event::Logged {
            message: format!("\"{KEY}\"").into(),
        };
        let text: Arc<str> = format!("long {KEY}").into();
        let digest = Digest::of(text.as_bytes());
        batch
            .blobs
            .push(divisi_core::content::Blob { digest, text });
        store.append(Arc::new(batch)).await.unwrap();
        let run = RunId::new("a").unwrap();
        assert_eq!(
            store.events(&run, Position(0)).await.unwrap()[0].event,
            Event::Logged {
                message: "\"***\"".into()
            }
        );
        assert_eq!(
            store.blob(digest).await.unwrap().as_deref(),
            Some("long ***")
        );
        drop(store);
        for file in files_of(&path).filter(|file| file.exists()) {
            let bytes = std::fs::read(&file).unwrap();
            assert!(
                !bytes.windows(KEY.len()).any(|part| part == KEY.as_bytes()),
                "{}",
                file.display()
            );
        }
    }

    #[tokio::test]
    async fn a_gap_in_a_journal_is_no_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        let store = SqliteStore::open(&path).unwrap();
        for position in [0, 2, 4] {
            store
                .append(Arc::new(batch("a", position, 2)))
                .await
                .unwrap();
        }
        let run = RunId::new("a").unwrap();
        let by_hand = Connection::open(&path).unwrap();
        for (lost, missing) in [(4, 4), (2, 2), (0, 0)] {
            by_hand
                .execute("DELETE FROM journal WHERE position = ?1", [lost])
                .unwrap();
            let error = store.events(&run, Position(0)).await.unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the journal of run a cannot be read at position {missing}")
            );
        }
    }

    #[tokio::test]
    async fn what_nobody_would_find_is_not_written() {
        for end in ["", "-wal", "-shm"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("divisi.db");
            let store = SqliteStore::open(&path).unwrap();
            store.append(Arc::new(batch("a", 0, 2))).await.unwrap();
            std::fs::remove_file(format!("{}{end}", path.canonicalize().unwrap().display()))
                .unwrap();
            for _ in 0..2 {
                let gone = store.append(Arc::new(batch("a", 2, 2))).await.unwrap_err();
                assert!(matches!(gone, StoreError::Gone { .. }), "{end}: {gone}");
            }
        }
    }

    #[tokio::test]
    async fn another_process_that_comes_and_goes_leaves_the_store_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        let store = SqliteStore::open(&path).unwrap();
        for position in 0..5 {
            store
                .append(Arc::new(batch("a", position, 1)))
                .await
                .unwrap();
            drop(SqliteStore::open(&path).unwrap());
            let by_hand = Connection::open(&path).unwrap();
            by_hand
                .execute_batch("PRAGMA wal_checkpoint(TRUNCATE); VACUUM")
                .unwrap();
        }
        assert_eq!(
            store
                .events(&RunId::new("a").unwrap(), Position(0))
                .await
                .unwrap()
                .len(),
            5
        );
    }

    #[test]
    fn a_second_name_leads_to_the_same_locks_or_to_a_refusal() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (
            folder.path().join("divisi.db"),
            folder.path().join("link.db"),
        );
        let store = SqliteStore::open(&path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(SqliteStore::open(&link).unwrap().files(), store.files());
        let hard = folder.path().join("hard.db");
        std::fs::hard_link(&path, &hard).unwrap();
        for name in [path, hard] {
            assert!(matches!(
                SqliteStore::open(name),
                Err(StoreError::Linked { names: 2, .. })
            ));
        }
    }

    #[tokio::test]
    async fn absurd_costs_stay_what_they_are_as_far_as_the_file_can_hold() {
        let mut absurd = batch("a", 0, 1);
        absurd.summary.cost = PicoUsd(u64::MAX);
        absurd.summary.over = PicoUsd(u64::MAX);
        absurd.summary.tokens = u64::MAX;
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path().join("a.db")).unwrap();
        store.append(Arc::new(absurd)).await.unwrap();
        let read = store.run(&RunId::new("a").unwrap()).await.unwrap().unwrap();
        assert_eq!(
            [read.cost.0, read.over.0, read.tokens],
            [i64::MAX as u64; 3]
        );
    }

    /// A connection that keeps the store locked, and the number of tries until it lets go.
    static KEEPER: Mutex<Option<(Connection, u32)>> = Mutex::new(None);

    fn send_away(_: i32) -> bool {
        let mut keeper = KEEPER.lock().unwrap();
        match keeper.as_mut() {
            Some((_, left)) if *left > 1 => *left -= 1,
            _ => *keeper = None,
        }
        false
    }

    #[test]
    fn a_store_that_others_keep_is_asked_again_within_bounds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("divisi.db");
        drop(SqliteStore::open(&path).unwrap());
        let written = |position, sent_away| {
            let keeper = Connection::open(&path).unwrap();
            keeper.execute_batch("BEGIN IMMEDIATE").unwrap();
            *KEEPER.lock().unwrap() = Some((keeper, sent_away));
            let mut writer = Connection::open(&path).unwrap();
            writer.busy_handler(Some(send_away)).unwrap();
            let queued = [(Arc::new(batch("a", position, 1)), oneshot::channel().0)];
            let result = write_patiently(&mut writer, &path, &queued);
            *KEEPER.lock().unwrap() = None;
            result.map_err(|error| failure(&path, error))
        };
        assert!(written(0, 1).is_ok_and(|moved| moved.is_empty()));
        assert!(written(1, COMMIT_TRIES_MAX - 1).is_ok_and(|moved| moved.is_empty()));
        assert!(matches!(
            written(2, COMMIT_TRIES_MAX),
            Err(StoreError::Busy(_))
        ));
    }
}
