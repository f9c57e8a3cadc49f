//! Handles of a run that is being driven.

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
/// Dropping the handle lets the run continue until the runtime ends.
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

    /// Returns a control for it.
    pub fn control(&self) -> Control {
        Control::of(&self.inbox)
    }

    /// Its signals, which are not recorded: replies being written, tools at work.
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    /// The run at the beginning of this execution; empty in the first one.
    pub fn before(&self) -> &RunView {
        &self.before
    }

    /// Its events from `from` on; see [`Engine::subscribe`].
    pub fn subscribe(&self, from: Position) -> Subscription {
        self.engine.subscribe(&self.id, from)
    }

    /// Whether its driver has ended.
    pub fn is_finished(&self) -> bool {
        self.drive.is_finished()
    }

    /// Stops driving the run, as a kill of the process would: attempts in flight are lost, and the
    /// journal stays as it is.
    pub fn kill(self) {
        self.drive.abort();
    }

    /// Waits until the run has ended or parked.
    pub async fn finished(mut self) -> Result<Finished, DriveError> {
        let run = match (&mut self.drive).await {
            Ok(ended) => ended?,
            // A panic of the driver must not be hidden.
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

/// A run that has ended or parked.
#[non_exhaustive]
pub struct Finished {
    /// Its name.
    pub id: RunId,
    /// Its state.
    pub run: Run,
    /// What its flow returned (JSON text), or why it failed; `None` before its end.
    pub result: Option<Result<Arc<str>, Failure>>,
    /// The script's error with its source, if the script failed.
    #[cfg(feature = "script")]
    pub script_error: Option<divisi_script::ScriptError>,
}

impl Finished {
    /// How it ended; `None` if it is parked.
    pub fn status(&self) -> Option<RunStatus> {
        match self.run.stage() {
            Stage::Ended(status) => Some(*status),
            _ => None,
        }
    }
}
