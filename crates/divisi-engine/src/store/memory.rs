//! A store without persistence: for tests, and for runs that need no durability.

use super::lease::{Leases, MemoryLeases};
use super::{Batch, PAGE_EVENTS_MAX, RunSummary, Store, StoreError};
use async_trait::async_trait;
use divisi_core::{Digest, Position, Recorded, RunId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Keeps journals in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
    leases: MemoryLeases,
}

#[derive(Debug, Default)]
struct Inner {
    journals: HashMap<RunId, Journal>,
    blobs: HashMap<Digest, Arc<str>>,
}

#[derive(Debug)]
struct Journal {
    batches: Vec<Arc<Batch>>,
    end: Position,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is safe to use: no change can stop halfway.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn append(&self, batch: Arc<Batch>) -> Result<(), StoreError> {
        let mut inner = self.lock();
        let journal = inner
            .journals
            .entry(batch.run.clone())
            .or_insert_with(|| Journal {
                batches: vec![],
                end: Position::default(),
            });
        if journal.end != batch.position {
            return Err(StoreError::Moved(batch.run.clone()));
        }
        journal.end = batch.position.after(batch.events.len());
        journal.batches.push(batch.clone());
        for blob in &batch.blobs {
            inner.blobs.insert(blob.digest, blob.text.clone());
        }
        Ok(())
    }

    async fn events(&self, run: &RunId, from: Position) -> Result<Vec<Recorded>, StoreError> {
        let inner = self.lock();
        let Some(journal) = inner.journals.get(run) else {
            return Ok(vec![]);
        };
        let first = journal
            .batches
            .partition_point(|b| b.position.after(b.events.len()) <= from);
        let events = journal.batches[first..]
            .iter()
            .flat_map(|batch| &batch.events);
        Ok(events
            .filter(|event| event.position >= from)
            .take(PAGE_EVENTS_MAX)
            .cloned()
            .collect())
    }

    async fn blob(&self, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        Ok(self.lock().blobs.get(&digest).cloned())
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunSummary>, StoreError> {
        let inner = self.lock();
        Ok(inner
            .journals
            .get(run)
            .and_then(|j| j.batches.last())
            .map(|batch| batch.summary.clone()))
    }

    async fn runs(&self, most: usize) -> Result<Vec<RunSummary>, StoreError> {
        let inner = self.lock();
        let mut runs: Vec<_> = inner
            .journals
            .values()
            .filter_map(|j| j.batches.last())
            .map(|b| b.summary.clone())
            .collect();
        runs.sort_by(|a, b| (b.started_at, &b.id).cmp(&(a.started_at, &a.id)));
        runs.truncate(most);
        Ok(runs)
    }

    fn leases(&self) -> &dyn Leases {
        &self.leases
    }
}
