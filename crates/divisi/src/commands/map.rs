//! `divisi map`: the same prompt for many items, all at once.

mod items;

use super::pattern;
use super::schema::schema;
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::PatternFlags;
use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;
use divisi_app::{Problem, utf8_path};
use divisi_engine::Flow;
use items::{Division, Named};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Longest file whose text is put into a prompt; the same limit as for the tools of agents.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Run one prompt for many items at once; with --gather, combine the results
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi map \"Analyze the {} module for security holes\" auth payment user --model haiku
  divisi map \"Review {}\" src/*.rs --gather \"Make one action plan\" --gather-model opus
  git ls-files -z '*.py' | divisi map \"Port {} to Python 3.14\" - --items null --allow write
  divisi map \"Answer {name} about: {question}\" @tickets.csv --label \"{name}\"
  divisi map \"Rate this\" answers/*.txt --files --schema rating.json

`{}` stands for the item; a prompt without it has the item at its end. Of a row of CSV or an object \
of JSON, `{name}` stands for the column or field `name`. An item that is a file is read by its agent, \
and belongs to the identity of the task: when it changes, a resume runs the task again.")]
pub(crate) struct Args {
    /// The prompt of each task, with `{}` for the item
    prompt: String,
    /// The items; `-` takes them from stdin, `@FILE` from a file (`@@text` is the item `@text`)
    #[arg(required = true)]
    items: Vec<OsString>,
    /// How `-` and `@FILE` are divided into items: lines, null, json, csv or whole (one item); by
    /// default by the name of the file, else lines
    #[arg(
        long = "items",
        value_name = "FORMAT",
        value_enum,
        hide_possible_values = true
    )]
    division: Option<Division>,
    /// Replace `{}` by the text of each file, not by its path
    #[arg(long)]
    files: bool,
    /// A JSON Schema that every result must fit
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// The name of each task, with `{}` for the item
    #[arg(long, value_name = "TEXT")]
    label: Option<String>,
    /// A prompt that then turns all results into one
    #[arg(long, value_name = "PROMPT", value_parser = NonEmptyStringValueParser::new())]
    gather: Option<String>,
    /// The model for --gather
    #[arg(long, value_name = "MODEL", requires = "gather")]
    gather_model: Option<String>,
    #[command(flatten)]
    flags: PatternFlags,
}

/// An item as the flow receives it.
#[derive(Debug, PartialEq, Serialize)]
struct Item {
    name: String,
    /// The text that replaces `{}`.
    text: String,
    /// The texts that replace `{field}`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
    /// Files whose content is part of the task's identity.
    inputs: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    if args.prompt.trim().is_empty() {
        return Err(Problem::usage("the prompt is empty"));
    }
    let folder = context.app.folder();
    let named = items::named(args.items, args.division, folder, std::io::stdin().lock())?;
    for template in [Some(&args.prompt), args.label.as_ref()]
        .into_iter()
        .flatten()
    {
        items::check_fields(template, &named)?;
    }
    let items = named
        .into_iter()
        .map(|named| item(folder, named, args.files))
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
    pattern::carry_out(flow, args.flags, context).await
}

fn item(folder: &Path, named: Named, with_text: bool) -> Result<Item, Problem> {
    let Named { name, text, fields } = named;
    // A row of a table names no file as a whole.
    if !fields.is_empty() {
        return Ok(Item {
            name,
            text,
            fields,
            inputs: vec![],
        });
    }
    let path = folder.join(&text);
    let (text, inputs) = match (with_text, path.is_file()) {
        (true, _) => {
            let text = divisi_files::read_typed(&path, FILE_BYTES_MAX)
                .and_then(divisi_files::utf8)
                .with_context(|| format!("cannot read {name}, which --files asks for"))?;
            (text, vec![])
        }
        (false, true) => (text, vec![utf8_path("an item", &path)?.to_owned()]),
        (false, false) => (text, vec![]),
    };
    Ok(Item {
        name,
        text,
        fields,
        inputs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_its_task() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.txt"), "hello").unwrap();
        let read = |name: &str, with_text| item(folder.path(), Named::text(name), with_text);
        assert_eq!(read("a.txt", true).unwrap().text, "hello");
        assert_eq!(read("a.txt", false).unwrap().inputs.len(), 1);
        assert_eq!(
            read("auth", false).unwrap(),
            Item {
                name: "auth".into(),
                text: "auth".into(),
                fields: Map::new(),
                inputs: vec![]
            }
        );
        assert!(read("auth", true).is_err());
    }
}
