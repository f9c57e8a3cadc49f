//! Leases within one process, for a store that no other process reaches.

use super::{Lease, LeaseError, Leases};
use async_trait::async_trait;
use divisi_core::RunId;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Name of any holder.
const HOLDER: &str = "this process";

/// The leased runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryLeases {
    taken: Arc<Mutex<HashSet<RunId>>>,
}

struct MemoryLease {
    run: RunId,
    leases: MemoryLeases,
}

impl MemoryLeases {
    fn with<T>(&self, change: impl FnOnce(&mut HashSet<RunId>) -> T) -> T {
        change(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn take(&self, run: &RunId) -> Result<Box<dyn Lease>, LeaseError> {
        match self.with(|taken| taken.insert(run.clone())) {
            true => Ok(Box::new(MemoryLease {
                run: run.clone(),
                leases: self.clone(),
            })),
            false => Err(LeaseError::Held {
                run: run.clone(),
                holder: HOLDER.to_owned(),
            }),
        }
    }

    async fn holder(&self, run: &RunId) -> Result<Option<String>, LeaseError> {
        Ok(self
            .with(|taken| taken.contains(run))
            .then(|| HOLDER.to_owned()))
    }
}

impl Lease for MemoryLease {}

impl Drop for MemoryLease {
    fn drop(&mut self) {
        self.leases.with(|taken| taken.remove(&self.run));
    }
}
