//! Assembles a reply from the events of the Responses API.
//!
//! Items arrive in pieces, then complete, and at the end all of them again. Servers omit one or
//! another of these: the most complete form is used.

use crate::calls;
use crate::end::{self, End, Unfinished};
use crate::fault;
use crate::lenient::{self, field, text_in};
use crate::openai::{billing, service};
use crate::repair::joined;
use crate::reply::{Reply, Stop};
use crate::request::Block;
use crate::stream::{Assembler, Trouble};
use crate::usage::{Counted, Habits};
use divisi_core::Usage;
use divisi_core::price::Billing;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// Field to send back unchanged with a message: its part of the answer.
const KEPT: [&str; 1] = ["phase"];

/// The reply received so far.
#[derive(Default)]
pub(crate) struct Events {
    model: String,
    items: Vec<Item>,
    written: usize,
    habits: Habits,
    /// Usage in events before the last one, or beside the response.
    counted: Counted,
    /// The service named by an event before the last one.
    service_tier: String,
    end: Option<Response>,
}

/// An output item received so far.
#[derive(Default)]
struct Item {
    index: Option<usize>,
    id: String,
    /// The item as announced, or as completed.
    whole: Value,
    is_done: bool,
    text: String,
    refusal: String,
    arguments: String,
}

impl Assembler for Events {
    fn take(&mut self, name: &str, data: &str) -> Result<bool, Trouble> {
        let mut event: Event<'_> = serde_json::from_str(data)?;
        self.bill(&mut event);
        let kind = if event.kind.is_empty() {
            name
        } else {
            &event.kind
        };
        Ok(match kind {
            "response.output_text.delta"
            | "response.refusal.delta"
            | "response.function_call_arguments.delta" => {
                let (kind, delta) = (
                    kind.to_owned(),
                    event.delta.as_ref().map(text_in).unwrap_or_default(),
                );
                self.written += delta.len();
                let item = self.item(&event);
                let so_far = match kind.as_str() {
                    "response.output_text.delta" => &mut item.text,
                    "response.refusal.delta" => &mut item.refusal,
                    _ => &mut item.arguments,
                };
                so_far.push_str(&delta);
                !delta.is_empty()
            }
            "response.output_text.done" => {
                let text = event.text.clone().into_owned();
                let item = self.item(&event);
                if text.len() > item.text.len() {
                    item.text = text;
                }
                true
            }
            "response.function_call_arguments.done" => {
                let arguments = calls::written(event.arguments.clone());
                let item = self.item(&event);
                if arguments.len() > item.arguments.len() {
                    item.arguments = arguments;
                }
                true
            }
            "response.output_item.added" | "response.output_item.done" => {
                let is_done = kind.ends_with("done");
                match event.item.clone() {
                    Some(whole @ Value::Object(_)) => {
                        let item = self.item(&event);
                        if is_done || !item.is_done {
                            (item.whole, item.is_done) = (whole, is_done);
                        }
                        true
                    }
                    _ => false,
                }
            }
            "response.created" => event.response.is_some(),
            "response.in_progress" | "response.queued" => false,
            "response.completed"
            | "response.incomplete"
            | "response.done"
            | "response.cancelled" => {
                self.finish_with(event.response.unwrap_or_default(), kind)?;
                true
            }
            "response.failed" | "error" | "response.error" => {
                return Err(Trouble::Vendor(error_of(data)?));
            }
            // A complete reply instead of a stream, or an error in the format of another API.
            "" | "response" => {
                let value: Value = serde_json::from_str(data)?;
                if field(&value, "object") == "response" && !field(&value, "status").is_empty() {
                    self.finish_with(
                        Response::deserialize(&value).unwrap_or_default(),
                        "response.done",
                    )?;
                    true
                } else if let Some(error) = fault::of(&value) {
                    return Err(Trouble::Vendor(error));
                } else {
                    false
                }
            }
            _ => {
                let len = event
                    .delta
                    .as_ref()
                    .and_then(Value::as_str)
                    .map_or(0, str::len);
                self.written += len;
                len > 0
            }
        })
    }

    fn usage(&self) -> Usage {
        self.counted.usage(false, Habits::default())
    }

    fn written(&self) -> usize {
        self.written
    }

    fn said(&self) -> &str {
        let texts = self.items.iter().map(|item| item.text.as_str());
        texts
            .into_iter()
            .find(|text| !text.is_empty())
            .unwrap_or("")
    }

    fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    fn is_complete(&self) -> bool {
        self.end.is_some()
    }

    fn finish(self) -> Result<Reply, Unfinished> {
        let end = self.end.ok_or(Unfinished { reason: None })?;
        let streamed = self
            .items
            .into_iter()
            .map(Item::finish)
            .filter(Value::is_object)
            .collect();
        let items = most_of(streamed, end.output);
        let mut is_refused = false;
        // This format has thinking inside the output, at every vendor.
        let mut counted = self.counted;
        counted.raise(end.usage.unwrap_or_default());
        let billed = counted.billing(self.habits);
        let named = [end.service_tier, self.service_tier];
        let named = named.into_iter().find(|tier| !tier.is_empty());
        let service = named.map(|tier| service(&tier));
        let searches = billed.searches.max(searches(&items));
        let blocks: Vec<_> = items
            .into_iter()
            .flat_map(|item| blocks(item, &mut is_refused))
            .collect();
        let has_calls = blocks
            .iter()
            .any(|block| matches!(block, Block::ToolUse { .. }));
        let stop = match end::decided(end.how, has_calls, true)? {
            Stop::EndTurn if is_refused => Stop::Refusal,
            stop => stop,
        };
        let model = if end.model.is_empty() {
            self.model
        } else {
            end.model
        };
        Ok(Reply {
            model,
            stop,
            blocks,
            billing: Billing {
                searches,
                ..billing(service, billed)
            },
            usage_estimated: false,
            usage: counted.usage(false, Habits::default()),
            request_id: None,
            rate: Default::default(),
        })
    }
}

impl Events {
    /// An empty reply of a vendor with these habits.
    pub(crate) fn by(habits: Habits) -> Self {
        Self {
            habits,
            ..Self::default()
        }
    }

    /// Keeps what an event says about the bill.
    fn bill(&mut self, event: &mut Event<'_>) {
        let within = event.response.as_mut().and_then(|response| {
            if !response.service_tier.is_empty() {
                self.service_tier.clone_from(&response.service_tier);
            }
            response.usage.take()
        });
        let counts = [event.usage.take(), within];
        counts
            .into_iter()
            .flatten()
            .for_each(|counts| self.counted.raise(counts));
    }

    /// The item of an event: by id, else by index, else the last one.
    fn item(&mut self, event: &Event<'_>) -> &mut Item {
        let id = match event.item_id.is_empty() {
            true => event
                .item
                .as_ref()
                .map(|item| field(item, "id"))
                .unwrap_or_default()
                .to_owned(),
            false => event.item_id.clone().into_owned(),
        };
        let by_id = || {
            self.items
                .iter()
                .rposition(|item| !id.is_empty() && item.id == id)
        };
        let by_index = || {
            self.items
                .iter()
                .rposition(|item| event.output_index.is_some() && item.index == event.output_index)
        };
        let begins = event.item.is_some();
        let last = || {
            if begins || event.output_index.is_some() {
                None
            } else {
                self.items.len().checked_sub(1)
            }
        };
        // Some servers use a new id in each event, but the same index.
        let place = by_index().or_else(by_id).or_else(last).unwrap_or_else(|| {
            self.items.push(Item {
                index: event.output_index,
                id: id.clone(),
                ..Item::default()
            });
            self.items.len() - 1
        });
        &mut self.items[place]
    }

    /// Applies the final response. Status, event name and details give its end; any of them that is
    /// not a success counts. Details in another form than an object with a reason count only if
    /// their word is known, or if nothing else shows that the reply is complete.
    fn finish_with(&mut self, mut response: Response, event: &str) -> Result<(), Trouble> {
        let event = event.trim_start_matches("response.");
        let is_marked = response.status == "completed" || event == "completed";
        let cut = response
            .incomplete_details
            .take()
            .and_then(|details| match details {
                Value::String(word) => End::of(&word).filter(|end| !(is_marked && end.is_broken())),
                details => End::of(field(&details, "reason")),
            });
        let is_odd =
            |word: &&str| !matches!(*word, "" | "completed" | "done" | "in_progress" | "queued");
        let odd = [&response.status, event].into_iter().find(is_odd);
        let status = odd.unwrap_or(if cut.is_some() {
            "incomplete"
        } else {
            "completed"
        });
        response.how = match status {
            "completed" => Some(End::Known(Stop::EndTurn)),
            "failed" => return Err(Trouble::Vendor(json!({"error": response.error.take()}))),
            "incomplete" => cut.or_else(|| Some(End::Broken("incomplete".to_owned()))),
            other => Some(End::Broken(other.to_owned())),
        };
        self.end = Some(response);
        Ok(())
    }
}

/// The error in an event that reports a failure.
fn error_of(data: &str) -> Result<Value, Trouble> {
    let value: Value = serde_json::from_str(data)?;
    let inner = value
        .pointer("/response/error")
        .filter(|error| !error.is_null());
    Ok(inner
        .cloned()
        .map_or(value, |error| json!({"error": error})))
}

impl Item {
    /// The complete item, with its pieces where these have more content.
    fn finish(self) -> Value {
        let Self {
            id,
            mut whole,
            text,
            refusal,
            arguments,
            ..
        } = self;
        if !whole.is_object() {
            whole = match (text.is_empty() && refusal.is_empty(), arguments.is_empty()) {
                (false, _) => json!({"type": "message", "id": id}),
                // A call without a name is dropped.
                _ => return Value::Null,
            };
        }
        match field(&whole, "type") {
            "message" if said_in(&whole).is_empty() && !(text.is_empty() && refusal.is_empty()) => {
                whole["content"] = json!([{"type": "output_text", "text": text}, {"type": "refusal", "refusal": refusal}]);
            }
            "function_call" if calls::written(whole.get("arguments").cloned()).is_empty() => {
                whole["arguments"] = arguments.into();
            }
            _ => {}
        }
        whole
    }
}

/// Number of web searches: OpenAI bills each one, but does not report the number. Opening a found
/// page is free.
fn searches(items: &[Value]) -> u32 {
    let is_search = |item: &&Value| {
        let action = item
            .pointer("/action/type")
            .and_then(Value::as_str)
            .unwrap_or("search");
        field(item, "type") == "web_search_call" && action == "search"
    };
    u32::try_from(items.iter().filter(is_search).count()).unwrap_or(u32::MAX)
}

/// The text of a message item.
fn said_in(item: &Value) -> String {
    let content = item.get("content").unwrap_or(&Value::Null);
    let refusals = content
        .as_array()
        .into_iter()
        .flatten()
        .map(|part| field(part, "refusal"));
    text_in(content) + &refusals.collect::<String>()
}

/// The streamed items, with final items of types that were not streamed. Never both for one type,
/// because their ids may differ, and a call would be duplicated.
fn most_of(streamed: Vec<Value>, output: Vec<Value>) -> Vec<Value> {
    let says_something =
        |item: &Value| field(item, "type") != "message" || !said_in(item).is_empty();
    let streamed: Vec<_> = streamed.into_iter().filter(says_something).collect();
    if streamed.is_empty() {
        return output;
    }
    let has = |kind: &str| streamed.iter().any(|item| field(item, "type") == kind);
    let missing: Vec<_> = output
        .into_iter()
        .filter(|item| !has(field(item, "type")))
        .collect();
    // Thoughts precede what they led to.
    let (thoughts, others): (Vec<_>, Vec<_>) = missing
        .into_iter()
        .partition(|item| field(item, "type") == "reasoning");
    thoughts.into_iter().chain(streamed).chain(others).collect()
}

/// The blocks of one output item.
fn blocks(item: Value, is_refused: &mut bool) -> Vec<Block> {
    match field(&item, "type") {
        "message" => {
            let content = match item.get("content") {
                Some(Value::Array(parts)) => parts.clone(),
                Some(other) => vec![other.clone()],
                None => Vec::new(),
            };
            *is_refused |= content
                .iter()
                .any(|part| !field(part, "refusal").is_empty());
            let said: Vec<_> = content
                .iter()
                .map(|part| text_in(part) + field(part, "refusal"))
                .collect();
            let kept = lenient::fields(&item, &KEPT);
            let mut blocks = Vec::new();
            for said in said.iter().filter(|said| !said.is_empty()) {
                blocks.extend((!kept.is_empty()).then(|| Block::fields_of_next(kept.clone())));
                blocks.push(Block::text(&*joined(said)));
            }
            blocks
        }
        "function_call" => {
            let id = [field(&item, "call_id"), field(&item, "id")]
                .into_iter()
                .find(|id| !id.is_empty());
            vec![Block::ToolUse {
                id: id.unwrap_or_default().to_owned(),
                name: field(&item, "name").to_owned(),
                input: calls::input(&joined(&calls::written(item.get("arguments").cloned()))),
            }]
        }
        // Without its encrypted content, reasoning cannot be sent back.
        "reasoning" if field(&item, "encrypted_content").is_empty() => Vec::new(),
        // An item without a type cannot be sent back.
        "" => Vec::new(),
        _ => vec![Block::Opaque(item)],
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default, deserialize_with = "lenient::text")]
    kind: Cow<'a, str>,
    #[serde(default, deserialize_with = "lenient::index")]
    output_index: Option<usize>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    item_id: Cow<'a, str>,
    delta: Option<Value>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    text: Cow<'a, str>,
    arguments: Option<Value>,
    item: Option<Value>,
    #[serde(default, deserialize_with = "lenient::object")]
    response: Option<Response>,
    #[serde(default, deserialize_with = "lenient::object")]
    usage: Option<Counted>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Response {
    #[serde(deserialize_with = "lenient::string")]
    model: String,
    #[serde(deserialize_with = "lenient::string")]
    status: String,
    #[serde(deserialize_with = "lenient::list")]
    output: Vec<Value>,
    #[serde(deserialize_with = "lenient::object")]
    usage: Option<Counted>,
    #[serde(deserialize_with = "lenient::string")]
    service_tier: String,
    error: Option<Value>,
    incomplete_details: Option<Value>,
    /// The classified end.
    #[serde(skip)]
    how: Option<End>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::tests::{read_cut_anywhere, read_pieces};
    use divisi_core::FailureClass;
    use divisi_core::Usage;
    use divisi_core::price::Service;

    fn stream(events: &[Value]) -> String {
        let line = |event: &Value| {
            format!(
                "event: {}\ndata: {event}\n\n",
                event["type"].as_str().unwrap()
            )
        };
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
        read_pieces(&[stream(events).as_bytes()], Events::default())
            .0
            .unwrap()
    }

    fn class(events: &[Value]) -> FailureClass {
        read_pieces(&[stream(events).as_bytes()], Events::default())
            .0
            .unwrap_err()
            .class
    }

    #[test]
    fn reads_a_whole_reply_however_it_is_cut() {
        let whole = stream(&[
            json!({"type": "response.created", "response": {"model": "gpt-6-luna", "output": []}}),
            done(
                json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}),
            ),
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
        assert_eq!(
            reply.usage,
            Usage {
                input: 100,
                output: 30,
                ..Usage::default()
            }
        );
        end["response"]["usage"] = Value::Null;
        assert_eq!(read(&[end]).usage, Usage::default());
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
        for status in ["incomplete", "cancelled"] {
            let mut end = completed();
            end["response"]["status"] = status.into();
            assert_eq!(
                class(&[done(message("half")), end]),
                FailureClass::Server,
                "{status}"
            );
        }
        let refusal =
            json!({"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]});
        assert_eq!(read(&[done(refusal), completed()]).stop, Stop::Refusal);
    }

    /// Details in an unusual form do not spoil a reply that is complete by its marks.
    #[test]
    fn odd_details_cost_no_whole_reply() {
        let ended = |status: &str, details: Value| {
            let mut end = completed();
            end["response"]["status"] = status.into();
            end["response"]["incomplete_details"] = details;
            let bytes = stream(&[done(message("fine")), end]);
            read_pieces(&[bytes.as_bytes()], Events::default())
                .0
                .map(|reply| reply.stop)
                .ok()
        };
        for details in [
            json!("odd"),
            json!("none"),
            json!({"reason": "none"}),
            json!({"x": 1}),
            json!(true),
            json!([]),
        ] {
            assert_eq!(
                ended("completed", details.clone()),
                Some(Stop::EndTurn),
                "{details}"
            );
        }
        assert_eq!(
            ended("completed", json!("max_output_tokens")),
            Some(Stop::MaxTokens)
        );
        assert_eq!(
            ended("completed", json!({"reason": "max_output_tokens"})),
            Some(Stop::MaxTokens)
        );
        assert_eq!(ended("completed", json!({"reason": "odd"})), None);
        assert_eq!(ended("incomplete", json!("odd")), None);
        assert_eq!(ended("odd", Value::Null), None);
    }

    #[test]
    fn failures_are_told_apart() {
        let failed = |code: &str| json!({"type": "response.failed", "response": {"error": {"code": code, "message": "no"}}});
        assert_eq!(
            class(&[failed("rate_limit_exceeded")]),
            FailureClass::RateLimited
        );
        assert_eq!(class(&[failed("server_error")]), FailureClass::Server);
        assert_eq!(class(&[failed("insufficient_quota")]), FailureClass::Quota);
        assert_eq!(
            class(&[json!({"type": "error", "code": "context_length_exceeded", "message": "no"})]),
            FailureClass::TooLong
        );
        assert_eq!(class(&[done(message("half"))]), FailureClass::Network);
    }

    /// The events of a text and a call, as sent by OpenAI.
    fn pieces() -> Vec<Value> {
        let item = |index: usize, item: Value| json!({"type": "response.output_item.added", "output_index": index, "item": item});
        vec![
            item(0, json!({"type": "message", "id": "msg_1", "content": []})),
            json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "msg_1", "delta": "fi"}),
            json!({"type": "response.output_text.delta", "output_index": 0, "item_id": "msg_x", "delta": "ne"}),
            item(
                1,
                json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "read", "arguments": ""}),
            ),
            json!({"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "fc_1", "delta": "{\"n\":"}),
            json!({"type": "response.function_call_arguments.delta", "output_index": 1, "item_id": "fc_1", "delta": "1}"}),
        ]
    }

    fn call() -> Value {
        json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "read", "arguments": "{\"n\":1}"})
    }

    #[test]
    fn whatever_says_most_is_used() {
        let ended = |output: Value| {
            let mut end = completed();
            end["response"]["output"] = output;
            end
        };
        let done = |index: usize, item: Value| json!({"type": "response.output_item.done", "output_index": index, "item": item});
        let all = json!([message("fine"), call()]);
        let mut renamed = call();
        renamed["id"] = "fc_other".into();
        for (name, events) in [
            ("pieces only", [pieces(), vec![ended(json!([]))]].concat()),
            ("pieces, and null at the end", [pieces(), vec![ended(Value::Null)]].concat()),
            ("items only", vec![done(0, message("fine")), done(1, call()), ended(json!([]))]),
            ("at the end only", vec![ended(all.clone())]),
            ("pieces, items and end", [pieces(), vec![done(0, message("fine")), done(1, call()), ended(all.clone())]].concat()),
            ("other names at the end", [pieces(), vec![ended(json!([message("fine"), renamed]))]].concat()),
            ("texts in pieces, calls at the end", [&pieces()[..3], &[ended(all.clone())]].concat()),
            ("calls as items, texts at the end", vec![done(0, call()), ended(json!([message("fine")]))]),
            ("an item without its arguments", [pieces(), vec![done(1, json!({"type": "function_call", "call_id": "c1", "name": "read", "arguments": ""})), ended(json!([]))]].concat()),
            ("not streamed", vec![json!({"object": "response", "status": "completed", "model": "m", "output": all})]),
            ("another name for the end", [pieces(), vec![json!({"type": "response.done", "response": {"status": "completed"}})]].concat()),
            ("odd events between", [vec![json!({"type": "response.novelty", "x": 1}), json!({"type": "response.output_item.added", "item": null})], pieces(), vec![ended(json!([]))]].concat()),
        ] {
            let stream: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
            let reply = read_pieces(&[stream.as_bytes()], Events::default()).0.unwrap_or_else(|error| panic!("{name}: {error}"));
            let calls = reply.blocks.iter().filter(|block| matches!(block, Block::ToolUse { input, .. } if input == &json!({"n": 1})));
            assert_eq!((reply.text().as_str(), calls.count(), reply.stop), ("fine", 1, Stop::ToolUse), "{name}: {reply:?}");
        }
        assert_eq!(class(&pieces()), FailureClass::Network);
    }

    #[test]
    fn what_a_vendor_wants_back_is_kept() {
        let mut first = message("Let me look.");
        first["phase"] = "commentary".into();
        let reply = read(&[done(first), done(call()), completed()]);
        assert_eq!(
            reply.blocks[0].as_fields_of_next().unwrap()["phase"],
            "commentary"
        );
        assert_eq!(reply.text(), "Let me look.");
    }
}
