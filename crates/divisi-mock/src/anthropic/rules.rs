//! Validation of the Messages API.

use super::blocks::list;
use super::signature;
use crate::ask::{Block, Life};
use crate::fault::Failure;
use axum::http::HeaderMap;
use serde_json::Value;

const BREAKPOINTS_MAX: usize = 4;

/// Checks the fields that counting tokens needs as well, and returns the model.
pub(super) fn check_prompt<'a>(headers: &HeaderMap, body: &'a Value) -> Result<&'a str, Failure> {
    require(headers.contains_key("anthropic-version"), || {
        "anthropic-version: header is required".into()
    })?;
    let model = body["model"]
        .as_str()
        .ok_or_else(|| Failure::bad_request("model: Field required"))?;
    let messages = list(&body["messages"]);
    require(!messages.is_empty(), || {
        "messages: at least one message is required".into()
    })?;
    for (index, message) in messages.iter().enumerate() {
        let known = matches!(
            message["role"].as_str(),
            Some("user" | "assistant" | "system")
        );
        require(known, || {
            format!("messages.{index}.role: Input should be 'user', 'assistant' or 'system'")
        })?;
    }
    check_tool_pairs(messages)?;
    check_signatures(messages)?;
    Ok(model)
}

/// Checks the options of an answer, which some models restrict.
pub(super) fn check_options(model: &str, body: &Value) -> Result<(), Failure> {
    let max_tokens = body["max_tokens"]
        .as_u64()
        .ok_or_else(|| Failure::bad_request("max_tokens: Field required"))?;
    let stream = body["stream"] == true;
    require(max_tokens > 0 || !stream, || {
        "max_tokens: 0 cannot be streamed".into()
    })?;
    let forced = matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool"));
    require(!(forced && always_thinks(model)), || {
        "tool_choice: forced tool use is not supported by this model".into()
    })?;
    if is_generation_5(model) {
        let temperature = body
            .get("temperature")
            .and_then(Value::as_f64)
            .unwrap_or(1.0);
        require(temperature == 1.0, || {
            "temperature: only the default of 1 is supported by this model".into()
        })?;
        for name in ["top_p", "top_k"] {
            require(body.get(name).is_none_or(Value::is_null), || {
                format!("{name}: not supported by this model")
            })?;
        }
    }
    Ok(())
}

fn always_thinks(model: &str) -> bool {
    ["sonnet-5-5", "opus-5-5", "fable"]
        .iter()
        .any(|name| model.contains(name))
}

/// Whether the first number in the name of the model is 5.
fn is_generation_5(model: &str) -> bool {
    model
        .split('-')
        .find(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        == Some("5")
}

/// Every tool call must be answered in the next message, and nothing else may be.
fn check_tool_pairs(messages: &[Value]) -> Result<(), Failure> {
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages
        .iter()
        .enumerate()
        .filter(|(_, message)| message["role"] != "system")
    {
        let results = ids(message, "tool_result", "tool_use_id");
        if let Some(id) = results.iter().find(|id| !open.contains(id)) {
            return Err(Failure::bad_request(format!(
                "messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: {id}"
            )));
        }
        check_answered(index, &open, &results)?;
        open = ids(message, "tool_use", "id");
    }
    check_answered(messages.len(), &open, &[])
}

fn check_answered(index: usize, open: &[&str], results: &[&str]) -> Result<(), Failure> {
    match open.iter().find(|id| !results.contains(id)) {
        None => Ok(()),
        Some(id) => Err(Failure::bad_request(format!(
            "messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}"
        ))),
    }
}

fn ids<'a>(message: &'a Value, kind: &str, name: &str) -> Vec<&'a str> {
    let blocks = list(&message["content"])
        .iter()
        .filter(|block| block["type"] == kind);
    blocks.filter_map(|block| block[name].as_str()).collect()
}

/// Blocks of thinking must come back unchanged.
fn check_signatures(messages: &[Value]) -> Result<(), Failure> {
    let blocks = messages
        .iter()
        .flat_map(|message| list(&message["content"]));
    for block in blocks.filter(|block| block["type"] == "thinking") {
        let thinking = block["thinking"].as_str().unwrap_or_default();
        let genuine = block["signature"] == signature(thinking);
        require(genuine, || {
            "messages: Invalid `signature` in `thinking` block".into()
        })?;
    }
    Ok(())
}

/// Checks the breakpoints of a whole prompt.
pub(super) fn check_breakpoints(blocks: &[Block<'_>]) -> Result<(), Failure> {
    let lives: Vec<Life> = blocks.iter().filter_map(|block| block.breakpoint).collect();
    require(lives.len() <= BREAKPOINTS_MAX, || {
        let found = lives.len();
        format!(
            "A maximum of {BREAKPOINTS_MAX} blocks with cache_control may be provided. Found {found}."
        )
    })?;
    require(
        !lives
            .windows(2)
            .any(|pair| pair == [Life::Short, Life::Long]),
        || "cache_control: a block with ttl='1h' must not come after a block with ttl='5m'".into(),
    )
}

fn require(holds: bool, message: impl FnOnce() -> String) -> Result<(), Failure> {
    if holds {
        Ok(())
    } else {
        Err(Failure::bad_request(message()))
    }
}
