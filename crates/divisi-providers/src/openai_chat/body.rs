//! A request in the words of the Chat Completions API.

use super::Dialect;
use crate::request::{Block, Message, Request, Role};
use crate::strict;
use divisi_core::Effort;
use serde::Serialize;
use serde_json::{Value, json};

/// OpenAI's word for the service at list prices. Without it, the project's settings
/// decide, and what was set aside for a request may not cover its price.
pub(crate) const USUAL_SERVICE: &str = "default";

#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    stream: bool,
    stream_options: StreamOptions,
    /// The usual service: a project can be set up to buy a dearer one.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    messages: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<Value>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl<'a> Body<'a> {
    pub(super) fn of(request: &'a Request, dialect: Dialect) -> Self {
        let is_openai = dialect == Dialect::OpenAi;
        let answer = request.schema.as_deref().map(answer_format);
        let instruction = match (request.schema.as_deref(), &answer) {
            (Some(schema), Some(None)) => Some(strict::instruction(schema)),
            _ => None,
        };
        let system = request.system.iter().map(|block| (&*block.text, block.cache));
        let system: Vec<_> = system.chain(instruction.as_deref().map(|text| (text, false))).collect();
        let mut messages = Vec::new();
        // All in one message: the templates of some models accept no second one.
        if !system.is_empty() {
            messages.push(json!({"role": "system", "content": content(&system, dialect)}));
        }
        for message in &request.messages {
            push(&mut messages, message, dialect);
        }
        let effort = request.effort.map(|effort| effort_word(effort, dialect));
        let is_openrouter = dialect == Dialect::OpenRouter;
        Self {
            model: &request.model,
            max_completion_tokens: is_openai.then_some(request.max_tokens),
            max_tokens: (!is_openai).then_some(request.max_tokens),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            service_tier: is_openai.then_some(USUAL_SERVICE),
            messages,
            tools: request
                .tools
                .iter()
                .map(|tool| {
                    json!({"type": "function", "function": {
                        "name": tool.name, "description": tool.description, "parameters": tool.input_schema
                    }})
                })
                .collect(),
            reasoning_effort: effort.filter(|_| !is_openrouter),
            reasoning: effort.filter(|_| is_openrouter).map(|effort| json!({"effort": effort})),
            response_format: answer
                .flatten()
                .map(|format| json!({"type": "json_schema", "json_schema": format})),
        }
    }
}

/// The name, schema and strictness of the answer; `None` where only an
/// instruction helps, because the answer is no object.
///
/// Strictly, every property must be there. A schema that leaves some out is sent
/// whole instead and not enforced: a model forced to fill in an optional `error`
/// invents one.
pub(crate) fn answer_format(schema: &Value) -> Option<Value> {
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return None;
    }
    Some(match strict::enforceable(schema).filter(|_| !strict::has_optional(schema)) {
        Some(schema) => json!({"name": "answer", "strict": true, "schema": schema}),
        None => json!({"name": "answer", "strict": false, "schema": schema}),
    })
}

/// Adds the one or more messages that `message` is in this API: every result of
/// a tool is a message of its own.
fn push(messages: &mut Vec<Value>, message: &Message, dialect: Dialect) {
    let mut said = Vec::new();
    let mut calls = Vec::new();
    let mut kept = serde_json::Map::new();
    for block in &message.blocks {
        match block {
            Block::Text { text, cache } => said.push((&**text, *cache)),
            Block::ToolUse { id, name, input } => calls.push(json!({
                "id": id, "type": "function", "function": {"name": name, "arguments": input.to_string()}
            })),
            Block::ToolResult { tool_use_id, content, is_error, cache: _ } => messages.push(json!({
                "role": "tool", "tool_call_id": tool_use_id, "content": result_text(content, *is_error)
            })),
            Block::Opaque(Value::Object(fields)) => kept.extend(fields.clone()),
            Block::Opaque(_) => {}
        }
    }
    if said.is_empty() && calls.is_empty() {
        return;
    }
    let mut sent =
        json!({"role": match message.role { Role::User => "user", Role::Assistant => "assistant" }});
    sent["content"] = if said.is_empty() { Value::Null } else { content(&said, dialect) };
    if !calls.is_empty() {
        sent["tool_calls"] = calls.into();
    }
    for (name, value) in kept {
        sent[name] = value;
    }
    messages.push(sent);
}

/// One text, or parts where a mark for the cache has to be passed on.
fn content(texts: &[(&str, bool)], dialect: Dialect) -> Value {
    if dialect != Dialect::OpenRouter || !texts.iter().any(|(_, cache)| *cache) {
        return texts.iter().map(|(text, _)| *text).collect::<Vec<_>>().join("\n\n").into();
    }
    let part = |(text, cache): &(&str, bool)| {
        let mut part = json!({"type": "text", "text": text});
        if *cache {
            part["cache_control"] = json!({"type": "ephemeral"});
        }
        part
    };
    texts.iter().map(part).collect()
}

/// The result of a tool for an API in which it cannot be marked as an error.
pub(crate) fn result_text(content: &str, is_error: bool) -> String {
    if is_error { format!("error: {content}") } else { content.to_owned() }
}

fn effort_word(effort: Effort, dialect: Dialect) -> &'static str {
    match (dialect, effort) {
        (Dialect::OpenAi, effort) => effort.as_str(),
        (Dialect::OpenRouter, Effort::Max) => Effort::Xhigh.as_str(),
        (Dialect::OpenRouter, effort) => effort.as_str(),
        (Dialect::Compatible, Effort::Xhigh | Effort::Max) => Effort::High.as_str(),
        (Dialect::Compatible, effort) => effort.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{SystemBlock, ToolDefinition};
    use std::sync::Arc;

    fn request() -> Request {
        let mut request = Request::new("gpt-6-luna", "Study src.", 2_000);
        request.system = vec![SystemBlock { text: "You audit code.".into(), cache: true }];
        request.effort = Some(Effort::Xhigh);
        request.schema = Some(Arc::new(json!({
            "type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]
        })));
        request.tools = vec![ToolDefinition {
            name: "list_files".into(),
            description: "lists them".into(),
            input_schema: json!({"type": "object"}),
        }]
        .into();
        request.messages.push(Message {
            role: Role::Assistant,
            blocks: vec![
                Block::Opaque(json!({"reasoning_content": "hm"})),
                Block::ToolUse { id: "t1".into(), name: "list_files".into(), input: json!({"path": "src"}) },
            ],
        });
        request.messages.push(Message {
            role: Role::User,
            blocks: vec![
                Block::ToolResult {
                    tool_use_id: "t1".into(),
                    content: "no such folder".into(),
                    is_error: true,
                    cache: false,
                },
                Block::text("Hurry."),
            ],
        });
        request
    }

    #[test]
    fn says_everything_in_the_vendors_words() {
        insta::assert_json_snapshot!(Body::of(&request(), Dialect::OpenAi), @r#"
        {
          "model": "gpt-6-luna",
          "max_completion_tokens": 2000,
          "stream": true,
          "stream_options": {
            "include_usage": true
          },
          "service_tier": "default",
          "messages": [
            {
              "role": "system",
              "content": "You audit code."
            },
            {
              "role": "user",
              "content": "Study src."
            },
            {
              "role": "assistant",
              "content": null,
              "tool_calls": [
                {
                  "id": "t1",
                  "type": "function",
                  "function": {
                    "name": "list_files",
                    "arguments": "{\"path\":\"src\"}"
                  }
                }
              ],
              "reasoning_content": "hm"
            },
            {
              "role": "tool",
              "tool_call_id": "t1",
              "content": "error: no such folder"
            },
            {
              "role": "user",
              "content": "Hurry."
            }
          ],
          "tools": [
            {
              "type": "function",
              "function": {
                "name": "list_files",
                "description": "lists them",
                "parameters": {
                  "type": "object"
                }
              }
            }
          ],
          "reasoning_effort": "xhigh",
          "response_format": {
            "type": "json_schema",
            "json_schema": {
              "name": "answer",
              "strict": true,
              "schema": {
                "type": "object",
                "properties": {
                  "ok": {
                    "type": "boolean"
                  }
                },
                "required": [
                  "ok"
                ],
                "additionalProperties": false
              }
            }
          }
        }
        "#);
    }

    #[test]
    fn speaks_the_dialects() {
        let differing = |dialect| {
            let sent = serde_json::to_value(Body::of(&request(), dialect)).unwrap();
            let fields = ["max_completion_tokens", "max_tokens", "reasoning_effort", "reasoning"];
            let system = sent["messages"][0]["content"].clone();
            json!([fields.map(|field| sent.get(field).cloned().unwrap_or_default()), system])
        };
        assert_eq!(differing(Dialect::OpenAi), json!([[2000, null, "xhigh", null], "You audit code."]));
        assert_eq!(differing(Dialect::Compatible), json!([[null, 2000, "high", null], "You audit code."]));
        assert_eq!(
            differing(Dialect::OpenRouter),
            json!([
                [null, 2000, null, {"effort": "xhigh"}],
                [{"type": "text", "text": "You audit code.", "cache_control": {"type": "ephemeral"}}]
            ])
        );
        assert_eq!(Dialect::at("https://api.openai.com/v1"), Dialect::OpenAi);
        assert_eq!(Dialect::at("https://openrouter.ai/api/v1/"), Dialect::OpenRouter);
        assert_eq!(Dialect::at("http://127.0.0.1:11434/v1"), Dialect::Compatible);
    }

    #[test]
    fn tells_the_model_of_a_schema_that_is_no_object() {
        let mut request = request();
        request.schema = Some(Arc::new(json!({"type": "array"})));
        let sent = serde_json::to_value(Body::of(&request, Dialect::Compatible)).unwrap();
        assert_eq!(sent.get("response_format"), None);
        let system = sent["messages"][0]["content"].as_str().unwrap();
        assert!(
            system.starts_with("You audit code.\n\nYour final answer") && system.ends_with("array\"}"),
            "{system}"
        );
        assert_eq!(sent["messages"][1]["role"], "user");
    }

    #[test]
    fn enforces_a_schema_only_where_that_forces_no_inventions() {
        let format = |schema: Value| answer_format(&schema).map(|format| format["strict"].clone());
        let all = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
        let optional = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        assert_eq!(format(all), Some(json!(true)));
        assert_eq!(format(optional), Some(json!(false)));
        assert_eq!(format(json!({"type": "object", "additionalProperties": {}})), Some(json!(false)));
        assert_eq!(format(json!({"type": "array"})), None);
    }
}
