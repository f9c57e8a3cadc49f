//! Results as text, JSON, CSV and Markdown.

use super::Format;
use crate::display::json;
use anyhow::Context as _;
use divisi_app::Problem;
use divisi_core::view::{Status, TaskView};
use divisi_core::{PicoUsd, RunView, TaskId};
use divisi_providers::redact;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write;
use std::sync::Arc;

/// A task with its result.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Row {
    /// Its number: `t7`.
    pub(crate) task: String,
    /// Its name.
    pub(crate) label: Arc<str>,
    /// Its phase.
    pub(crate) phase: Option<Arc<str>>,
    /// Its state.
    pub(crate) status: Status,
    /// The model that answered.
    pub(crate) model: Option<Arc<str>>,
    /// Of all its attempts, with what may be billed at most for requests without a reply.
    pub(crate) cost: PicoUsd,
    /// A text, or the value if the task has a schema; `null` unless it is ok.
    pub(crate) result: Option<Value>,
    /// Why there is none.
    reason: Option<String>,
}

impl Row {
    pub(crate) fn new(
        id: TaskId,
        view: &RunView,
        task: &TaskView,
        result: Option<Value>,
        reason: Option<String>,
    ) -> Self {
        Self {
            task: id.to_string(),
            label: task.label.clone(),
            phase: view.phase_of(task).cloned(),
            status: task.status,
            model: view.model_of(task).cloned(),
            cost: task.spent.total(),
            result,
            reason: reason.map(|reason| redact(&reason).into_owned()),
        }
    }

    /// The result as text; JSON on several lines if it is a value.
    pub(crate) fn text(&self) -> String {
        match &self.result {
            Some(Value::String(text)) => text.clone(),
            Some(value) => format!("{value:#}"),
            None => format!("(no result: {})", self.missing()),
        }
    }

    fn missing(&self) -> &str {
        match (&self.reason, self.status) {
            (Some(reason), _) => reason,
            (None, Status::Cancelled) => "the task was cancelled",
            (None, _) => "the task has not ended",
        }
    }
}

/// All rows in this form.
pub(crate) fn render(rows: &[Row], format: Format) -> Result<String, Problem> {
    Ok(match format {
        Format::Text | Format::Md => sections(rows, format),
        Format::Json => json::pretty(&rows).context("cannot write JSON")? + "\n",
        Format::Ndjson => {
            let lines = rows.iter().map(json::line);
            let lines: Result<Vec<_>, _> = lines.collect();
            let mut lines = lines.context("cannot write JSON")?;
            // A filter may leave nothing of a line.
            lines.retain(|line| !line.is_empty());
            lines.join("\n") + "\n"
        }
        Format::Csv => csv(rows).context("cannot write CSV")?,
    })
}

fn sections(rows: &[Row], format: Format) -> String {
    let mut text = String::new();
    for row in rows {
        // Writing to a string cannot fail.
        let _ = match (&row.result, format) {
            (Some(value @ (Value::Object(_) | Value::Array(_))), Format::Md) => {
                writeln!(text, "## {}\n\n```json\n{value:#}\n```\n", row.label)
            }
            _ => writeln!(text, "## {}\n\n{}\n", row.label, row.text().trim_end()),
        };
    }
    text
}

fn csv(rows: &[Row]) -> anyhow::Result<String> {
    let mut writer = csv::Writer::from_writer(vec![]);
    writer.write_record([
        "task", "label", "phase", "status", "model", "cost", "result", "reason",
    ])?;
    for row in rows {
        let result = match &row.result {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => String::new(),
        };
        let cost = json::unfiltered(&row.cost)?;
        let status = json::unfiltered(&row.status)?;
        writer.write_record([
            &*row.task,
            &*row.label,
            row.phase.as_deref().unwrap_or_default(),
            status.trim_matches('"'),
            row.model.as_deref().unwrap_or_default(),
            &*cost,
            &*result,
            row.reason.as_deref().unwrap_or_default(),
        ])?;
    }
    Ok(String::from_utf8(writer.into_inner()?)?)
}
