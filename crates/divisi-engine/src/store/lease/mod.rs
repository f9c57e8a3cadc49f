//! One driver per run: a lease, and who holds it.
//!
//! The expected position of an append is what really keeps two drivers apart.
//! A lease only says so earlier, before the second has replayed anything and
//! paid for requests that the first has sent already.

mod file;
mod memory;

pub use file::FileLeases;
pub(super) use memory::MemoryLeases;

use super::BackendError;
use async_trait::async_trait;
use divisi_core::RunId;
use std::time::Duration;

/// Gives out the leases of runs.
///
/// Every implementation passes the suite that the feature `conformance` has:
/// `store::conformance::leases`.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes the lease of `run`, exclusively until it is dropped, or expires because
    /// it was not renewed.
    ///
    /// Fails with [`LeaseError::Held`] at once if it is held, by whatever process, this
    /// one included. If the future is dropped, the lease is not held.
    async fn take(&self, run: &RunId) -> Result<Box<dyn Lease>, LeaseError>;

    /// The holder of the lease of `run` at this moment, in words for a person, such as
    /// `process 41`: the same as in [`LeaseError::Held`].
    async fn holder(&self, run: &RunId) -> Result<Option<String>, LeaseError>;
}

/// Leave to drive one run, given back when it is dropped.
#[async_trait]
pub trait Lease: Send + Sync {
    /// How often the driver has to renew it; `None` where it lasts as long as the
    /// process. A third of the time after which it expires is usual.
    fn renew_every(&self) -> Option<Duration> {
        None
    }

    /// Extends it. An error ends the drive of the run, as a kill would, so passing
    /// faults are tried again in here. [`LeaseError::Held`] if it has expired and is
    /// held by another.
    async fn renew(&self) -> Result<(), LeaseError> {
        Ok(())
    }
}

/// Why a run is not ours to drive.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Its lease is held.
    #[error("run {run} is being driven by {holder}")]
    Held {
        /// Which run.
        run: RunId,
        /// By whom, in words for a person.
        holder: String,
    },
    /// Any other failure, particular to its kind of leases.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Renews `lease` as often as it needs; returns when that fails.
pub(crate) async fn renewed(lease: &dyn Lease) -> LeaseError {
    while let Some(every) = lease.renew_every() {
        tokio::time::sleep(every).await;
        if let Err(lost) = lease.renew().await {
            return lost;
        }
    }
    std::future::pending().await
}
