//! `divisi run`: runs a flow from a file, a script or a plan.

use crate::cli::RunFlags;
use crate::context::Context;
use crate::exit::Exit;
use crate::launch::{Launch, launch};
use crate::plan_file;
use crate::problem::Problem;
use divisi_engine::Flow;
use divisi_engine::flow::Library;
use serde_json::{Map, Value};

/// Run a flow: a script, by its file or by the name it is saved under, or a plan file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi run flows/audit.js
  divisi run flows/audit.js --args '{\"modules\": [\"auth\", \"payment\"]}' --max-cost 5
  divisi run audit --arg depth=2 --arg module=auth --model haiku
  divisi run flows/audit.js --demo
  divisi run plan.yaml

A name is looked for in flows/, .divisi/flows/ and .claude/workflows/: here, further up to the root \
of the repository, and in your home folder.")]
pub(crate) struct Args {
    #[command(flatten)]
    flow: FlowArgs,
    #[command(flatten)]
    flags: RunFlags,
}

/// A flow and its arguments, as they are typed.
#[derive(Debug, clap::Args)]
pub(crate) struct FlowArgs {
    /// The file of a script or a plan (.json, .yaml), or the name of a saved flow
    flow: String,
    /// What the script finds in `args`: JSON, or else plain text
    #[arg(long, value_name = "JSON|TEXT", conflicts_with = "arg")]
    args: Option<String>,
    /// One entry of `args`; its value is JSON, or else plain text. May be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    arg: Vec<(String, Value)>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    let flow = args.flow.find(context)?;
    launch(Launch::new(flow, args.flags), context).await
}

impl FlowArgs {
    /// The flow that is meant.
    pub(crate) fn find(self, context: &Context) -> Result<Flow, Problem> {
        let file = Library::new(context.folder()).find(&self.flow).map_err(Problem::usage)?;
        if plan_file::is_plan(&file.path) {
            return match (self.args, self.arg.first()) {
                (None, None) => plan_file::flow(&self.flow, &file.source).map_err(Problem::plan),
                _ => Err(Problem::usage("a plan takes no arguments").hint("write them into its prompts")),
            };
        }
        Ok(Flow {
            name: self.flow.as_str().into(),
            path: Some(file.path.into()),
            source: file.source.into(),
            args: match (self.args, self.arg) {
                (Some(text), _) => Some(json_or_text(&text)),
                (None, entries) if entries.is_empty() => None,
                (None, entries) => Some(Value::Object(Map::from_iter(entries))),
            },
        })
    }
}

/// Scripts expect what is typed after their name as it is, and JSON as what it means.
fn json_or_text(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn entry(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), json_or_text(value))),
        _ => Err("it must look like KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_json_or_else_text() {
        assert_eq!(json_or_text(r#"{"a": [1]}"#), json!({"a": [1]}));
        assert_eq!(json_or_text("src/auth and more"), json!("src/auth and more"));
        assert_eq!(entry("depth=2").unwrap(), ("depth".into(), json!(2)));
        assert_eq!(entry("where=a=b").unwrap(), ("where".into(), json!("a=b")));
        assert!(entry("=2").is_err());
    }
}
