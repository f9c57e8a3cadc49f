//! A reply out of the events of the Responses API.

use crate::reply::{Reply, Stop};
use crate::request::{Block, tool_input};
use crate::stream::{Assembler, Trouble};
use divisi_core::Usage;
use divisi_core::price::Billing;
use serde::Deserialize;
use serde_json::Value;

/// The reply as far as it has arrived.
#[derive(Default)]
pub(super) struct Events {
    items: Vec<Value>,
    written: usize,
    end: Option<Response>,
}

impl Assembler for Events {
    fn take(&mut self, data: &str) -> Result<(), Trouble> {
        let event: Event = serde_json::from_str(data)?;
        match event.kind.as_str() {
            "response.output_item.done" => self.items.extend(event.item),
            "response.completed" | "response.incomplete" => self.end = event.response,
            "response.failed" => {
                let error = event.response.and_then(|response| response.error);
                return Err(Trouble::Vendor(error.unwrap_or_default()));
            }
            "error" => return Err(Trouble::Vendor(serde_json::from_str(data)?)),
            _ => self.written += event.delta.and_then(|delta| Some(delta.as_str()?.len())).unwrap_or(0),
        }
        Ok(())
    }

    fn written(&self) -> usize {
        self.written
    }

    fn is_complete(&self) -> bool {
        self.end.is_some()
    }

    fn finish(self) -> Option<Reply> {
        let end = self.end?;
        // Some servers send the items only as they finish, others only at the end.
        let items = if self.items.is_empty() { end.output } else { self.items };
        let mut is_refused = false;
        let blocks: Vec<_> = items.into_iter().flat_map(|item| blocks(item, &mut is_refused)).collect();
        let calls = blocks.iter().any(|block| matches!(block, Block::ToolUse { .. }));
        let cut = end.incomplete_details.and_then(|details| details.reason);
        Some(Reply {
            model: end.model,
            stop: match cut.as_deref() {
                Some("content_filter") => Stop::Refusal,
                Some(_) => Stop::MaxTokens,
                None if is_refused => Stop::Refusal,
                None if calls => Stop::ToolUse,
                None => Stop::EndTurn,
            },
            blocks,
            billing: Billing {
                service: end.service_tier.as_deref().map(crate::openai_chat::service).unwrap_or_default(),
                us_only: false,
            },
            usage_estimated: end.usage.is_none(),
            usage: end.usage.map(Usage::from).unwrap_or_default(),
            request_id: None,
            rate: Default::default(),
        })
    }
}

/// What one item of the output is in our words.
fn blocks(item: Value, is_refused: &mut bool) -> Vec<Block> {
    let text =
        |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match item.get("type").and_then(Value::as_str) {
        Some("message") => {
            let parts = item.get("content").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            *is_refused |= parts.iter().any(|part| part.get("refusal").is_some());
            let said = parts.iter().map(|part| text(part, "text") + &text(part, "refusal"));
            said.filter(|said| !said.is_empty()).map(Block::text).collect()
        }
        Some("function_call") => vec![Block::ToolUse {
            id: text(&item, "call_id"),
            name: text(&item, "name"),
            input: tool_input(text(&item, "arguments")),
        }],
        // Without its encrypted content, the vendor cannot take reasoning back.
        Some("reasoning") if item.get("encrypted_content").is_none_or(Value::is_null) => Vec::new(),
        _ => vec![Block::Opaque(item)],
    }
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    delta: Option<Value>,
    item: Option<Value>,
    response: Option<Response>,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    model: String,
    #[serde(default)]
    output: Vec<Value>,
    usage: Option<Counted>,
    service_tier: Option<String>,
    error: Option<Value>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Deserialize)]
struct Incomplete {
    reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counted {
    input_tokens: u64,
    input_tokens_details: Option<InputDetails>,
    output_tokens: u64,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
    cache_write_tokens_details: Option<WriteDetails>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WriteDetails {
    ttl_12h_tokens: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl From<Counted> for Usage {
    fn from(counted: Counted) -> Self {
        let prompt = counted.input_tokens_details.unwrap_or_default();
        let long = prompt.cache_write_tokens_details.unwrap_or_default().ttl_12h_tokens;
        let short = prompt.cache_write_tokens.saturating_sub(long);
        let cached = prompt.cached_tokens.saturating_add(short).saturating_add(long);
        Self {
            // The input includes the cached part here.
            input: counted.input_tokens.saturating_sub(cached),
            // The classes are named after lives of Anthropic's cache; thirty minutes
            // and twelve hours are nearest to them in price.
            cache_write_5m: short,
            cache_write_1h: long,
            cache_read: prompt.cached_tokens,
            output: counted.output_tokens,
            thinking: counted.output_tokens_details.unwrap_or_default().reasoning_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::tests::{read_cut_anywhere, read_pieces};
    use divisi_core::FailureClass;
    use divisi_core::price::Service;
    use serde_json::json;

    fn stream(events: &[Value]) -> String {
        let line = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
        events.iter().map(line).collect()
    }

    fn done(item: Value) -> Value {
        json!({"type": "response.output_item.done", "item": item})
    }

    fn completed() -> Value {
        json!({"type": "response.completed", "response": {
            "model": "gpt-6-luna", "status": "completed", "error": null, "incomplete_details": null, "output": [],
            "usage": {
                "input_tokens": 100, "output_tokens": 30,
                "input_tokens_details": {
                    "cached_tokens": 60, "cache_write_tokens": 10,
                    "cache_write_tokens_details": {"ttl_30m_tokens": 6, "ttl_12h_tokens": 4}
                },
                "output_tokens_details": {"reasoning_tokens": 5}
            }
        }})
    }

    fn message(text: &str) -> Value {
        json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]})
    }

    fn read(events: &[Value]) -> Reply {
        read_pieces(&[stream(events).as_bytes()], Events::default()).0.unwrap()
    }

    fn class(events: &[Value]) -> FailureClass {
        read_pieces(&[stream(events).as_bytes()], Events::default()).0.unwrap_err().class
    }

    #[test]
    fn reads_a_whole_reply_however_it_is_cut() {
        let whole = stream(&[
            json!({"type": "response.created", "response": {"model": "gpt-6-luna", "output": []}}),
            done(json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"})),
            json!({"type": "response.output_text.delta", "delta": "Voilà."}),
            done(message("Voilà.")),
            json!({"type": "response.function_call_arguments.delta", "delta": "{\"path\":"}),
            done(
                json!({"type": "function_call", "call_id": "c1", "name": "read", "arguments": "{\"path\":\"a\"}"}),
            ),
            completed(),
        ]);
        insta::assert_json_snapshot!(read_cut_anywhere(&whole, Events::default), @r#"
        {
          "model": "gpt-6-luna",
          "blocks": [
            {
              "opaque": {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [],
                "encrypted_content": "x"
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
            }
          ],
          "stop": "tool_use",
          "usage": {
            "input": 30,
            "cache_write_5m": 6,
            "cache_write_1h": 4,
            "cache_read": 60,
            "output": 30,
            "thinking": 5
          }
        }
        "#);
    }

    #[test]
    fn reads_items_that_come_only_at_the_end() {
        let mut end = completed();
        end["response"]["output"] =
            json!([{"type": "reasoning", "id": "rs_1", "summary": []}, message("late")]);
        assert_eq!(read(&[end]).blocks, [Block::text("late")]);
    }

    #[test]
    fn the_service_of_the_reply_counts() {
        let mut end = completed();
        end["response"]["service_tier"] = "fast".into();
        assert_eq!(read(&[end]).billing.service, Service::Fast);
        assert_eq!(read(&[completed()]).billing, Billing::default());
    }

    #[test]
    fn details_may_be_null_and_counts_may_be_missing() {
        let mut end = completed();
        end["response"]["usage"]["input_tokens_details"] = Value::Null;
        end["response"]["usage"]["output_tokens_details"] = Value::Null;
        let reply = read(&[end.clone()]);
        assert_eq!(reply.usage, Usage { input: 100, output: 30, ..Usage::default() });
        assert!(!reply.usage_estimated);
        end["response"]["usage"] = Value::Null;
        assert!(read(&[end]).usage_estimated);
    }

    #[test]
    fn ends_for_reasons_of_its_own() {
        let cut = |reason: &str| {
            let mut end = completed();
            end["type"] = "response.incomplete".into();
            end["response"]["incomplete_details"] = json!({"reason": reason});
            read(&[done(message("half")), end]).stop
        };
        assert_eq!(cut("max_output_tokens"), Stop::MaxTokens);
        assert_eq!(cut("content_filter"), Stop::Refusal);
        let refusal = json!({"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]});
        assert_eq!(read(&[done(refusal), completed()]).stop, Stop::Refusal);
    }

    #[test]
    fn failures_are_told_apart() {
        let failed = |code: &str| json!({"type": "response.failed", "response": {"error": {"code": code, "message": "no"}}});
        assert_eq!(class(&[failed("rate_limit_exceeded")]), FailureClass::RateLimited);
        assert_eq!(class(&[failed("server_error")]), FailureClass::Server);
        assert_eq!(class(&[failed("insufficient_quota")]), FailureClass::Quota);
        assert_eq!(
            class(&[json!({"type": "error", "code": "context_length_exceeded", "message": "no"})]),
            FailureClass::TooLong
        );
        assert_eq!(class(&[done(message("half"))]), FailureClass::Network);
    }
}
