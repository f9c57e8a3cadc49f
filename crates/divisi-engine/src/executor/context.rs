//! What an executor gets for an attempt.

use super::{Cost, Line, Signal};
use crate::clock::wall_clock;
use crate::framing;
use crate::governor::Permit;
use crate::models::{Model, Models};
use crate::prices::Catalogue;
use crate::tools::{Permissions, Protected};
use divisi_core::attempt::Input;
use divisi_core::governor::Estimate;
use divisi_core::price::Billing;
use divisi_core::run::Bill;
use divisi_core::{AttemptId, Effort, Failure, Millis, PicoUsd, Task, Usage};
use divisi_providers::Request;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// What an executor gets for an attempt: the task, its folder, and a channel for reports. Clones
/// belong to the same attempt.
#[derive(Clone)]
pub struct Context(Arc<Shared>);

/// State shared by all clones.
struct Shared {
    given: Given,
    said: Mutex<Said>,
}

/// The parts of an attempt that its executor gets.
pub(crate) struct Given {
    pub(crate) id: AttemptId,
    pub(crate) task: Task,
    pub(crate) root: PathBuf,
    pub(crate) findings: Option<Arc<str>>,
    /// The rung of its ladder, as recorded.
    pub(crate) scheduled: Option<Arc<str>>,
    pub(crate) model: Option<Model>,
    /// The request that asks the model for the result.
    pub(crate) request: Option<Request>,
    /// The handle left by an earlier attempt, and the answer to its question: JSON texts.
    pub(crate) handle: Option<Arc<str>>,
    pub(crate) answer: Option<Arc<str>>,
    pub(crate) timeout: Millis,
    pub(crate) cost: Cost,
    pub(crate) reserved: PicoUsd,
    pub(crate) effort: Option<Effort>,
    pub(crate) turns_max: u32,
    pub(crate) agent_prompt: Option<String>,
    pub(crate) rights: Rights,
    pub(crate) models: Arc<Models>,
    pub(crate) prices: Arc<Catalogue>,
    pub(crate) line: Line,
}

/// What an attempt may do, for an agent program that brings its own tools.
pub(crate) struct Rights {
    /// Names of divisi's tools that the task has and the run permits.
    pub(crate) tools: Vec<Arc<str>>,
    /// Patterns of the commands that may run, if not all may.
    pub(crate) commands: Option<Vec<String>>,
    /// Patterns of commands that may not run.
    pub(crate) forbidden: Vec<String>,
    pub(crate) permissions: Permissions,
    /// Paths that are never written to, in addition to the built-in ones.
    pub(crate) protected: Protected,
}

/// The reports of an executor so far.
#[derive(Clone, Copy, Default)]
struct Said {
    usage: Usage,
    cost: PicoUsd,
    /// Whether it has reported any cost.
    of_cost: bool,
}

/// Progress of an attempt for display. It is not recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A tool is at work: its name and its subject.
    Tool(String),
    /// A file is read or written.
    File(PathBuf),
    /// The agent says this: its first words.
    Says(String),
    /// A reply is arriving, and has about this many tokens so far.
    Writes(u64),
}

/// A permit to send a request to a model. The request counts as under way until this is dropped.
pub struct Leave {
    _permit: Permit,
}

impl Context {
    pub(crate) fn new(given: Given) -> Self {
        Self(Arc::new(Shared {
            given,
            said: Mutex::default(),
        }))
    }

    /// Id of the attempt.
    pub fn id(&self) -> AttemptId {
        self.0.given.id
    }

    /// The task, without secrets.
    pub fn task(&self) -> &Task {
        &self.0.given.task
    }

    /// The folder in which it works.
    pub fn root(&self) -> &Path {
        &self.0.given.root
    }

    /// The whole prompt: the shared context, the task's prompt, and the findings of a check about
    /// the previous result.
    pub fn prompt(&self) -> String {
        let (task, findings) = (self.task(), self.findings().map(framing::refused));
        let parts = task
            .context
            .as_deref()
            .into_iter()
            .chain([&*task.prompt])
            .chain(findings.as_deref());
        parts.collect::<Vec<_>>().join("\n\n")
    }

    /// The findings of a check about the previous attempt's result.
    pub fn findings(&self) -> Option<&str> {
        self.0.given.findings.as_deref()
    }

    /// The current rung of the task's ladder: a model id for an executor that asks models, the
    /// flow's word for one that names them.
    pub fn model(&self) -> Option<&str> {
        self.0.given.scheduled.as_deref()
    }

    /// The model, for an executor that asks models.
    pub fn asked_model(&self) -> Option<&Model> {
        self.0.given.model.as_ref()
    }

    /// The request that asks the task's model for the result, as a built-in agent's first one.
    /// `None` for an executor that asks no models.
    pub fn request(&self) -> Option<Request> {
        self.0.given.request.clone()
    }

    /// What is reserved for the attempt as it starts: what it may cost.
    pub fn reserved(&self) -> PicoUsd {
        self.0.given.reserved
    }

    /// The model's effort, if the task or its agent states one.
    pub fn effort(&self) -> Option<Effort> {
        self.0.given.effort
    }

    /// Requests that the attempt may send.
    pub fn turns_max(&self) -> u32 {
        self.0.given.turns_max
    }

    /// The system prompt of the task's agent definition.
    pub fn agent_prompt(&self) -> Option<&str> {
        let text = self.0.given.agent_prompt.as_deref().map(str::trim);
        text.filter(|text| !text.is_empty())
    }

    /// What the attempt may do.
    pub(super) fn rights(&self) -> &Rights {
        &self.0.given.rights
    }

    /// The price list.
    pub(super) fn prices(&self) -> &Catalogue {
        &self.0.given.prices
    }

    /// The last handle kept by an earlier attempt that was lost or suspended. Only for an executor
    /// whose spec resumes.
    pub fn handle(&self) -> Option<Value> {
        self.0
            .given
            .handle
            .as_deref()
            .and_then(|json| serde_json::from_str(json).ok())
    }

    /// The answer to the previous attempt's question.
    pub fn answer(&self) -> Option<Value> {
        self.0
            .given
            .answer
            .as_deref()
            .and_then(|json| serde_json::from_str(json).ok())
    }

    /// Longest time of the attempt. After it, the future of [`Executor::run`](super::Executor::run)
    /// is dropped.
    pub fn timeout(&self) -> Millis {
        self.0.given.timeout
    }

    /// Cancelled when the attempt must end at once; the future is also dropped then.
    pub fn stop(&self) -> &CancellationToken {
        self.0.given.line.stop()
    }

    /// Cancelled when the run parks: work not needed for the result should not begin.
    pub fn parking(&self) -> &CancellationToken {
        self.0.given.line.parking()
    }

    /// Adds a line to the run's log.
    pub fn log(&self, line: impl Into<String>) {
        self.0.given.line.log(line.into());
    }

    /// Shows its progress.
    pub fn shows(&self, progress: Progress) {
        self.0.given.line.signal(|attempt| match progress {
            Progress::Tool(what) | Progress::Says(what) => Signal::Tool {
                attempt,
                what: what.into(),
            },
            Progress::File(path) => Signal::Tool {
                attempt,
                what: path.display().to_string().into(),
            },
            Progress::Writes(tokens) => Signal::Writing { attempt, tokens },
        });
    }

    /// Records a handle by which its work is found if this process dies. Replaces the previous one.
    pub fn keeps(&self, handle: &Value) {
        let handle = Some(handle.to_string().into());
        self.0
            .given
            .line
            .reports(None, Usage::default(), Bill::Of(PicoUsd::ZERO), handle);
    }

    /// Reports usage since the last report. An attempt that costs more than its reservation is
    /// ended, and so is its task.
    ///
    /// Reports are recorded at once; without any, the whole reservation counts as spent.
    pub fn spent(&self, usage: Usage, cost: PicoUsd) {
        let mut said = self.said();
        said.usage += usage;
        said.cost += cost;
        said.of_cost = true;
        self.0.given.line.reports(None, usage, Bill::Of(cost), None);
    }

    /// The same for usage of a model that the executor knows: the vendor's id.
    pub fn spent_on(&self, model: &str, usage: Usage, cost: PicoUsd) {
        let mut said = self.said();
        said.usage += usage;
        said.cost += cost;
        said.of_cost = true;
        let model = Some(model.into());
        self.0
            .given
            .line
            .reports(model, usage, Bill::Of(cost), None);
    }

    /// Records that the agent asked for a tool for which the run has no permission: the word for
    /// `--allow`.
    pub fn refused(&self, tool: &str, permission: &str) {
        self.0.given.line.tool_refused(tool, permission);
    }

    /// Reports total usage, for a program that counts in totals. A total below the last one is
    /// ignored.
    pub fn spent_in_all(&self, usage: Usage, cost: PicoUsd) {
        let said = *self.said();
        self.spent(usage.since(said.usage), cost.saturating_sub(said.cost));
    }

    /// Reports usage of a model whose cost is not known. Without another report of a cost, the whole
    /// reservation counts as spent.
    pub(super) fn used_on(&self, model: &str, usage: Usage) {
        self.said().usage += usage;
        let (model, bill) = (Some(model.into()), Bill::Of(PicoUsd::ZERO));
        self.0.given.line.reports(model, usage, bill, None);
    }

    /// Nothing of the attempt is billed, however it ends: a subscription pays for it.
    pub(super) fn costs_nothing(&self) {
        self.said().of_cost = true;
        self.0.given.line.costs_nothing();
    }

    /// Reports total tokens, where their cost is reported separately or not at all.
    pub(super) fn used_in_all(&self, usage: Usage) {
        let mut said = self.said();
        let new = usage.since(said.usage);
        said.usage += new;
        self.0
            .given
            .line
            .reports(None, new, Bill::Of(PicoUsd::ZERO), None);
    }

    /// Reports tokens of `model`, a tier or an id; returns their cost at divisi's prices, which is
    /// recorded with them. `None`, and nothing is recorded, if the model has no price.
    pub fn used(&self, model: &str, usage: Usage) -> Option<PicoUsd> {
        let Given { models, prices, .. } = &self.0.given;
        let model = models.find(Some(model)).ok()?;
        let price = prices.price_of(&model, wall_clock())?;
        let cost = price.billed(&usage, Billing::default());
        self.spent(usage, cost);
        Some(cost)
    }

    /// Waits until a request to `model`, a tier or an id, may be sent within the limits of its
    /// account, shared with all runs of this process. The wait does not count as the attempt's own
    /// time.
    pub async fn leave(&self, model: &str, tokens: Usage) -> Result<Leave, Failure> {
        let Given { models, line, .. } = &self.0.given;
        let model = models.find(Some(model))?;
        let gate = model.governors.of(&model.id);
        gate.limit_in_flight(model.provider.in_flight_max());
        let (run, priority) = line.turn();
        let estimate = Estimate {
            input: tokens.prompt(),
            output: tokens.output,
        };
        let waiting = Waiting::begin(self);
        let shows = |outlook| line.shows_waiting(|attempt| Signal::waiting(attempt, outlook));
        let permit = gate.enter(run, priority, estimate, shows).await;
        drop(waiting);
        line.shows_asking();
        let mut permit = permit.map_err(|closed| closed.failure)?;
        permit.sends();
        Ok(Leave { _permit: permit })
    }

    /// Waits for something that does not count as the attempt's own time, such as another queue.
    pub async fn waits<T>(&self, wait: impl Future<Output = T>) -> T {
        let _waiting = Waiting::begin(self);
        wait.await
    }

    /// The program has ended. If it has a cost and reported none, the whole reservation counts as
    /// spent.
    pub(crate) fn settle(&self) {
        if self.0.given.cost != Cost::Free && !self.said().of_cost {
            self.0
                .given
                .line
                .reports(None, Usage::default(), Bill::Unknown, None);
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Marks the attempt as waiting until dropped.
struct Waiting<'a>(&'a Context);

impl<'a> Waiting<'a> {
    fn begin(context: &'a Context) -> Self {
        context.0.given.line.input(Input::Waits(true));
        Self(context)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.0.given.line.input(Input::Waits(false));
    }
}
