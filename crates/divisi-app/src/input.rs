//! Finds the flow to run.

mod args;

use crate::plan_file::{self, PlanFile};
use crate::{Problem, slip};
use divisi_engine::Flow;
use divisi_engine::flow::Library;
use serde_json::{Map, Value};
use std::path::Path;
use std::sync::Arc;

/// Characters that say what a run is about: more than a line of a list shows.
const ABOUT_CHARS_MAX: usize = 200;

/// The flow: a script with its arguments, or a plan.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
#[derive(Debug)]
pub enum FlowInput {
    /// A script.
    Script(Flow),
    /// A plan file.
    Plan(PlanFile),
}

impl FlowInput {
    /// Finds the flow named by `word` from `folder`: by its path, or by its saved name. A plan is
    /// read; it takes no `args`.
    pub fn find(word: &str, args: Option<Value>, folder: &Path) -> Result<Self, Problem> {
        let library = Library::new(folder);
        let file = library.find(word).map_err(|missing| {
            let names = library.names();
            let near = slip::nearest(word, names.iter().map(String::as_str));
            Problem::usage(missing).with_hints(near.map(|near| format!("did you mean `{near}`?")))
        })?;
        if plan_file::is_plan(&file.path) {
            return Self::plan(word, &file.source, args);
        }
        Ok(Self::Script(Flow {
            name: word.into(),
            path: Some(file.path.into()),
            source: file.source.into(),
            args,
        }))
    }

    /// The flow with this text, which came from no file. `name` is used in errors.
    pub fn of_text(name: &str, text: String, args: Option<Value>) -> Result<Self, Problem> {
        if plan_file::looks_like_plan(&text) {
            return Self::plan(name, &text, args);
        }
        let flow = Flow::script(name, text);
        Ok(Self::Script(Flow { args, ..flow }))
    }

    fn plan(name: &str, text: &str, args: Option<Value>) -> Result<Self, Problem> {
        match args {
            None => Ok(Self::Plan(PlanFile::read(name, text)?)),
            Some(_) => Err(Problem::usage("a plan takes no arguments")
                .hint("write what they say into its prompts, or write a script, which has `args`")),
        }
    }

    /// Refuses arguments that do not fit the schema in the script's `meta`. Returns a warning for
    /// each that the schema does not name, which the script probably does not read.
    pub fn check_args(&self) -> Result<Vec<String>, Problem> {
        let Self::Script(flow) = self else {
            return Ok(vec![]);
        };
        // What cannot be read is reported where it is run.
        let Ok(Some(schema)) = flow.parse().map(|script| script.meta().args.clone()) else {
            return Ok(vec![]);
        };
        args::check(&schema, flow.args.as_ref())
    }

    /// The script that runs it.
    pub fn flow(&self) -> Flow {
        match self {
            Self::Script(flow) => flow.clone(),
            Self::Plan(plan) => plan.flow(),
        }
    }

    /// What a run of it is about, in one line: the beginning of the prompt of a built-in flow, or
    /// of the arguments of another.
    pub fn about(&self) -> Option<Arc<str>> {
        let Self::Script(Flow {
            path,
            args: Some(args),
            ..
        }) = self
        else {
            return None;
        };
        let text = match (path, args) {
            (None, Value::Object(given)) => prompt_of(given)?,
            (Some(_), Value::Null) => return None,
            (Some(_), Value::String(text)) => text.clone(),
            (Some(_) | None, args) => args.to_string(),
        };
        let words: Vec<&str> = text.split_whitespace().collect();
        let line: String = words.join(" ").chars().take(ABOUT_CHARS_MAX).collect();
        (!line.is_empty()).then(|| line.into())
    }

    /// The name of its runs.
    pub fn run_name(&self) -> Result<Arc<str>, Problem> {
        match self {
            Self::Script(flow) => Ok(flow
                .parse()
                .map_err(Problem::script)?
                .meta()
                .name
                .as_str()
                .into()),
            Self::Plan(plan) => Ok(plan.name()),
        }
    }
}

/// The prompt among the arguments of a built-in flow: that of `ask` and `map`, the goal of
/// `decompose`, the steps of `pipe`.
fn prompt_of(args: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| args.get(name).and_then(Value::as_str).map(str::to_owned);
    let steps = || {
        let steps = args.get("steps")?.as_array()?;
        let steps: Vec<&str> = steps.iter().filter_map(Value::as_str).collect();
        Some(steps.join(" → "))
    };
    text("prompt").or_else(|| text("goal")).or_else(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_is_about_its_prompt_or_its_arguments() {
        let about = |path: Option<&str>, args: Value| {
            let mut flow = Flow::script("a", "return 1").args(args);
            flow.path = path.map(Arc::from);
            FlowInput::Script(flow).about()
        };
        let file = Some("audit.js");
        for (path, args, expected) in [
            (
                None,
                json!({"prompt": "Review\n {}", "items": ["a"]}),
                Some("Review {}"),
            ),
            (
                None,
                json!({"steps": ["Build", "Test"]}),
                Some("Build → Test"),
            ),
            (None, json!({"goal": "Find"}), Some("Find")),
            (None, json!({"items": []}), None),
            (file, json!({"depth": 2}), Some(r#"{"depth":2}"#)),
            (file, json!("all of it"), Some("all of it")),
            (file, json!(" "), None),
        ] {
            assert_eq!(about(path, args).as_deref(), expected);
        }
        let long = about(file, json!("é".repeat(999))).unwrap();
        assert_eq!(long.chars().count(), ABOUT_CHARS_MAX);
    }
}
