//! The parts of a request that rules use, and the names in braces for them.

use super::rules::When;
use crate::request::{Block, Message, Request, Role};
use serde_json::Value;
use std::borrow::Cow;

/// Files that usually describe their folder.
const TELLING: [&str; 5] = ["lib.rs", "main.rs", "mod.rs", "index.ts", "README.md"];

/// A request as seen by rules.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a>(pub(super) &'a Request);

/// The result of a tool.
#[derive(Clone, Copy)]
struct ToolResult<'a> {
    content: &'a str,
    is_error: bool,
}

impl<'a> Seen<'a> {
    pub(super) fn fits(self, when: &When) -> bool {
        let is = |wanted: &Option<String>, text: &str| {
            wanted.as_deref().is_none_or(|part| text.contains(part))
        };
        is(&when.model, &self.0.model)
            && when
                .schema
                .is_none_or(|wanted| wanted == self.0.schema.is_some())
            && when.turn.is_none_or(|turn| turn == self.turn())
            && when
                .offers
                .iter()
                .all(|name| self.0.tools.iter().any(|tool| tool.name == *name))
            && when
                .contains
                .as_deref()
                .is_none_or(|part| self.first_texts().any(|text| text.contains(part)))
            && when
                .after_tool
                .as_deref()
                .is_none_or(|tool| self.just_used(tool).is_some())
            && when
                .tool_failed
                .is_none_or(|wanted| self.last_result().is_some_and(|r| r.is_error == wanted))
    }

    /// The task's prompt: the last text of the first message, after the shared context.
    pub(super) fn prompt(self) -> &'a str {
        self.first_texts().last().unwrap_or_default()
    }

    pub(super) fn first_line(self) -> &'a str {
        self.prompt()
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or_default()
            .trim()
    }

    /// Number of the requested reply in the conversation, from 1.
    pub(super) fn turn(self) -> usize {
        1 + self
            .0
            .messages
            .iter()
            .filter(|message| message.role == Role::Assistant)
            .count()
    }

    /// `text` with every known name in braces replaced. Replacements are not searched again.
    pub(super) fn fill(self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            filled.push_str(before);
            let known = after
                .split_once('}')
                .and_then(|(name, after)| Some((self.named(name)?, after)));
            match known {
                Some((value, after)) => {
                    filled.push_str(&value);
                    rest = after;
                }
                None => {
                    filled.push('{');
                    rest = after;
                }
            }
        }
        filled + rest
    }

    /// `value` with every text in it filled in.
    pub(super) fn fill_json(self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.fill(text).into(),
            Value::Array(items) => items.iter().map(|item| self.fill_json(item)).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| (name.clone(), self.fill_json(value)))
                .collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    fn named(self, name: &str) -> Option<Cow<'a, str>> {
        Some(match name {
            "prompt" => self.prompt().into(),
            "first_line" => self.first_line().into(),
            "path" => self.path().into(),
            "model" => (&*self.0.model).into(),
            "digest" => self.0.digest().short().into(),
            "tool_result" => self.last_result()?.content.into(),
            _ => {
                let (tool, part) = name.split_once('.')?;
                let result = if tool == "tool_result" {
                    self.last_result()?
                } else {
                    self.result_of(tool)?
                };
                match part {
                    "lines" => result.content.lines().count().to_string().into(),
                    "first_line" => first_line_without_number(result.content).into(),
                    "file" => self.telling_file(result.content).into(),
                    _ => return None,
                }
            }
        })
    }

    /// The first path in the prompt; the working folder if there is none.
    fn path(self) -> &'a str {
        self.words()
            .find(|word| word.contains('/') && !word.contains("://"))
            .unwrap_or(".")
    }

    /// The most relevant file of a list, one per line, for the words of the prompt.
    fn telling_file(self, list: &'a str) -> &'a str {
        let words: Vec<_> = self
            .words()
            .flat_map(|word| word.split('/'))
            .filter(|word| word.len() > 2)
            .collect();
        let score = |file: &str| {
            let named = file.split('/').filter(|part| words.contains(part)).count();
            let name = file.rsplit('/').next().unwrap_or_default();
            2 * named + usize::from(TELLING.contains(&name))
        };
        let files = list
            .lines()
            .map(str::trim)
            .filter(|line| line.contains('.') && !line.ends_with('/'));
        // `max_by_key` returns the last maximum, so the list is reversed to get the first.
        files.rev().max_by_key(|file| score(file)).unwrap_or(".")
    }

    fn words(self) -> impl Iterator<Item = &'a str> {
        let is_quote = |c: char| !c.is_alphanumeric() && !matches!(c, '/' | '.' | '_' | '-');
        self.prompt()
            .split_whitespace()
            .map(move |word| word.trim_matches(is_quote).trim_end_matches(['.', '/']))
    }

    fn first_texts(self) -> impl Iterator<Item = &'a str> {
        let first = self
            .0
            .messages
            .first()
            .map_or(&[][..], |message| &message.blocks);
        first.iter().filter_map(Block::as_text)
    }

    fn last_result(self) -> Option<ToolResult<'a>> {
        results(self.0.messages.last()?)
            .last()
            .map(|(_, result)| result)
    }

    fn just_used(self, tool: &str) -> Option<ToolResult<'a>> {
        let last = self.0.messages.last()?;
        results(last)
            .find(|(id, _)| self.tool_of(id) == Some(tool))
            .map(|(_, result)| result)
    }

    /// The latest result of `tool`.
    fn result_of(self, tool: &str) -> Option<ToolResult<'a>> {
        let latest = self.0.messages.iter().rev().flat_map(results);
        latest
            .filter(|(id, _)| self.tool_of(id) == Some(tool))
            .map(|(_, result)| result)
            .next()
    }

    fn tool_of(self, id: &str) -> Option<&'a str> {
        self.0
            .messages
            .iter()
            .rev()
            .flat_map(|message| &message.blocks)
            .find_map(|block| match block {
                Block::ToolUse { id: used, name, .. } if used == id => Some(name.as_str()),
                _ => None,
            })
    }
}

/// The results in `message`, with the ids of their calls.
fn results(message: &Message) -> impl Iterator<Item = (&str, ToolResult<'_>)> {
    message.blocks.iter().filter_map(|block| match block {
        Block::ToolResult {
            tool_use_id,
            content,
            is_error,
            cache: _,
        } => Some((
            tool_use_id.as_str(),
            ToolResult {
                content,
                is_error: *is_error,
            },
        )),
        Block::Text { .. } | Block::ToolUse { .. } | Block::Opaque(_) => None,
    })
}

/// The first line without its line number.
fn first_line_without_number(text: &str) -> &str {
    let line = text.lines().next().unwrap_or_default();
    match line.split_once('\t') {
        Some((number, line)) if number.trim().parse::<u64>().is_ok() => line,
        _ => line,
    }
}
