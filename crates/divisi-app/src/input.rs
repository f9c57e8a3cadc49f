//! Finds the flow to run.

mod args;

use crate::plan_file::{self, PlanFile};
use crate::{Problem, slip};
use divisi_engine::Flow;
use divisi_engine::flow::Library;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

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
