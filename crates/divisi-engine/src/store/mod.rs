//! Where journals and long texts are kept.
//!
//! A store makes the events of one decision durable, all or none, at the
//! position the driver expects, and the expected position is what keeps two
//! drivers out of one run. It also hands out the [`Leases`] of its runs.

pub(crate) mod lease;
mod error;
mod memory;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "conformance")]
pub mod conformance;

pub use error::{BackendError, StoreError};
pub use lease::{FileLeases, Lease, LeaseError, Leases};
pub use memory::MemoryStore;
#[cfg(feature = "sqlite")]
pub use sqlite::{FORMAT, SqliteStore};

use async_trait::async_trait;
use divisi_core::budget::Spent;
use divisi_core::content::Blob;
use divisi_core::run::{Counts, Stage};
use divisi_core::{Digest, PicoUsd, Position, Recorded, Run, RunId, Timestamp, Usage};
use std::path::PathBuf;
use std::sync::Arc;

/// Keeps journals, long texts and a summary of each run.
///
/// Every implementation passes the suite that the feature `conformance` has; as
/// a test of your own: `divisi_engine::store::conformance::run(|| store).await`.
///
/// The methods must not block their thread: the binary has one for all its tasks.
#[async_trait]
pub trait Store: Send + Sync {
    /// Appends the events of one decision, and the texts that they refer to.
    ///
    /// When this returns, all of it is durable. Fails with
    /// [`StoreError::Moved`] when the journal does not end where the batch
    /// begins: another driver has written since, and the caller must stop
    /// driving. Dropping the future may or may not have appended.
    async fn append(&self, batch: Arc<Batch>) -> Result<(), StoreError>;

    /// The events of a run from `from` on, at most [`PAGE_EVENTS_MAX`] of them.
    /// Empty when there are none, or no such run.
    async fn events(&self, run: &RunId, from: Position) -> Result<Vec<Recorded>, StoreError>;

    /// A long text by its digest.
    async fn blob(&self, digest: Digest) -> Result<Option<Arc<str>>, StoreError>;

    /// What there is of one run.
    async fn run(&self, run: &RunId) -> Result<Option<RunSummary>, StoreError>;

    /// The latest runs, newest first.
    async fn runs(&self, most: usize) -> Result<Vec<RunSummary>, StoreError>;

    /// The leases of its runs, shared by all processes that reach the store.
    fn leases(&self) -> &dyn Leases;

    /// Files and folders of this machine in which it keeps what it knows. Agents are
    /// kept from writing to them.
    fn files(&self) -> Vec<PathBuf> {
        vec![]
    }
}

/// Most events returned at once: a replay of any length needs little memory.
pub const PAGE_EVENTS_MAX: usize = 4_096;

/// What one decision writes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// In which journal.
    pub run: RunId,
    /// How many events stand before it.
    pub position: Position,
    /// The facts, at consecutive positions.
    pub events: Vec<Recorded>,
    /// Long texts that the facts refer to.
    pub blobs: Vec<Blob>,
    /// The run once they are applied.
    pub summary: RunSummary,
}

/// One line of the list of runs.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunSummary {
    /// Its name.
    pub id: RunId,
    /// The flow's name.
    pub name: String,
    /// The folder that it belongs to; `None` of a run that has told none.
    pub folder: Option<String>,
    /// Where it stands: `running`, `parked`, `ok`, `partial`, `failed`, `cancelled`.
    pub status: String,
    /// Tasks with a result.
    pub ok: u32,
    /// Tasks without.
    pub failed: u32,
    /// Tasks never tried or stopped.
    pub skipped: u32,
    /// Tasks without an outcome.
    pub open: u32,
    /// Tokens, in and out.
    pub tokens: u64,
    /// Money spent, each request up to what was set aside for it.
    pub cost: PicoUsd,
    /// The part of it that was set aside for requests whose reply never came.
    #[serde(default)]
    pub unconfirmed: PicoUsd,
    /// What replies have cost above what was set aside for them.
    #[serde(default)]
    pub over: PicoUsd,
    /// Calls of the flow that were refused in its latest execution.
    #[serde(default)]
    pub refused: u64,
    /// When it began: the same in every batch of a run.
    pub started_at: Timestamp,
    /// When it last wrote something.
    pub updated_at: Timestamp,
}

impl RunSummary {
    /// What was spent, by how sure it is.
    pub fn spent(&self) -> Spent {
        let Self {
            cost,
            unconfirmed,
            over,
            ..
        } = *self;
        Spent {
            billed: cost.saturating_sub(unconfirmed),
            unconfirmed,
            over,
        }
    }

    /// The summary of `run` at this moment.
    pub fn of(id: &RunId, run: &Run, now: Timestamp) -> Self {
        let Counts {
            ok,
            failed,
            skipped,
            cancelled,
            open,
        } = run.counts();
        let usage: Usage = run.usage();
        Self {
            id: id.clone(),
            name: run.name().to_owned(),
            folder: run
                .flow()
                .and_then(|flow| flow.folder.as_deref())
                .map(str::to_owned),
            status: status_word(run.stage()).to_owned(),
            ok,
            failed,
            skipped: skipped + cancelled,
            open,
            tokens: usage.total(),
            cost: run.budget().settled,
            unconfirmed: run.budget().unconfirmed,
            over: run.budget().over,
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

/// The word for where a run stands, in lists and in machine output.
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
