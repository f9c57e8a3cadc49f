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
mod startable;
mod written;

pub use error::PlanError;
pub use order::priorities;
pub use reference::{references, render};
pub use startable::Startable;

use crate::check::{Check, Ladder};
use crate::{Effort, Isolation, Millis, PicoUsd, Task};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// An acyclic graph of tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "Draft", try_from = "Value")]
pub struct Plan {
    head: Head,
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
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "written::names"
    )]
    pub needs: Vec<String>,
    /// A short name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The sort of work it is, which decides the model where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A tier or a model id, or several to climb.
    #[serde(
        skip_serializing_if = "Ladder::is_empty",
        deserialize_with = "written::names"
    )]
    pub model: Ladder,
    /// What takes the place of a model that is out of order.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "written::names"
    )]
    pub fallback: Vec<String>,
    /// What a result has to stand.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "written::checks")]
    pub check: Vec<Check>,
    /// Most that all its attempts together may cost, in dollars.
    #[serde(skip_serializing_if = "Option::is_none", with = "written::dollars")]
    pub max_cost: Option<PicoUsd>,
    /// How hard the model should think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// JSON Schema of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Name of an agent definition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_type: Option<String>,
    /// What carries the task out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// Names of the tools the agent may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Vec<String>>,
    /// Names of tools it may not use.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "written::names"
    )]
    pub disallowed_tools: Vec<String>,
    /// Text that many tasks share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The progress group it is shown under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Files whose content belongs to the identity of the task.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "written::names"
    )]
    pub inputs: Vec<String>,
    /// Where it works.
    #[serde(skip_serializing_if = "is_default")]
    pub isolation: Isolation,
    /// Longest time one attempt may take.
    #[serde(skip_serializing_if = "Option::is_none", with = "written::span")]
    pub timeout: Option<Millis>,
    /// Longest time one attempt may go without any sign of progress.
    #[serde(
        rename = "stallMs",
        skip_serializing_if = "Option::is_none",
        with = "written::span"
    )]
    pub idle_timeout: Option<Millis>,
    /// How often a failed attempt may be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// How long the task waits for a vendor without capacity before that uses
    /// up retries.
    #[serde(skip_serializing_if = "Option::is_none", with = "written::span")]
    pub overload_wait: Option<Millis>,
    /// Whether a request that takes far longer than others may be sent a second time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<bool>,
    /// How many requests one attempt may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
}

/// What a plan says beside its tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Head {
    /// What its runs are called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the tasks are for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// Most a run of it may cost, in dollars.
    #[serde(skip_serializing_if = "Option::is_none", with = "written::dollars")]
    pub max_cost: Option<PicoUsd>,
    /// The progress groups whose tasks have a cap together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseCap>,
    /// Makes one answer of all results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gather: Option<Gather>,
}

/// A progress group with a cap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PhaseCap {
    /// The title that its tasks name.
    pub title: String,
    /// Most that they may cost together, in dollars.
    #[serde(with = "written::some_dollars")]
    pub max_cost: PicoUsd,
}

/// The synthesis at the end of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Gather {
    /// What is to be made of the results.
    pub prompt: String,
    /// A tier or a model id, or several to climb.
    #[serde(
        skip_serializing_if = "Ladder::is_empty",
        deserialize_with = "written::names"
    )]
    pub model: Ladder,
    /// How hard the model should think.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub effort: Option<Effort>,
    /// JSON Schema of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// Most that it may cost, in dollars.
    #[serde(skip_serializing_if = "Option::is_none", with = "written::dollars")]
    pub max_cost: Option<PicoUsd>,
    /// Fewest results it is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_parts: Option<u32>,
}

impl Gather {
    /// What the agent is asked to do that makes it, with `prompt` as the rendered prompt.
    pub fn task(&self, prompt: impl Into<Arc<str>>) -> Task {
        Task {
            label: Some("gather".into()),
            model: self.model.clone(),
            effort: self.effort,
            schema: self.schema.clone().map(Into::into),
            max_cost: self.max_cost,
            ..Task::new(prompt)
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
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
            return Err(PlanError::TooLong {
                tasks: tasks.len(),
                tasks_max: Self::TASKS_MAX,
            });
        }
        let places = places(&tasks)?;
        let needs = tasks
            .iter()
            .map(|task| task.resolve(&places))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(cycle) = order::cycle(&needs) {
            return Err(PlanError::Cycle(
                cycle.into_iter().map(|i| tasks[i].id.clone()).collect(),
            ));
        }
        Ok(Self {
            head: Head {
                goal,
                ..Head::default()
            },
            tasks,
            needs,
        })
    }

    /// Reads a plan from JSON: `{"goal": …, "tasks": [{"id", "prompt", "needs", …}]}`.
    ///
    /// Unknown fields are errors, because a misspelt `needs` would let a task
    /// start too early.
    pub fn from_value(value: &Value) -> Result<Self, PlanError> {
        let Draft { head, tasks } = shape::read(value)?;
        let plan = Self::new(None, tasks)?;
        plan.check_phases(&head.phases)?;
        Ok(plan.with_head(head))
    }

    /// The JSON Schema that a planner's answer has to fit.
    ///
    /// It offers less than a plan file may say: a planner is a model, and a
    /// model hands out neither tools nor agent definitions.
    pub fn json_schema() -> Value {
        shape::planner_schema()
    }

    /// The same under this head.
    pub fn with_head(self, head: Head) -> Self {
        Self { head, ..self }
    }

    /// What it says beside its tasks.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// What the tasks are for.
    pub fn goal(&self) -> Option<&str> {
        self.head.goal.as_deref()
    }

    /// The tasks, in the order of their author.
    pub fn tasks(&self) -> &[PlanTask] {
        &self.tasks
    }

    /// The places of the tasks that the task at `place` needs, named or referred to.
    pub fn needs(&self, place: usize) -> &[usize] {
        &self.needs[place]
    }

    /// Whether each of these caps holds something: a misspelt one would not.
    fn check_phases(&self, caps: &[PhaseCap]) -> Result<(), PlanError> {
        let known: BTreeSet<&str> = self
            .tasks
            .iter()
            .filter_map(|task| task.phase.as_deref())
            .collect();
        let mut capped = BTreeSet::new();
        for PhaseCap { title, .. } in caps {
            let phase = title.clone();
            if !known.contains(title.as_str()) {
                let known = known.into_iter().map(str::to_owned).collect();
                return Err(PlanError::UnknownPhase { phase, known });
            }
            if !capped.insert(title) {
                return Err(PlanError::SamePhase { phase });
            }
        }
        Ok(())
    }

    /// For each task the number of tasks on the longest chain before it; 0 may start at once.
    pub fn depths(&self) -> Vec<usize> {
        order::depths(&self.needs)
    }

    /// For each task the number of tasks on the longest chain that waits for it.
    /// Whatever has the most should start first.
    pub fn chains(&self) -> Vec<u32> {
        order::chains(&self.needs)
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
        Self {
            id: id.into(),
            prompt: prompt.into(),
            ..Self::default()
        }
    }

    /// The same after these tasks.
    pub fn after<I: Into<String>>(mut self, needs: impl IntoIterator<Item = I>) -> Self {
        self.needs.extend(needs.into_iter().map(Into::into));
        self
    }

    /// What an agent is asked to do, with `prompt` as the rendered prompt.
    pub fn task(&self, prompt: impl Into<Arc<str>>) -> Task {
        Task {
            label: Some(self.label.as_ref().unwrap_or(&self.id).as_str().into()),
            kind: self.kind.as_deref().map(Into::into),
            model: self.model.clone(),
            fallback: texts(&self.fallback),
            check: self.check.clone(),
            max_cost: self.max_cost,
            effort: self.effort,
            schema: self.schema.clone().map(Into::into),
            agent_type: self.agent_type.as_deref().map(Into::into),
            executor: self.executor.as_deref().map(Into::into),
            tools: self.tools.as_deref().map(texts),
            disallowed_tools: texts(&self.disallowed_tools),
            context: self.context.as_deref().map(Into::into),
            phase: self.phase.as_deref().map(Into::into),
            inputs: texts(&self.inputs),
            isolation: self.isolation,
            timeout: self.timeout,
            idle_timeout: self.idle_timeout,
            retries: self.retries,
            overload_wait: self.overload_wait,
            hedge: self.hedge,
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
            return Err(PlanError::EmptyPrompt {
                task: self.id.clone(),
            });
        }
        let mut needs = Vec::new();
        for need in self
            .needs
            .iter()
            .map(String::as_str)
            .chain(self.references())
        {
            if need == self.id {
                return Err(PlanError::NeedsItself {
                    task: self.id.clone(),
                });
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

fn texts(texts: &[String]) -> Vec<Arc<str>> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

fn places(tasks: &[PlanTask]) -> Result<BTreeMap<&str, usize>, PlanError> {
    let mut places = BTreeMap::new();
    for (place, task) in tasks.iter().enumerate() {
        if !reference::is_id(&task.id) {
            return Err(PlanError::BadId {
                place,
                id: task.id.clone(),
            });
        }
        if places.insert(task.id.as_str(), place).is_some() {
            return Err(PlanError::SameId {
                id: task.id.clone(),
            });
        }
    }
    Ok(places)
}

/// A plan as it is written down.
#[derive(Serialize)]
struct Draft {
    #[serde(flatten)]
    head: Head,
    tasks: Vec<PlanTask>,
}

impl From<Plan> for Draft {
    fn from(plan: Plan) -> Self {
        Self {
            head: plan.head,
            tasks: plan.tasks,
        }
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
