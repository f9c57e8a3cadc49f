//! The rules of a scripted provider, as written in files.

use crate::reply::Stop;
use divisi_core::{FailureClass, Millis, Usage};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// Largest file of rules; they are written by hand.
const BYTES_MAX: u64 = 16 << 20;

/// Reads the rules in `text`, which is JSON.
pub(super) fn from_json(text: &str) -> Result<Vec<Rule>, RulesError> {
    serde_json::from_str(text).map_err(|error| RulesError {
        whose: String::new(),
        what: error.to_string(),
    })
}

/// Reads the rules in the file at `path`, which is YAML if its name says so.
pub(super) fn from_file(path: &Path) -> Result<Vec<Rule>, RulesError> {
    let wrong = |what: String| RulesError {
        whose: format!(" in {}", path.display()),
        what,
    };
    let bytes = divisi_files::read(path, BYTES_MAX);
    let text = bytes
        .and_then(divisi_files::text)
        .map_err(|refusal| wrong(refusal.to_string()))?;
    let is_yaml = path
        .extension()
        .is_some_and(|extension| extension == "yaml" || extension == "yml");
    if is_yaml {
        let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
        serde_saphyr::from_str_with_options(&text, options)
            .map_err(|error| wrong(error.to_string()))
    } else {
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
    }
}

/// Why rules are invalid, with line and column.
#[derive(Debug, thiserror::Error)]
#[error("the rules{whose} cannot be used: {what}")]
pub struct RulesError {
    whose: String,
    what: String,
}

/// Which requests get which answer.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Rule {
    pub(super) when: When,
    /// Number of requests it answers before the following rules apply.
    pub(super) times: Option<u32>,
    pub(super) delay: Millis,
    pub(super) answer: Answer,
    /// The stop reason, if not the default one.
    pub(super) stop: Option<Stop>,
    /// The billed usage, if not estimated from the length.
    pub(super) usage: Option<Usage>,
}

/// Conditions on a request. An absent one always holds.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct When {
    /// A part of the first message.
    pub(super) contains: Option<String>,
    /// A part of the model's id.
    pub(super) model: Option<String>,
    /// Number of the reply in the conversation, from 1.
    pub(super) turn: Option<usize>,
    /// The tool whose result is in the last message.
    pub(super) after_tool: Option<String>,
    /// Whether that tool reported an error.
    pub(super) tool_failed: Option<bool>,
    /// Tools that must all be on offer.
    pub(super) offers: Vec<String>,
    /// Whether the answer must fit a schema.
    pub(super) schema: Option<bool>,
}

#[derive(Debug)]
pub(super) enum Answer {
    Text(String),
    /// A value, as text.
    Json(Value),
    /// A sample of the schema.
    Sample,
    Tools(Vec<ToolCall>),
    Error(ScriptedError),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolCall {
    pub(super) name: String,
    #[serde(default)]
    pub(super) input: Value,
}

/// A failure, by class or in a vendor's form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScriptedError {
    pub(super) class: Option<FailureClass>,
    pub(super) status: Option<u16>,
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    pub(super) retry_after_ms: Option<u64>,
    #[serde(default)]
    pub(super) maybe_billed: bool,
}

/// A rule as written, in which a field name gives the kind of answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    when: When,
    times: Option<u32>,
    #[serde(default)]
    delay_ms: u64,
    text: Option<String>,
    json: Option<Value>,
    #[serde(default)]
    sample: bool,
    tools: Option<Vec<ToolCall>>,
    error: Option<ScriptedError>,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

impl TryFrom<Written> for Rule {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        let answers = [
            written.text.map(Answer::Text),
            written.json.map(Answer::Json),
            written.sample.then_some(Answer::Sample),
            written.tools.map(Answer::Tools),
            written.error.map(Answer::Error),
        ];
        let mut answers = answers.into_iter().flatten();
        let (Some(answer), None) = (answers.next(), answers.next()) else {
            return Err(
                "a rule has exactly one of `text`, `json`, `sample`, `tools` and `error`".into(),
            );
        };
        match &answer {
            Answer::Error(ScriptedError {
                class: None,
                status: None,
                ..
            }) => {
                return Err("an error has a `class` or a `status`".into());
            }
            Answer::Tools(calls) if calls.is_empty() => return Err("`tools` names no tool".into()),
            Answer::Text(_)
            | Answer::Json(_)
            | Answer::Sample
            | Answer::Tools(_)
            | Answer::Error(_) => {}
        }
        Ok(Self {
            when: written.when,
            times: written.times,
            delay: Millis(written.delay_ms),
            answer,
            stop: written.stop,
            usage: written.usage,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_named_with_their_place() {
        let mistake = |name: &str, text: &str| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            from_file(&path)
                .unwrap_err()
                .to_string()
                .replace(&*folder.path().to_string_lossy(), "")
        };
        insta::assert_snapshot!(mistake("rules.json", "[\n  {\"txt\": \"a\"}\n]"), @"the rules in /rules.json cannot be used: unknown field `txt`, expected one of `when`, `times`, `delay_ms`, `text`, `json`, `sample`, `tools`, `error`, `stop`, `usage` at line 2 column 8");
        insta::assert_snapshot!(mistake("rules.json", "[{\"text\": \"a\", \"json\": 1}]"), @"the rules in /rules.json cannot be used: a rule has exactly one of `text`, `json`, `sample`, `tools` and `error` at line 1 column 26");
        insta::assert_snapshot!(mistake("rules.json", "[{\"error\": {\"message\": \"a\"}}]"), @"the rules in /rules.json cannot be used: an error has a `class` or a `status` at line 1 column 29");
        insta::assert_snapshot!(mistake("rules.yaml", "- when: {turn: first}\n  text: a\n"), @"the rules in /rules.yaml cannot be used: invalid u64 at line 1, column 16");
        insta::assert_snapshot!(from_file(Path::new("/nowhere.json")).unwrap_err().to_string(), @"the rules in /nowhere.json cannot be used: No such file or directory (os error 2)");
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rules.yml");
        std::fs::write(
            &path,
            "- when: {contains: x}\n  tools: [{name: t, input: {a: 1}}]\n",
        )
        .unwrap();
        let json = r#"[{"when": {"contains": "x"}, "tools": [{"name": "t", "input": {"a": 1}}]}]"#;
        assert_eq!(
            format!("{:?}", from_file(&path).unwrap()),
            format!("{:?}", from_json(json).unwrap())
        );
    }
}
