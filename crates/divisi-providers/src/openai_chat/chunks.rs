//! A reply out of the chunks of the Chat Completions API.

use crate::reply::{Reply, Stop};
use crate::request::{Block, tool_input};
use crate::stream::{Assembler, Trouble};
use divisi_core::Usage;
use divisi_core::price::{Billing, Service};
use serde::Deserialize;
use serde_json::{Value, json};

/// The reply as far as it has arrived.
#[derive(Default)]
pub(super) struct Chunks {
    model: String,
    said: String,
    reasoning: Option<(&'static str, String)>,
    calls: Vec<Call>,
    is_refused: bool,
    stop: Option<Stop>,
    usage: Option<Usage>,
    service: Service,
    written: usize,
    is_done: bool,
}

/// A use of a tool as far as it has arrived.
struct Call {
    index: Option<usize>,
    id: String,
    name: String,
    arguments: String,
}

impl Assembler for Chunks {
    fn take(&mut self, data: &str) -> Result<(), Trouble> {
        if data.trim() == "[DONE]" {
            self.is_done = true;
            return Ok(());
        }
        let chunk: Chunk = serde_json::from_str(data)?;
        if let Some(error) = chunk.error {
            return Err(Trouble::Vendor(json!({"error": error})));
        }
        if self.model.is_empty() {
            self.model = chunk.model.unwrap_or_default();
        }
        self.usage = chunk.usage.map(Usage::from).or(self.usage);
        self.service = chunk.service_tier.as_deref().map_or(self.service, crate::openai_chat::service);
        for choice in chunk.choices {
            self.add(choice.delta.unwrap_or_default());
            if let Some(reason) = choice.finish_reason {
                self.stop = Some(stop(&reason));
            }
        }
        Ok(())
    }

    fn written(&self) -> usize {
        self.written
    }

    fn is_complete(&self) -> bool {
        self.is_done
    }

    fn finish(self) -> Option<Reply> {
        let stop = match self.stop? {
            _ if self.is_refused => Stop::Refusal,
            // Some servers have only one word for every proper end.
            Stop::EndTurn if !self.calls.is_empty() => Stop::ToolUse,
            stop => stop,
        };
        let mut blocks = Vec::new();
        blocks.extend(self.reasoning.map(|(name, text)| Block::Opaque(json!({name: text}))));
        if !self.said.is_empty() {
            blocks.push(Block::text(self.said));
        }
        blocks.extend(self.calls.into_iter().map(|call| Block::ToolUse {
            id: call.id,
            name: call.name,
            input: tool_input(call.arguments),
        }));
        Some(Reply {
            model: self.model,
            blocks,
            stop,
            usage_estimated: self.usage.is_none(),
            billing: Billing { service: self.service, us_only: false },
            usage: self.usage.unwrap_or_default(),
            request_id: None,
            rate: Default::default(),
        })
    }
}

impl Chunks {
    fn add(&mut self, delta: Delta) {
        self.is_refused |= delta.refusal.is_some();
        for said in [delta.content, delta.refusal].into_iter().flatten() {
            self.written += said.len();
            self.said.push_str(&said);
        }
        let reasoning = [("reasoning_content", delta.reasoning_content), ("reasoning", delta.reasoning)];
        for (name, text) in reasoning {
            let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
            self.written += text.len();
            let (kept, so_far) = self.reasoning.get_or_insert_with(|| (name, String::new()));
            // A server that sends both names says the same under each.
            if *kept == name {
                so_far.push_str(&text);
            }
        }
        for call in delta.tool_calls.unwrap_or_default() {
            self.add_call(call);
        }
    }

    fn add_call(&mut self, delta: CallDelta) {
        let function = delta.function.unwrap_or_default();
        let id = delta.id.filter(|id| !id.is_empty());
        let arguments = match function.arguments {
            Some(Value::String(text)) => text,
            Some(Value::Null) | None => String::new(),
            Some(whole) => whole.to_string(),
        };
        self.written += arguments.len();
        // Some servers give every call the same index, or none; a new id, or a
        // name without an id, then begins a new call.
        let continued = self.calls.iter_mut().rev().find(|call| match &id {
            Some(id) => call.id == *id,
            None => call.index == delta.index && function.name.is_none(),
        });
        match continued {
            Some(call) => call.arguments.push_str(&arguments),
            None => self.calls.push(Call {
                index: delta.index,
                id: id.unwrap_or_else(|| format!("call_{}", self.calls.len() + 1)),
                name: function.name.unwrap_or_default(),
                arguments,
            }),
        }
    }
}

fn stop(reason: &str) -> Stop {
    match reason {
        "length" => Stop::MaxTokens,
        "tool_calls" | "function_call" => Stop::ToolUse,
        "content_filter" => Stop::Refusal,
        "stop" => Stop::EndTurn,
        _ => {
            tracing::warn!(reason, "a reply ended for an unknown reason, taken for its proper end");
            Stop::EndTurn
        }
    }
}

#[derive(Deserialize)]
struct Chunk {
    model: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Counted>,
    service_tier: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Delta>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta {
    content: Option<String>,
    refusal: Option<String>,
    reasoning_content: Option<String>,
    reasoning: Option<String>,
    tool_calls: Option<Vec<CallDelta>>,
}

#[derive(Deserialize)]
struct CallDelta {
    index: Option<usize>,
    id: Option<String>,
    function: Option<FunctionDelta>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct FunctionDelta {
    name: Option<String>,
    arguments: Option<Value>,
}

#[derive(Deserialize)]
struct Counted {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Deserialize)]
struct PromptDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct CompletionDetails {
    reasoning_tokens: Option<u64>,
}

impl From<Counted> for Usage {
    fn from(counted: Counted) -> Self {
        let prompt = counted.prompt_tokens_details;
        let (read, written) = prompt.map_or((0, 0), |prompt| {
            (prompt.cached_tokens.unwrap_or(0), prompt.cache_write_tokens.unwrap_or(0))
        });
        let thinking = counted.completion_tokens_details.and_then(|details| details.reasoning_tokens);
        Self {
            // The prompt includes the cached part here.
            input: counted.prompt_tokens.saturating_sub(read.saturating_add(written)),
            // What lives for thirty minutes is priced like what lives for five.
            cache_write_5m: written,
            cache_write_1h: 0,
            cache_read: read,
            output: counted.completion_tokens,
            thinking: thinking.unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::tests::{read_cut_anywhere, read_pieces};
    use divisi_core::FailureClass;

    fn stream(chunks: &[Value]) -> String {
        chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect()
    }

    fn delta(delta: Value) -> Value {
        json!({"model": "gpt-6-luna", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
    }

    fn end(reason: &str) -> Value {
        json!({"model": "gpt-6-luna", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    }

    fn read(stream: &str) -> Reply {
        read_pieces(&[stream.as_bytes()], Chunks::default()).0.unwrap()
    }

    fn class(stream: &str) -> FailureClass {
        read_pieces(&[stream.as_bytes()], Chunks::default()).0.unwrap_err().class
    }

    #[test]
    fn reads_a_whole_reply_however_it_is_cut() {
        let call = |call: Value| delta(json!({"tool_calls": [call]}));
        let whole = stream(&[
            delta(json!({"role": "assistant", "content": "", "reasoning_content": "hm"})),
            delta(json!({"content": "Voilà."})),
            call(
                json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "read", "arguments": ""}}),
            ),
            call(json!({"index": 0, "function": {"arguments": "{\"path\":"}})),
            call(json!({"index": 0, "function": {"arguments": "\"a\"}"}})),
            call(
                json!({"index": 1, "id": "c2", "type": "function", "function": {"name": "list", "arguments": "{}"}}),
            ),
            end("tool_calls"),
            json!({"choices": [], "usage": {
                "prompt_tokens": 100, "completion_tokens": 30,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
                "completion_tokens_details": {"reasoning_tokens": 5}
            }}),
        ]) + ": a comment\n\ndata: [DONE]\n\n";
        insta::assert_json_snapshot!(read_cut_anywhere(&whole, Chunks::default), @r#"
        {
          "model": "gpt-6-luna",
          "blocks": [
            {
              "opaque": {
                "reasoning_content": "hm"
              }
            },
            {
              "text": {
                "text": "Voilà."
              }
            },
            {
              "tool_use": {
                "id": "c1",
                "name": "read",
                "input": {
                  "path": "a"
                }
              }
            },
            {
              "tool_use": {
                "id": "c2",
                "name": "list",
                "input": {}
              }
            }
          ],
          "stop": "tool_use",
          "usage": {
            "input": 30,
            "cache_write_5m": 10,
            "cache_read": 60,
            "output": 30,
            "thinking": 5
          }
        }
        "#);
    }

    #[test]
    fn the_service_of_the_reply_counts() {
        let service = |tier: Value| {
            let mut last = end("stop");
            last["service_tier"] = tier;
            read(&stream(&[delta(json!({"content": "x"})), last])).billing.service
        };
        assert_eq!(service("flex".into()), Service::Flex);
        assert_eq!(service("priority".into()), Service::Priority);
        assert_eq!(service("default".into()), Service::Standard);
        assert_eq!(service(Value::Null), Service::Standard);
    }

    #[test]
    fn local_servers_may_leave_out_what_they_like() {
        let call = |arguments: Value| {
            delta(json!({"tool_calls": [{"index": 0, "function": {"name": "read", "arguments": arguments}}]}))
        };
        let reply =
            read(&stream(&[call(json!({"path": "a"})), call(json!("{\"path\": \"b\"}")), end("stop")]));
        assert_eq!(reply.stop, Stop::ToolUse);
        assert!(reply.usage_estimated);
        let call = |id: &str, path: &str| Block::ToolUse {
            id: id.into(),
            name: "read".into(),
            input: json!({"path": path}),
        };
        assert_eq!(reply.blocks, [call("call_1", "a"), call("call_2", "b")]);
    }

    #[test]
    fn calls_with_one_index_and_their_own_ids_stay_apart() {
        let call = |id: &str| {
            delta(
                json!({"tool_calls": [{"index": 0, "id": id, "function": {"name": "read", "arguments": "{}"}}]}),
            )
        };
        assert_eq!(read(&stream(&[call("a"), call("b"), end("tool_calls")])).blocks.len(), 2);
    }

    #[test]
    fn ends_for_reasons_of_its_own() {
        let stop = |reason| read(&stream(&[delta(json!({"content": "x"})), end(reason)])).stop;
        assert_eq!(stop("stop"), Stop::EndTurn);
        assert_eq!(stop("length"), Stop::MaxTokens);
        assert_eq!(stop("content_filter"), Stop::Refusal);
        assert_eq!(stop("novelty"), Stop::EndTurn);
        let refused = read(&stream(&[delta(json!({"refusal": "I cannot."})), end("stop")]));
        assert_eq!((refused.stop, refused.text().as_str()), (Stop::Refusal, "I cannot."));
    }

    #[test]
    fn a_reply_without_a_reason_for_its_end_is_no_reply() {
        let begun = stream(&[delta(json!({"content": "half"}))]);
        assert_eq!(class(&begun), FailureClass::Network);
        assert_eq!(class(&(begun.clone() + "data: [DONE]\n\n")), FailureClass::Network);
        let passed_on = json!({"error": {"code": 502, "message": "upstream died"}, "choices": []});
        assert_eq!(class(&(begun + &stream(&[passed_on]))), FailureClass::Server);
    }
}
