//! Stores of journals and long texts.
//!
//! A store makes the events of a batch durable, all or none, at the position that the driver
//! expects; the expected position keeps two drivers out of one run. It also hands out the
//! [`Leases`] of its runs.

pub(crate) mod lease;
mod error;
mod inbox;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use error::{BackendError, StoreError};
pub use inbox::{ControlMessage, INBOX_MAX, Receipt, Sent};
#[cfg(feature = "script")]
pub(crate) use lease::MemoryLeases;
pub use lease::{FileLeases, Lease, LeaseError, Leases};
pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::{FORMAT, SqliteStore};

use async_trait::async_trait;
use divisi_core::budget::Spent;
use divisi_core::content::Blob;
use divisi_core::run::{Counts, Stage};
use divisi_core::{Digest, PicoUsd, Position, Recorded, Run, RunId, RunView, Timestamp, Usage};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Keeps journals, long texts and a summary of each run.
///
/// Every implementation must pass the suite of the feature `conformance`, as a test of its own:
/// `divisi_engine::store::conformance::run(|| store).await`.
///
/// Methods must not block their thread: the binary runs all its tasks on one.
#[async_trait]
pub trait Store: Send + Sync {
    /// Appends a batch of events with their texts, and the receipts of the messages that they follow
    /// from.
    ///
    /// When this returns, all of it is durable. Fails with [`StoreError::Moved`] if the journal
    /// does not end where the batch begins: another driver has written, and the caller must stop
    /// driving. If the future is dropped, the batch may or may not have been appended.
    async fn append(&self, batch: Arc<Batch>) -> Result<(), StoreError>;

    /// The events of a run from `from` on, at most [`PAGE_EVENTS_MAX`]. Empty if there are none, or
    /// no such run.
    async fn events(&self, run: &RunId, from: Position) -> Result<Vec<Recorded>, StoreError>;

    /// A long text by its digest.
    async fn blob(&self, digest: Digest) -> Result<Option<Arc<str>>, StoreError>;

    /// The summary of one run.
    async fn run(&self, run: &RunId) -> Result<Option<RunSummary>, StoreError>;

    /// The latest runs, newest first.
    async fn runs(&self, most: usize) -> Result<Vec<RunSummary>, StoreError>;

    /// Puts a message into the inbox of a run; returns its number. When this returns, the message is
    /// durable. Fails with [`StoreError::InboxFull`] if [`INBOX_MAX`] messages of the run have not
    /// been taken.
    async fn send(&self, run: &RunId, message: ControlMessage) -> Result<u64, StoreError>;

    /// The messages of a run without a receipt, in the order in which they were sent.
    async fn inbox(&self, run: &RunId) -> Result<Vec<Sent>, StoreError>;

    /// What became of a message; `None` if it has not been taken, or is not there.
    async fn receipt(&self, number: u64) -> Result<Option<Receipt>, StoreError>;

    /// Removes a message, and returns its receipt; `None` if it had not been taken.
    async fn withdraw(&self, number: u64) -> Result<Option<Receipt>, StoreError>;

    /// How much room the store and its runs take.
    async fn room(&self) -> Result<Room, StoreError>;

    /// Removes runs, with the texts that no other run has, and gives the room back to the disk
    /// where that is possible. Unknown runs are ignored.
    ///
    /// Either all become absent or none. The caller holds the leases of the runs, so that none is
    /// driven meanwhile.
    async fn remove(&self, runs: &[RunId]) -> Result<(), StoreError>;

    /// The leases of its runs, shared by all processes that use the store.
    fn leases(&self) -> &dyn Leases;

    /// Local files and folders that belong to the store. Agents may not write to them.
    fn files(&self) -> Vec<PathBuf> {
        vec![]
    }
}

/// Most events returned at once, so that a replay of any length needs little memory.
pub const PAGE_EVENTS_MAX: usize = 4_096;

/// The room that a store takes, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// All of it, on disk.
    pub total: u64,
    /// What each run takes: its journal, and the texts that no other run has. Removing the run
    /// gives about that much back.
    pub runs: BTreeMap<RunId, u64>,
    /// Texts that several runs have.
    pub shared: u64,
}

/// One append. It may consist of receipts alone.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The run.
    pub run: RunId,
    /// Number of events before it.
    pub position: Position,
    /// The events, at consecutive positions.
    pub events: Vec<Recorded>,
    /// Long texts of the events.
    pub blobs: Vec<Blob>,
    /// The run's summary after these events.
    pub summary: RunSummary,
    /// What became of messages, by their numbers. One that has been withdrawn is left out.
    pub receipts: Vec<(u64, Receipt)>,
}

/// One line of the list of runs.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct RunSummary {
    /// Its id.
    pub id: RunId,
    /// The flow's name.
    pub flow: String,
    /// The name that it was given.
    #[serde(default)]
    pub name: Option<String>,
    /// Its tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What it is about, in one line: the beginning of its prompt, or of its arguments.
    #[serde(default)]
    pub about: Option<String>,
    /// The run's folder; `None` if the run has none.
    pub folder: Option<String>,
    /// Its stage: `running`, `parked`, `ok`, `partial`, `failed`, `cancelled`, or `unstarted`. In
    /// output also `interrupted`, if its process died.
    pub status: String,
    /// Tasks with a result.
    pub ok: u32,
    /// Tasks without a result.
    pub failed: u32,
    /// Tasks that were skipped or cancelled.
    pub skipped: u32,
    /// Tasks without an outcome.
    pub open: u32,
    /// Tokens, in and out.
    pub tokens: u64,
    /// Money spent, each request up to its reservation.
    pub cost: PicoUsd,
    /// The part of it that is reservations of requests whose reply never came.
    #[serde(default)]
    pub unconfirmed: PicoUsd,
    /// Cost of replies above their reservations.
    #[serde(default)]
    pub over: PicoUsd,
    /// The part of all this that is the cost of replies without counts, estimated from their texts.
    #[serde(default)]
    pub estimated: PicoUsd,
    /// Refused calls of the flow in its latest execution.
    #[serde(default)]
    pub refused: u64,
    /// When it started: the same in every batch of a run.
    pub started_at: Timestamp,
    /// Time of its latest event.
    pub updated_at: Timestamp,
}

impl RunSummary {
    /// The money spent, by how sure it is.
    pub fn spent(&self) -> Spent {
        let Self {
            cost,
            unconfirmed,
            over,
            estimated,
            ..
        } = *self;
        Spent {
            billed: cost.saturating_sub(unconfirmed),
            unconfirmed,
            over,
            estimated,
        }
    }

    /// The summary of `run` now.
    pub fn of(id: &RunId, run: &Run, now: Timestamp) -> Self {
        let Counts {
            ok,
            failed,
            skipped,
            cancelled,
            open,
        } = run.counts();
        let usage: Usage = run.usage();
        let (folder, label) = run
            .flow()
            .map(|flow| (flow.folder.as_deref(), flow.label.clone()))
            .unwrap_or_default();
        Self {
            id: id.clone(),
            flow: run.name().to_owned(),
            name: label.name.as_deref().map(str::to_owned),
            tags: label.tags.iter().map(|tag| tag.to_string()).collect(),
            about: label.about.as_deref().map(str::to_owned),
            folder: folder.map(str::to_owned),
            status: status_word(run.stage()).to_owned(),
            ok,
            failed,
            skipped: skipped + cancelled,
            open,
            tokens: usage.total(),
            cost: run.budget().settled,
            unconfirmed: run.budget().unconfirmed,
            over: run.budget().over,
            estimated: run.budget().estimated,
            refused: run
                .refused()
                .filter(|(refusal, _)| refusal.is_of_work())
                .map(|(_, count)| count)
                .sum(),
            started_at: run.started_at(),
            updated_at: now,
        }
    }
}

impl RunSummary {
    /// Corrects the figures that the end of a killed process changes, from a view that assumes it.
    pub fn correct(&mut self, view: &RunView) {
        let Counts {
            ok,
            failed,
            skipped,
            cancelled,
            open,
        } = view.counts;
        (self.ok, self.failed, self.open) = (ok, failed, open);
        self.skipped = skipped + cancelled;
        self.status = status_word(&view.stage).to_owned();
        self.tokens = view.usage.total();
        self.cost = view.money.settled;
        self.unconfirmed = view.money.unconfirmed;
        self.over = view.money.over;
        self.estimated = view.money.estimated;
    }
}

/// The word for a run's stage, in lists and in machine output.
pub fn status_word(stage: &Stage) -> &'static str {
    use divisi_core::event::RunStatus;
    match stage {
        Stage::Unstarted => "unstarted",
        Stage::Replaying | Stage::Running | Stage::Parking(_) => "running",
        Stage::Parked(_) => "parked",
        Stage::Ended(RunStatus::Ok) => "ok",
        Stage::Ended(RunStatus::Partial) => "partial",
        Stage::Ended(RunStatus::Failed) => "failed",
        Stage::Ended(RunStatus::Cancelled) => "cancelled",
    }
}
