//! The conversation in a form that every vendor accepts.
//!
//! Vendors refuse some things that models write: blank texts, empty messages, thinking without a
//! result, two consecutive messages of one side, tool results after other content. None of these
//! has a meaning, so they are removed or reordered here, for all wire formats. The [`Request`] and
//! its digest do not change.

use crate::request::{Block, Message, Request, Role};
use serde_json::Value;

/// In place of an empty tool result or a blank prompt, because a message without content is
/// refused.
pub(crate) const NOTHING: &str = "(nothing)";

/// A message, as it is sent.
pub(crate) struct Turn<'a> {
    pub(crate) role: Role,
    pub(crate) blocks: Vec<&'a Block>,
}

/// The messages of `request`, as they are sent.
pub(crate) fn turns(request: &Request) -> Vec<Turn<'_>> {
    let mut turns: Vec<Turn<'_>> = Vec::with_capacity(request.messages.len());
    for message in &request.messages {
        let blocks = said(message);
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some(last) if last.role == message.role => last.blocks.extend(blocks),
            _ => turns.push(Turn {
                role: message.role,
                blocks,
            }),
        }
    }
    for turn in turns.iter_mut().filter(|turn| turn.role == Role::User) {
        turn.blocks
            .sort_by_key(|block| !matches!(block, Block::ToolResult { .. }));
    }
    turns
}

/// Whether `text` has only blanks.
pub(crate) fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
}

/// The content of a tool's result.
pub(crate) fn output(content: &str) -> &str {
    if is_blank(content) { NOTHING } else { content }
}

fn said(message: &Message) -> Vec<&Block> {
    let says = |block: &&Block| !matches!(block, Block::Text { text, .. } if is_blank(text));
    let mut blocks: Vec<&Block> = message.blocks.iter().filter(says).collect();
    // Thinking precedes its result; at the end it has none.
    while blocks.last().is_some_and(|block| is_thinking(block)) {
        blocks.pop();
    }
    blocks
}

fn is_thinking(block: &Block) -> bool {
    let Block::Opaque(value) = block else {
        return false;
    };
    matches!(
        value.get("type").and_then(Value::as_str),
        Some("thinking" | "redacted_thinking" | "reasoning")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(messages: Vec<Message>) -> Vec<String> {
        let mut request = Request::new("m", "p", 1);
        request.messages = messages;
        let word = |block: &&Block| match block {
            Block::Text { text, .. } => text.to_string(),
            Block::ToolUse { id, .. } => format!("use {id}"),
            Block::ToolResult { tool_use_id, .. } => format!("result {tool_use_id}"),
            Block::Opaque(value) => value["type"].as_str().unwrap_or("fields").to_owned(),
        };
        let turn = |turn: &Turn<'_>| {
            format!(
                "{:?}: {}",
                turn.role,
                turn.blocks.iter().map(word).collect::<Vec<_>>().join(", ")
            )
        };
        turns(&request).iter().map(turn).collect()
    }

    fn by(role: Role, blocks: Vec<Block>) -> Message {
        Message { role, blocks }
    }

    fn opaque(kind: &str) -> Block {
        Block::Opaque(json!({"type": kind}))
    }

    #[test]
    fn what_says_nothing_is_left_out_and_sides_alternate() {
        let messages = vec![
            by(Role::User, vec![Block::text(" \n"), Block::text("one")]),
            by(Role::Assistant, vec![Block::text("\u{a0}\t")]),
            by(Role::User, vec![Block::text("two")]),
            by(Role::Assistant, vec![opaque("thinking"), Block::text("")]),
            by(Role::User, vec![Block::text("three")]),
            by(
                Role::Assistant,
                vec![opaque("reasoning"), Block::text("a"), opaque("reasoning")],
            ),
        ];
        assert_eq!(
            shown(messages),
            ["User: one, two, three", "Assistant: reasoning, a"]
        );
        assert_eq!(shown(vec![Message::user(" ")]), [""; 0]);
    }

    #[test]
    fn results_stand_before_whatever_else_is_said() {
        let result = |id: &str| Block::ToolResult {
            tool_use_id: id.into(),
            content: String::new(),
            is_error: false,
            cache: false,
        };
        let call = |id: &str| Block::ToolUse {
            id: id.into(),
            name: "t".into(),
            input: json!({}),
        };
        let messages = vec![
            Message::user("go"),
            by(
                Role::Assistant,
                vec![opaque("thinking"), call("1"), call("2")],
            ),
            by(
                Role::User,
                vec![result("2"), Block::text("hurry"), result("1")],
            ),
            Message::user("please"),
        ];
        assert_eq!(
            shown(messages),
            [
                "User: go",
                "Assistant: thinking, use 1, use 2",
                "User: result 2, result 1, hurry, please"
            ]
        );
    }

    #[test]
    fn fields_that_a_vendor_wants_back_stay() {
        let messages = vec![
            Message::user("go"),
            by(
                Role::Assistant,
                vec![
                    Block::text("a"),
                    Block::Opaque(json!({"reasoning_details": []})),
                ],
            ),
        ];
        assert_eq!(shown(messages), ["User: go", "Assistant: a, fields"]);
    }
}
