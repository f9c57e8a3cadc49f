//! The flow and its arguments.

use crate::material;
use clap::Args;
use divisi_app::{App, FlowInput, Problem};
use serde_json::{Map, Value};
use std::path::Path;

/// Longest file of `--args @FILE`; the journal keeps arguments.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The flow and its arguments.
#[derive(Debug, Args)]
pub(crate) struct FlowArgs {
    /// A script or a plan (.json, .yaml) by its file, or the name of a saved script; `-` reads one
    /// from stdin
    flow: String,
    /// What the script finds in `args`: JSON, or else plain text; `@FILE` reads it from a file
    #[arg(long, value_name = "JSON|TEXT", conflicts_with = "arg")]
    args: Option<String>,
    /// One entry of `args`; its value is JSON, or else plain text. May be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    arg: Vec<(String, String)>,
}

impl FlowArgs {
    /// Finds the flow from the folder of `app`, reads it if it is a plan, and checks its arguments.
    pub(crate) fn find(self, app: &App) -> Result<FlowInput, Problem> {
        let folder = app.folder();
        let Self { flow, args, arg } = self;
        let args = given(args, arg, folder)?;
        let input = match &*flow {
            "-" => FlowInput::of_text("stdin", material::all()?, args)?,
            _ => FlowInput::find(&flow, args, folder)?,
        };
        input.check_args()?.iter().for_each(|note| app.note(note));
        Ok(input)
    }
}

/// The value of `args` in the script: given as a whole, or entry by entry.
fn given(
    whole: Option<String>,
    entries: Vec<(String, String)>,
    folder: &Path,
) -> Result<Option<Value>, Problem> {
    if let Some(text) = whole {
        return value("--args", &text, folder).map(Some);
    }
    let value = |(key, text): (String, String)| {
        value(&format!("--arg {key}"), &text, folder).map(|value| (key, value))
    };
    let entries = entries
        .into_iter()
        .map(value)
        .collect::<Result<Map<_, _>, _>>()?;
    Ok((!entries.is_empty()).then_some(Value::Object(entries)))
}

/// The value of a typed argument: that of a file for `@FILE`, else its own; `@@text` is the text
/// `@text`.
fn value(flag: &str, typed: &str, folder: &Path) -> Result<Value, Problem> {
    let Some(file) = typed.strip_prefix('@') else {
        return json_or_text(flag, typed);
    };
    if file.starts_with('@') {
        return Ok(file.into());
    }
    let text = divisi_files::read_typed(&folder.join(file), FILE_BYTES_MAX)
        .and_then(divisi_files::text)
        .map_err(|refusal| {
            Problem::usage(format!("cannot read {file} for `{flag}`: {refusal}"))
                .hint(format!("`@@{file}` is the text `@{file}`"))
        })?;
    json_or_text(flag, &text)
}

/// The value of a text: JSON if it is valid JSON, else the text itself. A text that begins like
/// JSON and is invalid has lost a quote to the shell, or a bracket, so it is an error.
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
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let file = |typed| value("--args", typed, here);
        assert_eq!(file("@@home").unwrap(), json!("@home"));
        assert!(
            file("@src/main.rs")
                .unwrap()
                .as_str()
                .unwrap()
                .contains("fn main()")
        );
        let missing = file("@nofile.json").unwrap_err();
        assert!(
            missing.to_string().contains("nofile.json for `--args`"),
            "{missing}"
        );
        assert_eq!(
            missing.hints(),
            ["`@@nofile.json` is the text `@nofile.json`"]
        );
        assert_eq!(entry("where=a=b").unwrap(), ("where".into(), "a=b".into()));
        assert!(entry("=2").is_err());
    }
}
