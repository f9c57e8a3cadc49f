//! Approval of the plan that an agent has made, before its tasks run.
//!
//! The flow asks by a task that waits for a person, so the run rests in the journal meanwhile and
//! can be answered later, from anywhere. On a terminal it is answered and continued at once.

use crate::commands::answer::{APPROVED, REFUSED};
use crate::commands::resume::{How, go_on};
use crate::commands::show::each_event;
use crate::context::Context;
use crate::display::Look;
use crate::display::plan::{money, tree};
use crate::exit::Exit;
use crate::flags::PatternFlags;
use crate::launch::drive;
use crate::output;
use anyhow::Context as _;
use divisi_app::launch::Launch;
use divisi_app::plan_file::PlanFile;
use divisi_app::{FlowInput, Problem, RunRequest, preflight};
use divisi_core::{Event, Outcome, RunId, RunView, TaskId};
use divisi_engine::{AnswerError, Engine, Flow};
use serde_json::{Value, json};

/// Labels of the tasks of the flow.
const PLAN: &str = "plan";
const APPROVAL: &str = "approval";

/// The models of workers, as in the arguments of the flow.
pub(super) struct Worker {
    /// The model of all of them, whatever the planner says.
    pub(super) model: Option<String>,
    /// The model of those that the planner gave none; `None` is the run's model.
    pub(super) otherwise: Option<&'static str>,
}

/// Runs the flow; at the question it shows the plan with its price.
pub(super) async fn run(
    flow: Flow,
    worker: &Worker,
    flags: PatternFlags,
    context: &Context,
) -> Result<Exit, Problem> {
    let request = RunRequest::from(flags.run);
    let launch = Launch::new(FlowInput::Script(flow), request.clone());
    let Some(finished) = drive(launch, flags.confirm.yes, context).await? else {
        return Ok(Exit::Cancelled);
    };
    let (exit, id) = (Exit::of(finished.status()), finished.id);
    let engine = Engine::new(context.app.store()?);
    let (view, _) = engine.view(&id).await?;
    let Some(question) = view
        .questions()
        .find(|task| is_named(&view, *task, APPROVAL))
    else {
        return Ok(exit);
    };
    if context.global.json || context.global.quiet {
        return Ok(Exit::Parked);
    }
    show(&plan(&engine, &id, &view).await?, worker, request, context).await?;
    let answers = [
        ("yes", Some(APPROVED)),
        ("no", Some(REFUSED)),
        ("later", None),
    ];
    let answer = output::ask("carry out this plan?", &answers).context("cannot read the answer")?;
    let Some(answer) = answer.flatten() else {
        let commands = format!("`divisi answer {id} {APPROVAL} yes`, then `divisi resume {id}`");
        output::say(&format!("the plan waits for its approval: {commands}"));
        return Ok(Exit::Parked);
    };
    engine
        .answer(&id, question, answer)
        .await
        .map_err(|error| match error {
            AnswerError::Start(error) => Problem::from(error),
            AnswerError::Drive(error) => error.into(),
            error => Problem::failed(error),
        })?;
    go_on(id.as_str(), RunRequest::default(), How::default(), context).await
}

fn is_named(view: &RunView, task: TaskId, label: &str) -> bool {
    view.task(task).is_some_and(|task| &*task.label == label)
}

/// The plan of the planner, as recorded.
async fn plan(engine: &Engine, id: &RunId, view: &RunView) -> Result<Value, Problem> {
    let mut found = None;
    each_event(&**engine.store(), id, |recorded| {
        if let Event::TaskEnded {
            task,
            outcome: Outcome::Ok { value },
        } = recorded.event
            && is_named(view, task, PLAN)
        {
            found = Some(value);
        }
    })
    .await?;
    let found = found.context("the run has no plan")?;
    let text = engine.read(&found).await?;
    Ok(serde_json::from_str(&text).context("the plan cannot be read")?)
}

/// Shows the plan with its price.
async fn show(
    plan: &Value,
    worker: &Worker,
    request: RunRequest,
    context: &Context,
) -> Result<(), Problem> {
    let tasks = plan["tasks"].as_array().into_iter().flatten();
    let with_model = |task: &Value| {
        let mut task = task.clone();
        if let Some(model) = &worker.model {
            task["model"] = model.as_str().into();
        } else if task["model"].is_null() {
            task["model"] = json!(worker.otherwise);
        }
        task
    };
    let plan = json!({
        "name": "plan",
        "tasks": tasks.map(with_model).collect::<Vec<_>>(),
    });
    let input = FlowInput::Plan(PlanFile::read("plan.json", &plan.to_string())?);
    let mut looked = preflight::look(input, request, false, &context.app).await?;
    // There is no file with these lines.
    looked
        .graph
        .tasks
        .iter_mut()
        .for_each(|node| node.site = None);
    let look = Look::of_stderr(false);
    let money = money::lines(&looked, &look, false);
    output::say(tree::render(&looked.graph, money, true, &look).trim_end());
    Ok(())
}
