//! The items of `divisi map`: from the command line, from stdin, and from files.

use anyhow::Context as _;
use clap::ValueEnum;
use csv::ReaderBuilder;
use divisi_app::Problem;
use divisi_core::nearest::nearest;
use divisi_files::Refusal;
use divisi_script::HostLimits;
use serde_json::{Map, Value};
use std::ffi::OsString;
use std::io::Read;
use std::path::Path;

/// Longest text that is divided into items: the largest permitted number, each a long path.
const BYTES_MAX: u64 = 64 << 20;

/// Longest name of an item of several lines, in characters: the beginning of its first line.
const NAME_CHARS_MAX: usize = 60;

/// How a text is divided into items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Division {
    /// One from each line
    Lines,
    /// One up to each NUL byte, as `find -print0` and `git ls-files -z` write them
    Null,
    /// One from each element of a JSON array, or from each line of NDJSON
    Json,
    /// One from each row of CSV, whose first row names the columns
    Csv,
    /// The whole text as one item
    Whole,
}

/// An item with its name.
#[derive(Debug, PartialEq)]
pub(super) struct Named {
    pub(super) name: String,
    /// The text that replaces `{}`.
    pub(super) text: String,
    /// The columns of a row, or the fields of an object, as texts.
    pub(super) fields: Map<String, Value>,
}

impl Named {
    /// An item whose name is its text, if that is one line.
    pub(super) fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            name: match text.contains('\n') {
                true => beginning(&text),
                false => text.clone(),
            },
            text,
            fields: Map::new(),
        }
    }

    /// An item with fields, named by the first that is not empty.
    fn row(text: String, fields: Map<String, Value>) -> Self {
        let first = fields.values().filter_map(Value::as_str);
        let name = first.map(str::trim).find(|value| !value.is_empty());
        Self {
            name: name.map_or_else(|| beginning(&text), str::to_owned),
            text,
            fields,
        }
    }

    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }
}

impl Division {
    /// The usual one for a file with this name.
    fn of_file(path: &Path) -> Self {
        let extension = path.extension().and_then(|extension| extension.to_str());
        match extension.map(str::to_ascii_lowercase).as_deref() {
            Some("json" | "ndjson" | "jsonl") => Self::Json,
            Some("csv") => Self::Csv,
            _ => Self::Lines,
        }
    }

    /// Divides the text of `source`, which errors name.
    fn items(self, bytes: Vec<u8>, source: &str) -> Result<Vec<Named>, Problem> {
        let unreadable = || format!("cannot read the items from {source}");
        if self == Self::Null {
            let text = divisi_files::utf8(bytes).with_context(unreadable)?;
            return Ok(text.split('\0').map(Named::text).collect());
        }
        let text = divisi_files::text(bytes).with_context(unreadable)?;
        Ok(match self {
            Self::Null | Self::Lines => text.lines().map(Named::text).collect(),
            Self::Whole => vec![Named::text(text)],
            Self::Json => json(&text).with_context(unreadable)?,
            Self::Csv => csv(&text).with_context(unreadable)?,
        })
    }
}

/// The typed items, those of stdin for a `-`, and those of a file for `@FILE`. Never empty.
pub(super) fn named(
    typed: Vec<OsString>,
    division: Option<Division>,
    folder: &Path,
    stdin: impl Read,
) -> Result<Vec<Named>, Problem> {
    let most = HostLimits::default().items_max as usize;
    let mut named = vec![];
    let mut stdin = Some(stdin);
    for word in typed {
        if word == "-"
            && let Some(stdin) = stdin.take()
        {
            let bytes = bounded(stdin).context("cannot read the items from stdin")?;
            named.extend(division.unwrap_or(Division::Lines).items(bytes, "stdin")?);
            continue;
        }
        let word = utf8(word)?;
        match word.strip_prefix('@') {
            Some(text) if text.starts_with('@') => named.push(Named::text(text)),
            Some(file) => named.extend(of_file(file, division, folder)?),
            None => {
                matches_a_file(&word, folder)?;
                named.push(Named::text(word));
            }
        }
    }
    named.retain(|item| !item.is_blank());
    match named.len() {
        0 => Err(Problem::usage("there are no items")),
        items if items > most => Err(Problem::usage(format!(
            "there are {items} items; {most} are the most for one run"
        ))
        .hint("divide them into several runs, or write a flow with several calls of `parallel`")),
        _ => Ok(named),
    }
}

/// Items must be UTF-8: they become part of a prompt and of the journal.
fn utf8(typed: OsString) -> Result<String, Problem> {
    typed.into_string().map_err(|typed| {
        Problem::usage(format!("the item {} is not UTF-8", typed.display()))
            .hint("rename the file, or leave it out")
    })
}

fn of_file(file: &str, division: Option<Division>, folder: &Path) -> Result<Vec<Named>, Problem> {
    let path = folder.join(file);
    let division = division.unwrap_or_else(|| Division::of_file(&path));
    match divisi_files::read_typed(&path, BYTES_MAX) {
        Ok(bytes) => division.items(bytes, file),
        Err(refusal) => Err(Problem::usage(format!(
            "cannot read the items from {file}: {refusal}"
        ))
        .hint(format!(
            "`@` names a file with items; `@@{file}` is the item `@{file}`"
        ))),
    }
}

/// A shell hands over a glob that matches nothing as it was typed, and an agent would be paid for
/// it. One that was quoted on purpose matches something.
fn matches_a_file(word: &str, folder: &Path) -> Result<(), Problem> {
    let is_glob = word.contains('*')
        && word.contains(['/', '.'])
        && !word.contains(char::is_whitespace)
        && !word.contains("://");
    if !is_glob {
        return Ok(());
    }
    let pattern = folder.join(word);
    let found = glob::glob(&pattern.to_string_lossy()).map(|mut paths| paths.next().is_some());
    match found {
        // What is no glob after all is a text.
        Ok(true) | Err(_) => Ok(()),
        Ok(false) => Err(Problem::usage(format!("no file matches {word}"))
            .hint("an item from stdin is always a text: `echo … | divisi map … -`")),
    }
}

fn bounded(input: impl Read) -> Result<Vec<u8>, Refusal> {
    let mut bytes = vec![];
    input.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > BYTES_MAX {
        true => Err(Refusal::TooLarge(BYTES_MAX)),
        false => Ok(bytes),
    }
}

/// The elements of an array, or the values of a text with one on each line.
fn json(text: &str) -> Result<Vec<Named>, serde_json::Error> {
    let mut values = vec![];
    for value in serde_json::Deserializer::from_str(text).into_iter::<Value>() {
        values.push(value?);
    }
    if let [Value::Array(elements)] = values.as_mut_slice() {
        values = std::mem::take(elements);
    }
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let item = |value: Value| match &value {
        Value::Object(object) => {
            let fields = object.iter();
            let fields = fields.map(|(name, value)| (name.clone(), plain(value).into()));
            Named::row(value.to_string(), fields.collect())
        }
        _ => Named::text(plain(&value)),
    };
    Ok(values.into_iter().map(item).collect())
}

/// The rows, with their columns as fields.
fn csv(text: &str) -> Result<Vec<Named>, csv::Error> {
    let mut reader = ReaderBuilder::new().from_reader(text.as_bytes());
    let columns = reader.headers()?.clone();
    let row = |row: Result<csv::StringRecord, csv::Error>| {
        let cells = row?;
        let fields = columns.iter().zip(cells.iter());
        let fields: Map<_, _> = fields
            .map(|(column, cell)| (column.trim().to_owned(), cell.into()))
            .collect();
        let text = Value::Object(fields.clone()).to_string();
        Ok(Named::row(text, fields))
    };
    reader.records().map(row).collect()
}

/// Fails if `template` names a field that looks like one of the items' fields and is none.
pub(super) fn check_fields(template: &str, items: &[Named]) -> Result<(), Problem> {
    let known = || items.iter().flat_map(|item| item.fields.keys());
    if known().next().is_none() {
        return Ok(());
    }
    for name in placeholders(template) {
        if known().any(|field| field == name) {
            continue;
        }
        // Braces have other uses in prompts, such as code.
        if let Some(near) = nearest(name, known().map(String::as_str)) {
            return Err(
                Problem::usage(format!("there is no field `{name}` in the items"))
                    .hint(format!("did you mean `{{{near}}}`?")),
            );
        }
    }
    Ok(())
}

/// The words that stand in braces.
fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    let after_braces = template.split('{').skip(1);
    after_braces
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name))
        .filter(|name| !name.is_empty() && !name.contains(char::is_whitespace))
}

/// The beginning of the first line of a text.
fn beginning(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    match line.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStringExt;

    fn read(
        items: &[&str],
        division: Option<Division>,
        stdin: &str,
    ) -> Result<Vec<Named>, Problem> {
        let folder = Path::new("/nowhere");
        let typed = items.iter().map(OsString::from).collect();
        named(typed, division, folder, stdin.as_bytes())
    }

    fn texts(items: &[&str], division: Option<Division>, stdin: &str) -> Vec<String> {
        let named = read(items, division, stdin).unwrap();
        named.into_iter().map(|item| item.text).collect()
    }

    fn said(items: &[&str], division: Option<Division>, stdin: &str) -> String {
        let problem = read(items, division, stdin).unwrap_err();
        let hints = problem.hints().iter().map(|hint| format!(" | {hint}"));
        format!("{problem}{}", hints.collect::<String>())
    }

    #[test]
    fn items_come_from_the_command_line_and_from_stdin() {
        assert_eq!(
            texts(&["a", "-", "b"], None, "x\n\ny\n"),
            ["a", "x", "y", "b"]
        );
        assert_eq!(texts(&["-", "-"], None, "x"), ["x", "-"]);
        assert_eq!(texts(&["-"], None, "\u{feff}x\r\ny\r\n"), ["x", "y"]);
        assert!(read(&["-"], None, "").is_err());
        assert!(read(&["-"], None, &"x\n".repeat(5_000)).is_err());
    }

    #[test]
    fn a_text_is_divided_as_the_flag_says() {
        use Division::{Json, Lines, Null, Whole};
        assert_eq!(texts(&["-"], Some(Lines), "a b\nc\n"), ["a b", "c"]);
        assert_eq!(texts(&["-"], Some(Null), "a\nb\0c\0"), ["a\nb", "c"]);
        assert_eq!(texts(&["-"], Some(Whole), "a\nb\n"), ["a\nb\n"]);
        assert_eq!(
            texts(&["-"], Some(Json), r#"["a", 2, null, [3]]"#),
            ["a", "2", "[3]"]
        );
        assert_eq!(texts(&["-"], Some(Json), "\"a\"\n\"b\"\n"), ["a", "b"]);
    }

    #[test]
    fn rows_and_objects_have_fields() {
        let rows = read(&["-"], Some(Division::Csv), "id,what\n7,\"a, b\"\n,c\n").unwrap();
        assert_eq!(
            rows,
            [
                Named {
                    name: "7".into(),
                    text: r#"{"id":"7","what":"a, b"}"#.into(),
                    fields: [("id".into(), "7".into()), ("what".into(), "a, b".into())]
                        .into_iter()
                        .collect(),
                },
                Named {
                    name: "c".into(),
                    text: r#"{"id":"","what":"c"}"#.into(),
                    fields: [("id".into(), "".into()), ("what".into(), "c".into())]
                        .into_iter()
                        .collect(),
                },
            ]
        );
        let objects = read(&["-"], Some(Division::Json), "{\"n\": 1, \"m\": [2]}").unwrap();
        assert_eq!(objects[0].fields["m"], "[2]");
        assert_eq!(objects[0].name, "1");
    }

    #[test]
    fn a_mistyped_field_is_found_before_anything_is_paid() {
        let rows = read(&["-"], Some(Division::Csv), "name,question\na,b\n").unwrap();
        let problem = check_fields("{name}: {qestion}", &rows).unwrap_err();
        insta::assert_snapshot!(problem, @"there is no field `qestion` in the items");
        for fine in [
            "{question}",
            "{}",
            "fn main() { x }",
            "{ name }",
            "{\"a\":1}",
        ] {
            check_fields(fine, &rows).unwrap();
        }
        check_fields("{qestion}", &[Named::text("x")]).unwrap();
    }

    #[test]
    fn what_cannot_be_items_is_refused_by_name_or_line() {
        insta::assert_snapshot!(said(&["-"], None, "a\n\0"), @"cannot read the items from stdin: it is not UTF-8 text: a zero byte in line 2");
        insta::assert_snapshot!(said(&["-"], Some(Division::Json), "[1,"), @"cannot read the items from stdin: EOF while parsing a value at line 1 column 3");
        insta::assert_snapshot!(said(&["-"], Some(Division::Csv), "a,b\n1\n"), @"cannot read the items from stdin: CSV error: record 1 (line: 2, byte: 4): found record with 1 fields, but the previous record has 2 fields");
        insta::assert_snapshot!(said(&["@list.txt"], None, ""), @"cannot read the items from list.txt: No such file or directory (os error 2) | `@` names a file with items; `@@list.txt` is the item `@list.txt`");
        insta::assert_snapshot!(said(&["nofile*.py"], None, ""), @"no file matches nofile*.py | an item from stdin is always a text: `echo … | divisi map … -`");
        let broken = vec![OsString::from_vec(b"caf\xe9.txt".to_vec())];
        let problem = named(broken, None, Path::new("/"), &b""[..]).unwrap_err();
        insta::assert_snapshot!(problem, @"the item caf�.txt is not UTF-8");
        let not_text = |bytes: &[u8]| {
            let problem = named(vec!["-".into()], None, Path::new("/"), bytes).unwrap_err();
            problem.to_string()
        };
        insta::assert_snapshot!(not_text(b"a\nb\xe9"), @"cannot read the items from stdin: it is not UTF-8: byte 0xe9 in line 2");
        insta::assert_snapshot!(not_text(b"\xff\xfea\0"), @"cannot read the items from stdin: it is UTF-16, not UTF-8: save it as UTF-8");
    }

    #[test]
    fn texts_with_a_star_are_texts() {
        assert_eq!(
            texts(
                &["2*3", "What is *this*?", "@@types/node", "https://a.b/*"],
                None,
                ""
            ),
            ["2*3", "What is *this*?", "@types/node", "https://a.b/*"]
        );
    }
}
