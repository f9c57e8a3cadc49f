//! Plan files: flows written down as tasks, in JSON or YAML.
//!
//! The content of a plan is defined in the core ([`Plan`]); this module parses a text, with the
//! line of each error. A plan is run by a built-in script that gets it as arguments, so the journal
//! contains all that a resume needs.

mod error;
mod fields;
mod tree;

pub use error::{Kind, PlanFileError};

use divisi_core::plan::{PlanError, references};
use divisi_core::{Plan, Site};
use divisi_engine::Flow;
use error::{Wrong, line_of};
use serde_json::{Value, json};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tree::Node;

/// File extensions of plans.
const ENDINGS: [&str; 3] = ["json", "yaml", "yml"];

/// The phases in the `meta` of the built-in script.
const NO_PHASES: &str = "phases: []";

/// A plan with its file.
#[derive(Debug)]
pub struct PlanFile {
    /// The plan.
    pub plan: Plan,
    path: Arc<str>,
    /// The line of each task.
    lines: Vec<u32>,
}

/// Whether a file of this name contains a plan.
pub fn is_plan(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|ending| ENDINGS.iter().any(|plan| ending.eq_ignore_ascii_case(plan)))
}

/// Whether a text without a file name is a plan: an object of JSON, or YAML with the key `tasks`. A
/// script may begin with a block, and hold such a line in a text; but of the two only a script
/// exports.
pub fn looks_like_plan(text: &str) -> bool {
    let is_object = || {
        let inside = text.trim_start().strip_prefix('{');
        inside.is_some_and(|inside| inside.trim_start().starts_with(['"', '}']))
    };
    let is_script = text.lines().any(|line| line.starts_with("export "));
    !is_script && (is_object() || text.lines().any(|line| line.trim_end() == "tasks:"))
}

/// The text of a plan for a file of this name.
pub fn write(path: &Path, plan: &Plan) -> anyhow::Result<String> {
    let is_json = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    match is_json {
        true => Ok(serde_json::to_string_pretty(plan)? + "\n"),
        // Converted to JSON first, so that both have the same form: direct YAML would contain tags
        // for enums.
        false => Ok(serde_saphyr::to_string(&serde_json::to_value(plan)?)?),
    }
}

impl PlanFile {
    /// Parses the `text` of the file at `path`.
    pub fn read(path: &str, text: &str) -> Result<Self, PlanFileError> {
        let (path, text): (Arc<str>, Arc<str>) = (path.into(), text.into());
        let read = || {
            let root = tree::read(&text)
                .map_err(|wrong| Wrong::new(Kind::Syntax, wrong.message, wrong.bytes))?;
            let tasks = fields::check(&root)?;
            let plan = Plan::from_value(&root.value())
                .map_err(|error| Places { text: &text, tasks }.explain(&error))?;
            let lines = tasks
                .iter()
                .map(|task| line_of(&text, task.bytes.start))
                .collect();
            Ok(Self {
                plan,
                path: path.clone(),
                lines,
            })
        };
        read().map_err(|wrong: Wrong| wrong.of(&path, &text))
    }

    /// The name of its runs.
    pub fn name(&self) -> Arc<str> {
        match &self.plan.head().name {
            Some(name) => name.as_str().into(),
            None => self.path.clone(),
        }
    }

    /// The path of its file, as given.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The line of the task at an index of the plan.
    pub fn site(&self, place: usize) -> Option<Site> {
        self.lines.get(place).map(|&line| Site {
            script: self.path.clone(),
            line,
        })
    }

    /// The script that runs it.
    pub fn flow(&self) -> Flow {
        let chains = self.plan.chains();
        let tasks = self.plan.tasks().iter().enumerate().map(|(place, task)| {
            let needs: Value = self
                .plan
                .needs(place)
                .iter()
                .map(|&need| self.plan.tasks()[need].id.as_str())
                .collect();
            let mut written = json!(task);
            written["needs"] = needs;
            written["priority"] = chains[place].into();
            written
        });
        let given =
            json!({ "tasks": tasks.collect::<Vec<_>>(), "gather": self.plan.head().gather });
        let source = include_str!("../flows/plan.js").replacen(NO_PHASES, &self.phases(), 1);
        Flow {
            name: self.name(),
            ..Flow::script("plan", source)
        }
        .args(given)
    }

    /// The phases with a cap, for the `meta` of the script.
    fn phases(&self) -> String {
        format!("phases: {}", json!(self.plan.head().phases))
    }
}

/// Finds the place in the text for an error of the core.
struct Places<'a> {
    text: &'a str,
    tasks: &'a [Node],
}

impl Places<'_> {
    fn explain(&self, error: &PlanError) -> Wrong {
        let wrong = |kind, bytes| Wrong::new(kind, error.to_string(), bytes).hints(error.hint());
        match error {
            PlanError::Malformed { message } => {
                Wrong::new(Kind::Form, message, 0..0).hints(error.hint())
            }
            PlanError::Empty | PlanError::TooLong { .. } => wrong(Kind::Form, 0..0),
            PlanError::BadId { place, id } => {
                let message = format!("`{id}` is no id");
                Wrong::new(Kind::Form, message, self.id_at(*place)).hints(error.hint())
            }
            PlanError::SameId { id } => {
                let same = self
                    .tasks
                    .iter()
                    .filter_map(|task| task.entry("id"))
                    .filter(|e| e.value.text() == Some(id));
                let said = ["first here", "and here again"];
                let labels = same
                    .zip(said)
                    .map(|(entry, said)| (entry.value.bytes.clone(), said.to_owned()));
                Wrong::of_several(Kind::Dependencies, error.to_string(), labels.collect())
                    .hints(error.hint())
            }
            PlanError::EmptyPrompt { task } => {
                let bytes = self
                    .entry(task, "prompt")
                    .map_or(0..0, |entry| entry.key_bytes.clone());
                wrong(Kind::Form, bytes).hint("say what the agent is to do: it knows nothing else")
            }
            PlanError::QuestionWithWork { task } => {
                let beside = ["id", "needs", "label", "phase", "approve"];
                let fields = self.task(task).and_then(Node::map).unwrap_or_default();
                let field = fields.iter().find(|field| !beside.contains(&&*field.key));
                wrong(
                    Kind::Form,
                    field.map_or(0..0, |field| field.key_bytes.clone()),
                )
            }
            PlanError::UnknownNeed { task, need, known } => {
                let near = crate::slip::nearest(need, known.iter().map(String::as_str));
                let hint = near
                    .map(|near| format!("did you mean `{near}`?"))
                    .or(error.hint());
                Wrong::new(Kind::Dependencies, error.to_string(), self.need(task, need)).hints(hint)
            }
            PlanError::UnknownPhase { phase, known } => {
                let near = crate::slip::nearest(phase, known.iter().map(String::as_str));
                let hint = near
                    .map(|near| format!("did you mean `{near}`?"))
                    .or(error.hint());
                Wrong::new(Kind::Form, error.to_string(), 0..0).hints(hint)
            }
            PlanError::SamePhase { .. } => wrong(Kind::Form, 0..0),
            PlanError::NeedsItself { task } => wrong(Kind::Dependencies, self.need(task, task)),
            PlanError::Cycle(ids) => {
                let next = ids.iter().cycle().skip(1);
                let labels = ids
                    .iter()
                    .zip(next)
                    .map(|(id, need)| (self.need(id, need), format!("`{id}` needs `{need}`")));
                Wrong::of_several(Kind::Dependencies, error.to_string(), labels.collect())
                    .hints(error.hint())
            }
        }
    }

    fn id_at(&self, place: usize) -> Range<usize> {
        let task = &self.tasks[place];
        task.entry("id")
            .map_or(task.bytes.clone(), |entry| entry.value.bytes.clone())
    }

    fn task(&self, id: &str) -> Option<&Node> {
        let named =
            |task: &&Node| task.entry("id").and_then(|entry| entry.value.text()) == Some(id);
        self.tasks.iter().find(named)
    }

    fn entry(&self, id: &str, key: &str) -> Option<&tree::Entry> {
        self.task(id)?.entry(key)
    }

    /// The place where a task needs another: in its list, or in its prompt.
    fn need(&self, id: &str, need: &str) -> Range<usize> {
        let listed = self
            .entry(id, "needs")
            .and_then(|entry| entry.value.list())
            .unwrap_or_default();
        if let Some(node) = listed.iter().find(|node| node.text() == Some(need)) {
            return node.bytes.clone();
        }
        let text = self.entry(id, "prompt").or(self.entry(id, "approve"));
        let Some(prompt) = text.map(|entry| &entry.value.bytes) else {
            return 0..0;
        };
        let written = &self.text[prompt.clone()];
        let refers = |at: &usize| references(&written[*at..]).next() == Some(need);
        let braces: Vec<usize> = written.match_indices("{{").map(|(at, _)| at).collect();
        let Some(&at) = braces.iter().rfind(|at| refers(at)) else {
            return prompt.clone();
        };
        let long = written[at..].find("}}").map_or(2, |end| end + 2);
        prompt.start + at..prompt.start + at + long
    }
}

#[cfg(test)]
mod tests;
