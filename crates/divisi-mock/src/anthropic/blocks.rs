//! The prompt of a Messages request as blocks: tools, then system, then messages.

use crate::ask::{Block, Life, join};
use crate::fault::Failure;
use serde_json::Value;
use std::borrow::Cow;

/// The whole prompt with its breakpoints.
pub(super) fn blocks(body: &Value) -> Result<Vec<Block<'_>>, Failure> {
    let mut blocks = Vec::new();
    for tool in list(&body["tools"]) {
        blocks.push(Block {
            place: "tools",
            text: without_marker(tool),
            breakpoint: life(tool)?,
        });
    }
    push_content(&mut blocks, "system", &body["system"])?;
    for message in list(&body["messages"]) {
        push_content(
            &mut blocks,
            message["role"].as_str().unwrap_or_default(),
            &message["content"],
        )?;
    }
    if let (Some(life), Some(last)) = (life(body)?, blocks.last_mut()) {
        last.breakpoint = Some(life);
    }
    Ok(blocks)
}

fn push_content<'a>(
    blocks: &mut Vec<Block<'a>>,
    place: &'a str,
    content: &'a Value,
) -> Result<(), Failure> {
    if let Value::String(text) = content {
        blocks.push(Block {
            place,
            text: text.into(),
            breakpoint: None,
        });
    }
    for block in list(content) {
        let text = match &block["text"] {
            Value::String(text) => text.into(),
            _ => without_marker(block),
        };
        blocks.push(Block {
            place,
            text,
            breakpoint: life(block)?,
        });
    }
    Ok(())
}

/// The JSON of `value` without its breakpoint, which is not part of the prompt.
fn without_marker(value: &Value) -> Cow<'_, str> {
    match value.get("cache_control") {
        None => value.to_string().into(),
        Some(_) => {
            let mut value = value.clone();
            value
                .as_object_mut()
                .and_then(|map| map.shift_remove("cache_control"));
            value.to_string().into()
        }
    }
}

fn life(value: &Value) -> Result<Option<Life>, Failure> {
    let control = &value["cache_control"];
    if control.is_null() {
        return Ok(None);
    }
    match (control["type"].as_str(), control["ttl"].as_str()) {
        (Some("ephemeral"), None | Some("5m")) => Ok(Some(Life::Short)),
        (Some("ephemeral"), Some("1h")) => Ok(Some(Life::Long)),
        _ => Err(Failure::bad_request(format!(
            "cache_control: {control} is not a valid breakpoint"
        ))),
    }
}

/// The items of an array; empty for anything else.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// The text of a string or of text blocks, if there is any.
pub(super) fn text(content: &Value) -> Option<Cow<'_, str>> {
    if let Value::String(text) = content {
        return Some(text.into());
    }
    let texts: Vec<_> = list(content)
        .iter()
        .filter(|block| block["type"] == "text")
        .filter_map(|block| block["text"].as_str().map(Cow::Borrowed))
        .collect();
    (!texts.is_empty()).then(|| join(texts))
}

/// The text of a tool result; empty if it has none.
pub(super) fn content_text(content: &Value) -> Cow<'_, str> {
    text(content).unwrap_or_default()
}
