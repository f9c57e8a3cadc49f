//! OpenAI's Responses API.

use crate::answer::{Answer, Part, Stop};
use crate::ask::{Ask, Block, Conversation, join};
use crate::dialect::Dialect;
use crate::fault::Failure;
use crate::frames::{Frames, pieces};
use crate::openai::{CREATED, OpenAi, block, model, overloaded_error, text};
use crate::stats::Tokens;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use std::borrow::Cow;

/// `POST /v1/responses`.
pub(crate) struct Responses;

impl Dialect for Responses {
    type Vendor = OpenAi;
    const ENDPOINT: &'static str = "/v1/responses";

    fn read<'a>(_headers: &HeaderMap, body: &'a Value) -> Result<Ask<'a>, Failure> {
        let model = model(body)?;
        let conversation = match &body["input"] {
            Value::String(text) => Conversation {
                prompt: text.into(),
                ..Conversation::default()
            },
            Value::Array(items) if !items.is_empty() => conversation(items),
            _ => {
                return Err(Failure::bad_request(
                    "input: a text or at least one item is required",
                ));
            }
        };
        Ok(Ask {
            body,
            model,
            stream: body["stream"] == true,
            stream_usage: true,
            schema: body.pointer("/text/format/schema"),
            output_tokens_max: body["max_output_tokens"].as_u64(),
            conversation,
            blocks: blocks(body),
        })
    }

    fn document(answer: &Answer<'_>) -> Value {
        let items: Vec<_> = answer
            .parts
            .iter()
            .enumerate()
            .map(|(index, part)| item(answer, index, part))
            .collect();
        response(answer, final_status(answer), items, usage(&answer.usage))
    }

    fn stream(answer: &Answer<'_>) -> Frames {
        let mut events = Events::default();
        for name in ["response.created", "response.in_progress"] {
            events.push(
                name,
                json!({"response": response(answer, "in_progress", Vec::new(), Value::Null)}),
            );
        }
        for (index, part) in answer.parts.iter().enumerate() {
            events.item(answer, index, part);
        }
        events.push(
            &format!("response.{}", final_status(answer)),
            json!({"response": Self::document(answer)}),
        );
        events.frames
    }

    fn overloaded(frames: &mut Frames) {
        let mut event = overloaded_error()["error"].take();
        event["type"] = "error".into();
        frames.event("error", &event);
    }
}

fn conversation(items: &[Value]) -> Conversation<'_> {
    let mut of_user = items.iter().rev().filter(|item| item["role"] == "user");
    let results: Vec<_> = items
        .iter()
        .rev()
        .take_while(|item| item["type"] == "function_call_output")
        .map(|item| text(&item["output"]).unwrap_or_default())
        .collect();
    // The items of one answer follow one another.
    let answer_ends = items
        .iter()
        .zip(items.iter().skip(1))
        .filter(|(item, next)| by_model(item) && !by_model(next));
    Conversation {
        prompt: of_user
            .find_map(|item| text(&item["content"]))
            .unwrap_or_default(),
        tool_result: (!results.is_empty()).then(|| join(results.into_iter().rev())),
        turn: answer_ends.count() as u32,
    }
}

fn by_model(item: &Value) -> bool {
    item["role"] == "assistant"
        || matches!(item["type"].as_str(), Some("function_call" | "reasoning"))
}

fn blocks(body: &Value) -> Vec<Block<'_>> {
    let tools = body["tools"].as_array().into_iter().flatten();
    let mut blocks: Vec<_> = tools
        .map(|tool| block("tools", tool.to_string().into()))
        .collect();
    blocks.extend(text(&body["instructions"]).map(|text| block("system", text)));
    if let Value::String(text) = &body["input"] {
        blocks.push(block("user", text.into()));
    }
    for item in body["input"].as_array().into_iter().flatten() {
        let place = item["role"]
            .as_str()
            .or(item["type"].as_str())
            .unwrap_or_default();
        blocks.push(block(
            place,
            text(&item["content"]).unwrap_or_else(|| Cow::Owned(item.to_string())),
        ));
    }
    blocks
}

fn final_status(answer: &Answer<'_>) -> &'static str {
    if answer.stop == Stop::TokensMax {
        "incomplete"
    } else {
        "completed"
    }
}

fn usage(tokens: &Tokens) -> Value {
    json!({
        "input_tokens": tokens.prompt(),
        "input_tokens_details": {
            "cached_tokens": tokens.cache_read,
            "cache_write_tokens": tokens.cache_write_implicit,
        },
        "output_tokens": tokens.output,
        "output_tokens_details": {"reasoning_tokens": tokens.thinking},
        "total_tokens": tokens.prompt() + tokens.output,
    })
}

fn response(answer: &Answer<'_>, status: &str, output: Vec<Value>, usage: Value) -> Value {
    let cut = status == "incomplete";
    json!({
        "id": format!("resp_{}", answer.digest),
        "object": "response",
        "created_at": CREATED,
        "status": status,
        "error": null,
        "incomplete_details": cut.then(|| json!({"reason": "max_output_tokens"})),
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": true,
        "usage": usage,
    })
}

fn item_id(answer: &Answer<'_>, index: usize, part: &Part) -> String {
    let kind = match part {
        Part::Thinking(_) => "rs",
        Part::Text(_) | Part::Refusal(_) => "msg",
        Part::ToolCall { .. } => "fc",
    };
    format!("{kind}_{}_{index}", answer.digest)
}

/// The complete item of a part.
fn item(answer: &Answer<'_>, index: usize, part: &Part) -> Value {
    let id = item_id(answer, index, part);
    match part {
        Part::Thinking(_) => json!({"id": id, "type": "reasoning", "summary": []}),
        Part::Text(text) => message(&id, "completed", vec![text_content(text)]),
        Part::Refusal(text) => message(&id, "completed", vec![refusal_content(text)]),
        Part::ToolCall { name, input } => {
            function_call(answer, index, &id, "completed", name, &input.to_string())
        }
    }
}

/// The item as first announced, without content.
fn empty_item(answer: &Answer<'_>, index: usize, part: &Part) -> Value {
    let id = item_id(answer, index, part);
    match part {
        Part::Thinking(_) => json!({"id": id, "type": "reasoning", "summary": []}),
        Part::Text(_) | Part::Refusal(_) => message(&id, "in_progress", Vec::new()),
        Part::ToolCall { name, .. } => function_call(answer, index, &id, "in_progress", name, ""),
    }
}

fn message(id: &str, status: &str, content: Vec<Value>) -> Value {
    json!({"id": id, "type": "message", "status": status, "role": "assistant", "content": content})
}

fn text_content(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": []})
}

fn refusal_content(text: &str) -> Value {
    json!({"type": "refusal", "refusal": text})
}

fn function_call(
    answer: &Answer<'_>,
    index: usize,
    id: &str,
    status: &str,
    name: &str,
    arguments: &str,
) -> Value {
    json!({
        "id": id,
        "type": "function_call",
        "status": status,
        "call_id": format!("call_{}_{index}", answer.digest),
        "name": name,
        "arguments": arguments,
    })
}

/// The events of a stream, numbered.
#[derive(Default)]
struct Events {
    frames: Frames,
}

impl Events {
    /// Adds an event with the fields of `data`.
    fn push(&mut self, name: &str, mut data: Value) {
        data["type"] = name.into();
        data["sequence_number"] = self.frames.len().into();
        self.frames.event(name, &data);
    }

    /// Adds all events of one item.
    fn item(&mut self, answer: &Answer<'_>, index: usize, part: &Part) {
        self.push(
            "response.output_item.added",
            json!({"output_index": index, "item": empty_item(answer, index, part)}),
        );
        let id = item_id(answer, index, part);
        match part {
            Part::Thinking(_) => {}
            Part::Text(text) => self.content(answer, index, &id, "output_text", text),
            Part::Refusal(text) => self.content(answer, index, &id, "refusal", text),
            Part::ToolCall { name, input } => {
                self.arguments(answer, index, &id, name, &input.to_string());
            }
        }
        self.push(
            "response.output_item.done",
            json!({"output_index": index, "item": item(answer, index, part)}),
        );
    }

    fn content(&mut self, answer: &Answer<'_>, index: usize, id: &str, kind: &str, text: &str) {
        let is_refusal = kind == "refusal";
        let part = |text: &str| {
            if is_refusal {
                refusal_content(text)
            } else {
                text_content(text)
            }
        };
        let at = json!({"item_id": id, "output_index": index, "content_index": 0});
        self.push("response.content_part.added", with(&at, "part", part("")));
        for piece in pieces(text, answer.chunk_chars) {
            self.push(
                &format!("response.{kind}.delta"),
                with(&at, "delta", piece.into()),
            );
        }
        let whole = if is_refusal { "refusal" } else { "text" };
        self.push(
            &format!("response.{kind}.done"),
            with(&at, whole, text.into()),
        );
        self.push("response.content_part.done", with(&at, "part", part(text)));
    }

    fn arguments(
        &mut self,
        answer: &Answer<'_>,
        index: usize,
        id: &str,
        name: &str,
        arguments: &str,
    ) {
        let at = json!({"item_id": id, "output_index": index});
        for piece in pieces(arguments, answer.chunk_chars) {
            self.push(
                "response.function_call_arguments.delta",
                with(&at, "delta", piece.into()),
            );
        }
        let done = with(&at, "name", name.into());
        self.push(
            "response.function_call_arguments.done",
            with(&done, "arguments", arguments.into()),
        );
    }
}

fn with(fields: &Value, name: &str, value: Value) -> Value {
    let mut fields = fields.clone();
    fields[name] = value;
    fields
}
