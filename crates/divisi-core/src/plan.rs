//! Tasks and what they need, known before they run.
//!
//! A [`Plan`] is checked when it is made: whoever holds one knows that its
//! tasks have names of their own, that every need is met by another task, and
//! that no task waits for itself. It says nothing about when or where tasks
//! run, and it cannot grow; a flow that decides as it goes is a script.

mod error;
mod order;
mod reference;
mod shape;

pub use error::PlanError;
pub use reference::{references, render};

use crate::{Effort, Millis, Task};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// An acyclic graph of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Draft", try_from = "Value")]
pub struct Plan {
    goal: Option<String>,
    tasks: Vec<PlanTask>,
    /// For each task the places of those it needs, each once, smallest first.
    needs: Vec<Vec<usize>>,
}

/// One task of a plan, as its author wrote it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PlanTask {
    /// What other tasks call it: letters, digits, `-` and `_`.
    pub id: String,
    /// What the agent is told. `{{id}}` stands for the result of another task,
    /// which is needed even if `needs` does not say so.
    pub prompt: String,
    /// Tasks that must have ended well before this one starts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// A short name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The sort of work it is, which decides the model where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A tier or a model id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// How hard the model should think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// JSON Schema of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Name of an agent definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<String>,
    /// Names of the tools the agent may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// The progress group it is shown under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Text that many tasks share, before everything of their own. `{{id}}`
    /// stands for a result there, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// Longest time of one attempt, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Millis>,
    /// How often a failed attempt may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How many requests one attempt may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
}

impl Plan {
    /// Most tasks of a plan. Ten thousand are more than a person or a planner
    /// writes; from there on a script that loops is shorter than its plan.
    pub const TASKS_MAX: usize = 10_000;

    /// Makes a plan of `tasks`.
    ///
    /// Fails at the first thing that is wrong, in the order of the tasks;
    /// cycles are looked for last.
    pub fn new(goal: Option<String>, tasks: Vec<PlanTask>) -> Result<Self, PlanError> {
        if tasks.is_empty() {
            return Err(PlanError::Empty);
        }
        if tasks.len() > Self::TASKS_MAX {
            return Err(PlanError::TooLong { tasks: tasks.len(), tasks_max: Self::TASKS_MAX });
        }
        let places = places(&tasks)?;
        let needs = tasks.iter().map(|task| task.resolve(&places)).collect::<Result<Vec<_>, _>>()?;
        if let Some(cycle) = order::cycle(&needs) {
            return Err(PlanError::Cycle(cycle.into_iter().map(|i| tasks[i].id.clone()).collect()));
        }
        Ok(Self { goal, tasks, needs })
    }

    /// Reads a plan from JSON: `{"goal": …, "tasks": [{"id", "prompt", "needs", …}]}`.
    ///
    /// Unknown fields are errors, because a misspelt `needs` would let a task
    /// start too early.
    pub fn from_value(value: &Value) -> Result<Self, PlanError> {
        shape::read(value).and_then(|draft| Self::new(draft.goal, draft.tasks))
    }

    /// The JSON Schema that a planner's answer has to fit.
    ///
    /// It offers less than a plan file may say: a planner is a model, and a
    /// model hands out neither tools nor agent definitions.
    pub fn json_schema() -> Value {
        shape::planner_schema()
    }

    /// What the tasks are for.
    pub fn goal(&self) -> Option<&str> {
        self.goal.as_deref()
    }

    /// The tasks, in the order of their author.
    pub fn tasks(&self) -> &[PlanTask] {
        &self.tasks
    }

    /// The places of the tasks that the task at `place` needs, named or referred to.
    pub fn needs(&self, place: usize) -> &[usize] {
        &self.needs[place]
    }

    /// For each task the number of tasks on the longest chain before it; 0 may start at once.
    pub fn depths(&self) -> Vec<usize> {
        order::depths(&self.needs)
    }

    /// For each task the number of tasks on the longest chain that starts with
    /// it, itself included. Whatever has the most should start first.
    pub fn remaining(&self) -> Vec<usize> {
        order::remaining(&self.needs)
    }

    /// The places of the tasks by depth: each wave needs only earlier ones.
    pub fn waves(&self) -> Vec<Vec<usize>> {
        let mut waves = Vec::new();
        for (place, depth) in self.depths().into_iter().enumerate() {
            if waves.len() <= depth {
                waves.resize(depth + 1, Vec::new());
            }
            waves[depth].push(place);
        }
        waves
    }
}

impl PlanTask {
    /// A task with this name and prompt and nothing else said.
    pub fn new(id: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self { id: id.into(), prompt: prompt.into(), ..Self::default() }
    }

    /// The same after these tasks.
    pub fn after<I: Into<String>>(mut self, needs: impl IntoIterator<Item = I>) -> Self {
        self.needs.extend(needs.into_iter().map(Into::into));
        self
    }

    /// What an agent is asked to do, with `prompt` as the rendered prompt.
    pub fn task(&self, prompt: impl Into<std::sync::Arc<str>>) -> Task {
        Task {
            label: Some(self.label.as_ref().unwrap_or(&self.id).as_str().into()),
            kind: self.kind.as_deref().map(Into::into),
            model: self.model.as_deref().map(Into::into).unwrap_or_default(),
            effort: self.effort,
            schema: self.schema.clone().map(Into::into),
            agent_type: self.agent_type.as_deref().map(Into::into),
            tools: self.tools.as_ref().map(|tools| tools.iter().map(|tool| tool.as_str().into()).collect()),
            phase: self.phase.as_deref().map(Into::into),
            context: self.context.as_deref().map(Into::into),
            timeout: self.timeout,
            retries: self.retries,
            max_turns: self.max_turns,
            ..Task::new(prompt)
        }
    }

    /// The ids that stand in its texts.
    fn references(&self) -> impl Iterator<Item = &str> {
        references(&self.prompt).chain(self.context.iter().flat_map(|context| references(context)))
    }

    fn resolve(&self, places: &BTreeMap<&str, usize>) -> Result<Vec<usize>, PlanError> {
        if self.prompt.trim().is_empty() {
            return Err(PlanError::EmptyPrompt { task: self.id.clone() });
        }
        let mut needs = Vec::new();
        for need in self.needs.iter().map(String::as_str).chain(self.references()) {
            if need == self.id {
                return Err(PlanError::NeedsItself { task: self.id.clone() });
            }
            let place = places.get(need).ok_or_else(|| PlanError::UnknownNeed {
                task: self.id.clone(),
                need: need.to_owned(),
                known: places.keys().map(|&id| id.to_owned()).collect(),
            })?;
            needs.push(*place);
        }
        needs.sort_unstable();
        needs.dedup();
        Ok(needs)
    }
}

fn places(tasks: &[PlanTask]) -> Result<BTreeMap<&str, usize>, PlanError> {
    let mut places = BTreeMap::new();
    for (place, task) in tasks.iter().enumerate() {
        if !reference::is_id(&task.id) {
            return Err(PlanError::BadId { place, id: task.id.clone() });
        }
        if places.insert(task.id.as_str(), place).is_some() {
            return Err(PlanError::SameId { id: task.id.clone() });
        }
    }
    Ok(places)
}

/// A plan as it is written down.
#[derive(Serialize)]
struct Draft {
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<String>,
    tasks: Vec<PlanTask>,
}

impl From<Plan> for Draft {
    fn from(plan: Plan) -> Self {
        Self { goal: plan.goal, tasks: plan.tasks }
    }
}

impl TryFrom<Value> for Plan {
    type Error = PlanError;
    fn try_from(value: Value) -> Result<Self, PlanError> {
        Self::from_value(&value)
    }
}

#[cfg(test)]
mod tests;
