//! The body of a request to the Messages API.

use super::schema::enforceable;
use crate::dialect::Part as RequestPart;
use crate::manners::Manner;
use crate::request::{Block, Request, Role};
use crate::strict;
use crate::turns::{self, NOTHING, is_blank, output, turns};
use serde::Serialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Most cache marks that the API accepts in one request.
const CACHE_MARKS_MAX: usize = 4;

#[derive(Serialize)]
pub(super) struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Part<'a>>,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Value,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: Role,
    content: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Known {
        #[serde(flatten)]
        known: Known<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<CacheControl>,
    },
    Opaque(&'a Value),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Known<'a> {
    Text {
        text: Cow<'a, str>,
    },
    ToolUse {
        id: &'a str,
        name: &'a str,
        input: &'a Value,
    },
    ToolResult {
        tool_use_id: &'a str,
        content: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

/// Caches everything up to the marked part for five minutes.
#[derive(Serialize)]
#[serde(tag = "type", rename = "ephemeral")]
struct CacheControl {}

#[derive(Serialize)]
struct OutputConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Value>,
}

impl<'a> Body<'a> {
    /// The prompt of `request` alone, as required for counting its tokens.
    pub(super) fn prompt_of(request: &'a Request, manner: &Manner) -> Self {
        Self {
            max_tokens: None,
            stream: false,
            ..Self::of(request, manner)
        }
    }

    pub(super) fn of(request: &'a Request, manner: &Manner) -> Self {
        let turns = turns(request);
        let mut marks = Marks::of(request, &turns, manner);
        let mut system: Vec<_> = request
            .system
            .iter()
            .filter(|block| !is_blank(&block.text))
            .map(|block| Part::text(&*block.text, marks.next(block.cache)))
            .collect();
        let mut messages: Vec<_> = turns
            .iter()
            .map(|turn| Turn::of(turn, &mut marks))
            .collect();
        if let Some(Turn {
            role: Role::Assistant,
            content,
        }) = messages.last_mut()
            && let Some(Part::Known {
                known: Known::Text { text },
                ..
            }) = content.last_mut()
        {
            // The API refuses a final assistant message that ends with blanks.
            *text = text.trim_end().to_owned().into();
        }
        let sends_tools = manner.sends_tools(request);
        if !sends_tools && !request.tools.is_empty() {
            system.push(Part::text(strict::WITHOUT_TOOLS, false));
        }
        let format = request.schema.as_deref().and_then(|schema| {
            let enforceable = enforceable(schema).filter(|_| !manner.omits_schema(request));
            if enforceable.is_none() {
                system.push(Part::text(strict::instruction(schema), false));
            }
            enforceable.map(|schema| json!({"type": "json_schema", "schema": schema}))
        });
        if manner.omits(RequestPart::SystemRole) {
            let first = Turn {
                role: Role::User,
                content: std::mem::take(&mut system),
            };
            match messages.first_mut() {
                _ if first.content.is_empty() => {}
                Some(Turn {
                    role: Role::User,
                    content,
                }) => _ = content.splice(0..0, first.content),
                _ => messages.insert(0, first),
            }
        }
        if messages.is_empty() && !request.messages.is_empty() {
            messages.push(Turn {
                role: Role::User,
                content: vec![Part::text(NOTHING, false)],
            });
        }
        let effort = request
            .effort
            .filter(|_| !manner.omits(RequestPart::Effort))
            .map(|effort| effort.as_str());
        let tools = request
            .tools
            .iter()
            .filter(|_| sends_tools)
            .map(|tool| Tool {
                name: &tool.name,
                description: &tool.description,
                input_schema: &tool.input_schema,
            });
        Self {
            model: &request.model,
            max_tokens: Some(manner.reply_tokens(request.max_tokens)),
            stream: true,
            tools: tools.collect(),
            system,
            messages,
            output_config: (effort.is_some() || format.is_some())
                .then_some(OutputConfig { effort, format }),
        }
    }
}

impl<'a> Turn<'a> {
    fn of(turn: &turns::Turn<'a>, marks: &mut Marks) -> Self {
        let part = |block: &&'a Block| match block {
            Block::Text { text, cache } => Some(Part::text(&**text, marks.next(*cache))),
            Block::ToolUse { id, name, input } => {
                Some(Part::known(Known::ToolUse { id, name, input }, false))
            }
            Block::ToolResult {
                tool_use_id,
                content,
                is_error,
                cache,
            } => {
                let result = Known::ToolResult {
                    tool_use_id,
                    content: output(content),
                    is_error: *is_error,
                };
                Some(Part::known(result, marks.next(*cache)))
            }
            Block::Opaque(_) if block.as_fields_of_next().is_some() => None,
            Block::Opaque(value) => Some(Part::Opaque(value)),
        };
        Self {
            role: turn.role,
            content: turn.blocks.iter().filter_map(part).collect(),
        }
    }
}

impl<'a> Part<'a> {
    fn text(text: impl Into<Cow<'a, str>>, is_marked: bool) -> Self {
        Self::known(Known::Text { text: text.into() }, is_marked)
    }

    fn known(known: Known<'a>, is_marked: bool) -> Self {
        Self::Known {
            known,
            cache_control: is_marked.then_some(CacheControl {}),
        }
    }
}

/// Decides which cache marks are sent if there are too many.
///
/// The first is kept, because it ends the prefix shared with siblings, and so are the last ones,
/// which move with the conversation.
struct Marks {
    are_taken: bool,
    seen: usize,
    total: usize,
}

impl Marks {
    fn of(request: &Request, turns: &[turns::Turn<'_>], manner: &Manner) -> Self {
        let system = request
            .system
            .iter()
            .filter(|block| block.cache && !is_blank(&block.text))
            .count();
        let blocks = turns.iter().flat_map(|turn| &turn.blocks);
        let is_marked = |block: &&&Block| match block {
            Block::Text { cache, .. } | Block::ToolResult { cache, .. } => *cache,
            Block::ToolUse { .. } | Block::Opaque(_) => false,
        };
        let are_taken = !manner.omits(RequestPart::CacheControl);
        Self {
            are_taken,
            seen: 0,
            total: system + blocks.filter(is_marked).count(),
        }
    }

    /// Whether the next part, which is marked if `cache`, keeps its mark.
    fn next(&mut self, cache: bool) -> bool {
        if !cache || !self.are_taken {
            return false;
        }
        self.seen += 1;
        self.seen == 1 || self.seen > self.total.saturating_sub(CACHE_MARKS_MAX - 1)
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
        let mut request = Request::new("claude-haiku-5-5", "Study src.", 2_000);
        request.system = vec![
            SystemBlock {
                text: "You audit code.".into(),
                cache: true,
            },
            SystemBlock {
                text: "".into(),
                cache: true,
            },
        ];
        request.effort = Some(Effort::Low);
        request.schema = Some(Arc::new(json!({
            "type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]
        })));
        let tool = |name: &str| ToolDefinition {
            name: name.into(),
            description: format!("runs {name}"),
            input_schema: json!({"type": "object"}),
        };
        request.tools = vec![tool("read_file"), tool("list_files")].into();
        request.messages.push(Message {
            role: Role::Assistant,
            blocks: vec![
                Block::Opaque(json!({"type": "thinking", "thinking": "hm", "signature": "c2ln"})),
                Block::text(""),
                Block::ToolUse {
                    id: "t1".into(),
                    name: "list_files".into(),
                    input: json!({"path": "src"}),
                },
            ],
        });
        request.messages.push(Message {
            role: Role::User,
            blocks: vec![Block::ToolResult {
                tool_use_id: "t1".into(),
                content: "no such folder".into(),
                is_error: true,
                cache: true,
            }],
        });
        insta::assert_json_snapshot!(Body::of(&request, &Manner::default()), @r#"
        {
          "model": "claude-haiku-5-5",
          "max_tokens": 2000,
          "stream": true,
          "tools": [
            {
              "name": "list_files",
              "description": "runs list_files",
              "input_schema": {
                "type": "object"
              }
            },
            {
              "name": "read_file",
              "description": "runs read_file",
              "input_schema": {
                "type": "object"
              }
            }
          ],
          "system": [
            {
              "type": "text",
              "text": "You audit code.",
              "cache_control": {
                "type": "ephemeral"
              }
            }
          ],
          "messages": [
            {
              "role": "user",
              "content": [
                {
                  "type": "text",
                  "text": "Study src."
                }
              ]
            },
            {
              "role": "assistant",
              "content": [
                {
                  "type": "thinking",
                  "thinking": "hm",
                  "signature": "c2ln"
                },
                {
                  "type": "tool_use",
                  "id": "t1",
                  "name": "list_files",
                  "input": {
                    "path": "src"
                  }
                }
              ]
            },
            {
              "role": "user",
              "content": [
                {
                  "type": "tool_result",
                  "tool_use_id": "t1",
                  "content": "no such folder",
                  "is_error": true,
                  "cache_control": {
                    "type": "ephemeral"
                  }
                }
              ]
            }
          ],
          "output_config": {
            "effort": "low",
            "format": {
              "type": "json_schema",
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
    fn tells_the_model_of_a_schema_that_cannot_be_enforced() {
        let mut request = Request::new("m", "p", 1);
        request.schema = Some(Arc::new(
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
        ));
        insta::assert_json_snapshot!(Body::of(&request, &Manner::default()), @r#"
        {
          "model": "m",
          "max_tokens": 1,
          "stream": true,
          "system": [
            {
              "type": "text",
              "text": "Your final answer must be one JSON value that fits this JSON Schema, with nothing before or after it:\n{\"type\":\"object\",\"additionalProperties\":{\"type\":\"string\"}}"
            }
          ],
          "messages": [
            {
              "role": "user",
              "content": [
                {
                  "type": "text",
                  "text": "p"
                }
              ]
            }
          ]
        }
        "#);
    }

    #[test]
    fn sends_the_first_and_the_last_three_of_too_many_marks() {
        let mut request = Request::new("m", "", 1);
        request.system = vec![SystemBlock {
            text: "shared".into(),
            cache: true,
        }];
        let marked = |n: usize| Block::Text {
            text: n.to_string().into(),
            cache: true,
        };
        request.messages[0].blocks = (1..=6).map(marked).collect();
        let sent = serde_json::to_value(Body::of(&request, &Manner::default())).unwrap();
        assert!(sent["system"][0].get("cache_control").is_some());
        let content = sent["messages"][0]["content"].as_array().unwrap();
        let marks: Vec<_> = content
            .iter()
            .map(|part| part.get("cache_control").is_some())
            .collect();
        assert_eq!(marks, [false, false, false, true, true, true]);
    }

    fn sent(request: &Request, omitted: &[RequestPart]) -> Value {
        serde_json::to_value(Body::of(request, &Manner::omitting(omitted))).unwrap()
    }

    #[test]
    fn leaves_out_what_a_server_does_not_take() {
        let mut request = Request::new("m", "p", 1);
        request.system = vec![SystemBlock {
            text: "Be brief.".into(),
            cache: true,
        }];
        request.effort = Some(Effort::Low);
        request.schema = Some(Arc::new(
            json!({"type": "object", "properties": {"a": {"type": "string"}}}),
        ));
        request.tools = vec![ToolDefinition {
            name: "t".into(),
            description: "d".into(),
            input_schema: json!({}),
        }]
        .into();
        let whole = sent(&request, &[]);
        assert!(whole["output_config"]["format"].is_object() && whole["tools"].is_array());
        let told = |body: &Value| {
            body["system"].as_array().unwrap().last().unwrap()["text"]
                .as_str()
                .unwrap()
                .to_owned()
        };

        let without = sent(&request, &[RequestPart::Schema]);
        assert_eq!(without["output_config"], json!({"effort": "low"}));
        assert!(told(&without).contains("JSON Schema"));
        let without = sent(
            &request,
            &[
                RequestPart::Schema,
                RequestPart::Effort,
                RequestPart::CacheControl,
            ],
        );
        assert_eq!(without.get("output_config"), None);
        assert_eq!(
            without["system"][0],
            json!({"type": "text", "text": "Be brief."})
        );
        let without = sent(&request, &[RequestPart::SchemaWithTools]);
        assert_eq!(without["output_config"].get("format"), None);
        let without = sent(
            &request,
            &[RequestPart::Tools, RequestPart::SchemaWithTools],
        );
        assert!(without.get("tools").is_none() && without["output_config"]["format"].is_object());
        assert_eq!(told(&without), strict::WITHOUT_TOOLS);
        let without = sent(&request, &[RequestPart::SystemRole]);
        assert!(without.get("system").is_none());
        assert_eq!(without["messages"].as_array().unwrap().len(), 1);
        assert_eq!(without["messages"][0]["content"][0]["text"], "Be brief.");
    }

    #[test]
    fn no_blank_text_is_sent() {
        let result = |content: &str| Block::ToolResult {
            tool_use_id: "t1".into(),
            content: content.into(),
            is_error: true,
            cache: true,
        };
        let mut request = Request::new("m", " ", 1);
        request.system = vec![SystemBlock {
            text: " \n".into(),
            cache: true,
        }];
        let assistant = |blocks| Message {
            role: Role::Assistant,
            blocks,
        };
        request.messages.push(assistant(vec![
            Block::text("\n\n"),
            Block::ToolUse {
                id: "t1".into(),
                name: "t".into(),
                input: json!({}),
            },
        ]));
        request.messages.push(Message {
            role: Role::User,
            blocks: vec![result(" ")],
        });
        request
            .messages
            .push(assistant(vec![Block::text("Half of it \n")]));
        let body = sent(&request, &[]);
        assert_eq!(body.get("system"), None);
        insta::assert_json_snapshot!(body["messages"], @r#"
        [
          {
            "role": "assistant",
            "content": [
              {
                "type": "tool_use",
                "id": "t1",
                "name": "t",
                "input": {}
              }
            ]
          },
          {
            "role": "user",
            "content": [
              {
                "type": "tool_result",
                "tool_use_id": "t1",
                "content": "(nothing)",
                "is_error": true,
                "cache_control": {
                  "type": "ephemeral"
                }
              }
            ]
          },
          {
            "role": "assistant",
            "content": [
              {
                "type": "text",
                "text": "Half of it"
              }
            ]
          }
        ]
        "#);
        request.messages.truncate(1);
        assert_eq!(
            sent(&request, &[])["messages"],
            json!([{"role": "user", "content": [{"type": "text", "text": "(nothing)"}]}])
        );
    }
}
