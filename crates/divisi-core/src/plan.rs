//! Tasks and their needs, known before they run.
//!
//! A [`Plan`] is checked when it is made: the ids of its tasks are unique, every need is a task of
//! the plan, and the graph has no cycle. It does not say when or where tasks run, and it cannot
//! grow; a flow that decides at run time is a script.

mod error;
mod order;
mod question;
mod reference;
mod shape;
mod startable;
mod written;

pub use error::PlanError;
pub use order::priorities;
pub use question::Question;
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
    /// For each task the indices of the tasks it needs, ascending and unique.
    needs: Vec<Vec<usize>>,
}

/// One task of a plan, as written.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct PlanTask {
    /// Its id for other tasks: letters, digits, `-` and `_`.
    pub id: String,
    /// The prompt. `{{id}}` is replaced by the result of another task, which is needed even if
    /// `needs` does not list it.
    pub prompt: String,
    /// Tasks that must have succeeded before this one starts.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "written::names"
    )]
    pub needs: Vec<String>,
    /// A short name for display.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The kind of work, which decides the model where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// A tier or a model id, or several as a ladder.
    #[serde(
        skip_serializing_if = "Ladder::is_empty",
        deserialize_with = "written::names"
    )]
    pub model: Ladder,
    /// Models that replace an overloaded one.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "written::names"
    )]
    pub fallback: Vec<String>,
    /// Checks of the result.
    #[serde(skip_serializing_if = "Vec::is_empty", with = "written::checks")]
    pub check: Vec<Check>,
    /// Most that all its attempts may cost together, in dollars.
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
    /// Name of the executor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<String>,
    /// Names of the tools the agent may use; by default those of the agent definition.
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
    /// The phase it is shown under.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Files whose content is part of the task's identity.
    #[serde(
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "written::names"
    )]
    pub inputs: Vec<String>,
    /// Whether it works in a copy of the repository.
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
    /// How long the task waits for an overloaded vendor before that uses up retries.
    #[serde(skip_serializing_if = "Option::is_none", with = "written::span")]
    pub overload_wait: Option<Millis>,
    /// Whether a request that takes far longer than others may be sent a second time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hedge: Option<bool>,
    /// How many requests one attempt may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// A question to a person, instead of a prompt and its options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approve: Option<Question>,
}

/// The fields of a plan besides its tasks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Head {
    /// Name of its runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Goal of the tasks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub goal: Option<String>,
    /// Most that a run may cost, in dollars.
    #[serde(skip_serializing_if = "Option::is_none", with = "written::dollars")]
    pub max_cost: Option<PicoUsd>,
    /// Phases with a cap.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub phases: Vec<PhaseCap>,
    /// The synthesis of all results.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gather: Option<Gather>,
}

/// A phase with a cap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PhaseCap {
    /// Title of the phase, as in its tasks.
    pub title: String,
    /// Most that its tasks may cost together, in dollars.
    #[serde(with = "written::some_dollars")]
    pub max_cost: PicoUsd,
}

/// The synthesis at the end of a plan.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Gather {
    /// What is to be made of the results.
    pub prompt: String,
    /// A tier or a model id, or several as a ladder.
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
    /// Most it may cost, in dollars.
    #[serde(skip_serializing_if = "Option::is_none", with = "written::dollars")]
    pub max_cost: Option<PicoUsd>,
    /// Fewest results it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_parts: Option<u32>,
}

impl Gather {
    /// The task that makes the synthesis, with the rendered `prompt`.
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
    /// Most tasks of a plan. Neither users nor planners write ten thousand; from there on a script
    /// with a loop is shorter than its plan.
    pub const TASKS_MAX: usize = 10_000;

    /// Makes a plan of `tasks`.
    ///
    /// Fails with the first error in the order of the tasks; cycles are searched for last.
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

    /// Parses a plan from JSON: `{"goal": …, "tasks": [{"id", "prompt", "needs", …}]}`.
    ///
    /// Unknown fields are errors, because a misspelt `needs` would let a task start too early.
    pub fn from_value(value: &Value) -> Result<Self, PlanError> {
        let Draft { head, tasks } = shape::read(value)?;
        let plan = Self::new(None, tasks)?;
        plan.check_phases(&head.phases)?;
        Ok(plan.with_head(head))
    }

    /// The JSON Schema for a planner's answer.
    ///
    /// It allows less than a plan file: a planner is a model, and models may not assign tools or
    /// agent definitions.
    pub fn json_schema() -> Value {
        shape::planner_schema()
    }

    /// Sets the fields besides the tasks.
    pub fn with_head(self, head: Head) -> Self {
        Self { head, ..self }
    }

    /// The fields besides the tasks.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The goal of the tasks.
    pub fn goal(&self) -> Option<&str> {
        self.head.goal.as_deref()
    }

    /// The tasks, as ordered by their author.
    pub fn tasks(&self) -> &[PlanTask] {
        &self.tasks
    }

    /// The indices of the tasks that the task at `place` needs, by `needs` or by reference.
    pub fn needs(&self, place: usize) -> &[usize] {
        &self.needs[place]
    }

    /// Checks that each cap applies to some task: with a misspelt title it would not.
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

    /// For each task the length of the longest chain before it; 0 may start at once.
    pub fn depths(&self) -> Vec<usize> {
        order::depths(&self.needs)
    }

    /// For each task the length of the longest chain that waits for it. The task with the longest
    /// one should start first.
    pub fn chains(&self) -> Vec<u32> {
        order::chains(&self.needs)
    }

    /// The indices of the tasks by depth: each wave needs only earlier ones.
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
    /// A task with this id and prompt and defaults otherwise.
    pub fn new(id: impl Into<String>, prompt: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            prompt: prompt.into(),
            ..Self::default()
        }
    }

    /// Adds needs.
    pub fn after<I: Into<String>>(mut self, needs: impl IntoIterator<Item = I>) -> Self {
        self.needs.extend(needs.into_iter().map(Into::into));
        self
    }

    /// Its text: the prompt, or the question.
    pub fn text(&self) -> &str {
        match &self.approve {
            Some(question) => &question.question,
            None => &self.prompt,
        }
    }

    /// The task for the engine, with its rendered [text](Self::text).
    pub fn task(&self, prompt: impl Into<Arc<str>>) -> Task {
        if let Some(question) = &self.approve {
            return Task {
                label: Some(self.label.as_ref().unwrap_or(&self.id).as_str().into()),
                phase: self.phase.as_deref().map(Into::into),
                ..question.task(prompt, question.show.as_deref().map(Into::into))
            };
        }
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

    /// The ids that its texts refer to.
    fn references(&self) -> impl Iterator<Item = &str> {
        let show = self
            .approve
            .iter()
            .flat_map(|question| question.show.iter());
        let others = self.context.iter().chain(show);
        references(self.text()).chain(others.flat_map(|text| references(text)))
    }

    fn resolve(&self, places: &BTreeMap<&str, usize>) -> Result<Vec<usize>, PlanError> {
        let question = Self {
            id: self.id.clone(),
            needs: self.needs.clone(),
            label: self.label.clone(),
            phase: self.phase.clone(),
            approve: self.approve.clone(),
            ..Self::default()
        };
        if self.approve.is_some() && *self != question {
            return Err(PlanError::QuestionWithWork {
                task: self.id.clone(),
            });
        }
        if self.text().trim().is_empty() {
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

/// A plan as parsed, before it is checked.
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
