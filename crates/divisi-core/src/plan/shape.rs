//! The written form of a plan.

use super::{Draft, Head, Plan, PlanError, PlanTask};
use serde_json::{Map, Value, json};

/// The fields of a plan besides its tasks.
const HEAD: [&str; 5] = ["name", "goal", "maxCost", "phases", "gather"];

/// Parses the parts of a plan, without checking how they fit together.
pub(super) fn read(value: &Value) -> Result<Draft, PlanError> {
    let plan = value
        .as_object()
        .ok_or_else(|| malformed(format!("it is {}", sort(value))))?;
    if let Some(unknown) = plan
        .keys()
        .find(|key| !HEAD.contains(&key.as_str()) && *key != "tasks")
    {
        return Err(malformed(format!("unknown field `{unknown}`")));
    }
    let others = plan.iter().filter(|(key, _)| *key != "tasks");
    let mut head: Map<String, Value> = others
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    // A text is short for a synthesis with this prompt.
    if let Some(prompt @ Value::String(_)) = head.get_mut("gather") {
        *prompt = json!({ "prompt": prompt.take() });
    }
    let head: Head = serde_json::from_value(Value::Object(head))
        .map_err(|error| malformed(error.to_string()))?;
    match &head.gather {
        Some(gather) if gather.prompt.trim().is_empty() => {
            Err(malformed("the prompt of `gather` is empty".to_owned()))
        }
        _ => Ok(Draft {
            head,
            tasks: tasks(plan)?,
        }),
    }
}

fn tasks(plan: &Map<String, Value>) -> Result<Vec<PlanTask>, PlanError> {
    let tasks = match plan.get("tasks") {
        Some(Value::Array(tasks)) => tasks,
        Some(other) => return Err(malformed(format!("`tasks` is {}, not a list", sort(other)))),
        None => return Err(malformed("it has no `tasks`".to_owned())),
    };
    // Checked before the tasks are parsed, so that a planner's endless list costs nothing.
    if tasks.len() > Plan::TASKS_MAX {
        return Err(PlanError::TooLong {
            tasks: tasks.len(),
            tasks_max: Plan::TASKS_MAX,
        });
    }
    let read = |(place, task): (usize, &Value)| {
        serde_json::from_value(task.clone())
            .map_err(|error| malformed(format!("task {place}: {error}")))
    };
    tasks.iter().enumerate().map(read).collect()
}

fn malformed(message: String) -> PlanError {
    PlanError::Malformed { message }
}

fn sort(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Every object is closed and every field required, as vendors' strict modes demand; unused fields
/// are empty or null.
pub(super) fn planner_schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "tasks": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "id": {
                            "type": "string",
                            "description": "Short unique name: letters, digits, - and _."
                        },
                        "prompt": {
                            "type": "string",
                            "description": "Complete instructions for an agent that sees nothing else. \
                                Write {{id}} where the result of another task belongs."
                        },
                        "needs": {
                            "type": "array",
                            "items": { "type": "string" },
                            "description": "Ids of tasks that must finish before this one starts. \
                                Leave it empty where the task can start at once."
                        },
                        "label": {
                            "type": ["string", "null"],
                            "description": "A few words for people."
                        },
                        "model": {
                            "type": ["string", "null"],
                            "enum": ["haiku", "sonnet", "opus", null],
                            "description": "haiku: search, read, format, simple edits. \
                                sonnet: features, bugs, reviews. \
                                opus: architecture, hard algorithms. null: let the run decide."
                        }
                    },
                    "required": ["id", "prompt", "needs", "label", "model"],
                    "additionalProperties": false
                }
            }
        },
        "required": ["tasks"],
        "additionalProperties": false
    })
}
