//! Runs a flow's script on a thread of its own.
//!
//! JavaScript runs until it waits; then the thread sends all its calls to the driver, and reports
//! that it is quiet. Answers are given one at a time in the order of their arrival, because a
//! replay must repeat the script's order of execution.

use super::Library;
use super::texts_of;
use super::watchdog::{LOOK_EVERY, Watchdog};
use crate::driver::{FlowNews, Message, TaskEnd, TaskReport, Waiter};
use crate::resolve::{Resolved, Resolver};
use divisi_core::event::{Awaited, CallSite, Edges, GroupBegan};
use divisi_core::reads::Reads;
use divisi_core::{Failure, FailureClass, Site};
use divisi_script::{Answer, Call, CallId, Host, HostOptions, Script, ScriptError, TaskAnswer};
use serde_json::Value;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Stack of the thread, of which the script's own limit is a quarter.
const STACK_BYTES: usize = 4 * 1024 * 1024;

/// Receives the error of a failed script, for display with its source.
pub(crate) type ScriptEnd = oneshot::Receiver<ScriptError>;

/// Why a computation on a script's thread has no result.
pub(crate) enum NoResult {
    /// The system could not start a thread.
    Thread(std::io::Error),
    /// The thread was abandoned.
    Stuck(Box<ScriptError>),
}

/// Computes something with `script` on a thread with enough stack. A thread that does not return,
/// as the pulse of `options` shows, is abandoned.
pub(crate) fn on_stack<T: Send + 'static>(
    script: &Script,
    options: &HostOptions,
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoResult> {
    let watchdog = Watchdog::new(options.pulse.clone());
    let (sender, computed) = std::sync::mpsc::channel();
    let watched = watchdog.clone();
    let thread = on_thread(move || {
        watched.watch_this_thread();
        // Fails if the caller has abandoned the thread, and then the result is not needed.
        let _ = sender.send(compute());
    });
    let thread = thread.map_err(NoResult::Thread)?;
    loop {
        match computed.recv_timeout(LOOK_EVERY) {
            Ok(result) => return Ok(result),
            Err(RecvTimeoutError::Timeout) if watchdog.is_stuck() => {
                let stuck = ScriptError::stuck(script, options.limits.busy_max);
                return Err(NoResult::Stuck(Box::new(stuck)));
            }
            Err(RecvTimeoutError::Timeout) => {}
            // A panic of the thread is passed on.
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => return Err(NoResult::Thread(std::io::ErrorKind::BrokenPipe.into())),
            },
        }
    }
}

fn on_thread(work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("divisi-script".into())
        .stack_size(STACK_BYTES)
        .spawn(work)
}

/// Starts `script`. Its calls are sent to `inbox`; its answers come from `answers`.
pub(crate) fn start(
    script: Script,
    args: Option<Value>,
    options: HostOptions,
    resolver: Arc<Resolver>,
    inbox: mpsc::UnboundedSender<Message>,
    answers: mpsc::UnboundedReceiver<(u64, TaskReport)>,
) -> std::io::Result<ScriptEnd> {
    let (failed, end) = oneshot::channel();
    let (goes_on, over) = oneshot::channel::<()>();
    let watchdog = Watchdog::new(options.pulse.clone());
    let end_of = End {
        inbox: inbox.clone(),
        failed: Arc::new(Mutex::new(Some(failed))),
    };
    tokio::spawn(leave_behind_if_stuck(
        watchdog.clone(),
        over,
        end_of.clone(),
        (script.clone(), options.limits.busy_max),
    ));
    on_thread(move || {
        watchdog.watch_this_thread();
        let library = Library::new(&resolver.setup().workspace);
        let feed = Feed {
            resolver,
            inbox,
            library,
            own: script.name().clone(),
            warned: RefCell::default(),
            reads: RefCell::default(),
            begun: RefCell::default(),
        };
        end_of.tell(feed.run(&script, args, options, answers));
        // Ends the watch over this thread, after the flow's end was reported.
        drop(goes_on);
    })?;
    Ok(end)
}

/// Ends the flow of a script that computes and cannot be stopped; its thread runs until the process
/// ends. `over` closes when the thread is done.
async fn leave_behind_if_stuck(
    watchdog: Watchdog,
    mut over: oneshot::Receiver<()>,
    end: End,
    (script, busy_max): (Script, Duration),
) {
    while tokio::time::timeout(LOOK_EVERY, &mut over).await.is_err() {
        if watchdog.is_stuck() {
            return end.tell(Err(ScriptError::stuck(&script, busy_max)));
        }
    }
}

/// Reports the end of a flow.
#[derive(Clone)]
struct End {
    inbox: mpsc::UnboundedSender<Message>,
    /// Gets the error with its source, once, for display.
    failed: Arc<Mutex<Option<oneshot::Sender<ScriptError>>>>,
}

impl End {
    /// Reports the end. The driver ignores all but the first one.
    fn tell(&self, result: Result<Arc<str>, ScriptError>) {
        let failed = self
            .failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let result = result.map_err(|error| {
            let failure = Failure::new(FailureClass::Flow, error.to_string());
            // Fails if the receiver is gone or has got an earlier error.
            let _ = failed.map(|failed| failed.send(error));
            failure
        });
        // Fails only if the driver has ended.
        let _ = self.inbox.send(Message::Flow(FlowNews::Ended(result)));
    }
}

struct Feed {
    resolver: Arc<Resolver>,
    inbox: mpsc::UnboundedSender<Message>,
    library: Library,
    /// The file name of the flow's own script.
    own: Arc<str>,
    /// Missing tools that have been logged.
    warned: RefCell<BTreeSet<String>>,
    /// The results given to the script.
    reads: RefCell<Reads>,
    /// Groups that have begun since its last task.
    begun: RefCell<Vec<GroupBegan>>,
}

impl Feed {
    fn run(
        &self,
        script: &Script,
        args: Option<Value>,
        options: HostOptions,
        mut answers: mpsc::UnboundedReceiver<(u64, TaskReport)>,
    ) -> Result<Arc<str>, ScriptError> {
        let (mut host, calls) = Host::start(script, args, options)?;
        let mut answered = 0;
        self.make(&mut host, calls, answered)?;
        loop {
            if let Some(result) = host.finished() {
                return result;
            }
            self.tell(FlowNews::Quiet { answered });
            let Some((call, report)) = answers.blocking_recv() else {
                // The run has parked or was dropped, so the result is not needed.
                return Ok("null".into());
            };
            answered += 1;
            self.answer(&mut host, call, report, answered)?;
            // Answers that arrived meanwhile are given before the next report of being quiet.
            while let Ok((call, report)) = answers.try_recv() {
                answered += 1;
                self.answer(&mut host, call, report, answered)?;
            }
        }
    }

    /// Gives an answer to the script, the one with number `answered`.
    fn answer(
        &self,
        host: &mut Host,
        call: u64,
        report: TaskReport,
        answered: u64,
    ) -> Result<(), ScriptError> {
        if let (Some(task), TaskEnd::Ok(json)) = (report.task, &report.end) {
            self.reads.borrow_mut().given(task, json);
        }
        let calls = host.resolve(CallId(call as u32), Answer::Task(task_answer(report)))?;
        self.make(host, calls, answered)
    }

    /// Sends the script's calls after this number of answers. Other scripts are loaded at once.
    fn make(
        &self,
        host: &mut Host,
        mut calls: Vec<Call>,
        answered: u64,
    ) -> Result<(), ScriptError> {
        longest_chains_first(&mut calls);
        let mut calls = VecDeque::from(calls);
        // This answer has completed the group, and what waited for the group continues.
        let mut ended = None;
        while let Some(call) = calls.pop_front() {
            match call {
                Call::Task {
                    id,
                    task,
                    priority,
                    site,
                    column,
                    group,
                    ..
                } => {
                    let reads = self.reads.borrow().of(texts_of(&task));
                    let mut resolved = Box::new(self.resolver.resolve(*task, priority));
                    resolved.submission.asked_after = Some(answered);
                    resolved.submission.edges = Edges {
                        waits: ended.map(Awaited::Group),
                        reads,
                        group: group.map(|group| group.0),
                        site: site.map(|site| self.call_site(site, column)),
                        groups: self.begun.take(),
                        ..Edges::default()
                    };
                    self.warn_of_missing_tools(&resolved);
                    self.send(Message::Submit {
                        resolved,
                        waiter: Waiter::Script(id.0.into()),
                    });
                }
                Call::Timer {
                    id,
                    delay,
                    site,
                    group,
                } => {
                    let mut resolved = Box::new(self.resolver.timer(delay));
                    resolved.submission.asked_after = Some(answered);
                    resolved.submission.edges = Edges {
                        waits: ended.map(Awaited::Group),
                        group: group.map(|group| group.0),
                        site: site.map(|site| self.call_site(site, 0)),
                        groups: self.begun.take(),
                        ..Edges::default()
                    };
                    self.send(Message::Submit {
                        resolved,
                        waiter: Waiter::Script(id.0.into()),
                    });
                }
                Call::Load { id, reference, .. } => {
                    let answer = match self.library.load(&reference) {
                        Ok(file) => {
                            let setup = self.resolver.setup();
                            super::protect(
                                &setup.protected,
                                Some(&file.path),
                                &file.source,
                                &setup.workspace,
                            );
                            Answer::Source {
                                name: file.path,
                                source: file.source,
                            }
                        }
                        Err(message) => Answer::LoadFailed { message },
                    };
                    calls.extend(host.resolve(id, answer)?);
                }
                Call::GroupBegan {
                    id,
                    kind,
                    width,
                    parent,
                    site,
                } => {
                    self.begun.borrow_mut().push(GroupBegan {
                        group: id.0,
                        kind,
                        parent: parent.map(|parent| parent.0),
                        width: u32::try_from(width).unwrap_or(u32::MAX),
                        site: site.map(|site| self.call_site(site, 0)),
                    });
                }
                Call::GroupEnded { id } => ended = Some(id.0),
                Call::Uncaught {
                    message,
                    site,
                    count,
                } => {
                    let site = site.map(|site| format!("{site}: ")).unwrap_or_default();
                    self.tell(FlowNews::Uncaught {
                        message: format!("{site}{message}").into(),
                        count,
                    });
                }
                Call::Refused { refusal, count } => self.send(Message::Refused { refusal, count }),
                Call::Phase { title, cap } => self.tell(FlowNews::Phase {
                    title: title.into(),
                    cap,
                }),
                Call::Log { message } => self.log(message),
                Call::Warning {
                    message,
                    site: Some(site),
                } => {
                    self.log(format!("warning: {site}: {message}"));
                }
                Call::Warning {
                    message,
                    site: None,
                } => self.log(format!("warning: {message}")),
            }
        }
        Ok(())
    }

    fn call_site(&self, site: Site, column: u32) -> CallSite {
        let script = Some(site.script).filter(|script| *script != self.own);
        CallSite {
            script,
            line: site.line,
            column,
        }
    }

    fn warn_of_missing_tools(&self, resolved: &Resolved) {
        let tools = resolved
            .assignment
            .iter()
            .map(|assignment| &assignment.tools);
        for (tools, name) in
            tools.flat_map(|tools| tools.missing().iter().map(move |name| (tools, name)))
        {
            if self.warned.borrow_mut().insert(name.clone()) {
                self.log(format!(
                    "warning: agents ask for the tool `{name}`, {}; they do without",
                    tools.why_missing(name)
                ));
            }
        }
    }

    fn log(&self, line: String) {
        self.tell(FlowNews::Log(line.into()));
    }

    fn tell(&self, news: FlowNews) {
        self.send(Message::Flow(news));
    }

    fn send(&self, message: Message) {
        // Fails only if the driver has ended, which the script notices by its closed answers.
        let _ = self.inbox.send(message);
    }
}

/// Sorts tasks requested together by their priority: the first ones may start before the last are
/// submitted.
fn longest_chains_first(calls: &mut [Call]) {
    let priority = |call: &Call| match call {
        Call::Task { priority, .. } => Some(Reverse(*priority)),
        Call::Load { .. }
        | Call::Timer { .. }
        | Call::GroupBegan { .. }
        | Call::GroupEnded { .. }
        | Call::Refused { .. }
        | Call::Uncaught { .. }
        | Call::Phase { .. }
        | Call::Log { .. }
        | Call::Warning { .. } => None,
    };
    for together in calls.chunk_by_mut(|a, b| priority(a).is_some() && priority(b).is_some()) {
        together.sort_by_key(priority);
    }
}

fn task_answer(report: TaskReport) -> TaskAnswer {
    let answer = match report.end {
        TaskEnd::Ok(json) => TaskAnswer::ok(json),
        TaskEnd::Failed(failure) => TaskAnswer::failed(failure.class, failure.message),
        TaskEnd::Skipped(reason) => TaskAnswer::skipped(reason),
        TaskEnd::Cancelled => TaskAnswer::cancelled(),
    };
    TaskAnswer {
        model: report.model.map(|model| model.to_string()),
        attempts: report.attempts,
        cost: report.cost,
        output_tokens: report.usage.output,
        ..answer
    }
}
