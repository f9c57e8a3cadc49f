//! A run that is being driven: watched, parked, cancelled, waited for.

use super::{Engine, Subscription};
use crate::driver::{Control, DriveError, Message};
use crate::executor::Signal;
use divisi_core::event::RunStatus;
use divisi_core::run::Stage;
use divisi_core::{Failure, Position, Run, RunId, RunView};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;

/// A run that is being driven.
///
/// Dropping it lets the run go on until the runtime ends.
pub struct RunHandle {
    pub(super) id: RunId,
    pub(super) inbox: mpsc::UnboundedSender<Message>,
    pub(super) signals: broadcast::Sender<Signal>,
    pub(super) drive: JoinHandle<Result<Run, DriveError>>,
    pub(super) engine: Engine,
    #[cfg(feature = "script")]
    pub(super) script_end: Option<crate::flow::ScriptEnd>,
    pub(super) before: RunView,
}

impl RunHandle {
    /// The run's name.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// The engine that drives it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Parks or cancels it.
    pub fn control(&self) -> Control {
        Control::of(&self.inbox)
    }

    /// What is worth showing but is no fact: replies being written, tools at work.
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    /// The run as it stood when this execution began: nothing, where it is the first.
    pub fn before(&self) -> &RunView {
        &self.before
    }

    /// Its events from `from` on; see [`Engine::subscribe`].
    pub fn subscribe(&self, from: Position) -> Subscription {
        self.engine.subscribe(&self.id, from)
    }

    /// Whether nothing drives it any more.
    pub fn is_finished(&self) -> bool {
        self.drive.is_finished()
    }

    /// Stops driving the run, as a kill of the process would: what is in flight
    /// is lost, and the journal stays as it is.
    pub fn kill(self) {
        self.drive.abort();
    }

    /// Waits until the run is over or parked.
    pub async fn finished(mut self) -> Result<Finished, DriveError> {
        let run = match (&mut self.drive).await {
            Ok(ended) => ended?,
            // The driver's own panic is nobody else's to swallow.
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        };
        let result = match run.result() {
            None => None,
            Some(Ok(value)) => Some(Ok(self.engine.read(value).await?)),
            Some(Err(failure)) => Some(Err(failure.clone())),
        };
        #[cfg(feature = "script")]
        let script_error = match self.script_end.take() {
            Some(end) if matches!(result, Some(Err(_))) => end.await.ok(),
            _ => None,
        };
        Ok(Finished {
            id: self.id.clone(),
            run,
            result,
            #[cfg(feature = "script")]
            script_error,
        })
    }
}

/// A run that is over or parked.
#[non_exhaustive]
pub struct Finished {
    /// Its name.
    pub id: RunId,
    /// Its state.
    pub run: Run,
    /// What its flow returned (JSON text), or why it failed; `None` when it
    /// has not got that far.
    pub result: Option<Result<Arc<str>, Failure>>,
    /// The script's error with its source, when that is why it failed.
    #[cfg(feature = "script")]
    pub script_error: Option<divisi_script::ScriptError>,
}

impl Finished {
    /// How it ended; `None` when it is parked.
    pub fn status(&self) -> Option<RunStatus> {
        match self.run.stage() {
            Stage::Ended(status) => Some(*status),
            _ => None,
        }
    }
}
