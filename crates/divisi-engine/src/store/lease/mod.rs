//! Leases: one driver per run.
//!
//! Two drivers are kept apart by the expected position of an append. A lease prevents them earlier:
//! before the second one has replayed anything and paid for requests that the first has already
//! sent.

mod file;
mod memory;

pub use file::FileLeases;
pub(crate) use memory::MemoryLeases;

use super::BackendError;
use async_trait::async_trait;
use divisi_core::RunId;
use std::time::Duration;

/// Hands out the leases of runs.
///
/// Every implementation must pass `store::conformance::leases`, which the feature `conformance`
/// provides.
#[async_trait]
pub trait Leases: Send + Sync {
    /// Takes the lease of `run`, exclusively until it is dropped, or expires because it was not
    /// renewed.
    ///
    /// Fails with [`LeaseError::Held`] at once if any process holds it, including this one. If the
    /// future is dropped, the lease is not held.
    async fn take(&self, run: &RunId) -> Result<Box<dyn Lease>, LeaseError>;

    /// The present holder of the lease of `run`, in words for display, such as `process 41`: the
    /// same as in [`LeaseError::Held`].
    async fn holder(&self, run: &RunId) -> Result<Option<String>, LeaseError>;
}

/// The right to drive one run, given back when dropped.
#[async_trait]
pub trait Lease: Send + Sync {
    /// How often the driver must renew it; `None` if it lasts as long as the process. A third of
    /// its lifetime is usual.
    fn renew_every(&self) -> Option<Duration> {
        None
    }

    /// Extends it. An error ends the driver like a kill, so implementations should retry temporary
    /// faults. Fails with [`LeaseError::Held`] if it has expired and another process holds it.
    async fn renew(&self) -> Result<(), LeaseError> {
        Ok(())
    }
}

/// Why a lease could not be taken or kept.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Another process holds it.
    #[error("run {run} is being driven by {holder}")]
    Held {
        /// The run.
        run: RunId,
        /// The holder, in words for display.
        holder: String,
    },
    /// Any other failure, specific to the kind of leases.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Renews `lease` as often as needed; returns when that fails.
pub(crate) async fn renewed(lease: &dyn Lease) -> LeaseError {
    while let Some(every) = lease.renew_every() {
        tokio::time::sleep(every).await;
        if let Err(lost) = lease.renew().await {
            return lost;
        }
    }
    std::future::pending().await
}
