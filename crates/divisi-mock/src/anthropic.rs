//! Anthropic's Messages API.

mod blocks;
mod rules;
mod vendor;

use crate::answer::{Answer, Part, Stop};
use crate::ask::{Ask, Block, Conversation, join, prompt_tokens};
use crate::dialect::Dialect;
use crate::digest::text_digest;
use crate::fault::Failure;
use crate::frames::{Frames, pieces};
use crate::stats::Tokens;
use axum::http::HeaderMap;
use blocks::{blocks, content_text, list, text};
use serde_json::{Value, json};
pub(crate) use vendor::Anthropic;

/// `POST /v1/messages`.
pub(crate) struct Messages;

impl Dialect for Messages {
    type Vendor = Anthropic;
    const ENDPOINT: &'static str = "/v1/messages";

    fn read<'a>(headers: &HeaderMap, body: &'a Value) -> Result<Ask<'a>, Failure> {
        let model = rules::check_prompt(headers, body)?;
        rules::check_options(model, body)?;
        let format = body
            .pointer("/output_config/format")
            .or_else(|| body.get("output_format"));
        Ok(Ask {
            body,
            model,
            stream: body["stream"] == true,
            stream_usage: true,
            schema: format.and_then(|format| format.get("schema")),
            output_tokens_max: body["max_tokens"].as_u64(),
            conversation: conversation(list(&body["messages"])),
            blocks: checked_blocks(body)?,
        })
    }

    fn document(answer: &Answer<'_>) -> Value {
        let content: Vec<_> = answer
            .parts
            .iter()
            .enumerate()
            .map(|(index, part)| whole_block(answer, index, part))
            .collect();
        json!({
            "id": message_id(answer),
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": content,
            "stop_reason": stop_reason(answer.stop),
            "stop_sequence": null,
            "usage": usage(&answer.usage),
        })
    }

    fn stream(answer: &Answer<'_>) -> Frames {
        let mut frames = Frames::default();
        frames.event("message_start", &message_start(answer));
        for (index, part) in answer.parts.iter().enumerate() {
            let block = empty_block(answer, index, part);
            frames.event(
                "content_block_start",
                &json!({"type": "content_block_start", "index": index, "content_block": block}),
            );
            if index == 0 {
                frames.event("ping", &json!({"type": "ping"}));
            }
            stream_deltas(&mut frames, index, part, answer.chunk_chars);
            frames.event(
                "content_block_stop",
                &json!({"type": "content_block_stop", "index": index}),
            );
        }
        let delta = json!({"stop_reason": stop_reason(answer.stop), "stop_sequence": null});
        frames.event(
            "message_delta",
            &json!({"type": "message_delta", "delta": delta, "usage": usage(&answer.usage)}),
        );
        frames.event("message_stop", &json!({"type": "message_stop"}));
        frames
    }

    fn overloaded(frames: &mut Frames) {
        let error = json!({"type": "overloaded_error", "message": "Overloaded"});
        frames.event("error", &json!({"type": "error", "error": error}));
    }
}

/// The answer to `POST /v1/messages/count_tokens`.
pub(crate) fn count_tokens(headers: &HeaderMap, body: &Value) -> Result<Value, Failure> {
    rules::check_prompt(headers, body)?;
    Ok(json!({"input_tokens": prompt_tokens(&checked_blocks(body)?)}))
}

fn checked_blocks(body: &Value) -> Result<Vec<Block<'_>>, Failure> {
    let blocks = blocks(body)?;
    rules::check_breakpoints(&blocks)?;
    Ok(blocks)
}

fn conversation(messages: &[Value]) -> Conversation<'_> {
    let role = |message: &&Value, role: &str| message["role"] == role;
    let mut of_user = messages
        .iter()
        .rev()
        .filter(|message| role(message, "user"));
    let last = messages.last().filter(|message| role(message, "user"));
    let results: Vec<_> = last
        .into_iter()
        .flat_map(|message| list(&message["content"]))
        .filter(|block| block["type"] == "tool_result")
        .map(|block| content_text(&block["content"]))
        .collect();
    Conversation {
        prompt: of_user
            .find_map(|message| text(&message["content"]))
            .unwrap_or_default(),
        tool_result: (!results.is_empty()).then(|| join(results)),
        turn: messages
            .iter()
            .filter(|message| role(message, "assistant"))
            .count() as u32,
    }
}

fn message_id(answer: &Answer<'_>) -> String {
    format!("msg_{}", answer.digest)
}

fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::ToolUse => "tool_use",
        Stop::TokensMax => "max_tokens",
        Stop::Refusal => "refusal",
    }
}

fn usage(tokens: &Tokens) -> Value {
    json!({
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": tokens.cache_write_short + tokens.cache_write_long,
        "cache_read_input_tokens": tokens.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": tokens.cache_write_short,
            "ephemeral_1h_input_tokens": tokens.cache_write_long,
        },
        "output_tokens": tokens.output,
        "output_tokens_details": {"thinking_tokens": tokens.thinking},
        "service_tier": "standard",
    })
}

fn message_start(answer: &Answer<'_>) -> Value {
    let at_start = Tokens {
        output: answer.usage.output.min(1),
        thinking: 0,
        ..answer.usage
    };
    json!({"type": "message_start", "message": {
        "id": message_id(answer),
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "usage": usage(&at_start),
    }})
}

fn whole_block(answer: &Answer<'_>, index: usize, part: &Part) -> Value {
    match part {
        Part::Thinking(text) => {
            json!({"type": "thinking", "thinking": text, "signature": signature(text)})
        }
        Part::Text(text) | Part::Refusal(text) => json!({"type": "text", "text": text}),
        Part::ToolCall { name, input } => {
            json!({"type": "tool_use", "id": tool_use_id(answer, index), "name": name, "input": input})
        }
    }
}

fn empty_block(answer: &Answer<'_>, index: usize, part: &Part) -> Value {
    match part {
        Part::Thinking(_) => json!({"type": "thinking", "thinking": "", "signature": ""}),
        Part::Text(_) | Part::Refusal(_) => json!({"type": "text", "text": ""}),
        Part::ToolCall { name, .. } => {
            json!({"type": "tool_use", "id": tool_use_id(answer, index), "name": name, "input": {}})
        }
    }
}

fn stream_deltas(frames: &mut Frames, index: usize, part: &Part, chunk_chars: usize) {
    let mut delta = |delta: Value| {
        frames.event(
            "content_block_delta",
            &json!({"type": "content_block_delta", "index": index, "delta": delta}),
        );
    };
    match part {
        Part::Thinking(text) => {
            for piece in pieces(text, chunk_chars) {
                delta(json!({"type": "thinking_delta", "thinking": piece}));
            }
            delta(json!({"type": "signature_delta", "signature": signature(text)}));
        }
        Part::Text(text) | Part::Refusal(text) => {
            for piece in pieces(text, chunk_chars) {
                delta(json!({"type": "text_delta", "text": piece}));
            }
        }
        Part::ToolCall { input, .. } => {
            for piece in pieces(&input.to_string(), chunk_chars) {
                delta(json!({"type": "input_json_delta", "partial_json": piece}));
            }
        }
    }
}

fn tool_use_id(answer: &Answer<'_>, index: usize) -> String {
    format!("toolu_{}_{index}", answer.digest)
}

/// The signature that marks a block of thinking as the model's own.
fn signature(thinking: &str) -> String {
    format!("sig_{}", text_digest(thinking))
}
