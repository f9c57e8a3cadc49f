//! The body of a request to the Chat Completions API.

use super::Dialect;
use crate::dialect::{MaxTokens, Part};
use crate::manners::Manner;
use crate::openai::{USUAL_SERVICE, answer_format, result_text};
use crate::request::{Block, Request, Role};
use crate::strict;
use crate::turns::{NOTHING, Turn, is_blank, turns};
use divisi_core::Effort;
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    /// The default service, because a project may be set up to buy a dearer one.
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
    pub(super) fn of(request: &'a Request, dialect: Dialect, manner: &Manner) -> Self {
        let sends_tools = manner.sends_tools(request);
        let schema = request.schema.as_deref();
        let answer = schema.and_then(|schema| answer_format(schema, !manner.omits(Part::Strict)));
        let answer = answer.filter(|_| !manner.omits_schema(request));
        let instruction = schema.filter(|_| answer.is_none()).map(strict::instruction);
        let without_tools =
            (!sends_tools && !request.tools.is_empty()).then_some(strict::WITHOUT_TOOLS);
        let marks = dialect == Dialect::OpenRouter && !manner.omits(Part::CacheControl);
        let system = request
            .system
            .iter()
            .filter(|block| !is_blank(&block.text))
            .map(|block| (&*block.text, block.cache));
        let more = [without_tools, instruction.as_deref()]
            .into_iter()
            .flatten()
            .map(|text| (text, false));
        let system: Vec<_> = system.chain(more).collect();
        let turns = turns(request);
        let mut messages = Vec::new();
        // One message only, because the templates of some models accept no second one.
        if !system.is_empty() && !manner.omits(Part::SystemRole) {
            messages.push(json!({"role": "system", "content": content(&system, marks)}));
        }
        for (place, turn) in turns.iter().enumerate() {
            let first = if place == 0 && manner.omits(Part::SystemRole) {
                &system[..]
            } else {
                &[]
            };
            push(&mut messages, turn, first, marks);
        }
        if turns.is_empty() && !request.messages.is_empty() {
            messages.push(json!({"role": "user", "content": NOTHING}));
        }
        let effort = request
            .effort
            .filter(|_| !manner.omits(Part::Effort))
            .map(|effort| effort_word(effort, dialect));
        let is_openrouter = dialect == Dialect::OpenRouter;
        let usual = if dialect == Dialect::OpenAi {
            MaxTokens::MaxCompletionTokens
        } else {
            MaxTokens::MaxTokens
        };
        let max_tokens = |name| {
            manner
                .told_reply_tokens(request.max_tokens)
                .filter(|_| manner.max_tokens(usual) == name)
        };
        Self {
            model: &request.model,
            max_completion_tokens: max_tokens(MaxTokens::MaxCompletionTokens),
            max_tokens: max_tokens(MaxTokens::MaxTokens),
            stream: true,
            stream_options: (!manner.omits(Part::StreamOptions))
                .then_some(StreamOptions { include_usage: true }),
            service_tier: (dialect == Dialect::OpenAi).then_some(USUAL_SERVICE),
            messages,
            tools: request
                .tools
                .iter()
                .filter(|_| sends_tools)
                .map(|tool| {
                    json!({"type": "function", "function": {
                        "name": tool.name, "description": tool.description, "parameters": tool.input_schema
                    }})
                })
                .collect(),
            reasoning_effort: effort.filter(|_| !is_openrouter),
            reasoning: effort.filter(|_| is_openrouter).map(|effort| json!({"effort": effort})),
            response_format: answer.map(|format| json!({"type": "json_schema", "json_schema": format})),
        }
    }
}

/// Adds the messages of `turn`: every tool result is a message of its own. `before` precedes
/// everything else.
fn push(messages: &mut Vec<Value>, turn: &Turn<'_>, before: &[(&str, bool)], marks: bool) {
    let mut said = before.to_vec();
    let mut calls = Vec::new();
    let mut kept = serde_json::Map::new();
    // Fields to send back with the next call.
    let mut of_next = None;
    for block in &turn.blocks {
        match block {
            Block::Text { text, cache } => said.push((&**text, *cache)),
            Block::ToolUse { id, name, input } => {
                let mut call = json!({
                    "id": id, "type": "function", "function": {"name": name, "arguments": input.to_string()}
                });
                for (name, value) in of_next.take().into_iter().flatten() {
                    call[name] = Value::clone(value);
                }
                calls.push(call);
            }
            Block::ToolResult { tool_use_id, content, is_error, cache: _ } => messages.push(json!({
                "role": "tool", "tool_call_id": tool_use_id, "content": result_text(content, *is_error)
            })),
            Block::Opaque(value) => match (block.as_fields_of_next(), value) {
                (Some(fields), _) => of_next = Some(fields),
                (None, Value::Object(fields)) => kept.extend(fields.clone()),
                (None, _) => {}
            },
        }
    }
    if said.is_empty() && calls.is_empty() {
        return;
    }
    let mut sent =
        json!({"role": match turn.role { Role::User => "user", Role::Assistant => "assistant" }});
    sent["content"] = if said.is_empty() {
        Value::Null
    } else {
        content(&said, marks)
    };
    if !calls.is_empty() {
        sent["tool_calls"] = calls.into();
    }
    for (name, value) in kept {
        sent[name] = value;
    }
    messages.push(sent);
}

/// One text, or parts if a cache mark must be sent.
fn content(texts: &[(&str, bool)], marks: bool) -> Value {
    if !marks || !texts.iter().any(|(_, cache)| *cache) {
        return texts
            .iter()
            .map(|(text, _)| *text)
            .collect::<Vec<_>>()
            .join("\n\n")
            .into();
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
    use crate::request::{Message, SystemBlock, ToolDefinition};
    use std::sync::Arc;

    fn request() -> Request {
        let mut request = Request::new("gpt-6-luna", "Study src.", 2_000);
        request.system = vec![SystemBlock {
            text: "You audit code.".into(),
            cache: true,
        }];
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
                Block::ToolUse {
                    id: "t1".into(),
                    name: "list_files".into(),
                    input: json!({"path": "src"}),
                },
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
        insta::assert_json_snapshot!(Body::of(&request(), Dialect::OpenAi, &Manner::default()), @r#"
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
            let sent =
                serde_json::to_value(Body::of(&request(), dialect, &Manner::default())).unwrap();
            let fields = [
                "max_completion_tokens",
                "max_tokens",
                "reasoning_effort",
                "reasoning",
            ];
            let system = sent["messages"][0]["content"].clone();
            json!([
                fields.map(|field| sent.get(field).cloned().unwrap_or_default()),
                system
            ])
        };
        assert_eq!(
            differing(Dialect::OpenAi),
            json!([[2000, null, "xhigh", null], "You audit code."])
        );
        assert_eq!(
            differing(Dialect::Compatible),
            json!([[null, 2000, "high", null], "You audit code."])
        );
        assert_eq!(
            differing(Dialect::OpenRouter),
            json!([
                [null, 2000, null, {"effort": "xhigh"}],
                [{"type": "text", "text": "You audit code.", "cache_control": {"type": "ephemeral"}}]
            ])
        );
        assert_eq!(Dialect::at("api.openai.com"), Dialect::OpenAi);
        assert_eq!(Dialect::at("openrouter.ai"), Dialect::OpenRouter);
        assert_eq!(Dialect::at("127.0.0.1"), Dialect::Compatible);
    }

    #[test]
    fn tells_the_model_of_a_schema_that_is_no_object() {
        let mut request = request();
        request.schema = Some(Arc::new(json!({"type": "array"})));
        let sent =
            serde_json::to_value(Body::of(&request, Dialect::Compatible, &Manner::default()))
                .unwrap();
        assert_eq!(sent.get("response_format"), None);
        let system = sent["messages"][0]["content"].as_str().unwrap();
        assert!(
            system.starts_with("You audit code.\n\nYour final answer")
                && system.ends_with("array\"}"),
            "{system}"
        );
        assert_eq!(sent["messages"][1]["role"], "user");
    }

    #[test]
    fn enforces_a_schema_only_where_that_forces_no_inventions() {
        let format =
            |schema: Value| answer_format(&schema, true).map(|format| format["strict"].clone());
        let all =
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
        let optional = json!({"type": "object", "properties": {"a": {"type": "string"}}});
        assert_eq!(format(all), Some(json!(true)));
        assert_eq!(format(optional), Some(json!(false)));
        assert_eq!(
            format(json!({"type": "object", "additionalProperties": {}})),
            Some(json!(false))
        );
        assert_eq!(format(json!({"type": "array"})), None);
    }

    #[test]
    fn what_came_with_a_call_goes_back_with_it() {
        let call = |id: &str| Block::ToolUse {
            id: id.into(),
            name: "read".into(),
            input: json!({}),
        };
        let kept = Block::fields_of_next(serde_json::Map::from_iter([(
            "extra_content".to_owned(),
            json!({"x": 1}),
        )]));
        let mut request = Request::new("m", "p", 1);
        let details =
            Block::Opaque(json!({"reasoning_details": [{"type": "reasoning.encrypted"}]}));
        request.messages.push(Message {
            role: Role::Assistant,
            blocks: vec![details, kept, call("a"), call("b")],
        });
        let sent =
            serde_json::to_value(Body::of(&request, Dialect::Compatible, &Manner::default()))
                .unwrap();
        let message = &sent["messages"][1];
        assert_eq!(
            message["reasoning_details"],
            json!([{"type": "reasoning.encrypted"}])
        );
        assert_eq!(message["tool_calls"][0]["extra_content"], json!({"x": 1}));
        assert_eq!(message["tool_calls"][1].get("extra_content"), None);
        assert_eq!(message.get("fields_of_next"), None);
    }

    #[test]
    fn leaves_out_what_a_server_does_not_take() {
        let sent = |omitted: &[Part]| {
            serde_json::to_value(Body::of(
                &request(),
                Dialect::Compatible,
                &Manner::omitting(omitted),
            ))
            .unwrap()
        };
        let system = |body: &Value| body["messages"][0]["content"].as_str().unwrap().to_owned();
        assert_eq!(sent(&[Part::StreamOptions]).get("stream_options"), None);
        assert_eq!(sent(&[Part::Effort]).get("reasoning_effort"), None);
        let other = sent(&[Part::MaxTokensName]);
        assert_eq!(
            (other.get("max_tokens"), &other["max_completion_tokens"]),
            (None, &json!(2_000))
        );
        assert_eq!(
            sent(&[Part::Strict])["response_format"]["json_schema"]["strict"],
            false
        );
        for part in [Part::Schema, Part::SchemaWithTools] {
            let without = sent(&[part]);
            assert!(without.get("response_format").is_none() && without["tools"].is_array());
            assert!(system(&without).contains("JSON Schema"));
        }
        let without = sent(&[Part::Tools, Part::SchemaWithTools]);
        assert!(without.get("tools").is_none() && without["response_format"].is_object());
        assert!(system(&without).ends_with(strict::WITHOUT_TOOLS));
        let without = sent(&[Part::SystemRole]);
        assert_eq!(
            without["messages"][0],
            json!({"role": "user", "content": "You audit code.\n\nStudy src."})
        );
    }

    #[test]
    fn no_blank_message_is_sent_and_sides_alternate() {
        let mut request = Request::new("m", "p", 1);
        request.system = vec![SystemBlock {
            text: " \n".into(),
            cache: false,
        }];
        request.messages.push(Message {
            role: Role::Assistant,
            blocks: vec![Block::text(" ")],
        });
        request.messages.push(Message::user("Again."));
        let call = Block::ToolUse {
            id: "t1".into(),
            name: "t".into(),
            input: json!({}),
        };
        request.messages.push(Message {
            role: Role::Assistant,
            blocks: vec![Block::text("\n"), call],
        });
        let result = Block::ToolResult {
            tool_use_id: "t1".into(),
            content: String::new(),
            is_error: false,
            cache: false,
        };
        request.messages.push(Message {
            role: Role::User,
            blocks: vec![Block::text("Go on."), result],
        });
        let sent =
            serde_json::to_value(Body::of(&request, Dialect::Compatible, &Manner::default()))
                .unwrap();
        insta::assert_json_snapshot!(sent["messages"], @r#"
        [
          {
            "role": "user",
            "content": "p\n\nAgain."
          },
          {
            "role": "assistant",
            "content": null,
            "tool_calls": [
              {
                "id": "t1",
                "type": "function",
                "function": {
                  "name": "t",
                  "arguments": "{}"
                }
              }
            ]
          },
          {
            "role": "tool",
            "tool_call_id": "t1",
            "content": "(nothing)"
          },
          {
            "role": "user",
            "content": "Go on."
          }
        ]
        "#);
        request.messages = vec![Message::user(" ")];
        let sent =
            serde_json::to_value(Body::of(&request, Dialect::Compatible, &Manner::default()))
                .unwrap();
        assert_eq!(
            sent["messages"],
            json!([{"role": "user", "content": "(nothing)"}])
        );
    }
}
