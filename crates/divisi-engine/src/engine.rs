//! Starts runs and goes on with them.

use crate::driver::{self, Audience, DriveError, Driver, FlowNews, Message, Patience, TaskReport, Waiter};
use crate::executor::Signal;
use crate::flow::{self, Flow, ScriptEnd};
use crate::lock::{LockError, RunLock};
use crate::resolve::{Resolved, Resolver};
use crate::setup::Setup;
use crate::store::{Batch, Store, StoreError};
use divisi_core::content::Content;
use divisi_core::event::Caps;
use divisi_core::event::{FlowSource, RunStatus};
use divisi_core::preflight::Estimate;
use divisi_core::retry::QuotaWait;
use divisi_core::run::Stage;
use divisi_core::{Failure, FailureClass, Input, Outcome, Position, Run, RunId, Task};
use divisi_script::{HostOptions, ScriptError};
use serde_json::Value;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Signals kept for a display that is slow; older ones are dropped.
const SIGNALS_MAX: usize = 1_024;

/// Starts runs and goes on with them, in one store.
#[derive(Clone)]
pub struct Engine {
    store: Arc<dyn Store>,
}

/// What may be said of a run besides its flow.
#[derive(Default)]
pub struct RunOptions {
    /// How much may be spent, in all executions together.
    pub caps: Caps,
    /// Output tokens the flow may spend: `budget.total` in a script.
    pub token_budget: Option<u64>,
    /// Whether tasks that have failed are tried again. Only in a resume.
    pub reopen_failed: bool,
    /// What the caller needs to go on with the run later; kept as it is.
    pub kept: Option<Value>,
    /// Gets every batch of events once it is durable. No bound: it holds no
    /// more than the journal does.
    pub watcher: Option<mpsc::UnboundedSender<Arc<Batch>>>,
    /// Whether to wait, when the account's quota is used up, until there is some
    /// again: the run parks, and goes on by itself. Without it the run is left
    /// parked. [`Control::park`] ends the wait.
    pub quota_wait: Option<QuotaWait>,
}

/// Why a run did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The script is not one.
    #[error(transparent)]
    Script(#[from] Box<ScriptError>),
    /// Another process drives the run.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The system gives no thread.
    #[error("cannot start a thread for the script")]
    Thread(#[source] std::io::Error),
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Drive(error.into())
    }
}

impl Engine {
    /// An engine that keeps its runs in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Starts a script. Nothing is written if it cannot be parsed.
    pub async fn start(
        &self,
        flow: Flow,
        setup: Setup,
        options: RunOptions,
    ) -> Result<RunHandle, StartError> {
        let script = flow.parse().map_err(Box::new)?;
        let opened = Opened::new(self.new_id().await?, Run::new());
        self.drive_script(opened, flow, script, setup, options).await
    }

    /// Goes on with a run, whatever ended it. `flow` is what is executed now:
    /// the run's own or an edited one; see [`Engine::flow_of`].
    pub async fn resume(
        &self,
        id: &RunId,
        flow: Flow,
        setup: Setup,
        options: RunOptions,
    ) -> Result<RunHandle, StartError> {
        let script = flow.parse().map_err(Box::new)?;
        let opened = self.reopen(id).await?;
        self.drive_script(opened, flow, script, setup, options).await
    }

    /// Starts a run that this program feeds.
    pub async fn open(&self, name: &str, setup: Setup, options: RunOptions) -> Result<Job, StartError> {
        let opened = Opened::new(self.new_id().await?, Run::new());
        self.drive_job(opened, name, setup, options).await
    }

    /// Goes on with a run that a program feeds. Tasks that it knows are
    /// answered from its journal when the program asks for them again.
    pub async fn reopen_job(&self, id: &RunId, setup: Setup, options: RunOptions) -> Result<Job, StartError> {
        let opened = self.reopen(id).await?;
        let name = opened.run.name().to_owned();
        self.drive_job(opened, &name, setup, options).await
    }

    /// The flow of a run as its journal has it, and what the caller kept with it.
    pub async fn flow_of(&self, run: &Run) -> Result<(Flow, Option<Value>), DriveError> {
        let source = run.flow().ok_or_else(|| DriveError::Missing("the flow".to_owned()))?;
        let json = async |content: &Option<Content>| match content {
            None => Ok::<_, DriveError>(None),
            Some(content) => Ok(serde_json::from_str(&driver::read(&*self.store, content).await?).ok()),
        };
        let flow = Flow {
            name: run.name().into(),
            path: source.path.clone(),
            source: driver::read(&*self.store, &source.source).await?,
            args: json(&source.args).await?,
        };
        Ok((flow, json(&source.options).await?))
    }

    /// A run as its journal tells it.
    pub async fn load(&self, id: &RunId) -> Result<Run, DriveError> {
        driver::replay(&*self.store, id).await.map(|(run, _)| run)
    }

    /// Whether a process drives the run at this moment. A run that is neither
    /// driven nor over was interrupted, and waits to be resumed.
    pub fn is_driven(&self, id: &RunId) -> bool {
        self.store.locks().is_some_and(|folder| RunLock::is_held(&folder, id))
    }

    /// A text of a journal.
    pub async fn read(&self, content: &Content) -> Result<Arc<str>, DriveError> {
        driver::read(&*self.store, content).await
    }

    async fn reopen(&self, id: &RunId) -> Result<Opened, StartError> {
        let lock = self.store.locks().map(|folder| RunLock::take(&folder, id)).transpose()?;
        let (run, position) = driver::replay(&*self.store, id).await?;
        Ok(Opened { id: id.clone(), run, position, lock })
    }

    /// A name that no run has.
    async fn new_id(&self) -> Result<RunId, StoreError> {
        loop {
            // Seeded by the system for each use, which is all that is asked of a name.
            let id = RunId::from_entropy(RandomState::new().hash_one(std::process::id()));
            if self.store.run(&id).await?.is_none() {
                return Ok(id);
            }
        }
    }

    async fn drive_script(
        &self,
        opened: Opened,
        flow: Flow,
        script: divisi_script::Script,
        setup: Setup,
        options: RunOptions,
    ) -> Result<RunHandle, StartError> {
        let (answers, answered) = mpsc::unbounded_channel();
        let host = HostOptions {
            budget_total: options.token_budget,
            usd_total: options.caps.run,
            cwd: Some(setup.workspace.display().to_string()),
            ..HostOptions::default()
        };
        let resolver = Arc::new(Resolver::new(Arc::new(setup)));
        let name = match flow.path {
            None => flow.name.clone(),
            Some(_) => script.meta().name.as_str().into(),
        };
        let source = Source { name, path: flow.path, text: flow.source, args: flow.args.clone() };
        let (mut handle, inbox) =
            self.drive(opened, source, resolver.clone(), options, Some(answers)).await?;
        let end =
            flow::start(script, flow.args, host, resolver, inbox, answered).map_err(StartError::Thread)?;
        handle.script_end = Some(end);
        Ok(handle)
    }

    async fn drive_job(
        &self,
        opened: Opened,
        name: &str,
        setup: Setup,
        options: RunOptions,
    ) -> Result<Job, StartError> {
        let resolver = Arc::new(Resolver::new(Arc::new(setup)));
        let source = Source { name: name.into(), path: None, text: "".into(), args: None };
        let (handle, inbox) = self.drive(opened, source, resolver.clone(), options, None).await?;
        // Nobody can tell what a program will ask for, so nothing waits for it.
        // The driver is there until the handle is.
        let _ = inbox.send(Message::Flow(FlowNews::Quiet { answered: 0 }));
        Ok(Job { handle, inbox, resolver })
    }

    async fn drive(
        &self,
        opened: Opened,
        source: Source,
        resolver: Arc<Resolver>,
        options: RunOptions,
        answers: Option<driver::Answered>,
    ) -> Result<(RunHandle, mpsc::UnboundedSender<Message>), StartError> {
        let Opened { id, run, position, mut lock } = opened;
        if lock.is_none() {
            lock = self.store.locks().map(|folder| RunLock::take(&folder, &id)).transpose()?;
        }
        let mut blobs = vec![];
        let mut keep = |text: Arc<str>| {
            let (content, blob) = Content::of(text);
            blobs.extend(blob);
            content
        };
        let flow = FlowSource {
            path: source.path,
            source: keep(source.text),
            args: source.args.map(|args| keep(args.to_string().into())),
            options: options.kept.map(|kept| keep(kept.to_string().into())),
        };
        let (limits, caps) = (resolver.setup().limits.clone(), options.caps);
        let first = match *run.stage() {
            Stage::Unstarted => Input::Start { name: source.name, flow, limits, caps },
            _ => Input::Resume { flow, limits, caps, reopen_failed: options.reopen_failed },
        };
        let channel = mpsc::unbounded_channel();
        let inbox = channel.0.clone();
        let (signals, _) = broadcast::channel(SIGNALS_MAX);
        let watchers = options.watcher.into_iter().collect();
        let audience = Audience { signals: signals.clone(), watchers, answers };
        let patience = Patience {
            quota_wait: options.quota_wait,
            governors: resolver.setup().models.governors().cloned().collect(),
        };
        let driver =
            Driver::new(id.clone(), (run, position), self.store.clone(), channel, audience, patience);
        let drive = tokio::spawn(async move {
            let ended = driver.drive(first, blobs).await;
            drop(lock);
            ended
        });
        let handle =
            RunHandle { id, inbox: inbox.clone(), signals, drive, engine: self.clone(), script_end: None };
        Ok((handle, inbox))
    }
}

/// A run that is about to be driven.
struct Opened {
    id: RunId,
    run: Run,
    position: Position,
    lock: Option<RunLock>,
}

impl Opened {
    fn new(id: RunId, run: Run) -> Self {
        Self { id, run, position: Position::default(), lock: None }
    }
}

struct Source {
    name: Arc<str>,
    path: Option<Arc<str>>,
    text: Arc<str>,
    args: Option<Value>,
}

/// A run that is being driven.
///
/// Dropping it lets the run go on until the runtime ends.
pub struct RunHandle {
    id: RunId,
    inbox: mpsc::UnboundedSender<Message>,
    signals: broadcast::Sender<Signal>,
    drive: JoinHandle<Result<Run, DriveError>>,
    engine: Engine,
    script_end: Option<ScriptEnd>,
}

/// Parks or cancels a run from elsewhere, or tells it something.
#[derive(Clone)]
pub struct Control {
    inbox: mpsc::UnboundedSender<Message>,
}

impl Control {
    /// Lets what is in flight finish its turn and starts nothing new.
    pub fn park(&self) {
        // A run that is over cannot be parked any more.
        let _ = self.inbox.send(Message::Park);
    }

    /// Tells the run what it is expected to cost, for its journal. Only the
    /// first estimate of an execution is kept, and none once the run is over.
    pub fn estimate(&self, estimate: Estimate) {
        let _ = self.inbox.send(Message::Estimate(Box::new(estimate)));
    }

    /// Ends the run at once. What is in flight is lost and may be billed.
    pub fn cancel(&self) {
        let _ = self.inbox.send(Message::Cancel);
    }
}

impl RunHandle {
    /// The run's name.
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// Parks or cancels it.
    pub fn control(&self) -> Control {
        Control { inbox: self.inbox.clone() }
    }

    /// What is worth showing but is no fact: replies being written, tools at work.
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
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
        let failed = matches!(result, Some(Err(_)));
        let script_error = match self.script_end.take() {
            Some(end) if failed => end.await.ok(),
            _ => None,
        };
        Ok(Finished { id: self.id.clone(), run, result, script_error })
    }
}

/// A run that is over or parked.
pub struct Finished {
    /// Its name.
    pub id: RunId,
    /// Its state.
    pub run: Run,
    /// What its flow returned (JSON text), or why it failed; `None` when it
    /// has not got that far.
    pub result: Option<Result<Arc<str>, Failure>>,
    /// The script's error with its source, when that is why it failed.
    pub script_error: Option<ScriptError>,
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

/// A run that this program feeds.
///
/// The tasks it asks for may be asked for again after a crash: what is known
/// of them is answered from the journal.
pub struct Job {
    handle: RunHandle,
    inbox: mpsc::UnboundedSender<Message>,
    resolver: Arc<Resolver>,
}

impl Job {
    /// The run.
    pub fn handle(&self) -> &RunHandle {
        &self.handle
    }

    /// Runs one task to its end.
    ///
    /// Dropping the future does not stop the task. If the run parks first, the
    /// report says that the task was interrupted.
    pub async fn run(&self, task: Task) -> TaskReport {
        reported(self.send(self.resolver.resolve(task, 0))).await
    }

    /// The same for a task for which a chain of `waiting` others is known to wait.
    pub(crate) async fn submit(&self, task: Task, waiting: u32) -> TaskReport {
        reported(self.send(self.resolver.resolve(task, waiting))).await
    }

    /// Records that a task is not run, and why.
    pub(crate) async fn skip(&self, task: Task, reason: String) -> TaskReport {
        reported(self.send(self.resolver.settled(task, Outcome::Skipped { reason }))).await
    }

    /// Hands a task over. Not async, so that those who wait hold none of it.
    fn send(&self, resolved: Resolved) -> oneshot::Receiver<TaskReport> {
        let (caller, report) = oneshot::channel();
        let resolved = Box::new(resolved);
        // A run that is over drops the message, and with it the caller.
        let _ = self.inbox.send(Message::Submit { resolved, waiter: Waiter::Caller(caller) });
        report
    }

    /// Begins a progress group.
    pub fn phase(&self, title: &str) {
        self.tell(FlowNews::Phase { title: title.into(), cap: None });
    }

    /// Says something to people.
    pub fn log(&self, line: &str) {
        self.tell(FlowNews::Log(line.into()));
    }

    /// Says that there will be no more tasks, and waits for the end.
    pub async fn finish(self, result: Value) -> Result<Finished, DriveError> {
        self.tell(FlowNews::Ended(Ok(result.to_string().into())));
        self.handle.finished().await
    }

    fn tell(&self, news: FlowNews) {
        // A run that is parked or over hears nothing more; `finish` reports that.
        let _ = self.inbox.send(Message::Flow(news));
    }
}

/// The report, or what is to be said where the run stops first.
async fn reported(report: oneshot::Receiver<TaskReport>) -> TaskReport {
    report.await.unwrap_or_else(|_| {
        let message = "the run stopped before the task was done";
        TaskReport::without_task(Failure::new(FailureClass::Interrupted, message))
    })
}
