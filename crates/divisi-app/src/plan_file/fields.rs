//! Checks the form of a plan field by field, so that each error has a place.

use super::error::{Kind, Wrong};
use super::tree::{Entry, Node, Tree};
use crate::slip::{self, Unknown};
use divisi_core::plan::{Gather, Head, PlanTask};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Checks the form of the whole plan, and returns the tasks.
pub(super) fn check(root: &Node) -> Result<&[Node], Wrong> {
    let Some(entries) = root.map() else {
        return Err(
            Wrong::new(Kind::Form, "this is no plan", root.bytes.clone())
                .hint("a plan has `tasks`, a list with an `id` and a `prompt` each"),
        );
    };
    for entry in entries.iter().filter(|entry| entry.key != "tasks") {
        head(entry)?;
    }
    let Some(tasks) = root.entry("tasks") else {
        let at = entries
            .first()
            .map_or(root.bytes.clone(), |entry| entry.key_bytes.clone());
        return Err(Wrong::new(Kind::Form, "the plan has no `tasks`", at)
            .hint("name at least one task with an `id` and a `prompt`"));
    };
    let Some(list) = tasks.value.list() else {
        return Err(Wrong::new(
            Kind::Form,
            "`tasks` is no list",
            tasks.key_bytes.clone(),
        ));
    };
    if list.is_empty() {
        return Err(
            Wrong::new(Kind::Form, "the plan has no tasks", tasks.key_bytes.clone())
                .hint("name at least one task with an `id` and a `prompt`"),
        );
    }
    list.iter().try_for_each(task)?;
    Ok(list)
}

fn head(entry: &Entry) -> Result<(), Wrong> {
    match (&*entry.key, &entry.value.tree) {
        ("gather", Tree::Scalar(Value::String(prompt))) if prompt.trim().is_empty() => {
            Err(Wrong::new(
                Kind::Form,
                "the prompt of `gather` is empty",
                entry.key_bytes.clone(),
            ))
        }
        ("gather", Tree::Scalar(Value::String(_))) => Ok(()),
        ("gather", Tree::Map(fields)) => {
            fields
                .iter()
                .try_for_each(|field| one::<Gather>(field, &[]))?;
            match entry
                .value
                .entry("prompt")
                .and_then(|entry| entry.value.text())
            {
                Some(prompt) if !prompt.trim().is_empty() => Ok(()),
                _ => Err(Wrong::new(
                    Kind::Form,
                    "`gather` has no prompt",
                    entry.key_bytes.clone(),
                )),
            }
        }
        ("gather", _) => {
            let message = "`gather` is a prompt, or a map with one";
            Err(Wrong::new(Kind::Form, message, entry.key_bytes.clone()))
        }
        _ => one::<Head>(entry, &["tasks"]),
    }
}

fn task(task: &Node) -> Result<(), Wrong> {
    let Some(fields) = task.map() else {
        return Err(
            Wrong::new(Kind::Form, "this is no task", task.bytes.clone())
                .hint("a task has an `id` and a `prompt`"),
        );
    };
    fields
        .iter()
        .try_for_each(|field| one::<PlanTask>(field, &[]))?;
    let asks = task.entry("approve").is_some();
    for needed in ["id", "prompt"] {
        let is_there = task.entry(needed).is_some() || (needed == "prompt" && asks);
        if !is_there {
            let at = fields
                .first()
                .map_or(task.bytes.clone(), |field| field.key_bytes.clone());
            return Err(Wrong::new(
                Kind::Form,
                format!("the task has no `{needed}`"),
                at,
            ));
        }
    }
    Ok(())
}

/// Checks one field of a `T`, all of whose fields have defaults.
fn one<T: DeserializeOwned>(field: &Entry, others: &[&str]) -> Result<(), Wrong> {
    let alone = Value::from_iter([(field.key.clone(), field.value.value())]);
    let Err(error) = serde_json::from_value::<T>(alone) else {
        return Ok(());
    };
    let message = error.to_string();
    Err(match Unknown::parse(&message) {
        Some(mut unknown) if unknown.name == field.key => {
            unknown.known.extend(others);
            Wrong::new(
                Kind::Form,
                format!("there is no field `{}`", field.key),
                field.key_bytes.clone(),
            )
            .hint(unknown.hint())
        }
        _ => {
            let bytes = match field.value.tree {
                Tree::Scalar(_) => field.value.bytes.clone(),
                Tree::List(_) | Tree::Map(_) => field.key_bytes.clone(),
            };
            let (message, hint) = slip::told(&message, "field");
            let wrong = Wrong::new(Kind::Form, format!("`{}`: {message}", field.key), bytes);
            match hint {
                Some(hint) => wrong.hint(hint),
                None => wrong,
            }
        }
    })
}
