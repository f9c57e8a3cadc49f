//! Plan files: tasks, and what they need, written down before they run.
//!
//! A plan file is JSON or YAML. It is checked as a whole before anything runs,
//! and what is wrong with it is shown where it stands. A built-in flow carries
//! it out.

mod place;

use divisi_core::Plan;
use divisi_core::plan::{PlanError, PlanTask};
use divisi_engine::Flow;
use miette::{Diagnostic, LabeledSpan, NamedSource, SourceCode};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::Range;
use std::path::Path;

/// A plan as it stands in a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    goal: Option<String>,
    tasks: Vec<PlanTask>,
}

/// What is wrong with a plan file.
#[derive(Debug, thiserror::Error)]
#[error("plan `{name}` cannot be read{place}: {what}")]
pub(crate) struct PlanFileError {
    name: String,
    /// ` at line 3`, where a line is known.
    place: String,
    what: String,
    hint: Option<String>,
    span: Option<Range<usize>>,
    source_code: NamedSource<String>,
}

/// Whether a file of this name is a plan, by its ending.
pub(crate) fn is_plan(path: &str) -> bool {
    is_yaml(path) || has_ending(path, &["json"])
}

/// The flow that carries out the plan in this file.
pub(crate) fn flow(path: &str, text: &str) -> Result<Flow, Box<PlanFileError>> {
    let plan = read(path, text)?;
    let name = Path::new(path).file_stem().map_or(path.into(), |stem| stem.to_string_lossy());
    let args = serde_json::to_value(plan).unwrap_or_default();
    Ok(Flow::script(name.as_ref(), include_str!("flows/plan.js")).args(args))
}

/// A plan as the text of a file: YAML or JSON, by the ending of `path`.
pub(crate) fn write(path: &Path, plan: &Plan) -> anyhow::Result<String> {
    match is_yaml(&path.to_string_lossy()) {
        true => Ok(serde_norway::to_string(plan)?),
        false => Ok(serde_json::to_string_pretty(plan)? + "\n"),
    }
}

fn read(path: &str, text: &str) -> Result<Plan, Box<PlanFileError>> {
    let wrong = |what: String, hint: Option<String>, span: Option<Range<usize>>| {
        let line = span.as_ref().map(|span| text[..span.start].matches('\n').count() + 1);
        let column =
            span.as_ref().map(|span| span.start - text[..span.start].rfind('\n').map_or(0, |at| at + 1) + 1);
        Box::new(PlanFileError {
            name: path.to_owned(),
            place: line
                .zip(column)
                .map(|(line, column)| format!(" at line {line}, column {column}"))
                .unwrap_or_default(),
            what,
            hint,
            span,
            source_code: NamedSource::new(path, text.to_owned()),
        })
    };
    let written: Written = match is_yaml(path) {
        true => serde_norway::from_str(text).map_err(|error| {
            let at =
                error.location().map(|location| place::word_at(text, location.line(), location.column()));
            let what = place::without_place(&error.to_string());
            // `{{a}}` at the beginning of a text is YAML of its own.
            let is_braced = what.contains("invalid type: map, expected a string");
            let hint = is_braced.then(|| "put a text that begins with `{{` in quotes".to_owned());
            wrong(what, hint, at)
        })?,
        false => serde_json::from_str(text).map_err(|error| {
            let at = place::word_at(text, error.line(), error.column());
            wrong(place::without_place(&error.to_string()), None, Some(at))
        })?,
    };
    Plan::new(written.goal, written.tasks)
        .map_err(|error: PlanError| wrong(error.to_string(), error.hint(), place::of(text, &error)))
}

fn is_yaml(path: &str) -> bool {
    has_ending(path, &["yaml", "yml"])
}

fn has_ending(path: &str, endings: &[&str]) -> bool {
    let ending = Path::new(path).extension();
    endings.iter().any(|known| ending.is_some_and(|ending| ending.eq_ignore_ascii_case(known)))
}

impl Diagnostic for PlanFileError {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new("plan"))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source_code)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        let label = LabeledSpan::new_primary_with_span(Some(self.what.clone()), span);
        Some(Box::new(std::iter::once(label)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of a plan, and the text that is marked.
    fn wrong(path: &str, text: &str) -> String {
        let error = read(path, text).unwrap_err();
        let marked = error.span.clone().map(|span| &text[span]).unwrap_or("nothing");
        format!("{error} | {marked} | {}", error.hint.clone().unwrap_or_default())
    }

    #[test]
    fn plans_are_read_from_both_forms() {
        let json = r#"{"goal": "g", "tasks": [{"id": "a", "prompt": "do a"}, {"id": "b", "prompt": "use {{a}}", "retries": 1}]}"#;
        let yaml = "goal: g\ntasks:\n  - id: a\n    prompt: do a\n  - id: b\n    prompt: use {{a}}\n    retries: 1\n";
        assert_eq!(read("p.json", json).unwrap(), read("p.YML", yaml).unwrap());
        for path in ["p.json", "p.yaml"] {
            let plan = read("p.json", json).unwrap();
            let written = write(Path::new(path), &plan).unwrap();
            assert_eq!(read(path, &written).unwrap(), plan, "{written}");
        }
        assert!(!is_plan("flow.js"));
    }

    #[test]
    fn what_is_wrong_is_marked() {
        let json = |tasks: &str| wrong("p.json", &format!("{{\"tasks\": [\n  {tasks}\n]}}"));
        insta::assert_snapshot!(json(r#"{"id": "a", "prompt": "x", "nedds": []}"#), @"plan `p.json` cannot be read at line 2, column 31: unknown field `nedds`, expected one of `id`, `prompt`, `needs`, `label`, `kind`, `model`, `effort`, `schema`, `agentType`, `tools`, `phase`, `context`, `timeout`, `retries`, `maxTurns` | nedds |");
        insta::assert_snapshot!(json(r#"{"id": "a", "prompt": "x",}"#), @"plan `p.json` cannot be read at line 2, column 29: trailing comma |  |");
        insta::assert_snapshot!(json("{\"id\": \"a\", \"prompt\": \"x\"},\n  {\"id\": \"b\", \"prompt\": \"use {{c}}\"}"), @"plan `p.json` cannot be read at line 3, column 32: task `b` needs `c`, which is not in the plan | c | the ids are a, b");
        insta::assert_snapshot!(json("{\"id\": \"a\", \"prompt\": \"x\"},\n  {\"id\": \"a\", \"prompt\": \"y\"}"), @"plan `p.json` cannot be read at line 3, column 11: two tasks have the id `a` | a | give each task an id of its own");
        insta::assert_snapshot!(json("{\"id\": \"a\", \"prompt\": \"x {{b}}\"},\n  {\"id\": \"b\", \"prompt\": \"{{a}}\"}"), @"plan `p.json` cannot be read at line 2, column 11: tasks wait for each other: a → b → a | a | take out the need that matters least");
        insta::assert_snapshot!(json(r#"{"id": "a b", "prompt": "x"}"#), @"plan `p.json` cannot be read at line 2, column 11: task 0 has the id `a b`, which is no name | a b | an id has letters, digits, `-` and `_`, 64 at most");
        insta::assert_snapshot!(json(r#"{"id": "a", "prompt": " "}"#), @"plan `p.json` cannot be read at line 2, column 11: task `a` has an empty prompt | a |");
        insta::assert_snapshot!(json(""), @"plan `p.json` cannot be read: the plan has no tasks | nothing | name at least one task");
        let yaml = |text: &str| wrong("p.yaml", text);
        insta::assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: x\n    tiemout: 3\n"), @"plan `p.yaml` cannot be read at line 4, column 5: tasks[0]: unknown field `tiemout`, expected one of `id`, `prompt`, `needs`, `label`, `kind`, `model`, `effort`, `schema`, `agentType`, `tools`, `phase`, `context`, `timeout`, `retries`, `maxTurns` | tiemout |");
        insta::assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: {{b}} and more\n"), @"plan `p.yaml` cannot be read at line 3, column 13: tasks[0].prompt: invalid type: map, expected a string |  | put a text that begins with `{{` in quotes");
        insta::assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: {b: c}\n"), @"plan `p.yaml` cannot be read at line 3, column 13: tasks[0].prompt: invalid type: map, expected a string |  | put a text that begins with `{{` in quotes");
        insta::assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: [x\n"), @"plan `p.yaml` cannot be read at line 3, column 13: tasks[0].prompt: invalid type: sequence, expected a string |  |");
        insta::assert_snapshot!(yaml("tasks:\n  - id: a\n    prompt: x\n  - id: b\n    prompt: y\n    needs: [a, d]\n"), @"plan `p.yaml` cannot be read at line 6, column 16: task `b` needs `d`, which is not in the plan | d | the ids are a, b");
    }
}
