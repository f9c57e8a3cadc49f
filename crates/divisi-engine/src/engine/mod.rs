//! Starts and resumes runs.

mod answer;
mod handle;
mod job;
#[cfg(feature = "script")]
mod rehearsal;
#[cfg(feature = "script")]
mod scripts;
mod subscription;

pub use answer::{AnswerError, Heard, SendError};
pub use handle::{Finished, RunHandle};
pub use job::Job;
#[cfg(feature = "script")]
pub use rehearsal::Rehearsed;
pub use subscription::{Events, Subscription};

use crate::driver::{
    self, Audience, DriveError, Driver, FlowNews, LiveRun, LiveRuns, Message, Patience,
};
use crate::flow::Flow;
use crate::resolve::Resolver;
use crate::setup::Setup;
use crate::store::{Lease, LeaseError, Store, StoreError};
use divisi_core::content::Content;
use divisi_core::event::{Caps, FlowSource, RunLabel};
use divisi_core::retry::QuotaWait;
use divisi_core::run::Stage;
use divisi_core::run_loop::Attendance;
use divisi_core::{Input, Key, Plan, Position, Run, RunId, RunView, TaskId};
use divisi_providers::redact;
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use tokio::sync::{Mutex, broadcast, mpsc};

/// Signals kept for a slow display; older ones are dropped.
const SIGNALS_MAX: usize = 1_024;

/// Starts and resumes runs in one store. Clones share the list of runs that they drive.
#[derive(Clone)]
pub struct Engine {
    store: Arc<dyn Store>,
    live: LiveRuns,
}

/// Options of a run besides its flow.
#[derive(Default)]
#[non_exhaustive]
pub struct RunOptions {
    /// Limits on cost, over all executions together.
    pub caps: Caps,
    /// Output tokens the flow may spend: `budget.total` in a script.
    pub token_budget: Option<u64>,
    /// Whether failed tasks are tried again. Only for a resume.
    pub reopen_failed: bool,
    /// Tasks that are carried out again, whatever their outcome. Only for a resume.
    pub reopen: Vec<TaskId>,
    /// Tasks, by their keys, that are carried out by another model than their flow says. They keep
    /// their identity: a later resume finds their results.
    pub replaced: BTreeMap<Key, Arc<str>>,
    /// The folder of a new run, in lists of runs; by default the workspace. A resume does not
    /// change it.
    pub folder: Option<Arc<str>>,
    /// Name and tags of a new run. A resume does not change them.
    pub label: RunLabel,
    /// What the caller needs to resume the run later; kept unchanged.
    pub kept: Option<Value>,
    /// Whether to wait for the reset when the account's quota is used up: the run parks, and
    /// continues by itself. Without it the run stays parked.
    /// [`Control::park`](crate::Control::park) ends the wait.
    pub quota_wait: Option<QuotaWait>,
    /// Whether the questions of the run can be answered while it is driven. Then it stays under way
    /// although all that is left are questions, until they are answered or
    /// [put off](crate::Control::put_off). Otherwise a question takes its default at once, and the
    /// run parks for one that has none.
    pub attended: bool,
}

impl RunOptions {
    /// Limits the cost to the cap of `plan`, if that is lower.
    pub fn within(mut self, plan: &Plan) -> Self {
        self.caps.run = self.caps.run.into_iter().chain(plan.head().max_cost).min();
        self
    }

    /// Sets the caps.
    pub fn caps(mut self, caps: Caps) -> Self {
        self.caps = caps;
        self
    }

    /// Sets the budget of output tokens.
    pub fn token_budget(mut self, token_budget: Option<u64>) -> Self {
        self.token_budget = token_budget;
        self
    }

    /// Sets whether failed tasks are tried again.
    pub fn reopen_failed(mut self, reopen_failed: bool) -> Self {
        self.reopen_failed = reopen_failed;
        self
    }

    /// Sets which tasks are carried out again.
    pub fn reopen(mut self, reopen: Vec<TaskId>) -> Self {
        self.reopen = reopen;
        self
    }

    /// Sets the models of single tasks.
    pub fn replaced(mut self, replaced: BTreeMap<Key, Arc<str>>) -> Self {
        self.replaced = replaced;
        self
    }

    /// Sets the folder of the run.
    pub fn folder(mut self, folder: impl Into<Arc<str>>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// Sets the name and tags of a new run.
    pub fn label(mut self, label: RunLabel) -> Self {
        self.label = label;
        self
    }

    /// Sets what is kept for a resume.
    pub fn kept(mut self, kept: Value) -> Self {
        self.kept = Some(kept);
        self
    }

    /// Sets whether questions can be answered.
    pub fn attended(mut self, attended: bool) -> Self {
        self.attended = attended;
        self
    }

    /// Sets whether and how to wait for quota.
    pub fn quota_wait(mut self, quota_wait: Option<QuotaWait>) -> Self {
        self.quota_wait = quota_wait;
        self
    }
}

/// Why a run did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The script cannot be parsed.
    #[cfg(feature = "script")]
    #[error(transparent)]
    Script(#[from] Box<divisi_script::ScriptError>),
    /// Another process drives the run.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// The journal cannot be read or written.
    #[error(transparent)]
    Drive(#[from] DriveError),
    /// The system could not start a thread.
    #[error("cannot start a thread for the script")]
    Thread(#[source] std::io::Error),
}

#[cfg(feature = "script")]
impl From<crate::flow::NoResult> for StartError {
    fn from(none: crate::flow::NoResult) -> Self {
        match none {
            crate::flow::NoResult::Thread(error) => Self::Thread(error),
            crate::flow::NoResult::Stuck(error) => Self::Script(error),
        }
    }
}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        Self::Drive(error.into())
    }
}

impl Engine {
    /// An engine with its runs in `store`.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            live: LiveRuns::default(),
        }
    }

    /// The store.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Starts a run that this program feeds.
    pub async fn open(
        &self,
        name: &str,
        setup: Setup,
        options: RunOptions,
    ) -> Result<Job, StartError> {
        let opened = Opened::new(self.new_id().await?, Run::new());
        self.drive_job(opened, name, setup, options).await
    }

    /// Resumes a run that a program feeds. Known tasks are answered from its journal when the
    /// program requests them again.
    pub async fn reopen_job(
        &self,
        id: &RunId,
        setup: Setup,
        options: RunOptions,
    ) -> Result<Job, StartError> {
        let opened = self.reopen_with_messages(id).await?;
        let name = opened.run.name().to_owned();
        self.drive_job(opened, &name, setup, options).await
    }

    /// The flow of a run as recorded, and what the caller kept with it.
    pub async fn flow_of(&self, run: &Run) -> Result<(Flow, Option<Value>), DriveError> {
        let source = run
            .flow()
            .ok_or_else(|| DriveError::Missing("the flow".to_owned()))?;
        let json = async |content: &Option<Content>| match content {
            None => Ok::<_, DriveError>(None),
            Some(content) => {
                Ok(serde_json::from_str(&driver::read(&*self.store, content).await?).ok())
            }
        };
        let flow = Flow {
            name: run.name().into(),
            path: source.path.clone(),
            source: driver::read(&*self.store, &source.source).await?,
            args: json(&source.args).await?,
        };
        Ok((flow, json(&source.options).await?))
    }

    /// A run as recorded in its journal.
    pub async fn load(&self, id: &RunId) -> Result<Run, DriveError> {
        driver::replay(&*self.store, id, |_| {})
            .await
            .map(|(run, _)| run)
    }

    /// A run for display, and whether it was interrupted: then attempts in flight count as lost, as
    /// a resume will record.
    pub async fn view(&self, id: &RunId) -> Result<(RunView, bool), DriveError> {
        // Before reading the journal: a driver found here may have ended the run since.
        let is_driven = self.is_driven(id).await?;
        let mut view = RunView::default();
        driver::each_event(&*self.store, id, |recorded| view.apply(recorded)).await?;
        let is_interrupted =
            !is_driven && !matches!(view.stage, Stage::Parked(_) | Stage::Ended(_));
        if is_interrupted {
            view.assume_dead();
        }
        Ok((view, is_interrupted))
    }

    /// The events of a run from `from` on, past and future, whichever process drives it.
    /// Subscribing is possible at any time, and a slow subscriber never delays the run.
    pub fn subscribe(&self, run: &RunId, from: Position) -> Subscription {
        Subscription::new(self.clone(), run.clone(), from)
    }

    /// The runs that this engine and its clones drive now.
    pub fn live(&self) -> Vec<LiveRun> {
        self.live.all()
    }

    /// The live run of this name.
    pub fn live_run(&self, id: &RunId) -> Option<LiveRun> {
        self.live.get(id)
    }

    /// Whether any process drives the run now. A run that is neither driven nor ended was
    /// interrupted, and can be resumed.
    pub async fn is_driven(&self, id: &RunId) -> Result<bool, LeaseError> {
        Ok(self.store.leases().holder(id).await?.is_some())
    }

    /// Reads a text of a journal.
    pub async fn read(&self, content: &Content) -> Result<Arc<str>, DriveError> {
        driver::read(&*self.store, content).await
    }

    async fn reopen(&self, id: &RunId) -> Result<Opened, StartError> {
        // The lease comes first, or another process could append while the journal is read.
        let lease = Some(self.store.leases().take(id).await?);
        let mut view = RunView::default();
        let (run, position) =
            driver::replay(&*self.store, id, |recorded| view.apply(recorded)).await?;
        Ok(Opened {
            id: id.clone(),
            run,
            view,
            position,
            lease,
        })
    }

    /// A new name, not used by any run.
    async fn new_id(&self) -> Result<RunId, StoreError> {
        loop {
            // The system seeds each hasher anew, which is random enough for a name.
            let id = RunId::from_entropy(RandomState::new().hash_one(std::process::id()));
            if self.store.run(&id).await?.is_none() {
                return Ok(id);
            }
        }
    }

    async fn drive_job(
        &self,
        opened: Opened,
        name: &str,
        setup: Setup,
        options: RunOptions,
    ) -> Result<Job, StartError> {
        let resolver = Arc::new(Resolver::new(Arc::new(setup)));
        let source = Source {
            name: name.into(),
            path: None,
            text: "".into(),
            args: None,
        };
        let (handle, inbox) = self
            .drive(opened, source, resolver.clone(), options, None)
            .await?;
        // A program's next request is unknown, so attempts need not wait until it has caught up.
        // Cannot fail: the driver lives as long as the handle.
        let _ = inbox.send(Message::Flow(FlowNews::Quiet { answered: 0 }));
        Ok(Job {
            handle,
            inbox,
            resolver,
            turn: Mutex::default(),
            reads: Default::default(),
        })
    }

    /// Prevents agents from writing to files that decide over this run and others.
    #[cfg_attr(
        not(feature = "script"),
        expect(unused_variables, reason = "a program is not written to")
    )]
    fn protect(&self, setup: &Setup, source: &Source) {
        let protected = &setup.protected;
        protected.add_git(&setup.workspace);
        self.store
            .files()
            .iter()
            .for_each(|path| protected.add(path));
        #[cfg(feature = "script")]
        scripts::protect(protected, source, &setup.workspace);
    }

    async fn drive(
        &self,
        opened: Opened,
        source: Source,
        resolver: Arc<Resolver>,
        options: RunOptions,
        answers: Option<driver::Answered>,
    ) -> Result<(RunHandle, mpsc::UnboundedSender<Message>), StartError> {
        let Opened {
            id,
            run,
            view: before,
            position,
            lease,
        } = opened;
        let lease = match lease {
            Some(lease) => lease,
            None => self.store.leases().take(&id).await?,
        };
        let setup = resolver.setup();
        // Before any agent of the run can start.
        self.protect(setup, &source);
        let mut blobs = vec![];
        let known = redact::known();
        let mut keep = |text: Arc<str>| {
            let (content, blob) = Content::of(known.json(text));
            blobs.extend(blob);
            content
        };
        // A run keeps the folder in which it was started, wherever it is resumed.
        let (belongs_to, label) = match run.flow() {
            Some(flow) => (flow.folder.clone(), flow.label.clone()),
            None => (options.folder, redacted_label(options.label)),
        };
        let flow = FlowSource {
            folder: Some(
                belongs_to.unwrap_or_else(|| resolver.setup().workspace.to_string_lossy().into()),
            ),
            label,
            path: source.path,
            source: keep(source.text),
            args: source.args.map(|args| keep(args.to_string().into())),
            options: options.kept.map(|kept| keep(kept.to_string().into())),
        };
        let (limits, caps) = (resolver.setup().limits.clone(), options.caps);
        let first = match *run.stage() {
            Stage::Unstarted => Input::Start {
                name: known.shared(source.name),
                flow,
                limits,
                caps,
            },
            _ => Input::Resume {
                flow,
                limits,
                caps,
                reopen_failed: options.reopen_failed,
                reopen: options.reopen,
            },
        };
        let channel = mpsc::unbounded_channel();
        let inbox = channel.0.clone();
        let (signals, _) = broadcast::channel(SIGNALS_MAX);
        let (listed, bus) =
            self.live
                .list(LiveRun::new(id.clone(), inbox.clone(), signals.clone()));
        let audience = Audience {
            signals: signals.clone(),
            bus,
            answers,
        };
        let patience = Patience {
            quota_wait: options.quota_wait,
            governors: resolver.setup().models.governors().cloned().collect(),
            attendance: Attendance::of(options.attended),
        };
        let driver = Driver::new(
            id.clone(),
            (run, position),
            self.store.clone(),
            channel,
            audience,
            patience,
        );
        let drive = tokio::spawn(async move {
            let ended = driver.drive(first, blobs, lease, listed).await;
            resolver.servers().stop().await;
            ended
        });
        let handle = RunHandle {
            id,
            inbox: inbox.clone(),
            signals,
            drive,
            engine: self.clone(),
            before,
            #[cfg(feature = "script")]
            script_end: None,
        };
        Ok((handle, inbox))
    }
}

/// A label without secrets.
fn redacted_label(RunLabel { name, tags, about }: RunLabel) -> RunLabel {
    let known = redact::known();
    let redacted = |text: Arc<str>| known.shared(text);
    RunLabel {
        name: name.map(redacted),
        tags: tags.into_iter().map(redacted).collect(),
        about: about.map(redacted),
    }
}

/// A run about to be driven.
struct Opened {
    id: RunId,
    run: Run,
    view: RunView,
    position: Position,
    lease: Option<Box<dyn Lease>>,
}

impl Opened {
    fn new(id: RunId, run: Run) -> Self {
        Self {
            id,
            run,
            view: RunView::default(),
            position: Position::default(),
            lease: None,
        }
    }
}

struct Source {
    name: Arc<str>,
    path: Option<Arc<str>>,
    text: Arc<str>,
    args: Option<Value>,
}
