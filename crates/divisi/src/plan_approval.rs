//! The approval of a plan that an agent has made (`divisi decompose --approve`): what is shown, the
//! answers, and the edited plan.
//!
//! The flow asks by a task that waits for a person. All that is shown is taken from the journal, so
//! the question looks the same wherever it is asked.

use crate::context::Context;
use crate::display::Look;
use crate::display::plan::{money, tree};
use crate::editor;
use anyhow::Context as _;
use divisi_app::launch::Kept;
use divisi_app::plan_file::{self, PlanFile};
use divisi_app::{FlowInput, Problem, preflight};
use divisi_core::{Outcome, Plan, RunId, RunView, TaskId};
use divisi_engine::Engine;
use serde_json::{Value, json};
use std::path::Path;

/// The name of the flow, and the labels of its tasks.
const FLOW: &str = "decompose";
const PLAN: &str = "plan";
pub(crate) const APPROVAL: &str = "approval";

/// The question, and its answers besides the one that puts it off.
pub(crate) const QUESTION: &str = "carry out this plan?";
pub(crate) const WORDS: [&str; 3] = ["yes", "no", "edit"];

/// What the user sees at the top of the file with the plan.
const HEAD: &str = "\
# The plan. Change, add or remove tasks; save and close to go on. Lines like this one do not count.
# `needs` names the tasks that must have ended first; {{id}} in a prompt is the result of a task.

";

/// The name by which errors call the file.
const FILE: &str = "plan.yaml";

/// Whether a task asks for the approval of a plan.
pub(crate) fn is_it(view: &RunView, task: TaskId) -> bool {
    let is_ours = view.flow.as_ref().is_some_and(|flow| flow.path.is_none());
    let is_named = |label: &str| view.task(task).is_some_and(|task| &*task.label == label);
    is_ours && &*view.name == FLOW && is_named(APPROVAL)
}

/// The answer that a word means, for the plan of the agent or an edited one.
pub(crate) fn answer(word: &str, edited: Option<&Value>) -> Option<String> {
    let answer = match (word, edited) {
        ("yes" | "y" | "true", None) => json!({ "approved": true }),
        ("yes" | "y" | "true", Some(plan)) => json!({ "approved": true, "tasks": plan["tasks"] }),
        ("no" | "n" | "false", _) => json!({ "approved": false }),
        _ => return None,
    };
    Some(answer.to_string())
}

/// A plan that waits for its approval.
pub(crate) struct Waiting {
    /// The plan as the agent has made it.
    pub(crate) plan: Value,
    kept: Kept,
    /// The model of all workers, whatever the plan says, and of those that it gave none.
    worker: Value,
    otherwise: Value,
}

impl Waiting {
    /// The plan of this run, as recorded.
    pub(crate) async fn of(engine: &Engine, id: &RunId) -> Result<Self, Problem> {
        let run = engine.load(id).await?;
        let (flow, kept) = engine.flow_of(&run).await?;
        let planned = run.tasks().filter_map(|(_, task)| match task.outcome() {
            Some(Outcome::Ok { value }) if &*task.facts().label == PLAN => Some(value),
            _ => None,
        });
        let plan = planned.last().context("the run has no plan")?;
        let plan = serde_json::from_str(&engine.read(plan).await?);
        let args = flow.args.unwrap_or_default();
        Ok(Self {
            plan: plan.context("the plan cannot be read")?,
            kept: kept
                .and_then(|kept| serde_json::from_value(kept).ok())
                .unwrap_or_default(),
            worker: args["worker"].clone(),
            otherwise: match args["otherwise"].as_str() {
                Some("auto") => json!("auto"),
                _ => Value::Null,
            },
        })
    }

    /// `plan` with its price, as text.
    pub(crate) async fn shown(&self, plan: &Value, context: &Context) -> Result<String, Problem> {
        let tasks = plan["tasks"].as_array().into_iter().flatten();
        let with_model = |task: &Value| {
            let mut task = task.clone();
            if task["approve"].is_null() {
                if !self.worker.is_null() {
                    task["model"] = self.worker.clone();
                } else if task["model"].is_null() {
                    task["model"] = self.otherwise.clone();
                }
            }
            task
        };
        let plan = json!({
            "name": "plan",
            "tasks": tasks.map(with_model).collect::<Vec<_>>(),
        });
        let input = FlowInput::Plan(PlanFile::read("plan.json", &plan.to_string())?);
        let request = self.kept.request.clone();
        let mut looked = preflight::look(input, request, false, &context.app).await?;
        // There is no file with these lines.
        looked
            .graph
            .tasks
            .iter_mut()
            .for_each(|node| node.site = None);
        let look = Look::of_stderr(false);
        let money = money::lines(&looked, &look, false);
        let shown = tree::render(&looked.graph, money, true, &look);
        Ok(shown.trim_end().to_owned())
    }
}

/// Lets the user edit `plan` until it is one; `None` if it was emptied or left as it was. Blocks.
///
/// `again` gets what is wrong, and returns whether to go on.
pub(crate) fn edit(
    plan: &Value,
    mut again: impl FnMut(Problem) -> bool,
) -> Result<Option<Value>, Problem> {
    let whole = Plan::from_value(&json!({ "tasks": plan["tasks"] })).map_err(Problem::failed)?;
    let before = HEAD.to_owned() + &plan_file::write(Path::new(FILE), &whole)?;
    let mut text = before.clone();
    loop {
        text = editor::edit(&text, ".yaml").map_err(Problem::failed)?;
        let is_empty = text
            .lines()
            .all(|line| line.trim().is_empty() || line.starts_with('#'));
        if is_empty || text == before {
            return Ok(None);
        }
        match PlanFile::read(FILE, &text) {
            Ok(read) => return Ok(Some(json!({ "tasks": read.plan.tasks() }))),
            Err(error) => {
                if !again(error.into()) {
                    return Ok(None);
                }
            }
        }
    }
}
