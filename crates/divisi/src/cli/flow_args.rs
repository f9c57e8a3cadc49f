//! Which flow is meant, and what it is given.

use crate::context::Context;
use crate::plan_file::{self, PlanFile};
use crate::problem::Problem;
use crate::settings::{Dollars, Untrusted};
use crate::slip;
use clap::Args;
use divisi_core::PicoUsd;
use divisi_engine::Flow;
use divisi_engine::flow::Library;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Which flow is meant, and what it is given.
#[derive(Debug, Args)]
pub(crate) struct FlowArgs {
    /// A script or a plan (.json, .yaml) by its file, or the name of a saved script
    flow: String,
    /// What the script finds in `args`: JSON, or else plain text
    #[arg(long, value_name = "JSON|TEXT", conflicts_with = "arg")]
    args: Option<String>,
    /// One entry of `args`; its value is JSON, or else plain text. May be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    arg: Vec<(String, String)>,
}

/// A flow that was found.
#[expect(clippy::large_enum_variant, reason = "there is one of them")]
pub(crate) enum Found {
    Script(Flow),
    Plan(PlanFile),
}

impl FlowArgs {
    /// Finds the flow, and reads it where it is a plan.
    pub(crate) fn find(self, context: &Context) -> Result<Found, Problem> {
        let library = Library::new(context.folder());
        let file = library.find(&self.flow).map_err(|missing| {
            let names = library.names();
            let near = slip::nearest(&self.flow, names.iter().map(String::as_str));
            Problem::usage(missing).hints(near.map(|near| format!("did you mean `{near}`?")))
        })?;
        if plan_file::is_plan(&file.path) {
            if self.args.is_some() || !self.arg.is_empty() {
                return Err(Problem::usage("a plan takes no arguments")
                    .hint("write what they say into its prompts, or write a script, which has `args`"));
            }
            return Ok(Found::Plan(PlanFile::read(&self.flow, &file.source)?));
        }
        Ok(Found::Script(Flow {
            name: self.flow.as_str().into(),
            path: Some(file.path.into()),
            source: file.source.into(),
            args: match (self.args, self.arg) {
                (Some(text), _) => Some(json_or_text("--args", &text)?),
                (None, entries) if entries.is_empty() => None,
                (None, entries) => {
                    let value = |(key, text): (String, String)| {
                        json_or_text(&format!("--arg {key}"), &text).map(|value| (key, value))
                    };
                    let entries: Result<Map<_, _>, _> = entries.into_iter().map(value).collect();
                    Some(Value::Object(entries?))
                }
            },
        }))
    }
}

impl Found {
    /// What runs it.
    pub(crate) fn flow(&self) -> Flow {
        match self {
            Self::Script(flow) => flow.clone(),
            Self::Plan(plan) => plan.flow(),
        }
    }

    /// What its runs are called.
    pub(crate) fn run_name(&self) -> Result<Arc<str>, Problem> {
        match self {
            Self::Script(flow) => Ok(flow.parse().map_err(Problem::script)?.meta().name.as_str().into()),
            Self::Plan(plan) => Ok(plan.name()),
        }
    }

    /// Most that a run may cost: what a flag says, or else the least of what the
    /// settings and the plan say.
    pub(crate) fn max_cost(
        &self,
        flag: Option<Dollars>,
        context: &Context,
    ) -> Result<Option<Dollars>, Problem> {
        let Self::Plan(PlanFile { plan, .. }) = self else { return Ok(flag) };
        let Some(of_plan) = plan.head().max_cost.filter(|_| flag.is_none()) else { return Ok(flag) };
        let of_settings = context
            .settings(Untrusted::LeftOut)?
            .settings
            .max_cost
            .map_or(PicoUsd(u64::MAX), |dollars| dollars.0);
        Ok(Some(Dollars(of_plan.min(of_settings))))
    }
}

/// Scripts expect what is typed after their name as it is, and JSON as what it means.
/// What begins like JSON and is none has lost a quote to the shell, or a bracket.
fn json_or_text(flag: &str, text: &str) -> Result<Value, Problem> {
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    match text.trim_start().chars().next() {
        Some(first @ ('{' | '[' | '"')) => {
            Err(Problem::usage(format!("`{flag}` begins like JSON and cannot be read as JSON: {error}"))
                .hint(
                    r#"put it in single quotes, so that the shell leaves it whole: '{"modules": ["auth"]}'"#,
                )
                .hint(format!(r#"a text that begins with `{first}` is given as a JSON string: '"a text"'"#)))
        }
        _ => Ok(text.into()),
    }
}

fn entry(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it must look like KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_json_or_else_text() {
        let read = |text| json_or_text("--args", text).unwrap();
        assert_eq!(read(r#"{"a": [1]}"#), json!({"a": [1]}));
        assert_eq!(read("src/auth and more"), json!("src/auth and more"));
        assert_eq!(read("2 files"), json!("2 files"));
        assert_eq!(entry("where=a=b").unwrap(), ("where".into(), "a=b".into()));
        assert!(entry("=2").is_err());
    }
}
