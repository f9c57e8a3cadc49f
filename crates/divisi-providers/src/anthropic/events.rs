//! A reply out of the events of the Messages API.
//!
//! Usage is cumulative: each event that carries it repeats what was counted
//! before, so the largest count of each class is the truth.

use crate::reply::{Reply, Stop};
use crate::request::{Block, tool_input};
use crate::stream::{Assembler, Trouble};
use divisi_core::Usage;
use divisi_core::price::{Billing, Service};
use serde::Deserialize;
use serde_json::{Map, Value};

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
        match serde_json::from_str(data)? {
            Event::MessageStart { message } => {
                self.model = message.model;
                self.usage.raise(message.usage);
            }
            Event::ContentBlockStart { content_block } => self.parts.push(Part::start(content_block)?),
            Event::ContentBlockDelta { index, delta } => {
                let part = self.parts.get_mut(index).ok_or_else(|| {
                    Trouble::Malformed(format!("a part of block {index}, which was not begun"))
                })?;
                self.written += part.add(delta);
            }
            Event::MessageDelta { delta, usage } => {
                self.stop = delta.stop_reason.as_deref().map(stop).or(self.stop);
                self.usage.raise(usage);
            }
            Event::MessageStop => self.is_complete = true,
            Event::Error { error } => return Err(Trouble::Vendor(error)),
            Event::Other => {}
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
            usage_estimated: self.usage.output_tokens.is_none(),
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
    fn add(&mut self, delta: Delta) -> usize {
        match (self, delta) {
            (Self::Text(said), Delta::Text { text }) => {
                said.push_str(&text);
                text.len()
            }
            (Self::ToolUse { input, .. } | Self::Opaque { input, .. }, Delta::InputJson { partial_json }) => {
                input.push_str(&partial_json);
                partial_json.len()
            }
            (Self::Opaque { value, .. }, Delta::Thinking { thinking }) => {
                append(value, "thinking", &thinking);
                thinking.len()
            }
            (Self::Opaque { value, .. }, Delta::Signature { signature }) => {
                append(value, "signature", &signature);
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

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        content_block: Value,
    },
    ContentBlockDelta {
        index: usize,
        delta: Delta,
    },
    MessageDelta {
        delta: End,
        #[serde(default)]
        usage: Counted,
    },
    MessageStop,
    Error {
        error: Value,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Start {
    model: String,
    #[serde(default)]
    usage: Counted,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(rename = "signature_delta")]
    Signature { signature: String },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct End {
    stop_reason: Option<String>,
}

/// Usage as it is counted up.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Counted {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<Written>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    service_tier: Option<String>,
    speed: Option<String>,
    inference_geo: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Written {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: u64,
}

impl Written {
    fn raise(&mut self, new: Self) {
        self.ephemeral_5m_input_tokens = self.ephemeral_5m_input_tokens.max(new.ephemeral_5m_input_tokens);
        self.ephemeral_1h_input_tokens = self.ephemeral_1h_input_tokens.max(new.ephemeral_1h_input_tokens);
    }
}

impl Counted {
    fn raise(&mut self, new: Self) {
        self.input_tokens = self.input_tokens.max(new.input_tokens);
        self.cache_creation_input_tokens =
            self.cache_creation_input_tokens.max(new.cache_creation_input_tokens);
        let written = self.cache_creation.get_or_insert_default();
        written.raise(new.cache_creation.unwrap_or_default());
        self.cache_read_input_tokens = self.cache_read_input_tokens.max(new.cache_read_input_tokens);
        self.output_tokens = self.output_tokens.max(new.output_tokens);
        let output = self.output_tokens_details.get_or_insert_default();
        output.thinking_tokens =
            output.thinking_tokens.max(new.output_tokens_details.unwrap_or_default().thinking_tokens);
        self.service_tier = new.service_tier.or(self.service_tier.take());
        self.speed = new.speed.or(self.speed.take());
        self.inference_geo = new.inference_geo.or(self.inference_geo.take());
    }

    /// A tier of `priority` is paid for by a contract; its tokens are at the list price.
    fn billing(&self) -> Billing {
        let service = match (self.service_tier.as_deref(), self.speed.as_deref()) {
            (Some("batch"), _) => Service::Batch,
            (_, Some("fast")) => Service::Fast,
            _ => Service::Standard,
        };
        Billing { service, us_only: self.inference_geo.as_deref() == Some("us") }
    }

    fn into_usage(self) -> Usage {
        let written = self.cache_creation.unwrap_or_default();
        let cache_write_1h = written.ephemeral_1h_input_tokens;
        let cache_written = self.cache_creation_input_tokens.unwrap_or(0);
        Usage {
            input: self.input_tokens.unwrap_or(0),
            // Servers that do not tell the lives apart know only the short one.
            cache_write_5m: written
                .ephemeral_5m_input_tokens
                .max(cache_written.saturating_sub(cache_write_1h)),
            cache_write_1h,
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            output: self.output_tokens.unwrap_or(0),
            thinking: self.output_tokens_details.unwrap_or_default().thinking_tokens,
        }
    }
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

    /// The reply to a stream whose two events with usage carry these.
    fn counted(start: &str, end: &str) -> Reply {
        let stream = format!(
            "data: {{\"type\":\"message_start\",\"message\":{{\"model\":\"m\",\"usage\":{start}}}}}\n\n\
             data: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},\"usage\":{end}}}\n\n\
             data: {{\"type\":\"message_stop\"}}\n\n"
        );
        read_pieces(&[stream.as_bytes()], Events::default()).0.unwrap()
    }

    #[test]
    fn usage_is_cumulative_and_never_lowered() {
        let written = r#""cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}"#;
        let start =
            format!(r#"{{"input_tokens":7,"cache_creation_input_tokens":30,{written},"output_tokens":1}}"#);
        let end = r#"{"input_tokens":7,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":25}"#;
        let whole =
            Usage { input: 7, cache_write_5m: 10, cache_write_1h: 20, output: 25, ..Usage::default() };
        assert_eq!(counted(&start, end).usage, whole);
        assert_eq!(counted(&start, r#"{"output_tokens":25,"cache_creation":null}"#).usage, whole);
    }

    #[test]
    fn how_it_was_served_stands_in_the_usage() {
        let billing = |usage: &str| counted(usage, r#"{"output_tokens":1}"#).billing;
        let of = |service, us_only| Billing { service, us_only };
        assert_eq!(
            billing(r#"{"service_tier":"standard","inference_geo":"not_available"}"#),
            Billing::default()
        );
        assert_eq!(billing(r#"{"service_tier":"priority","speed":"standard"}"#), Billing::default());
        assert_eq!(billing(r#"{"service_tier":"batch"}"#), of(Service::Batch, false));
        assert_eq!(billing(r#"{"speed":"fast","inference_geo":"us"}"#), of(Service::Fast, true));
    }

    #[test]
    fn a_server_that_counts_nothing_is_noticed() {
        assert!(counted("{}", "{}").usage_estimated);
        assert!(!counted("{}", r#"{"output_tokens":0}"#).usage_estimated);
    }

    #[test]
    fn reports_progress() {
        let (first, rest) = STREAM.as_bytes().split_at(10);
        let (_, seen) = read_pieces(&[first, rest], Events::default());
        use Progress::{Alive, OutputTokens, Started};
        assert_eq!(
            seen,
            [
                Started,
                Alive,
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
