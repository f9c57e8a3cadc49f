//! A store without persistence: for tests, and for runs that need no durability.

use super::lease::{Leases, MemoryLeases};
use super::{
    Batch, ControlMessage, INBOX_MAX, PAGE_EVENTS_MAX, Receipt, Room, RunSummary, Sent, Store,
    StoreError,
};
use async_trait::async_trait;
use divisi_core::{Digest, Position, Recorded, RunId};
use std::collections::{BTreeMap, HashMap, HashSet};
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
    messages: BTreeMap<u64, Message>,
    /// Number of messages ever sent.
    sent: u64,
}

/// A message, until its sender has withdrawn it.
#[derive(Debug)]
struct Message {
    run: RunId,
    message: ControlMessage,
    receipt: Option<Receipt>,
}

#[derive(Debug)]
struct Journal {
    batches: Vec<Arc<Batch>>,
    end: Position,
}

impl Inner {
    /// The runs that have each text.
    fn owners(&self) -> HashMap<Digest, HashSet<&RunId>> {
        let mut owners: HashMap<_, HashSet<_>> = HashMap::new();
        for (run, journal) in &self.journals {
            for blob in journal.batches.iter().flat_map(|batch| &batch.blobs) {
                owners.entry(blob.digest).or_default().insert(run);
            }
        }
        owners
    }
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
        for (number, receipt) in &batch.receipts {
            if let Some(message) = inner.messages.get_mut(number) {
                message.receipt = Some(receipt.clone());
            }
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

    async fn send(&self, run: &RunId, message: ControlMessage) -> Result<u64, StoreError> {
        let mut inner = self.lock();
        let waiting = inner
            .messages
            .values()
            .filter(|sent| sent.run == *run && sent.receipt.is_none());
        if waiting.count() >= INBOX_MAX {
            return Err(StoreError::InboxFull(run.clone()));
        }
        inner.sent += 1;
        let number = inner.sent;
        let message = Message {
            run: run.clone(),
            message,
            receipt: None,
        };
        inner.messages.insert(number, message);
        Ok(number)
    }

    async fn inbox(&self, run: &RunId) -> Result<Vec<Sent>, StoreError> {
        let inner = self.lock();
        let waiting = inner
            .messages
            .iter()
            .filter(|(_, sent)| sent.run == *run && sent.receipt.is_none());
        Ok(waiting
            .map(|(number, sent)| Sent {
                number: *number,
                message: sent.message.clone(),
            })
            .collect())
    }

    async fn receipt(&self, number: u64) -> Result<Option<Receipt>, StoreError> {
        let inner = self.lock();
        Ok(inner
            .messages
            .get(&number)
            .and_then(|sent| sent.receipt.clone()))
    }

    async fn withdraw(&self, number: u64) -> Result<Option<Receipt>, StoreError> {
        let withdrawn = self.lock().messages.remove(&number);
        Ok(withdrawn.and_then(|sent| sent.receipt))
    }

    async fn room(&self) -> Result<Room, StoreError> {
        let inner = self.lock();
        let mut room = Room::default();
        let mut owners = inner.owners();
        for (run, journal) in &inner.journals {
            let events = journal.batches.iter().flat_map(|batch| &batch.events);
            let bytes: usize = events.map(size_of_val).sum();
            room.runs.insert(run.clone(), bytes as u64);
        }
        for (digest, text) in &inner.blobs {
            let owners = owners.remove(digest).unwrap_or_default();
            match owners.into_iter().collect::<Vec<_>>().as_slice() {
                [run] => *room.runs.entry((*run).clone()).or_default() += text.len() as u64,
                _ => room.shared += text.len() as u64,
            }
        }
        room.total = room.shared + room.runs.values().sum::<u64>();
        Ok(room)
    }

    async fn remove(&self, runs: &[RunId]) -> Result<(), StoreError> {
        let mut inner = self.lock();
        for run in runs {
            inner.journals.remove(run);
            inner.messages.retain(|_, sent| sent.run != *run);
        }
        let kept: HashSet<Digest> = inner.owners().into_keys().collect();
        inner.blobs.retain(|digest, _| kept.contains(digest));
        Ok(())
    }

    fn leases(&self) -> &dyn Leases {
        &self.leases
    }
}
