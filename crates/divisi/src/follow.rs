//! Follows a run to its end: reports it, and lets the user stop it.

use crate::cap;
use crate::display::show::INTERRUPTED;
use crate::display::{KeysOf, Line, Look, Mode, Reporter, Tone};
use crate::exit::Exit;
use crate::flags::{GlobalFlags, StreamForm};
use crate::keys::{Key, Keys};
use crate::notices::Notices;
use crate::output;
use crate::problem;
use crate::questions::{self, Questions};
use crate::result;
use crate::results;
use crate::stop::{self, Requests, StopRequests, SuspendRequests, suspend};
use crate::text;
use anyhow::Context as _;
use divisi_app::settings::Dollars;
use divisi_app::{Problem, RunRequest, clock};
use divisi_core::governor::IN_FLIGHT_MAX;
use divisi_core::run::Stage;
use divisi_core::{Content, Event, Outcome, Recorded, RunId, RunView, Task, TaskId};
use divisi_engine::store::{ControlMessage, Receipt};
use divisi_engine::{Control, Engine, Finished, RunHandle, Signal, Subscription};
use futures::StreamExt;
use std::borrow::Cow;
use std::io::{self, IsTerminal};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

/// How often the screen is drawn; a higher rate would not be seen.
const TICK: Duration = Duration::from_millis(100);

/// How a run is reported.
pub(crate) struct Telling<'a> {
    pub(crate) global: &'a GlobalFlags,
    /// Whether answers are scripted.
    pub(crate) demo: bool,
    /// Whether the script is part of divisi: then its lines do not help the user.
    pub(crate) script_is_ours: bool,
    /// Whether what the flow returns is written to stdout.
    pub(crate) prints_result: bool,
    /// The form in which results are printed while they come, if they are.
    pub(crate) stream: Option<StreamForm>,
}

impl Telling<'_> {
    fn mode(&self) -> Mode {
        let GlobalFlags {
            json,
            quiet,
            verbose,
            ..
        } = *self.global;
        match Mode::of(json, quiet) {
            // Log lines and a redrawn frame cannot share a screen.
            Mode::Live if verbose > 0 => Mode::Plain,
            mode => mode,
        }
    }
}

/// A run as it was left.
pub(crate) struct Followed {
    pub(crate) finished: Finished,
    /// Fails if not all of it could be reported.
    pub(crate) told: Result<(), Problem>,
}

/// Follows a run to its end, or until it parks.
pub(crate) async fn follow(
    handle: RunHandle,
    telling: Telling<'_>,
    questions: Option<Questions<'_>>,
    notices: Notices,
) -> Result<Followed, Problem> {
    let mode = telling.mode();
    let look = Look::of_stderr(telling.demo);
    let before = handle.before().clone();
    let events = handle.subscribe(before.position);
    let mut reporter = Reporter::new(mode, look, handle.id().clone(), before);
    if questions.is_some() {
        reporter = reporter.attended();
    }
    let mut follower = Follower {
        reporter,
        control: handle.control(),
        engine: handle.engine().clone(),
        questions,
        notices,
        stream: telling.stream,
        streamed: vec![],
        is_parked_by_key: false,
    };
    let mut stops = (
        StopRequests::of_run(),
        SuspendRequests::of_display(mode == Mode::Live),
    );
    let mut keys = Keys::of_display(mode == Mode::Live);
    if keys.are_heard() {
        follower.reporter.hears_keys(KeysOf::Driver);
    }
    let heard = follower.hear(events, &handle, &mut stops, &mut keys).await;
    if let Some(questions) = follower.questions.take() {
        questions.close(&mut follower.reporter).await;
    }
    let heard = heard.and(follower.print_streamed().await);
    if let Some(failure) = follower.notices.finish().await {
        follower.reporter.say(no_notice(&failure));
    }
    drop(keys);
    let finished = handle.finished().await;
    let script_error = finished
        .as_ref()
        .ok()
        .and_then(|finished| finished.script_error.as_ref());
    let script_error = script_error.filter(|_| !telling.script_is_ours);
    let script_error = script_error.map(|error| problem::shown(error, &look));
    let cap_least = finished
        .as_ref()
        .ok()
        .and_then(|finished| finished.run.cap_least());
    follower.reporter.remove_frame();
    let written = match &finished {
        Ok(finished) if telling.prints_result => write_result(finished),
        _ => Ok(()),
    };
    let told = heard.and_then(|()| {
        follower
            .reporter
            .finish(clock::now(), script_error.as_deref(), cap_least)
    });
    let written = written.context("cannot write the result to stdout");
    Ok(Followed {
        finished: finished?,
        told: told.or_else(reader_gone).and(written.map_err(Into::into)),
    })
}

/// Writes what the flow has returned to stdout. On a terminal, where both outputs share the screen,
/// it is there before the last lines on stderr.
fn write_result(finished: &Finished) -> anyhow::Result<()> {
    if let Some(Ok(result)) = &finished.result {
        result::print(result)?;
        if io::stdout().is_terminal() {
            output::finish_results()?;
        }
    }
    Ok(())
}

/// Follows a run that another process drives, to its end or until it parks.
pub(crate) async fn watch(
    engine: &Engine,
    id: &RunId,
    telling: Telling<'_>,
) -> Result<Exit, Problem> {
    let mode = telling.mode();
    // Programs receive every event from the first on; the user sees the current state.
    let before = match mode {
        Mode::Json => RunView::default(),
        Mode::Live | Mode::Plain | Mode::Quiet => engine.view(id).await?.0,
    };
    let mut events = pin!(engine.subscribe(id, before.position).into_stream());
    let (ended, total) = (
        before.counts.total() - before.counts.open,
        before.counts.total(),
    );
    let so_far = format!(": {ended} of {total} tasks have ended so far");
    let so_far = Line::of(Tone::Strong, &*before.name)
        .put(Tone::Dim, format!(" {id}"))
        .plain(so_far);
    let mut reporter = Reporter::new(mode, Look::of_stderr(telling.demo), id.clone(), before);
    reporter.say(so_far);
    let mut keys = Keys::of_display(mode == Mode::Live);
    if keys.are_heard() {
        reporter.hears_keys(KeysOf::Watcher);
    }
    let mut ticks = interval(TICK);
    // After a pause, such as Ctrl-Z, one frame is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let told = loop {
        let step = tokio::select! {
            events = events.next() => match events {
                None => break Ok(()),
                Some(events) => tell(&mut reporter, engine, &events?).await,
            },
            _ = ticks.tick() => reporter.tick(clock::now()),
            key = keys.next() => {
                match key {
                    _ if reporter.is_typing() => typed(&mut reporter, engine, id, key).await,
                    Key::Stop => stop::request(),
                    Key::Park => park(&mut reporter, engine, id).await,
                    Key::More | Key::Fewer => {
                        change_width(&mut reporter, engine, id, key == Key::More).await;
                    }
                    Key::Up
                    | Key::Down
                    | Key::Open
                    | Key::Back
                    | Key::Cap
                    | Key::Digit(_)
                    | Key::Erase
                    | Key::Help => show(&mut reporter, engine, id, key).await,
                }
                Ok(())
            }
        };
        if step.is_err() {
            break step;
        }
    };
    if told.is_ok() {
        reporter.is_left();
    }
    let cap_least = engine.load(id).await?.cap_least();
    let status = match reporter.stage() {
        Stage::Ended(status) => Some(*status),
        _ => None,
    };
    told.and_then(|()| reporter.finish(clock::now(), None, cap_least))
        .or_else(reader_gone)?;
    if telling.global.json {
        let (_, is_interrupted) = engine.view(id).await?;
        let mut run = engine.load(id).await?;
        if is_interrupted {
            run.assume_dead().map_err(Problem::failed)?;
        }
        result::print_last_line(engine, id, &run, is_interrupted.then_some(INTERRUPTED)).await?;
    }
    Ok(Exit::of(status))
}

/// Applies a key that changes only what is shown.
async fn show(reporter: &mut Reporter, engine: &Engine, run: &RunId, key: Key) {
    let Some(task) = reporter.key(key) else {
        return;
    };
    let prompt = match prompt_of(engine, run, task).await {
        Ok(prompt) => prompt,
        Err(problem) => format!("(cannot be read: {problem})").into(),
    };
    reporter.look_into(task, prompt);
}

/// Applies a key to a cap that is being typed, and sets it once it is complete.
async fn typed(reporter: &mut Reporter, engine: &Engine, run: &RunId, key: Key) {
    let Some(typed) = reporter.typed(key).filter(|typed| !typed.is_empty()) else {
        return;
    };
    let set = async {
        let Dollars(cap) = typed.parse().map_err(|why: String| Problem::usage(why))?;
        cap::set(engine, run, reporter.run(), cap).await
    };
    // If it is set, the news of the run say so.
    if let Err(problem) = set.await {
        warn(reporter, &problem.to_string());
    }
}

/// Doubles how many tasks run at a time, or halves what is under way, in whichever process drives
/// the run.
async fn change_width(reporter: &mut Reporter, engine: &Engine, run: &RunId, more: bool) {
    let most = reporter.run().in_flight_max.max(1);
    let (asking, working) = reporter.at_work();
    let under_way = u32::try_from(asking + working).unwrap_or(u32::MAX);
    let in_flight_max = match more {
        true => most.saturating_mul(2).min(IN_FLIGHT_MAX.max(most)),
        false => (under_way.min(most) / 2).max(1),
    };
    let message = ControlMessage::Width { in_flight_max };
    match engine.send(run, message).await {
        // The news of the run say so; or it is over, or does so already.
        Ok(_) => {}
        Err(error) => warn(reporter, &error.to_string()),
    }
}

/// Parks the run in the process that drives it.
async fn park(reporter: &mut Reporter, engine: &Engine, run: &RunId) {
    match engine.send(run, ControlMessage::Park).await {
        Ok(Some(Receipt::Done)) => {
            let told = format!("run {run} parks: what is under way is finished first");
            reporter.say(Line::new().plain(told));
        }
        // It is over, or parks already.
        Ok(_) => {}
        Err(error) => warn(reporter, &error.to_string()),
    }
}

fn warn(reporter: &mut Reporter, why: &str) {
    reporter.say(Line::of(Tone::Warn, "warning: ").plain(text::line(why)));
}

async fn prompt_of(engine: &Engine, run: &RunId, task: TaskId) -> anyhow::Result<Arc<str>> {
    let run = engine.load(run).await?;
    let spec = run
        .task(task)
        .context("the journal does not have it yet")?
        .spec();
    let task: Task = serde_json::from_str(&engine.read(spec).await?)?;
    Ok(task.prompt)
}

/// Reports events; all of them, even if one could not be.
async fn tell(reporter: &mut Reporter, engine: &Engine, events: &[Recorded]) -> io::Result<()> {
    let mut told = Ok(());
    for recorded in events {
        let recorded = with_result(engine, recorded).await;
        told = told.and(reporter.event(&recorded));
    }
    told
}

/// Whether the answers of a run are scripted; assumed not to be if its options were not kept.
pub(crate) async fn is_demo(engine: &Engine, view: &RunView) -> Result<bool, Problem> {
    let Some(options) = view.flow.as_ref().and_then(|flow| flow.options.as_ref()) else {
        return Ok(false);
    };
    let kept = engine.read(options).await?;
    Ok(serde_json::from_str::<RunRequest>(&kept).is_ok_and(|request| request.demo))
}

/// Reports a run and passes stop requests to it.
struct Follower<'a> {
    reporter: Reporter,
    control: Control,
    engine: Engine,
    /// The questions of the run, if they are asked here.
    questions: Option<Questions<'a>>,
    notices: Notices,
    stream: Option<StreamForm>,
    /// Tasks whose results are printed after the question that has the terminal; bounded by the
    /// number of tasks.
    streamed: Vec<(TaskId, Outcome)>,
    /// Whether a key has parked the run: the next request to stop is then the second.
    is_parked_by_key: bool,
}

impl Follower<'_> {
    /// Reports everything until the events end.
    ///
    /// Fails when stdout cannot be written to or the journal cannot be read. The run then goes on;
    /// this still waits for it, asks its questions, and handles requests to stop.
    async fn hear(
        &mut self,
        events: Subscription,
        handle: &RunHandle,
        (stop_requests, suspend_requests): &mut (StopRequests, SuspendRequests),
        keys: &mut Keys,
    ) -> io::Result<()> {
        let mut events = pin!(events.into_stream());
        let mut signals = handle.signals();
        let mut is_lost = false;
        let mut ticks = interval(TICK);
        // After a pause, such as Ctrl-Z, one frame is enough.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Ok(());
        loop {
            let step = tokio::select! {
                events = events.next(), if !is_lost => match events {
                    Some(Ok(events)) => self.tell(&events).await,
                    Some(Err(error)) => {
                        is_lost = true;
                        Err(io::Error::other(error))
                    }
                    None => return told,
                },
                signal = signals.recv() => {
                    self.signal(signal);
                    Ok(())
                }
                // Its end would have come as an event.
                _ = ticks.tick() => match is_lost && handle.is_finished() {
                    true => return told,
                    false => self.reporter.tick(clock::now()),
                },
                requests = stop_requests.next() => {
                    self.stop(requests);
                    Ok(())
                }
                key = keys.next() => {
                    self.key(key, handle.id()).await;
                    Ok(())
                }
                failure = self.notices.failed() => {
                    self.reporter.say(no_notice(&failure));
                    Ok(())
                }
                said = questions::said(&mut self.questions) => {
                    if let Some(questions) = &mut self.questions {
                        questions.take(said, &mut self.reporter).await;
                    }
                    self.print_streamed().await
                }
                () = suspend_requests.next() => {
                    self.reporter.suspended(suspend);
                    Ok(())
                }
            };
            told = told.and(step);
        }
    }

    /// Reports events, and asks the questions among them.
    async fn tell(&mut self, events: &[Recorded]) -> io::Result<()> {
        let told = tell(&mut self.reporter, &self.engine, events).await;
        let streamed = self.stream(events).await;
        self.notices
            .heed(self.reporter.id(), self.reporter.run(), events);
        if let Some(questions) = &mut self.questions {
            questions.heed(events);
            questions.go_on(&mut self.reporter).await;
        }
        told.and(streamed)
    }

    /// Prints what tasks have answered, above the frame, if that is wanted.
    async fn stream(&mut self, events: &[Recorded]) -> io::Result<()> {
        if self.stream.is_some() {
            let ends = events.iter().filter_map(|recorded| match &recorded.event {
                Event::TaskEnded { task, outcome } => Some((*task, outcome.clone())),
                _ => None,
            });
            self.streamed.extend(ends);
        }
        self.print_streamed().await
    }

    /// Prints the results that have come, unless a question has the terminal.
    async fn print_streamed(&mut self) -> io::Result<()> {
        let Some(form) = self.stream else {
            return Ok(());
        };
        if self.reporter.is_held() && io::stdout().is_terminal() {
            return Ok(());
        }
        let mut told = Ok(());
        for (id, outcome) in std::mem::take(&mut self.streamed) {
            let view = self.reporter.run();
            let Some(task) = view.task(id).filter(|task| !task.is_timer) else {
                continue;
            };
            let row = results::row(&self.engine, view, (id, task), Some(&outcome)).await;
            let row = row.map_err(io::Error::other)?;
            self.reporter.suspended(|| {
                if told.is_ok() {
                    told = results::print_stream(&[row], form);
                }
            });
        }
        told.map_err(io::Error::other)
    }

    fn signal(&mut self, signal: Result<Signal, RecvError>) {
        match signal {
            Ok(signal) => self.reporter.signal(signal),
            // Missed signals are outdated by now. The handle keeps the channel open.
            Err(RecvError::Lagged(_) | RecvError::Closed) => {}
        }
    }

    async fn key(&mut self, key: Key, run: &RunId) {
        let (reporter, engine) = (&mut self.reporter, &self.engine);
        match key {
            _ if reporter.is_typing() => typed(reporter, engine, run, key).await,
            Key::Stop => stop::request(),
            // Never the second request, which would cancel the run.
            Key::Park => match reporter.stage() {
                Stage::Running | Stage::Replaying if !self.is_parked_by_key => {
                    self.is_parked_by_key = true;
                    self.park(None);
                }
                _ => {}
            },
            Key::More | Key::Fewer => {
                change_width(reporter, engine, run, key == Key::More).await;
            }
            Key::Up
            | Key::Down
            | Key::Open
            | Key::Back
            | Key::Cap
            | Key::Digit(_)
            | Key::Erase
            | Key::Help => show(reporter, engine, run, key).await,
        }
    }

    /// The first request parks the run, the second cancels it.
    fn stop(&mut self, requests: Requests) {
        if requests.count == 1 && !self.is_parked_by_key {
            return self.park(requests.patience);
        }
        self.control.cancel();
        let (asking, _) = self.reporter.at_work();
        self.reporter
            .say(Line::of(Tone::Warn, "stopping: ").plain(lost(asking)));
    }

    /// `patience` is how long attempts under way may take, if that does not end by a request.
    fn park(&mut self, patience: Option<Duration>) {
        let (asking, working) = self.reporter.at_work();
        self.control.park();
        self.reporter
            .say(Line::of(Tone::Warn, "parking: ").plain(awaited(asking, working, patience)));
    }
}

/// The warning for a notice that did not arrive.
fn no_notice(failure: &str) -> Line {
    Line::of(Tone::Warn, "warning: ").plain(format!(
        "you may not be told of this run: {} (`notify` in the settings)",
        text::line(failure)
    ))
}

/// What a parking run waits for.
fn awaited(asking: usize, working: usize, patience: Option<Duration>) -> String {
    let counted = [
        counted(asking, "request", "requests"),
        counted(working, "tool or program", "tools or programs"),
    ];
    match counted
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" and ")
    {
        none if none.is_empty() => "nothing is under way".to_owned(),
        all => {
            let most = patience.map(|most| format!(" at most {} s", most.as_secs()));
            format!(
                "waiting{} for {all} to finish; Ctrl-C again to stop now",
                most.unwrap_or_default()
            )
        }
    }
}

/// What a cancelled run loses.
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

/// The event with the result of the flow in full: the journal stores a long result elsewhere, but
/// readers of the events expect it.
async fn with_result<'a>(engine: &Engine, recorded: &'a Recorded) -> Cow<'a, Recorded> {
    let Event::FlowEnded {
        result: Ok(content @ Content::Stored { .. }),
    } = &recorded.event
    else {
        return Cow::Borrowed(recorded);
    };
    match engine.read(content).await {
        // The end of the run reports a store that cannot be read.
        Err(_) => Cow::Borrowed(recorded),
        Ok(text) => {
            let event = Event::FlowEnded {
                result: Ok(Content::Inline(text)),
            };
            Cow::Owned(Recorded {
                event,
                ..recorded.clone()
            })
        }
    }
}

/// A closed stdout is no failure. Other failures of stdout are reported when the process ends.
fn reader_gone(error: io::Error) -> Result<(), Problem> {
    match output::is_gone(&error) || error.raw_os_error().is_some() {
        true => Ok(()),
        false => Err(Problem::failed(
            anyhow::Error::new(error).context("cannot tell what the run does"),
        )),
    }
}
