//! `divisi map`: the same prompt for many items, all at once.

use super::pattern;
use super::schema::schema;
use crate::context::Context;
use crate::exit::Exit;
use crate::flags::PatternFlags;
use anyhow::Context as _;
use clap::builder::NonEmptyStringValueParser;
use divisi_app::{Problem, utf8_path};
use divisi_engine::Flow;
use divisi_files::Refusal;
use divisi_script::HostLimits;
use serde::Serialize;
use serde_json::json;
use std::ffi::OsString;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// Longest list of items on stdin: the largest permitted number, each a long path.
const STDIN_BYTES_MAX: u64 = 64 << 20;

/// Longest file whose text is put into a prompt; the same limit as for the tools of agents.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Run one prompt for many items at once; with --gather, combine the results
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
    /// The prompt of each task, with `{}` for the item
    prompt: String,
    /// The items; `-` takes one from each line of stdin
    #[arg(required = true)]
    items: Vec<OsString>,
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
    /// Files whose content is part of the task's identity.
    inputs: Vec<String>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<Exit, Problem> {
    if args.prompt.trim().is_empty() {
        return Err(Problem::usage("the prompt is empty"));
    }
    let names = names(args.items, std::io::stdin().lock())?;
    let items = names
        .into_iter()
        .map(|name| item(context.app.folder(), name, args.files))
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

/// The typed items; a `-` is replaced by the lines of stdin.
fn names(typed: Vec<OsString>, stdin: impl BufRead) -> Result<Vec<String>, Problem> {
    let most = HostLimits::default().items_max as usize;
    let mut names = vec![];
    let mut stdin = Some(stdin);
    for name in typed {
        match stdin.take_if(|_| name == "-") {
            None => names.push(item_of(name)?),
            // One line more than permitted is enough to find the excess.
            Some(stdin) => names.extend(lines(stdin, most + 1)?.lines().map(str::to_owned)),
        }
    }
    names.retain(|name| !name.trim().is_empty());
    match names.len() {
        0 => Err(Problem::usage("there are no items")),
        items if items > most => Err(Problem::usage(format!(
            "there are more than {most} items, the most for one run"
        ))
        .hint("divide them into several runs, or write a flow with several calls of `parallel`")),
        _ => Ok(names),
    }
}

/// Items must be UTF-8: they become part of a prompt and of the journal.
fn item_of(typed: OsString) -> Result<String, Problem> {
    typed.into_string().map_err(|typed| {
        Problem::usage(format!("the item {} is not UTF-8", typed.display()))
            .hint("rename the file, or leave it out")
    })
}

/// The first lines of stdin, as text.
fn lines(stdin: impl BufRead, lines_max: usize) -> Result<String, Problem> {
    let mut stdin = stdin.take(STDIN_BYTES_MAX + 1);
    let mut bytes = vec![];
    let read = (0..lines_max).try_for_each(|_| stdin.read_until(b'\n', &mut bytes).map(drop));
    let text =
        read.map_err(Refusal::from)
            .and_then(|()| match bytes.len() as u64 > STDIN_BYTES_MAX {
                true => Err(Refusal::TooLarge(STDIN_BYTES_MAX)),
                false => divisi_files::text(bytes),
            });
    Ok(text.context("cannot read the items from stdin")?)
}

fn item(folder: &Path, name: String, with_text: bool) -> Result<Item, Problem> {
    let path = folder.join(&name);
    if with_text {
        let text = divisi_files::read_typed(&path, FILE_BYTES_MAX)
            .and_then(divisi_files::utf8)
            .with_context(|| format!("cannot read {name}, which --files asks for"))?;
        return Ok(Item {
            name,
            text,
            inputs: vec![],
        });
    }
    let inputs = match path.is_file() {
        true => vec![utf8_path("an item", &path)?.to_owned()],
        false => vec![],
    };
    Ok(Item {
        text: name.clone(),
        name,
        inputs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn typed(items: &[&str], stdin: &str) -> Result<Vec<String>, Problem> {
        names(items.iter().map(OsString::from).collect(), stdin.as_bytes())
    }

    #[test]
    fn items_come_from_the_command_line_and_from_stdin() {
        assert_eq!(
            typed(&["a", "-", "b"], "x\n\ny\n").unwrap(),
            ["a", "x", "y", "b"]
        );
        assert_eq!(typed(&["-", "-"], "x").unwrap(), ["x", "-"]);
        assert_eq!(typed(&["-"], "\u{feff}x\r\ny\r\n").unwrap(), ["x", "y"]);
        assert!(typed(&["-"], "").is_err());
        assert!(typed(&["-"], &"x\n".repeat(5_000)).is_err());
    }

    #[test]
    fn what_is_no_utf8_is_refused_by_name_or_line() {
        let said = |item: &[u8], stdin: &[u8]| {
            let problem = names(vec![OsString::from_vec(item.to_vec())], stdin).unwrap_err();
            problem.to_string()
        };
        insta::assert_snapshot!(said(b"caf\xe9.txt", b""), @"the item caf�.txt is not UTF-8");
        insta::assert_snapshot!(said(b"-", b"a\nb\xe9"), @"cannot read the items from stdin: it is not UTF-8: byte 0xe9 in line 2");
        insta::assert_snapshot!(said(b"-", b"\xff\xfea\0"), @"cannot read the items from stdin: it is UTF-16, not UTF-8: save it as UTF-8");
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
            Item {
                name: "auth".into(),
                text: "auth".into(),
                inputs: vec![]
            }
        );
        assert!(read("auth", true).is_err());
    }
}
