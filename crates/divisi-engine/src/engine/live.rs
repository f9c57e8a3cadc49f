//! The runs that this process drives, and their channels.

use super::Control;
use crate::driver::Message;
use crate::executor::Signal;
use crate::store::Batch;
use divisi_core::RunId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, mpsc};

/// Batches kept for slow subscribers; one that misses a batch reads the store. Few, because the
/// batch of a large fan-out has thousands of events.
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

    /// Returns a control for it.
    pub fn control(&self) -> Control {
        Control {
            inbox: self.inbox.clone(),
        }
    }

    /// Its signals, which are not recorded: replies being written, tools at work.
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }
}

/// Sends the durable batches of a run to its subscribers.
pub(super) type Bus = broadcast::Sender<Arc<Batch>>;

/// The runs that this process drives, and their buses. Only this list and the drivers keep a bus
/// open.
#[derive(Clone, Default)]
pub(super) struct LiveRuns(Arc<Mutex<BTreeMap<RunId, (LiveRun, Bus)>>>);

impl LiveRuns {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, (LiveRun, Bus)>> {
        // A poisoned lock is safe to use: no change of the map can stop halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a run until the returned guard is dropped; the bus is for its driver.
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

    /// The durable batches of a run from now on. The channel closes with the run.
    pub(super) fn batches(&self, id: &RunId) -> Option<broadcast::Receiver<Arc<Batch>>> {
        self.lock().get(id).map(|(_, bus)| bus.subscribe())
    }

    pub(super) fn all(&self) -> Vec<LiveRun> {
        self.lock().values().map(|(run, _)| run.clone()).collect()
    }
}

/// Keeps a run in the list while it is driven.
pub(crate) struct Listed {
    runs: LiveRuns,
    run: LiveRun,
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut runs = self.runs.lock();
        // Another driver of the same run may have replaced the entry.
        if runs
            .get(&self.run.id)
            .is_some_and(|(listed, _)| listed.inbox.same_channel(&self.run.inbox))
        {
            runs.remove(&self.run.id);
        }
    }
}
