//! Finds the flow to run.

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
        if !plan_file::is_plan(&file.path) {
            let (path, source) = (Some(file.path.into()), file.source.into());
            return Ok(Self::Script(Flow {
                name: word.into(),
                path,
                source,
                args,
            }));
        }
        match args {
            None => Ok(Self::Plan(PlanFile::read(word, &file.source)?)),
            Some(_) => Err(Problem::usage("a plan takes no arguments")
                .hint("write what they say into its prompts, or write a script, which has `args`")),
        }
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
