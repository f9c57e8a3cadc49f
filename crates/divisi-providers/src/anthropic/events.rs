//! A reply out of the events of the Messages API.

use super::usage::Counted;
use crate::reply::{Reply, Stop};
use crate::request::{Block, tool_input};
use crate::stream::{Assembler, Trouble};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The reply as far as it has arrived.
#[derive(Default)]
pub(super) struct Events {
    model: String,
    parts: Vec<Part>,
    usage: Counted,
    stop: Option<Stop>,
    written: usize,
    is_complete: bool,
}

/// A block as far as it has arrived.
enum Part {
    Text(String),
    ToolUse { id: String, name: String, input: String },
    Opaque { value: Map<String, Value>, input: String },
}

impl Assembler for Events {
    fn take(&mut self, data: &str) -> Result<(), Trouble> {
        let event: Event<'_> = match serde_json::from_str(data) {
            Ok(event) => event,
            Err(_) if is_new(data) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let without = |field| Trouble::Malformed(format!("an event without `{field}`"));
        match event.kind {
            Kind::MessageStart => {
                let message = event.message.ok_or_else(|| without("message"))?;
                self.model = message.model;
                self.usage.raise(message.usage);
            }
            Kind::ContentBlockStart => {
                self.parts.push(Part::start(event.content_block.ok_or_else(|| without("content_block"))?)?);
            }
            Kind::ContentBlockDelta => {
                let index = event.index.ok_or_else(|| without("index"))?;
                let part = self.parts.get_mut(index).ok_or_else(|| {
                    Trouble::Malformed(format!("a part of block {index}, which was not begun"))
                })?;
                self.written += part.add(&event.delta);
            }
            Kind::MessageDelta => {
                self.stop = event.delta.stop_reason.as_deref().map(stop).or(self.stop);
                self.usage.raise(event.usage.map(|usage| *usage).unwrap_or_default());
            }
            Kind::MessageStop => self.is_complete = true,
            Kind::Error => return Err(Trouble::Vendor(event.error.unwrap_or_default())),
            Kind::Other => {}
        }
        Ok(())
    }

    fn written(&self) -> usize {
        self.written
    }

    fn is_complete(&self) -> bool {
        self.is_complete
    }

    fn finish(self) -> Option<Reply> {
        self.is_complete.then(|| Reply {
            model: self.model,
            blocks: self.parts.into_iter().map(Part::finish).collect(),
            stop: self.stop.unwrap_or(Stop::EndTurn),
            billing: self.usage.billing(),
            usage_estimated: !self.usage.is_counted(),
            usage: self.usage.into_usage(),
            request_id: None,
            rate: Default::default(),
        })
    }
}

impl Part {
    fn start(block: Value) -> Result<Self, Trouble> {
        let text = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(match (block.get("type").and_then(Value::as_str), &block) {
            (Some("text"), _) => Self::Text(text("text")),
            (Some("tool_use"), _) => {
                Self::ToolUse { id: text("id"), name: text("name"), input: String::new() }
            }
            (_, Value::Object(value)) => Self::Opaque { value: value.clone(), input: String::new() },
            _ => return Err(Trouble::Malformed(format!("{block} is no block"))),
        })
    }

    /// Adds `delta` and returns its length.
    fn add(&mut self, delta: &Delta<'_>) -> usize {
        match (self, delta.kind) {
            (Self::Text(said), DeltaKind::Text) => {
                said.push_str(&delta.text);
                delta.text.len()
            }
            (Self::ToolUse { input, .. } | Self::Opaque { input, .. }, DeltaKind::InputJson) => {
                input.push_str(&delta.partial_json);
                delta.partial_json.len()
            }
            (Self::Opaque { value, .. }, DeltaKind::Thinking) => {
                append(value, "thinking", &delta.thinking);
                delta.thinking.len()
            }
            (Self::Opaque { value, .. }, DeltaKind::Signature) => {
                append(value, "signature", &delta.signature);
                0
            }
            // Citations and whatever is new: not part of what is asked for.
            _ => 0,
        }
    }

    fn finish(self) -> Block {
        match self {
            Self::Text(text) => Block::text(text),
            Self::ToolUse { id, name, input } => Block::ToolUse { id, name, input: tool_input(input) },
            Self::Opaque { mut value, input } => {
                if !input.is_empty() {
                    value.insert("input".into(), tool_input(input));
                }
                Block::Opaque(value.into())
            }
        }
    }
}

fn append(value: &mut Map<String, Value>, name: &str, more: &str) {
    match value.get_mut(name) {
        Some(Value::String(text)) => text.push_str(more),
        _ => {
            value.insert(name.to_owned(), more.into());
        }
    }
}

fn stop(reason: &str) -> Stop {
    match reason {
        "max_tokens" => Stop::MaxTokens,
        "tool_use" => Stop::ToolUse,
        "stop_sequence" => Stop::StopSequence,
        "refusal" => Stop::Refusal,
        "pause_turn" => Stop::PauseTurn,
        "model_context_window_exceeded" => Stop::ContextExceeded,
        "end_turn" => Stop::EndTurn,
        _ => {
            tracing::warn!(reason, "a reply ended for an unknown reason, taken for its proper end");
            Stop::EndTurn
        }
    }
}

/// Whether an event is of a type that is not known here, whatever it holds.
fn is_new(data: &str) -> bool {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "type")]
        kind: Kind,
    }
    matches!(serde_json::from_str(data), Ok(Typed { kind: Kind::Other }))
}

/// An event with the fields of all types. A reply has thousands of them, and to
/// tell their types apart first takes several times as long.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: Kind,
    message: Option<Box<Start>>,
    content_block: Option<Value>,
    index: Option<usize>,
    #[serde(default, borrow)]
    delta: Delta<'a>,
    usage: Option<Box<Counted>>,
    error: Option<Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    MessageStart,
    ContentBlockStart,
    ContentBlockDelta,
    MessageDelta,
    MessageStop,
    Error,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    model: String,
    #[serde(default)]
    usage: Counted,
}

/// What is new in a block, or in the message.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(rename = "type")]
    kind: DeltaKind,
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(borrow)]
    partial_json: Cow<'a, str>,
    #[serde(borrow)]
    thinking: Cow<'a, str>,
    #[serde(borrow)]
    signature: Cow<'a, str>,
    stop_reason: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
enum DeltaKind {
    #[serde(rename = "text_delta")]
    Text,
    #[serde(rename = "input_json_delta")]
    InputJson,
    #[serde(rename = "thinking_delta")]
    Thinking,
    #[serde(rename = "signature_delta")]
    Signature,
    #[default]
    #[serde(other)]
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::Progress;
    use crate::stream::tests::{read_cut_anywhere, read_pieces};
    use divisi_core::FailureClass;

    const STREAM: &str = r#"event: message_start
data: {"type":"message_start","message":{"model":"claude-haiku-5-5","content":[],"usage":{"input_tokens":12,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"cache_read_input_tokens":400,"output_tokens":1}}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"Voilà: "}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"𝄞."}}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_1","name":"read_file","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"{\"path\": \"sr"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":"c\"}"}}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"input_tokens":12,"output_tokens":25,"output_tokens_details":{"thinking_tokens":7}}}

event: message_stop
data: {"type":"message_stop"}

"#;

    fn class(stream: &str) -> FailureClass {
        let error = read_pieces(&[stream.as_bytes()], Events::default()).0.unwrap_err();
        assert!(error.maybe_billed);
        error.class
    }

    #[test]
    fn reads_a_whole_reply_however_it_is_cut() {
        insta::assert_json_snapshot!(read_cut_anywhere(STREAM, Events::default), @r#"
        {
          "model": "claude-haiku-5-5",
          "blocks": [
            {
              "opaque": {
                "type": "thinking",
                "thinking": "hm",
                "signature": "c2ln"
              }
            },
            {
              "text": {
                "text": "Voilà: 𝄞."
              }
            },
            {
              "tool_use": {
                "id": "toolu_1",
                "name": "read_file",
                "input": {
                  "path": "src"
                }
              }
            }
          ],
          "stop": "tool_use",
          "usage": {
            "input": 12,
            "cache_write_5m": 10,
            "cache_write_1h": 20,
            "cache_read": 400,
            "output": 25,
            "thinking": 7
          }
        }
        "#);
    }

    #[test]
    fn reports_progress() {
        let (first, rest) = STREAM.as_bytes().split_at(10);
        let (_, seen) = read_pieces(&[first, rest], Events::default());
        use Progress::{Alive, OutputTokens, Started};
        assert_eq!(
            seen,
            [
                Alive,
                Alive,
                Started,
                OutputTokens(1),
                OutputTokens(3),
                OutputTokens(4),
                OutputTokens(7),
                OutputTokens(8)
            ]
        );
    }

    #[test]
    fn a_reply_without_its_end_is_no_reply() {
        let (broken, _) = STREAM.split_once("event: message_stop").unwrap();
        assert_eq!(class(broken), FailureClass::Network);
        assert_eq!(class(""), FailureClass::Network);
    }

    #[test]
    fn an_error_in_the_middle_is_told_apart() {
        let (begun, _) = STREAM.split_once("event: message_delta").unwrap();
        let error = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        assert_eq!(class(&format!("{begun}event: error\ndata: {error}\n\n")), FailureClass::Overloaded);
        assert_eq!(class(&format!("{begun}data: nonsense\n\n")), FailureClass::Server);
    }

    #[test]
    fn nothing_after_the_end_matters() {
        let longer = format!("{STREAM}event: error\ndata: nonsense\n\n");
        assert!(read_pieces(&[longer.as_bytes()], Events::default()).0.is_ok());
    }

    #[test]
    fn a_tool_input_that_is_no_object_is_kept_as_it_was_written() {
        let cut = STREAM.replace(r#"c\"}"#, "c");
        let reply = read_pieces(&[cut.as_bytes()], Events::default()).0.unwrap();
        let Some(Block::ToolUse { input, .. }) = reply.blocks.last() else { panic!("{reply:?}") };
        assert_eq!(input, &serde_json::json!({"invalid_json": "{\"path\": \"src"}));
    }
}
