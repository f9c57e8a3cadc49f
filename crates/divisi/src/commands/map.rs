//! `divisi map`: the same prompt for many items, all at once.

use crate::cli::{Found, RunFlags};
use crate::context::Context;
use crate::exit::Exit;
use crate::launch::{Launch, launch};
use crate::problem::Problem;
use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;
use divisi_engine::Flow;
use divisi_script::HostLimits;
use serde::Serialize;
use serde_json::{Value, json};
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Give many items the same prompt, all at once; with --gather, make one answer of them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi map \"Analyze the {} module for security holes\" auth payment user --model haiku
  divisi map \"Review {}\" src/*.rs --gather \"Make one action plan\" --gather-model opus
  git ls-files '*.py' | divisi map \"Port {} to Python 3.14\" - --allow write
  divisi map \"Rate this\" answers/*.txt --files --schema rating.json

`{}` stands for the item; a prompt without it has the item at its end. An item that is a file \
is read by its agent, and belongs to the identity of the task: when it changes, a resume runs the task again.")]
pub(crate) struct Args {
    /// What each agent is told
    prompt: String,
    /// The items; `-` takes one from each line of stdin
    #[arg(required = true)]
    items: Vec<String>,
    /// Put the text of each file in the place of `{}`, not its path
    #[arg(long)]
    files: bool,
    /// A JSON Schema that every result has to fit
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// What each task is called, with `{}` for the item
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// Then make one answer of all results, by this prompt
    #[arg(long, value_name = "PROMPT", value_parser = NonEmptyStringValueParser::new())]
    gather: Option<String>,
    /// The model that does so
    #[arg(long, value_name = "MODEL", requires = "gather")]
    gather_model: Option<String>,
    #[command(flatten)]
    flags: RunFlags,
}

/// An item as the flow knows it.
#[derive(Debug, PartialEq, Serialize)]
struct Item {
    name: String,
    /// What stands in the place of `{}`.
    text: String,
    /// Files that belong to the identity of its task.
    inputs: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    if args.prompt.trim().is_empty() {
        return Err(Problem::usage("the prompt is empty"));
    }
    let names = names(args.items, std::io::stdin().lock())?;
    let items = names
        .into_iter()
        .map(|name| item(context.folder(), name, args.files))
        .collect::<Result<Vec<_>, _>>()?;
    let given = json!({
        "prompt": args.prompt,
        "items": items,
        "label": args.label,
        "schema": args.schema.as_deref().map(schema).transpose()?,
        "synthesis": args.gather,
        "synthesisModel": args.gather_model,
    });
    let flow = Flow::script("map", include_str!("../flows/map.js")).args(given);
    launch(Launch::new(Found::Script(flow), args.flags), context).await
}

/// The items that were typed, and the lines of stdin in the place of a `-`.
fn names(typed: Vec<String>, stdin: impl BufRead) -> Result<Vec<String>, Problem> {
    let most = HostLimits::default().items_max as usize;
    let mut names = vec![];
    let mut stdin = Some(stdin);
    for name in typed {
        match stdin.take_if(|_| name == "-") {
            None => names.push(name),
            Some(stdin) => {
                // One line more than there may be is enough to know.
                for line in stdin.lines().take(most + 1) {
                    names.push(line.context("cannot read the items from stdin")?);
                }
            }
        }
    }
    names.retain(|name| !name.trim().is_empty());
    match names.len() {
        0 => Err(Problem::usage("there are no items")),
        items if items > most => {
            Err(Problem::usage(format!("there are more than {most} items, the most for one run"))
                .hint("divide them into several runs, or write a flow with several calls of `parallel`"))
        }
        _ => Ok(names),
    }
}

fn item(folder: &Path, name: String, with_text: bool) -> Result<Item, Problem> {
    let path = folder.join(&name);
    if with_text {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {name}, which --files asks for"))?;
        return Ok(Item { name, text, inputs: vec![] });
    }
    let inputs = if path.is_file() { vec![path.display().to_string()] } else { vec![] };
    Ok(Item { text: name.clone(), name, inputs })
}

/// The schema in a file.
fn schema(path: &Path) -> Result<Value, Problem> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the schema {}", path.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| Problem::usage(format!("the schema {} is no JSON: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(items: &[&str], stdin: &str) -> Result<Vec<String>, Problem> {
        names(items.iter().map(|&item| item.to_owned()).collect(), stdin.as_bytes())
    }

    #[test]
    fn items_come_from_the_command_line_and_from_stdin() {
        assert_eq!(typed(&["a", "-", "b"], "x\n\ny\n").unwrap(), ["a", "x", "y", "b"]);
        assert_eq!(typed(&["-", "-"], "x").unwrap(), ["x", "-"]);
        assert!(typed(&["-"], "").is_err());
        assert!(typed(&["-"], &"x\n".repeat(5_000)).is_err());
    }

    #[test]
    fn a_file_belongs_to_its_task() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "hello").unwrap();
        let read = |name: &str, with_text| item(folder.path(), name.into(), with_text);
        assert_eq!(read("a.txt", true).unwrap().text, "hello");
        assert_eq!(read("a.txt", false).unwrap().inputs.len(), 1);
        assert_eq!(
            read("auth", false).unwrap(),
            Item { name: "auth".into(), text: "auth".into(), inputs: vec![] }
        );
        assert!(read("auth", true).is_err());
    }
}
