//! OpenAI's Chat Completions API. Thinking is counted but not included.

use crate::answer::{Answer, Part, Stop};
use crate::ask::{Ask, Block, Conversation, join};
use crate::dialect::Dialect;
use crate::fault::Failure;
use crate::frames::{Frames, pieces};
use crate::openai::{CREATED, OpenAi, block, model, overloaded_error, text};
use crate::stats::Tokens;
use axum::http::HeaderMap;
use serde_json::{Value, json};

/// `POST /v1/chat/completions`.
pub(crate) struct Chat;

impl Dialect for Chat {
    type Vendor = OpenAi;
    const ENDPOINT: &'static str = "/v1/chat/completions";

    fn read<'a>(_headers: &HeaderMap, body: &'a Value) -> Result<Ask<'a>, Failure> {
        let model = model(body)?;
        let messages = body["messages"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if messages.is_empty() {
            return Err(Failure::bad_request(
                "messages: at least one message is required",
            ));
        }
        Ok(Ask {
            body,
            model,
            stream: body["stream"] == true,
            stream_usage: body["stream_options"]["include_usage"] == true,
            schema: body.pointer("/response_format/json_schema/schema"),
            output_tokens_max: body["max_completion_tokens"]
                .as_u64()
                .or(body["max_tokens"].as_u64()),
            conversation: conversation(messages),
            blocks: blocks(body, messages),
        })
    }

    fn document(answer: &Answer<'_>) -> Value {
        json!({
            "id": completion_id(answer),
            "object": "chat.completion",
            "created": CREATED,
            "model": answer.model,
            "choices": [{
                "index": 0,
                "message": message(answer),
                "logprobs": null,
                "finish_reason": finish_reason(answer.stop),
            }],
            "usage": usage(&answer.usage),
            "service_tier": "default",
        })
    }

    fn stream(answer: &Answer<'_>) -> Frames {
        let mut frames = Frames::default();
        let mut push = |delta: Value, finish_reason: Option<&str>| {
            let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
            frames.data(&chunk(answer, vec![choice], Value::Null));
        };
        push(
            json!({"role": "assistant", "content": "", "refusal": null}),
            None,
        );
        let mut calls = 0;
        for part in &answer.parts {
            match part {
                Part::Thinking(_) => {}
                Part::Text(text) => {
                    pieces(text, answer.chunk_chars)
                        .for_each(|piece| push(json!({"content": piece}), None));
                }
                Part::Refusal(text) => {
                    pieces(text, answer.chunk_chars)
                        .for_each(|piece| push(json!({"refusal": piece}), None));
                }
                Part::ToolCall { name, input } => {
                    let begin = tool_call(answer, calls, name, "");
                    push(json!({"tool_calls": [with_index(begin, calls)]}), None);
                    for piece in pieces(&input.to_string(), answer.chunk_chars) {
                        let call = json!({"index": calls, "function": {"arguments": piece}});
                        push(json!({"tool_calls": [call]}), None);
                    }
                    calls += 1;
                }
            }
        }
        push(json!({}), Some(finish_reason(answer.stop)));
        if answer.stream_usage {
            frames.data(&chunk(answer, Vec::new(), usage(&answer.usage)));
        }
        frames.raw(b"data: [DONE]\n\n");
        frames
    }

    fn overloaded(frames: &mut Frames) {
        frames.data(&overloaded_error());
    }
}

fn conversation(messages: &[Value]) -> Conversation<'_> {
    let role = |message: &&Value, role: &str| message["role"] == role;
    let mut of_user = messages
        .iter()
        .rev()
        .filter(|message| role(message, "user"));
    let results: Vec<_> = messages
        .iter()
        .rev()
        .take_while(|message| role(message, "tool"))
        .map(|message| text(&message["content"]).unwrap_or_default())
        .collect();
    Conversation {
        prompt: of_user
            .find_map(|message| text(&message["content"]))
            .unwrap_or_default(),
        tool_result: (!results.is_empty()).then(|| join(results.into_iter().rev())),
        turn: messages
            .iter()
            .filter(|message| role(message, "assistant"))
            .count() as u32,
    }
}

fn blocks<'a>(body: &'a Value, messages: &'a [Value]) -> Vec<Block<'a>> {
    let tools = body["tools"].as_array().into_iter().flatten();
    let mut blocks: Vec<_> = tools
        .map(|tool| block("tools", tool.to_string().into()))
        .collect();
    for message in messages {
        let place = message["role"].as_str().unwrap_or_default();
        blocks.extend(text(&message["content"]).map(|text| block(place, text)));
        if let Some(calls) = message.get("tool_calls") {
            blocks.push(block(place, calls.to_string().into()));
        }
    }
    blocks
}

fn completion_id(answer: &Answer<'_>) -> String {
    format!("chatcmpl-{}", answer.digest)
}

fn finish_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Refusal => "stop",
        Stop::ToolUse => "tool_calls",
        Stop::TokensMax => "length",
    }
}

fn usage(tokens: &Tokens) -> Value {
    json!({
        "prompt_tokens": tokens.prompt(),
        "completion_tokens": tokens.output,
        "total_tokens": tokens.prompt() + tokens.output,
        "prompt_tokens_details": {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write_implicit,
        },
        "completion_tokens_details": {"reasoning_tokens": tokens.thinking},
    })
}

fn message(answer: &Answer<'_>) -> Value {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null});
    let mut calls = Vec::new();
    for part in &answer.parts {
        match part {
            Part::Thinking(_) => {}
            Part::Text(text) => {
                let before = message["content"].as_str().unwrap_or_default();
                message["content"] = format!("{before}{text}").into();
            }
            Part::Refusal(text) => message["refusal"] = text.as_str().into(),
            Part::ToolCall { name, input } => {
                calls.push(tool_call(answer, calls.len(), name, &input.to_string()));
            }
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    message
}

fn tool_call(answer: &Answer<'_>, index: usize, name: &str, arguments: &str) -> Value {
    let id = format!("call_{}_{index}", answer.digest);
    json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
}

fn with_index(mut call: Value, index: usize) -> Value {
    call["index"] = index.into();
    call
}

/// One chunk of a stream; `usage` is included only if the request asks for it.
fn chunk(answer: &Answer<'_>, choices: Vec<Value>, usage: Value) -> Value {
    let mut chunk = json!({
        "id": completion_id(answer),
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": answer.model,
        "choices": choices,
    });
    if answer.stream_usage {
        chunk["usage"] = usage;
    }
    chunk
}
