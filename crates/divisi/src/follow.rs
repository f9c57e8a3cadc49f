//! Follows a run to its end: tells of it, and lets a person stop it.

use crate::display::{Line, Look, Mode, Reporter, Tone};
use crate::flags::GlobalFlags;
use crate::output;
use crate::problem;
use crate::stop::{Requests, StopRequests, SuspendRequests, suspend};
use divisi_app::Problem;
use divisi_app::clock;
use divisi_core::{Content, Event, Recorded, Run};
use divisi_engine::store::Batch;
use divisi_engine::{Control, Finished, RunHandle, Signal};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{MissedTickBehavior, interval};

/// How often the screen is drawn: fast enough for the eye, and no faster.
const TICK: Duration = Duration::from_millis(100);

/// How a run is told of.
pub(crate) struct Telling<'a> {
    pub(crate) global: &'a GlobalFlags,
    /// Whether answers are scripted.
    pub(crate) demo: bool,
    /// Whether the script is part of divisi: then its lines help nobody.
    pub(crate) script_is_ours: bool,
}

/// Follows a run to its end, or until it rests.
///
/// `before` is the run as it was when this execution began.
pub(crate) async fn follow(
    handle: RunHandle,
    batches: mpsc::UnboundedReceiver<Arc<Batch>>,
    before: Run,
    telling: Telling<'_>,
) -> Result<Finished, Problem> {
    let GlobalFlags { json, quiet, verbose, .. } = *telling.global;
    let mode = match Mode::of(json, quiet) {
        // Log lines and a frame that is redrawn cannot share a screen.
        Mode::Live if verbose > 0 => Mode::Plain,
        mode => mode,
    };
    let look = Look::of_stderr(telling.demo);
    let reporter = Reporter::new(mode, look, handle.id().clone(), before);
    let mut follower = Follower { reporter, control: handle.control() };
    let mut stops = (StopRequests::of_run(), SuspendRequests::of_display(mode == Mode::Live));
    let heard = follower.hear(batches, handle.signals(), &mut stops).await;
    let finished = handle.finished().await;
    let script_error = finished.as_ref().ok().and_then(|finished| finished.script_error.as_ref());
    let script_error = script_error.filter(|_| !telling.script_is_ours);
    let script_error = script_error.map(|error| problem::shown(error, &look));
    heard
        .and_then(|()| follower.reporter.finish(clock::now(), script_error.as_deref()))
        .or_else(reader_gone)?;
    Ok(finished?)
}

/// What listens while a run goes on.
struct Follower {
    reporter: Reporter,
    control: Control,
}

impl Follower {
    /// Tells of everything until nothing more happens.
    ///
    /// Fails when stdout cannot be written to; the run goes on without a
    /// listener then.
    async fn hear(
        &mut self,
        mut batches: mpsc::UnboundedReceiver<Arc<Batch>>,
        mut signals: broadcast::Receiver<Signal>,
        (stop_requests, suspend_requests): &mut (StopRequests, SuspendRequests),
    ) -> io::Result<()> {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Ok(());
        loop {
            let step = tokio::select! {
                batch = batches.recv() => match batch {
                    Some(batch) => self.batch(&batch, told.is_ok()),
                    None => return told,
                },
                signal = signals.recv() => {
                    self.signal(signal);
                    Ok(())
                }
                _ = ticks.tick(), if told.is_ok() => self.reporter.tick(clock::now()),
                requests = stop_requests.next() => {
                    self.stop(requests);
                    Ok(())
                }
                () = suspend_requests.next() => {
                    self.reporter.suspended(suspend);
                    Ok(())
                }
            };
            told = told.and(step);
        }
    }

    fn batch(&mut self, batch: &Batch, is_told: bool) -> io::Result<()> {
        let mut told = batch.events.iter().filter(|_| is_told);
        told.try_for_each(|recorded| self.reporter.event(&with_result(recorded, batch)))
    }

    fn signal(&mut self, signal: Result<Signal, RecvError>) {
        match signal {
            Ok(signal) => self.reporter.signal(signal),
            // What was missed is out of date by now. The handle keeps the other end open.
            Err(RecvError::Lagged(_) | RecvError::Closed) => {}
        }
    }

    /// Once to rest, twice to end.
    fn stop(&mut self, requests: Requests) {
        let (asking, working) = self.reporter.at_work();
        if requests.count > 1 {
            self.control.cancel();
            return self.reporter.say(Line::of(Tone::Warn, "stopping: ").plain(lost(asking)));
        }
        self.control.park();
        self.reporter.say(Line::of(Tone::Warn, "parking: ").plain(awaited(asking, working, requests)));
    }
}

/// What a run that parks waits for.
fn awaited(asking: usize, working: usize, requests: Requests) -> String {
    let counted =
        [counted(asking, "request", "requests"), counted(working, "tool or program", "tools or programs")];
    match counted.into_iter().flatten().collect::<Vec<_>>().join(" and ") {
        none if none.is_empty() => "nothing is under way".to_owned(),
        all => {
            let most = requests.patience.map(|most| format!(" at most {} s", most.as_secs()));
            format!("waiting{} for {all} to finish; Ctrl-C again to stop now", most.unwrap_or_default())
        }
    }
}

/// What a run that is cancelled loses.
fn lost(asking: usize) -> String {
    let lost = "what is under way is lost";
    match counted(asking, "request", "requests") {
        None => lost.to_owned(),
        Some(asking) => format!("{lost}; {asking} may be billed"),
    }
}

fn counted(count: usize, one: &str, several: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {several}")),
    }
}

/// The event with the text that the flow returned, which the journal keeps
/// elsewhere if it is long: who reads the events asks for the result.
fn with_result<'a>(recorded: &'a Recorded, batch: &Batch) -> Cow<'a, Recorded> {
    let Event::FlowEnded { result: Ok(Content::Stored { digest, .. }) } = &recorded.event else {
        return Cow::Borrowed(recorded);
    };
    match batch.blobs.iter().find(|blob| blob.digest == *digest) {
        None => Cow::Borrowed(recorded),
        Some(blob) => {
            let event = Event::FlowEnded { result: Ok(Content::Inline(blob.text.clone())) };
            Cow::Owned(Recorded { event, ..recorded.clone() })
        }
    }
}

/// A reader of stdout that has gone counts as having read all. Other failures of
/// stdout are told when the process ends.
fn reader_gone(error: io::Error) -> Result<(), Problem> {
    match output::is_gone(&error) || error.raw_os_error().is_some() {
        true => Ok(()),
        false => Err(Problem::failed(anyhow::Error::new(error).context("cannot tell what the run does"))),
    }
}
