//! The runs that this process drives, and their channels.

use super::message::Message;
use crate::executor::Signal;
use crate::store::{Batch, ControlMessage, Receipt};
use divisi_core::estimate::Estimate;
use divisi_core::{RunId, TaskId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, mpsc, oneshot};

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
    pub(crate) fn new(
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
        Control::of(&self.inbox)
    }

    /// Its signals, which are not recorded: replies being written, tools at work.
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }
}

/// Controls a run from elsewhere.
#[derive(Clone)]
pub struct Control {
    inbox: mpsc::UnboundedSender<Message>,
}

impl Control {
    /// The control of the run whose driver has this inbox.
    pub(crate) fn of(inbox: &mpsc::UnboundedSender<Message>) -> Self {
        Self {
            inbox: inbox.clone(),
        }
    }

    /// Sends a message to the run, and waits until its effect is durable. `None` if the run was no
    /// longer driven.
    pub async fn tell(&self, message: ControlMessage) -> Option<Receipt> {
        let (receipt, received) = oneshot::channel();
        let control = Message::Control { message, receipt };
        self.inbox.send(control).ok()?;
        received.await.ok()
    }

    /// Puts off a question of an attended run: if nothing else is left to do or to ask, the run
    /// parks.
    pub fn put_off(&self, task: TaskId) {
        // Fails if the run has ended, which asks nothing.
        let _ = self.inbox.send(Message::PutOff(task));
    }

    /// Parks the run: starts nothing new and lets requests in flight finish. Requests that wait for
    /// a permit end at once.
    pub fn park(&self) {
        // Fails if the run has ended, which needs no parking.
        let _ = self.inbox.send(Message::Park);
    }

    /// Sends the estimate of the run for its journal. Only the first one of an execution is kept.
    pub fn estimate(&self, estimate: Estimate) {
        let _ = self.inbox.send(Message::Estimate(Box::new(estimate)));
    }

    /// Ends the run at once. Attempts in flight are lost; requests that were sent may be billed.
    pub fn cancel(&self) {
        let _ = self.inbox.send(Message::Cancel);
    }
}

/// Sends the durable batches of a run to its subscribers.
pub(crate) type Bus = broadcast::Sender<Arc<Batch>>;

/// The runs that this process drives, and their buses. Only this list and the drivers keep a bus
/// open.
#[derive(Clone, Default)]
pub(crate) struct LiveRuns(Arc<Mutex<BTreeMap<RunId, (LiveRun, Bus)>>>);

impl LiveRuns {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<RunId, (LiveRun, Bus)>> {
        // A poisoned lock is safe to use: no change of the map can stop halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists a run until the returned guard is dropped; the bus is for its driver.
    pub(crate) fn list(&self, run: LiveRun) -> (Listed, Bus) {
        let (bus, _) = broadcast::channel(BUS_BATCHES_MAX);
        let listed = Listed {
            runs: self.clone(),
            run: run.clone(),
        };
        self.lock().insert(run.id.clone(), (run, bus.clone()));
        (listed, bus)
    }

    pub(crate) fn get(&self, id: &RunId) -> Option<LiveRun> {
        self.lock().get(id).map(|(run, _)| run.clone())
    }

    /// The durable batches of a run from now on. The channel closes with the run.
    pub(crate) fn batches(&self, id: &RunId) -> Option<broadcast::Receiver<Arc<Batch>>> {
        self.lock().get(id).map(|(_, bus)| bus.subscribe())
    }

    pub(crate) fn all(&self) -> Vec<LiveRun> {
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
