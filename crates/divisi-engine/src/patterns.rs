//! The four patterns as functions over a [`Job`].
//!
//! All four request tasks at the right time, so each is short; durability, money, retries and
//! reports are handled by the run.
//!
//! The examples below run with scripted answers:
//!
//! ```
//! # use divisi_engine::{Engine, Job, Models, RunOptions, Setup, store::MemoryStore};
//! # use std::sync::Arc;
//! async fn job() -> Job {
//!     let engine = Engine::new(Arc::new(MemoryStore::new()));
//!     let provider = Arc::new(divisi_providers::Scripted::demo());
//!     let models = Models::one(provider, &[("haiku", "demo-haiku")], &["*"]);
//!     let setup = Setup::new(models, ".");
//!     engine.open("example", setup, RunOptions::default()).await.expect("a job")
//! }
//! ```

use crate::driver::{TaskEnd, TaskReport};
use crate::engine::Job;
use crate::models::AUTO;
use divisi_core::event::Refusal;
use divisi_core::patterns::{self, Complaint, Gathering, PLANS_MAX, Part, Planning};
use divisi_core::plan::{Gather, Plan, PlanTask};
use divisi_core::{Failure, FailureClass, Task};
use futures::FutureExt;
use futures::future::{Shared, join_all};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Parallel fan-out: runs independent tasks at the same time.
///
/// The reports are in the order of the tasks. A failure is a report like any other, so one failed
/// task does not affect the others.
///
/// ```
/// # use divisi_engine::{Engine, Job, Models, RunOptions, Setup, store::MemoryStore};
/// # use std::sync::Arc;
/// # async fn job() -> Job {
/// #     let engine = Engine::new(Arc::new(MemoryStore::new()));
/// #     let provider = Arc::new(divisi_providers::Scripted::demo());
/// #     let models = Models::one(provider, &[("haiku", "demo-haiku")], &["*"]);
/// #     let setup = Setup::new(models, ".");
/// #     engine.open("example", setup, RunOptions::default()).await.expect("a job")
/// # }
/// use divisi_engine::{core::Task, patterns::fan_out};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let job = job().await;
/// let modules = ["auth", "payment", "user"];
/// let tasks = modules.map(|name| Task::new(format!("Analyze the {name} module")).model("haiku"));
/// let reports = fan_out(&job, tasks).await;
/// assert_eq!(reports.len(), 3);
/// job.finish(reports[0].text()?.into()).await?;
/// # Ok(()) }
/// ```
pub async fn fan_out(job: &Job, tasks: impl IntoIterator<Item = Task>) -> Vec<TaskReport> {
    join_all(tasks.into_iter().map(|task| job.run(task))).await
}

/// Sequential pipeline: each task is made from the result of the previous one.
///
/// `first` is the input of the first stage. Ends at the first failure.
///
/// ```
/// # use divisi_engine::{Engine, Job, Models, RunOptions, Setup, store::MemoryStore};
/// # use std::sync::Arc;
/// # async fn job() -> Job {
/// #     let engine = Engine::new(Arc::new(MemoryStore::new()));
/// #     let provider = Arc::new(divisi_providers::Scripted::demo());
/// #     let models = Models::one(provider, &[("haiku", "demo-haiku")], &["*"]);
/// #     let setup = Setup::new(models, ".");
/// #     engine.open("example", setup, RunOptions::default()).await.expect("a job")
/// # }
/// use divisi_engine::{core::Task, patterns::{pipeline, stage}};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let job = job().await;
/// let stages = [
///     stage(|goal| Task::new(format!("Build {goal}")).model("haiku")),
///     stage(|build| Task::new(format!("Test this build: {build}")).model("haiku")),
/// ];
/// let report = pipeline(&job, "the application", stages).await?;
/// job.finish(report.text()?.into()).await?;
/// # Ok(()) }
/// ```
pub async fn pipeline(
    job: &Job,
    first: &str,
    stages: impl IntoIterator<Item = Stage>,
) -> Result<TaskReport, Failure> {
    let mut given = first.to_owned();
    let mut last = None;
    for stage in stages {
        let report = job.run(stage(&given)).await;
        given = report.text()?;
        last = Some(report);
    }
    last.ok_or_else(|| Failure::new(FailureClass::BadRequest, "a pipeline without stages"))
}

/// Makes a task from the previous result.
pub type Stage = Box<dyn Fn(&str) -> Task + Send + Sync>;

/// A stage of a pipeline.
pub fn stage(make: impl Fn(&str) -> Task + Send + Sync + 'static) -> Stage {
    Box::new(make)
}

/// Hierarchical decomposition: a planner divides the goal, workers do the parts.
///
/// The planner's task has the schema of a [`Plan`]; an invalid plan is returned to it with the
/// error. `worker` is the template of every part: the part's prompt and options replace its own. A
/// planner without a model is `opus`; a worker whose model is given by neither is `auto`. A part
/// runs as soon as its needs have ended; if one of them failed, the part is skipped.
///
/// ```
/// # use divisi_engine::{Engine, Job, Models, RunOptions, Setup, store::MemoryStore};
/// # use std::sync::Arc;
/// # async fn job() -> Job {
/// #     let engine = Engine::new(Arc::new(MemoryStore::new()));
/// #     let provider = Arc::new(divisi_providers::Scripted::demo());
/// #     let models = Models::one(provider, &[("haiku", "demo-haiku")], &["*"]);
/// #     let setup = Setup::new(models, ".");
/// #     engine.open("example", setup, RunOptions::default()).await.expect("a job")
/// # }
/// use divisi_engine::{core::Task, patterns::decompose};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let job = job().await;
/// let planner = Task::new("").model("haiku").label("plan");
/// let worker = Task::new("").model("haiku");
/// let goal = "Find the 5 most critical modules and audit each";
/// let parts = decompose(&job, goal, planner, worker, 20).await?;
/// assert!(!parts.is_empty());
/// job.finish(serde_json::Value::Null).await?;
/// # Ok(()) }
/// ```
pub async fn decompose(
    job: &Job,
    goal: &str,
    planner: Task,
    worker: Task,
    tasks_max: usize,
) -> Result<Vec<(PlanTask, TaskReport)>, Failure> {
    let plan = plan(job, goal, with_model(planner, "opus"), tasks_max).await?;
    let worker = with_model(worker, AUTO);
    Ok(run_plan(job, &plan, &worker).await.tasks)
}

/// Sets the model of a task without one, unless an agent definition may name it.
fn with_model(task: Task, model: &str) -> Task {
    match task.model.is_empty() && task.agent_type.is_none() {
        true => task.model(model),
        false => task,
    }
}

/// Asks a planner until its plan is valid.
async fn plan(job: &Job, goal: &str, planner: Task, tasks_max: usize) -> Result<Plan, Failure> {
    let mut complaint = None;
    for _ in 0..PLANS_MAX {
        let prompt = Planning {
            goal: goal.to_owned(),
            max: tasks_max,
            complaint,
        }
        .prompt();
        let task = Task {
            prompt: prompt.into(),
            ..planner.clone()
        }
        .schema(Plan::json_schema());
        let found: Value = job.run(task).await.value()?;
        match patterns::plan(&found, tasks_max) {
            Ok(plan) => return Ok(plan),
            Err(error) => {
                complaint = Some(Complaint {
                    error,
                    plan: found.to_string(),
                });
            }
        }
    }
    Err(Failure::new(
        FailureClass::Schema,
        format!("the planner handed in no usable plan in {PLANS_MAX} tries"),
    ))
}

/// The results of a plan.
#[derive(Debug)]
pub struct PlanReport {
    /// Each of its tasks, in the order of the plan.
    pub tasks: Vec<(PlanTask, TaskReport)>,
    /// The synthesis, if the plan has one; a failure if there were too few results.
    pub synthesis: Option<Result<TaskReport, Failure>>,
}

/// Runs the tasks of a plan, each as soon as its needs have ended, and the synthesis.
///
/// Caps of its phases apply. The cap of the whole plan is the run's: open the job with
/// [`RunOptions::within`](crate::RunOptions::within) for it.
pub async fn run_plan(job: &Job, plan: &Plan, worker: &Task) -> PlanReport {
    for phase in &plan.head().phases {
        job.cap_phase(&phase.title, phase.max_cost);
    }
    let chains = plan.chains();
    let mut running: Vec<Option<Shared<futures::future::BoxFuture<'_, TaskReport>>>> =
        vec![None; plan.tasks().len()];
    // Waves come before what needs them, so every need is in the map already.
    for place in plan.waves().into_iter().flatten() {
        let task = &plan.tasks()[place];
        let needs: Vec<_> = plan
            .needs(place)
            .iter()
            .filter_map(|&need| Some((plan.tasks()[need].id.as_str(), running[need].clone()?)))
            .collect();
        let waiting = chains[place];
        let part = async move {
            let mut results = BTreeMap::new();
            for (id, need) in needs {
                let report = need.await;
                let is_refused = report.end == TaskEnd::Ok("false".into())
                    && plan
                        .tasks()
                        .iter()
                        .any(|task| task.id == id && task.approve.is_some());
                if is_refused {
                    job.refuse(Refusal::Unapproved {
                        approval: id.into(),
                    });
                    let reason = patterns::unapproved(id);
                    return job.skip(part_of(task, task.text(), worker), reason).await;
                }
                match report.text() {
                    Ok(text) => results.insert(id.to_owned(), text),
                    Err(_) => {
                        let reason = patterns::skipped(id);
                        return job.skip(part_of(task, task.text(), worker), reason).await;
                    }
                };
            }
            let render = |text: &str| {
                divisi_core::plan::render(text, |id| results.get(id).map(String::as_str))
            };
            let mut part = part_of(task, &render(task.text()), worker);
            if task.approve.is_some() {
                // What is shown with a question may be the result of another task.
                part.context = part.context.map(|shown| render(&shown).into());
            }
            job.submit(part, waiting).await
        };
        running[place] = Some(part.boxed().shared());
    }
    let reports = join_all(running.into_iter().flatten()).await;
    let tasks: Vec<_> = plan.tasks().iter().cloned().zip(reports).collect();
    let synthesis = match &plan.head().gather {
        Some(wanted) => Some(synthesise(job, wanted, &tasks).await),
        None => None,
    };
    PlanReport { tasks, synthesis }
}

/// Makes one answer of the results of a plan.
async fn synthesise(
    job: &Job,
    wanted: &Gather,
    tasks: &[(PlanTask, TaskReport)],
) -> Result<TaskReport, Failure> {
    let part = |(task, report): &(PlanTask, TaskReport)| {
        let label = task.label.as_ref().filter(|label| **label != task.id);
        let name = label.map_or_else(|| task.id.clone(), |label| format!("{}: {label}", task.id));
        Part::new(name, report.text().map_err(|failure| failure.to_string()))
    };
    let parts = tasks.iter().map(part).collect();
    let least = wanted.min_parts.map_or(1, |least| least as usize);
    let prompt = gathered(&wanted.prompt, least, parts)?;
    Ok(job.run(wanted.task(prompt)).await)
}

/// The prompt of a synthesis.
fn gathered(prompt: &str, least: usize, parts: Vec<Part>) -> Result<String, Failure> {
    let gathering = Gathering {
        prompt: prompt.to_owned(),
        least,
        parts,
    };
    gathering
        .prompt()
        .map_err(|why| Failure::new(FailureClass::Unavailable, why))
}

/// The worker's task with the plan's options for this part.
fn part_of(part: &PlanTask, prompt: &str, worker: &Task) -> Task {
    let said = part.task(prompt);
    if part.approve.is_some() {
        return said;
    }
    Task {
        label: said.label.or_else(|| Some(part.id.as_str().into())),
        model: if said.model.is_empty() {
            worker.model.clone()
        } else {
            said.model
        },
        effort: said.effort.or(worker.effort),
        agent_type: said.agent_type.or_else(|| worker.agent_type.clone()),
        tools: said.tools.or_else(|| worker.tools.clone()),
        schema: said.schema.or_else(|| worker.schema.clone()),
        prompt: said.prompt,
        ..worker.clone()
    }
}

/// Scatter-gather: runs parts at the same time, then one task over all of them.
///
/// The prompt of the synthesis lists missing parts with the reason. It does not run if fewer than
/// `parts_min` parts succeeded.
///
/// ```
/// # use divisi_engine::{Engine, Job, Models, RunOptions, Setup, store::MemoryStore};
/// # use std::sync::Arc;
/// # async fn job() -> Job {
/// #     let engine = Engine::new(Arc::new(MemoryStore::new()));
/// #     let provider = Arc::new(divisi_providers::Scripted::demo());
/// #     let models = Models::one(provider, &[("haiku", "demo-haiku")], &["*"]);
/// #     let setup = Setup::new(models, ".");
/// #     engine.open("example", setup, RunOptions::default()).await.expect("a job")
/// # }
/// use divisi_engine::{core::Task, patterns::scatter_gather};
///
/// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let job = job().await;
/// let review = |lens| Task::new(format!("Review for {lens}")).label(lens).model("haiku");
/// let reviews = ["security", "speed"].map(review);
/// let synthesis = Task::new("Make one action plan from these reviews").model("haiku");
/// let report = scatter_gather(&job, reviews, synthesis, 1).await?;
/// job.finish(report.text()?.into()).await?;
/// # Ok(()) }
/// ```
pub async fn scatter_gather(
    job: &Job,
    parts: impl IntoIterator<Item = Task>,
    synthesis: Task,
    parts_min: usize,
) -> Result<TaskReport, Failure> {
    let parts: Vec<Task> = parts.into_iter().collect();
    let names: Vec<Arc<str>> = parts
        .iter()
        .enumerate()
        .map(|(i, part)| {
            part.label
                .clone()
                .unwrap_or_else(|| format!("part {}", i + 1).into())
        })
        .collect();
    let reports = fan_out(job, parts).await;
    let part = |(name, report): (&Arc<str>, &TaskReport)| {
        Part::new(
            &**name,
            report.text().map_err(|failure| failure.to_string()),
        )
    };
    let parts = names.iter().zip(&reports).map(part).collect();
    let prompt = gathered(&synthesis.prompt, parts_min, parts)?;
    let report = job
        .run(Task {
            prompt: prompt.into(),
            ..synthesis
        })
        .await;
    report.value().map(|_: Value| report)
}
