//! The body of a request to the Responses API.

use crate::dialect::Part;
use crate::manners::Manner;
use crate::openai::{answer_format, result_text};
use crate::request::{Block, Request, Role};
use crate::strict;
use crate::turns::{NOTHING, Turn, is_blank, turns};
use serde::Serialize;
use serde_json::{Value, json};

/// Model families that do not reason, and refuse reasoning options.
const WITHOUT_REASONING: [&str; 3] = ["gpt-3", "gpt-4", "chatgpt-4"];

#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<bool>,
    /// The default service, because a project may be set up to buy a dearer one.
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'static str>,
    #[serde(skip_serializing_if = "String::is_empty")]
    instructions: String,
    input: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Value>,
}

impl<'a> Body<'a> {
    pub(super) fn of(request: &'a Request, manner: &Manner) -> Self {
        let system = request.system.iter().filter(|block| !is_blank(&block.text));
        let mut system: Vec<String> = system.map(|block| block.text.to_string()).collect();
        let sends_tools = manner.sends_tools(request);
        if !sends_tools && !request.tools.is_empty() {
            system.push(strict::WITHOUT_TOOLS.to_owned());
        }
        let format = request.schema.as_deref().and_then(|schema| {
            let format = answer_format(schema, !manner.omits(Part::Strict))
                .filter(|_| !manner.omits_schema(request));
            if format.is_none() {
                system.push(strict::instruction(schema));
            }
            format
        });
        let reasons = !WITHOUT_REASONING
            .iter()
            .any(|family| request.model.starts_with(family));
        let mut instructions = system.join("\n\n");
        let mut input: Vec<Value> = turns(request).iter().flat_map(items).collect();
        if manner.omits(Part::SystemRole) && !instructions.is_empty() {
            let said = std::mem::take(&mut instructions);
            input.insert(
                0,
                json!({"role": "user", "content": [{"type": "input_text", "text": said}]}),
            );
        }
        if input.is_empty() && !request.messages.is_empty() {
            input.push(
                json!({"role": "user", "content": [{"type": "input_text", "text": NOTHING}]}),
            );
        }
        Self {
            model: &request.model,
            max_output_tokens: manner.told_reply_tokens(request.max_tokens),
            stream: true,
            store: (!manner.omits(Part::Store)).then_some(false),
            service_tier: None,
            instructions,
            input,
            tools: request
                .tools
                .iter()
                .filter(|_| sends_tools)
                .map(|tool| {
                    json!({
                        "type": "function", "name": tool.name, "description": tool.description,
                        "parameters": tool.input_schema, "strict": false
                    })
                })
                .collect(),
            include: match reasons && !manner.omits(Part::Include) {
                true => vec!["reasoning.encrypted_content"],
                false => Vec::new(),
            },
            reasoning: request
                .effort
                .filter(|_| !manner.omits(Part::Effort))
                .map(|effort| json!({"effort": effort})),
            text: format.map(|mut format| {
                format["type"] = "json_schema".into();
                json!({"format": format})
            }),
        }
    }
}

impl Body<'_> {
    /// Sets the service.
    pub(super) fn by(self, service_tier: Option<&'static str>) -> Self {
        Self {
            service_tier,
            ..self
        }
    }
}

/// The items of a turn in this API: calls, their outputs and reasoning are items next to messages.
fn items(turn: &Turn<'_>) -> Vec<Value> {
    let mut items = Vec::with_capacity(turn.blocks.len());
    // Fields to send back with the next item.
    let mut of_next = None;
    for block in &turn.blocks {
        if let Some(fields) = block.as_fields_of_next() {
            of_next = Some(fields);
            continue;
        }
        let mut item = item(block, turn.role);
        for (name, value) in of_next.take().into_iter().flatten() {
            item[name] = value.clone();
        }
        items.push(item);
    }
    items
}

fn item(block: &Block, role: Role) -> Value {
    match block {
        Block::Text { text, .. } => match role {
            Role::User => {
                json!({"role": "user", "content": [{"type": "input_text", "text": text}]})
            }
            Role::Assistant => {
                json!({"role": "assistant", "content": [{"type": "output_text", "text": text}]})
            }
        },
        Block::ToolUse { id, name, input } => {
            json!({"type": "function_call", "call_id": id, "name": name, "arguments": input.to_string()})
        }
        Block::ToolResult {
            tool_use_id,
            content,
            is_error,
            cache: _,
        } => {
            json!({"type": "function_call_output", "call_id": tool_use_id, "output": result_text(content, *is_error)})
        }
        Block::Opaque(value) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Message, SystemBlock, ToolDefinition};
    use divisi_core::Effort;
    use std::sync::Arc;

    #[test]
    fn says_everything_in_the_vendors_words() {
        let mut request = Request::new("gpt-6-luna", "Study src.", 2_000);
        request.system = vec![SystemBlock {
            text: "You audit code.".into(),
            cache: true,
        }];
        request.effort = Some(Effort::High);
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
                Block::Opaque(
                    json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}),
                ),
                Block::text("Let me look."),
                Block::ToolUse { id: "t1".into(), name: "list_files".into(), input: json!({"path": "src"}) },
            ],
        });
        request.messages.push(Message {
            role: Role::User,
            blocks: vec![Block::ToolResult {
                tool_use_id: "t1".into(),
                content: "lib.rs".into(),
                is_error: false,
                cache: false,
            }],
        });
        insta::assert_json_snapshot!(Body::of(&request, &Manner::default()), @r#"
        {
          "model": "gpt-6-luna",
          "max_output_tokens": 2000,
          "stream": true,
          "store": false,
          "instructions": "You audit code.",
          "input": [
            {
              "role": "user",
              "content": [
                {
                  "type": "input_text",
                  "text": "Study src."
                }
              ]
            },
            {
              "type": "reasoning",
              "id": "rs_1",
              "summary": [],
              "encrypted_content": "x"
            },
            {
              "role": "assistant",
              "content": [
                {
                  "type": "output_text",
                  "text": "Let me look."
                }
              ]
            },
            {
              "type": "function_call",
              "call_id": "t1",
              "name": "list_files",
              "arguments": "{\"path\":\"src\"}"
            },
            {
              "type": "function_call_output",
              "call_id": "t1",
              "output": "lib.rs"
            }
          ],
          "tools": [
            {
              "type": "function",
              "name": "list_files",
              "description": "lists them",
              "parameters": {
                "type": "object"
              },
              "strict": false
            }
          ],
          "include": [
            "reasoning.encrypted_content"
          ],
          "reasoning": {
            "effort": "high"
          },
          "text": {
            "format": {
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
              },
              "type": "json_schema"
            }
          }
        }
        "#);
    }

    #[test]
    fn asks_older_models_for_no_reasoning_and_tells_them_of_odd_schemas() {
        let mut request = Request::new("gpt-4o", "p", 1);
        request.schema = Some(Arc::new(json!({"type": "array"})));
        insta::assert_json_snapshot!(Body::of(&request, &Manner::default()), @r#"
        {
          "model": "gpt-4o",
          "max_output_tokens": 1,
          "stream": true,
          "store": false,
          "instructions": "Your final answer must be one JSON value that fits this JSON Schema, with nothing before or after it:\n{\"type\":\"array\"}",
          "input": [
            {
              "role": "user",
              "content": [
                {
                  "type": "input_text",
                  "text": "p"
                }
              ]
            }
          ]
        }
        "#);
    }

    #[test]
    fn what_came_with_an_item_goes_back_with_it() {
        let kept = Block::fields_of_next(serde_json::Map::from_iter([(
            "phase".to_owned(),
            "commentary".into(),
        )]));
        let blocks = [kept, Block::text("Let me look."), Block::text("Done.")];
        let items = items(&Turn {
            role: Role::Assistant,
            blocks: blocks.iter().collect(),
        });
        assert_eq!(
            (items.len(), &items[0]["phase"], items[1].get("phase")),
            (2, &json!("commentary"), None)
        );
    }

    #[test]
    fn leaves_out_what_a_server_does_not_take() {
        let mut request = Request::new("gpt-6-luna", " ", 1);
        request.system = vec![SystemBlock {
            text: "Be brief.".into(),
            cache: false,
        }];
        request.effort = Some(Effort::High);
        request.schema = Some(Arc::new(
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
        ));
        request.tools = vec![ToolDefinition {
            name: "t".into(),
            description: "d".into(),
            input_schema: json!({}),
        }]
        .into();
        let sent = |omitted: &[Part]| {
            serde_json::to_value(Body::of(&request, &Manner::omitting(omitted))).unwrap()
        };
        let whole = sent(&[]);
        assert_eq!(whole["text"]["format"]["strict"], true);
        assert_eq!(whole["input"][0]["content"][0]["text"], "(nothing)");
        assert_eq!(sent(&[Part::Strict])["text"]["format"]["strict"], false);
        let without = sent(&[Part::SchemaWithTools, Part::Effort, Part::Include]);
        for field in ["text", "reasoning", "include"] {
            assert_eq!(without.get(field), None, "{field}");
        }
        assert!(
            without["instructions"]
                .as_str()
                .unwrap()
                .contains("JSON Schema")
        );
        let without = sent(&[Part::Tools, Part::SystemRole]);
        assert!(
            without.get("tools").is_none()
                && without.get("instructions").is_none()
                && without["text"].is_object()
        );
        assert!(
            without["input"][0]["content"][0]["text"]
                .as_str()
                .unwrap()
                .ends_with(strict::WITHOUT_TOOLS)
        );
    }
}
