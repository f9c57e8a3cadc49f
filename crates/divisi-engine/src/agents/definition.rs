//! One agent definition, read from its file.

use super::front_matter::{self, Field};
use divisi_core::task::Isolation;
use divisi_core::{Digest, Effort};
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// A role that tasks can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentDefinition {
    /// Its name in tasks.
    pub name: String,
    /// When to use it.
    pub description: String,
    /// Its system prompt.
    pub prompt: String,
    /// The tools it has, as written; by default all.
    pub tools: Option<Vec<String>>,
    /// The tools it does not have, as written.
    pub disallowed_tools: Vec<String>,
    /// A tier or a model id; the run's default if absent.
    pub model: Option<String>,
    /// The effort of its model.
    pub effort: Option<Effort>,
    /// Requests that one attempt may send.
    pub max_turns: Option<u32>,
    /// Whether it works in a copy of the repository.
    pub isolation: Isolation,
    /// Its origin.
    pub source: Source,
}

/// The origin of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Part of this program.
    BuiltIn,
    /// This file.
    File(PathBuf),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("this program"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl AgentDefinition {
    /// Digest of its behaviour: everything except name, description and origin, which no model
    /// sees.
    pub fn digest(&self) -> Digest {
        #[derive(Serialize)]
        struct Doing<'a> {
            prompt: &'a str,
            tools: &'a Option<Vec<String>>,
            disallowed_tools: &'a [String],
            model: &'a Option<String>,
            effort: Option<Effort>,
            max_turns: Option<u32>,
            isolation: Isolation,
        }
        let doing = Doing {
            prompt: &self.prompt,
            tools: &self.tools,
            disallowed_tools: &self.disallowed_tools,
            model: &self.model,
            effort: self.effort,
            max_turns: self.max_turns,
            isolation: self.isolation,
        };
        Digest::of(&serde_json::to_vec(&doing).expect("texts and numbers always become JSON"))
    }

    /// Parses a definition; also returns known keys that are ignored.
    ///
    /// The error is the reason why the file cannot be used. Unreadable restrictions are an error:
    /// an agent must not have more tools than its author intended.
    pub(super) fn parse(text: &str, source: Source) -> Result<(Self, Vec<String>), String> {
        let (mut head, body) = front_matter::split(text)?;
        let mut remarks = Vec::new();
        let name = text_of(head.remove("name")).ok_or("no `name`")?;
        if name.contains(':') || name.starts_with('-') || name.contains(char::is_control) {
            return Err(format!("`{name}` cannot be a name"));
        }
        let definition = Self {
            name,
            description: text_of(head.remove("description")).ok_or("no `description`")?,
            prompt: body.trim().to_owned(),
            tools: list_of("tools", head.remove("tools"))?,
            disallowed_tools: list_of("disallowedTools", head.remove("disallowedTools"))?
                .unwrap_or_default(),
            model: text_of(head.remove("model")).filter(|model| model != "inherit"),
            effort: parsed("effort", head.remove("effort"), &mut remarks),
            max_turns: parsed("maxTurns", head.remove("maxTurns"), &mut remarks),
            isolation: match text_of(head.remove("isolation")).as_deref() {
                None | Some("none") => Isolation::None,
                Some("worktree") => Isolation::Worktree,
                Some(other) => return Err(format!("`isolation` cannot be `{other}`")),
            },
            source,
        };
        Ok((definition, remarks))
    }
}

fn text_of(field: Option<Field>) -> Option<String> {
    match field? {
        Field::Text(text) if !text.is_empty() => Some(text),
        Field::Text(_) | Field::List(_) | Field::Other => None,
    }
}

/// A list in either form: one entry per item, or one text with commas.
fn list_of(key: &str, field: Option<Field>) -> Result<Option<Vec<String>>, String> {
    match field {
        None => Ok(None),
        Some(Field::List(items)) => Ok(Some(items)),
        Some(Field::Text(text)) => Ok(Some(split_at_commas(&text))),
        Some(Field::Other) => Err(format!("`{key}` is no list of names")),
    }
}

/// Splits at commas outside of parentheses, as in `Bash(a, b)`.
fn split_at_commas(text: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let items = text.split(|character| {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    });
    items
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

fn parsed<T>(key: &str, field: Option<Field>, remarks: &mut Vec<String>) -> Option<T>
where
    T: std::str::FromStr<Err: fmt::Display>,
{
    match text_of(field)?.parse() {
        Ok(value) => Some(value),
        Err(error) => {
            remarks.push(format!("`{key}`: {error}; ignored"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Result<(AgentDefinition, Vec<String>), String> {
        AgentDefinition::parse(
            &format!("---\n{head}\n---\n\nYou review.\n"),
            Source::BuiltIn,
        )
    }

    fn valid(head: &str) -> AgentDefinition {
        let (definition, remarks) =
            parse(&format!("name: reviewer\ndescription: reviews\n{head}")).unwrap();
        assert_eq!(remarks, [""; 0]);
        definition
    }

    #[test]
    fn a_short_definition_leaves_the_rest_to_the_run() {
        assert_eq!(
            valid(""),
            AgentDefinition {
                name: "reviewer".to_owned(),
                description: "reviews".to_owned(),
                prompt: "You review.".to_owned(),
                tools: None,
                disallowed_tools: Vec::new(),
                model: None,
                effort: None,
                max_turns: None,
                isolation: Isolation::None,
                source: Source::BuiltIn,
            }
        );
    }

    #[test]
    fn every_key_of_ours_is_read_and_others_are_ignored() {
        let agent = valid(
            "model: haiku\neffort: high\nmaxTurns: 12\nisolation: worktree\ncolor: blue\n\
             hooks:\n  PreToolUse: [{command: rm}]\ndisallowedTools: [Bash]",
        );
        assert_eq!(agent.model.as_deref(), Some("haiku"));
        assert_eq!(
            (agent.effort, agent.max_turns),
            (Some(Effort::High), Some(12))
        );
        assert_eq!(agent.isolation, Isolation::Worktree);
        assert_eq!(agent.disallowed_tools, ["Bash"]);
        assert_eq!(valid("model: inherit").model, None);
    }

    #[test]
    fn tools_come_as_a_list_or_with_commas() {
        let expected = ["Read", "Bash(git log *)"];
        for form in [
            "tools: Read, Bash(git log *)",
            "tools: [Read, Bash(git log *)]",
            "tools:\n  - Read\n  - Bash(git log *)",
        ] {
            assert_eq!(valid(form).tools.unwrap(), expected, "{form}");
        }
        assert_eq!(
            valid("tools: Bash(a, b), Read").tools.unwrap(),
            ["Bash(a, b)", "Read"]
        );
        assert_eq!(valid("tools: []").tools.unwrap(), [""; 0]);
        assert_eq!(valid("tools: ''").tools.unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_missing_or_unsafe_is_a_reason() {
        assert_eq!(parse("description: d").unwrap_err(), "no `name`");
        assert_eq!(parse("name: a").unwrap_err(), "no `description`");
        assert_eq!(
            parse("name: a:b\ndescription: d").unwrap_err(),
            "`a:b` cannot be a name"
        );
        assert_eq!(
            parse("name: -a\ndescription: d").unwrap_err(),
            "`-a` cannot be a name"
        );
        assert_eq!(
            parse("name: a\ndescription: d\ntools: {read: true}").unwrap_err(),
            "`tools` is no list of names"
        );
        assert_eq!(
            parse("name: a\ndescription: d\nisolation: docker").unwrap_err(),
            "`isolation` cannot be `docker`"
        );
    }

    #[test]
    fn what_can_be_done_without_is_ignored_with_a_remark() {
        let (agent, remarks) = parse("name: a\ndescription: d\nmaxTurns: many").unwrap();
        assert_eq!(agent.max_turns, None);
        assert_eq!(
            remarks,
            ["`maxTurns`: invalid digit found in string; ignored"]
        );
    }

    #[test]
    fn the_digest_follows_what_the_agent_does() {
        let agent = valid("model: haiku");
        let renamed = AgentDefinition {
            name: "x".into(),
            description: "y".into(),
            ..agent.clone()
        };
        assert_eq!(renamed.digest(), agent.digest());
        for other in [
            "model: opus",
            "tools: Read",
            "effort: low",
            "maxTurns: 3",
            "disallowedTools: Bash",
        ] {
            assert_ne!(valid(other).digest(), agent.digest(), "{other}");
        }
    }
}
