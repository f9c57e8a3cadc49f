//! Which runs this process drives, and what each of them says.

use super::Control;
use crate::driver::Message;
use crate::executor::Signal;
use crate::store::Batch;
use divisi_core::RunId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, mpsc};

/// Batches kept for subscribers that are slow; who misses one reads the store. Few,
/// because the batch of a large fan-out holds thousands of events.
const BUS_BATCHES_MAX: usize = 64;

/// A run that this process drives.
#[derive(Clone)]
pub struct LiveRun {
    id: RunId,
    inbox: mpsc::UnboundedSender<Message>,
    signals: broadcast::Sender<Signal>,
}

impl LiveRun {
    pub(super) fn new(
        id: RunId,
        inbox: mpsc::UnboundedSender<Message>,
        signals: broadcast::Sender<Signal>,
    ) -> Self {
        Self { id, inbox, signals }
    }

    /// The run's name.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Parks or cancels it.
    pub fn control(&self) -> Control {
        Control {
            inbox: self.inbox.clone(),
        }
    }

    /// What is worth showing but is no fact: replies being written, tools at work.
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }
}

/// Leads the durable batches of a run to its subscribers.
pub(super) type Bus = broadcast::Sender<Arc<Batch>>;

/// The runs that this process drives, and their buses. Only these and the drivers hold
/// a bus open.
#[derive(Clone, Default)]
pub(super) struct LiveRuns(Arc<Mutex<BTreeMap<RunId, (LiveRun, Bus)>>>);

impl LiveRuns {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, (LiveRun, Bus)>> {
        // Nothing panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a run until the first of what is returned is dropped; the second is for its
    /// driver.
    pub(super) fn list(&self, run: LiveRun) -> (Listed, Bus) {
        let (bus, _) = broadcast::channel(BUS_BATCHES_MAX);
        let listed = Listed {
            runs: self.clone(),
            run: run.clone(),
        };
        self.lock().insert(run.id.clone(), (run, bus.clone()));
        (listed, bus)
    }

    pub(super) fn get(&self, id: &RunId) -> Option<LiveRun> {
        self.lock().get(id).map(|(run, _)| run.clone())
    }

    /// The batches of a run from now on, once each is durable. It closes with the run.
    pub(super) fn batches(&self, id: &RunId) -> Option<broadcast::Receiver<Arc<Batch>>> {
        self.lock().get(id).map(|(_, bus)| bus.subscribe())
    }

    pub(super) fn all(&self) -> Vec<LiveRun> {
        self.lock().values().map(|(run, _)| run.clone()).collect()
    }
}

/// A run's place in the list, for as long as it is driven.
pub(crate) struct Listed {
    runs: LiveRuns,
    run: LiveRun,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut runs = self.runs.lock();
        // Another driver of the same run may have taken its place already.
        if runs
            .get(&self.run.id)
            .is_some_and(|(listed, _)| listed.inbox.same_channel(&self.run.inbox))
        {
            runs.remove(&self.run.id);
        }
    }
}
