//! What a resume would run, without running it.
//!
//! The resume is driven as usual, over a store that takes the events but does not keep them. The
//! first batch in which the flow has caught up fails: effects follow only from durable events, so
//! no attempt starts and nothing is sent.

use super::{Engine, RunOptions, StartError};
use crate::flow::Flow;
use crate::setup::Setup;
use crate::store::{
    Batch, ControlMessage, Leases, MemoryLeases, Receipt, Room, RunSummary, Sent, Store, StoreError,
};
use async_trait::async_trait;
use divisi_core::view::Status;
use divisi_core::{Content, Digest, Event, Position, Recorded, RunId, RunView, TaskId};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a resume would do up to the moment at which attempts start.
pub struct Rehearsed {
    /// The run as its journal has it.
    pub before: RunView,
    /// The run once its flow has caught up.
    pub after: RunView,
    /// The texts of tasks that the journal does not know, by task: JSON.
    pub new_specs: BTreeMap<TaskId, Arc<str>>,
}

impl Rehearsed {
    /// The tasks that would run: requested now, and without an outcome.
    pub fn to_run(&self) -> impl Iterator<Item = TaskId> {
        let open = self.after.current().filter(|(_, task)| {
            !task.status.has_ended() && task.status != Status::Suspended && !task.is_timer
        });
        open.map(|(id, _)| id)
    }
}

impl Engine {
    /// Finds out what a resume with these arguments would run. Nothing is written or sent, and the
    /// run may be driven meanwhile by another process.
    pub async fn rehearse(
        &self,
        id: &RunId,
        flow: Flow,
        setup: Setup,
        options: RunOptions,
    ) -> Result<Rehearsed, StartError> {
        let (before, _) = self.view(id).await?;
        let store = Arc::new(Rehearsal {
            end: before.position,
            journals: self.store.clone(),
            leases: MemoryLeases::default(),
            taken: Mutex::default(),
        });
        let handle = Engine::new(store.clone())
            .resume(id, flow, setup, options)
            .await?;
        match handle.finished().await {
            // This is how it ends, see `append`.
            Ok(_) | Err(crate::DriveError::Store(StoreError::Closed)) => {}
            Err(error) => return Err(error.into()),
        }
        let taken = store.lock();
        let mut after = before.clone();
        taken
            .events
            .iter()
            .for_each(|recorded| after.apply(recorded));
        let mut new_specs = BTreeMap::new();
        for recorded in &taken.events {
            if let Event::TaskSubmitted(submitted) = &recorded.event {
                let spec = match &submitted.spec {
                    Content::Inline(text) => Some(text),
                    Content::Stored { digest, .. } => taken.blobs.get(digest),
                };
                new_specs.extend(spec.map(|spec| (submitted.task, spec.clone())));
            }
        }
        Ok(Rehearsed {
            before,
            after,
            new_specs,
        })
    }
}

/// A store that reads another one and keeps what is appended to itself.
struct Rehearsal {
    journals: Arc<dyn Store>,
    /// The end of the journal when the rehearsal began.
    end: Position,
    leases: MemoryLeases,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    events: Vec<Recorded>,
    blobs: HashMap<Digest, Arc<str>>,
}

impl Rehearsal {
    fn lock(&self) -> MutexGuard<'_, Taken> {
        // A poisoned lock is safe to use: no change can stop halfway.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for Rehearsal {
    async fn append(&self, batch: Arc<Batch>) -> Result<(), StoreError> {
        let mut taken = self.lock();
        taken.events.extend(batch.events.iter().cloned());
        for blob in &batch.blobs {
            taken.blobs.insert(blob.digest, blob.text.clone());
        }
        let has_caught_up = |recorded: &Recorded| matches!(recorded.event, Event::CaughtUp { .. });
        match batch.events.iter().any(has_caught_up) {
            true => Err(StoreError::Closed),
            false => Ok(()),
        }
    }

    async fn events(&self, run: &RunId, from: Position) -> Result<Vec<Recorded>, StoreError> {
        if from < self.end {
            let mut page = self.journals.events(run, from).await?;
            page.retain(|recorded| recorded.position < self.end);
            return Ok(page);
        }
        let taken = self.lock();
        let later = taken
            .events
            .iter()
            .filter(|recorded| recorded.position >= from);
        Ok(later.cloned().collect())
    }

    async fn blob(&self, digest: Digest) -> Result<Option<Arc<str>>, StoreError> {
        let own = self.lock().blobs.get(&digest).cloned();
        match own {
            Some(text) => Ok(Some(text)),
            None => self.journals.blob(digest).await,
        }
    }

    async fn run(&self, run: &RunId) -> Result<Option<RunSummary>, StoreError> {
        self.journals.run(run).await
    }

    async fn runs(&self, most: usize) -> Result<Vec<RunSummary>, StoreError> {
        self.journals.runs(most).await
    }

    async fn room(&self) -> Result<Room, StoreError> {
        self.journals.room().await
    }

    /// No message is for a rehearsal.
    async fn send(&self, _: &RunId, _: ControlMessage) -> Result<u64, StoreError> {
        Err(StoreError::Closed)
    }

    /// Messages wait for a driver whose events are kept.
    async fn inbox(&self, _: &RunId) -> Result<Vec<Sent>, StoreError> {
        Ok(vec![])
    }

    async fn receipt(&self, number: u64) -> Result<Option<Receipt>, StoreError> {
        self.journals.receipt(number).await
    }

    async fn withdraw(&self, _: u64) -> Result<Option<Receipt>, StoreError> {
        Err(StoreError::Closed)
    }

    /// A rehearsal keeps nothing, so there is nothing to remove.
    async fn remove(&self, _: &[RunId]) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }

    fn leases(&self) -> &dyn Leases {
        &self.leases
    }
}
