//! Assembles a reply from the chunks of the Chat Completions API.

use crate::calls::{self, Calls};
use crate::end::{self, End, Unfinished};
use crate::fault;
use crate::lenient::{self, Said};
use crate::repair::joined;
use crate::reply::{Reply, Stop};
use crate::request::Block;
use crate::stream::{Assembler, Trouble};
use crate::usage::{Counted, Habits};
use divisi_core::Usage;
use divisi_core::price::Service;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// The reply received so far.
#[derive(Default)]
pub(crate) struct Chunks {
    model: String,
    /// The choices by index, in order of first arrival.
    choices: Vec<(usize, Spoken)>,
    usage: Counted,
    habits: Habits,
    /// The service that the reply names beside its usage.
    service: Option<Service>,
    written: usize,
    is_done: bool,
}

/// Most choices read. Only one is requested and used, but which one is known only at the end.
const CHOICES_MAX: usize = 8;

/// The part of a choice received so far.
#[derive(Default)]
struct Spoken {
    said: String,
    /// The model's thoughts, with the name of the field under which they are sent back.
    reasoning: Option<(&'static str, String)>,
    /// Other fields to send back unchanged with the message.
    kept: Map<String, Value>,
    calls: Calls,
    /// The latest complete message, from servers that do not stream.
    whole: Option<Value>,
    is_refused: bool,
    end: Option<End>,
}

impl Assembler for Chunks {
    fn take(&mut self, _name: &str, data: &str) -> Result<bool, Trouble> {
        let chunk: Chunk<'_> = serde_json::from_str(data)?;
        let is_error =
            chunk.error.is_some() || chunk.base_resp.is_some() || chunk.choices.is_empty();
        if is_error
            && let Some(error) = serde_json::from_str(data).ok().as_ref().and_then(fault::of)
        {
            return Err(Trouble::Vendor(error));
        }
        let counts = [chunk.usage, chunk.x_groq.and_then(|groq| groq.usage)]
            .into_iter()
            .flatten();
        let mut has_added = false;
        for counted in counts.chain(chunk.choices.iter().filter_map(|choice| choice.usage)) {
            has_added = true;
            self.usage.raise(counted);
        }
        if self.model.is_empty() {
            self.model = chunk.model.into_owned();
        }
        if !chunk.service_tier.is_empty() {
            self.service = Some(crate::openai::service(&chunk.service_tier));
        }
        let are_many = chunk.choices.len() > 1;
        for (place, choice) in chunk.choices.into_iter().enumerate() {
            has_added |= self.choose(choice, are_many.then_some(place))?;
        }
        // A complete reply in one chunk has this mark.
        self.is_done |= chunk.object == "chat.completion"
            && self
                .reply()
                .is_some_and(|reply| reply.whole.is_some() && reply.end.is_some());
        Ok(has_added)
    }

    fn done(&mut self) {
        self.is_done = true;
    }

    fn usage(&self) -> Usage {
        self.usage.usage(false, self.habits)
    }

    fn written(&self) -> usize {
        self.written
    }

    fn said(&self) -> &str {
        self.reply().map_or("", |reply| &reply.said)
    }

    fn has_ended(&self) -> bool {
        self.reply().is_some_and(|reply| reply.end.is_some())
    }

    fn is_complete(&self) -> bool {
        self.is_done
    }

    fn finish(mut self) -> Result<Reply, Unfinished> {
        let mut reply = self.taken();
        let is_marked = self.is_done && reply.calls.are_whole();
        let stop = match end::decided(reply.end.take(), !reply.calls.is_empty(), is_marked)? {
            Stop::EndTurn | Stop::StopSequence if reply.is_refused => Stop::Refusal,
            stop => stop,
        };
        Ok(Reply {
            model: self.model,
            blocks: reply.into_blocks(),
            stop,
            usage_estimated: false,
            billing: crate::openai::billing(self.service, self.usage.billing(self.habits)),
            usage: self.usage.usage(false, self.habits),
            request_id: None,
            rate: Default::default(),
        })
    }
}

impl Chunks {
    /// An empty reply of a vendor with these habits.
    pub(crate) fn by(habits: Habits) -> Self {
        Self {
            habits,
            ..Self::default()
        }
    }

    /// Adds a choice; `among` is its position in the chunk if there are several. Returns whether it
    /// adds anything.
    fn choose(&mut self, choice: Choice<'_>, among: Option<usize>) -> Result<bool, Trouble> {
        // A choice without index continues the existing one.
        let begun = || {
            self.reply_place()
                .and_then(|at| self.choices.get(at))
                .map(|(place, _)| *place)
        };
        let place = choice.index.or(among).or_else(begun).unwrap_or(0);
        if let Some(error) = choice.error.as_ref().map(|error| json!({"error": error}))
            && fault::of(&error).is_some()
        {
            // An error about another choice than the one used is ignored.
            return match self.reply().is_some_and(Spoken::says_something) && begun() != Some(place)
            {
                true => Ok(false),
                false => Err(Trouble::Vendor(error)),
            };
        }
        let at = match self.choices.iter().position(|(known, _)| *known == place) {
            Some(at) => at,
            None if self.choices.len() == CHOICES_MAX => return Ok(false),
            None => {
                self.choices.push((place, Spoken::default()));
                self.choices.len() - 1
            }
        };
        let (has_added, written) = self.choices[at].1.take(choice);
        self.written += written;
        Ok(has_added)
    }

    /// The index of the choice that is used: the lowest one with content.
    fn reply_place(&self) -> Option<usize> {
        let lowest = |is_asked: fn(&Spoken) -> bool| {
            let choices = self
                .choices
                .iter()
                .enumerate()
                .filter(|(_, (_, spoken))| is_asked(spoken));
            choices
                .min_by_key(|(_, (place, _))| *place)
                .map(|(at, _)| at)
        };
        lowest(Spoken::says_something).or_else(|| lowest(|_| true))
    }

    fn reply(&self) -> Option<&Spoken> {
        Some(&self.choices.get(self.reply_place()?)?.1)
    }

    /// The reply. Some gateways put the text into one choice and the calls into the next; so calls
    /// announced by its end are taken from another choice if it has none.
    fn taken(&mut self) -> Spoken {
        let Some(at) = self.reply_place() else {
            return Spoken::default();
        };
        self.choices
            .iter_mut()
            .for_each(|(_, spoken)| spoken.fill());
        let mut reply = std::mem::take(&mut self.choices[at].1);
        if reply.calls.is_empty() && reply.end == Some(End::Known(Stop::ToolUse)) {
            let mut others = self.choices.iter_mut().map(|(_, spoken)| &mut spoken.calls);
            if let Some(calls) = others.find(|calls| !calls.is_empty()) {
                reply.calls = std::mem::take(calls);
            }
        }
        reply
    }
}

impl Spoken {
    fn says_something(&self) -> bool {
        let has_whole = self.whole.as_ref().is_some_and(|whole| {
            let field = |name: &str| whole.get(name).is_some_and(|value| !is_empty(value));
            ["content", "refusal", "tool_calls", "function_call"]
                .into_iter()
                .any(field)
        });
        !self.said.is_empty() || !self.calls.is_empty() || has_whole
    }

    /// Adds the content of a choice. Returns whether it adds anything, and the bytes of output.
    fn take(&mut self, choice: Choice<'_>) -> (bool, usize) {
        let end = End::of(&choice.finish_reason);
        let mut has_added = end.is_some() || choice.message.is_some();
        self.end = match (self.end.take(), end) {
            (Some(before), Some(end)) => Some(before.or_worse(end)),
            (before, end) => before.or(end),
        };
        self.whole = choice.message.or(self.whole.take());
        let mut written = 0;
        if !choice.text.is_empty() {
            let text = Said {
                text: choice.text,
                ..Said::default()
            };
            has_added |= self.add(
                Delta {
                    content: text,
                    ..Delta::default()
                },
                &mut written,
            );
        }
        has_added |= self.add(choice.delta.unwrap_or_default(), &mut written);
        (has_added, written)
    }

    /// Uses a complete message if nothing was streamed.
    fn fill(&mut self) {
        if self.said.is_empty()
            && self.calls.is_empty()
            && let Some(whole) = self.whole.take()
        {
            self.add(Delta::deserialize(&whole).unwrap_or_default(), &mut 0);
        }
    }

    fn into_blocks(self) -> Vec<Block> {
        let mut blocks = Vec::new();
        blocks.extend(
            self.reasoning
                .map(|(name, text)| Block::Opaque(json!({name: joined(&text)}))),
        );
        blocks.extend((!self.kept.is_empty()).then(|| Block::Opaque(self.kept.into())));
        if !self.said.is_empty() {
            blocks.push(Block::text(&*joined(&self.said)));
        }
        blocks.extend(self.calls.into_blocks());
        blocks
    }

    /// Adds a delta and counts its output in `written`. Returns whether it adds anything.
    fn add(&mut self, delta: Delta<'_>, written: &mut usize) -> bool {
        self.is_refused |= !delta.refusal.is_empty();
        let mut has_added = false;
        for said in [&delta.content.text, &delta.refusal] {
            has_added |= !said.is_empty();
            *written += said.len();
            self.said.push_str(said);
        }
        // Thoughts within the content, as Mistral sends them: no field is known for sending them
        // back.
        has_added |= !delta.content.thought.is_empty();
        *written += delta.content.thought.len();
        let thought = |said: &Said<'_>| format!("{}{}", said.text, said.thought);
        let reasoning = [
            ("reasoning_content", thought(&delta.reasoning_content)),
            ("reasoning", thought(&delta.reasoning)),
        ];
        for (name, text) in reasoning {
            if text.is_empty() {
                continue;
            }
            has_added = true;
            *written += text.len();
            let (kept, so_far) = self.reasoning.get_or_insert_with(|| (name, String::new()));
            // Servers that use both names send the same text under each.
            if *kept == name {
                so_far.push_str(&text);
            }
        }
        for (name, value) in [
            ("reasoning_details", delta.reasoning_details),
            ("thinking_blocks", delta.thinking_blocks),
        ] {
            has_added |= value.is_some();
            value
                .into_iter()
                .for_each(|value| keep_parts(&mut self.kept, name, value));
        }
        if let Some(value) = delta.extra_content {
            has_added = true;
            self.kept.insert("extra_content".into(), value);
        }
        let are_many = delta.tool_calls.len() > 1;
        let calls = delta.tool_calls.into_iter().enumerate();
        let pieces = calls.map(|(place, call)| call.piece(are_many.then_some(place)));
        for piece in pieces.chain(delta.function_call.map(calls::Function::piece)) {
            *written += piece.arguments.len();
            self.calls.add(piece);
            has_added = true;
        }
        has_added
    }
}

/// Whether the value is empty.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// Adds parts of thoughts to those under `name`. They arrive in pieces, identified by index and
/// type, and are sent back complete.
fn keep_parts(kept: &mut Map<String, Value>, name: &str, parts: Value) {
    let so_far = kept.entry(name).or_insert_with(|| json!([]));
    let Value::Array(so_far) = so_far else { return };
    let parts = match parts {
        Value::Array(parts) => parts,
        part => vec![part],
    };
    for part in parts {
        let is_same = |one: &Value, field: &str| one.get(field) == part.get(field);
        let continued = so_far
            .last_mut()
            .filter(|last| is_same(last, "type") && is_same(last, "index"));
        match (continued.and_then(Value::as_object_mut), part) {
            (Some(last), Value::Object(more)) => {
                more.into_iter()
                    .for_each(|(field, value)| extend(last, field, value));
            }
            (_, part) => so_far.push(part),
        }
    }
}

/// Adds a piece of a part: texts are appended, other fields replaced.
fn extend(part: &mut Map<String, Value>, field: String, value: Value) {
    const GROWING: [&str; 5] = ["text", "summary", "data", "thinking", "signature"];
    match (part.get_mut(&field), value) {
        (Some(Value::String(text)), Value::String(more)) if GROWING.contains(&&*field) => {
            text.push_str(&more);
        }
        (Some(_), Value::Null) => {}
        (_, value) => _ = part.insert(field, value),
    }
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    object: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    model: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "lenient::list")]
    choices: Vec<Choice<'a>>,
    #[serde(default, deserialize_with = "lenient::object")]
    usage: Option<Counted>,
    /// Where Groq sends usage.
    #[serde(default, deserialize_with = "lenient::object")]
    x_groq: Option<Groq>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    service_tier: Cow<'a, str>,
    error: Option<Value>,
    base_resp: Option<Value>,
}

#[derive(Deserialize)]
struct Groq {
    #[serde(default, deserialize_with = "lenient::object")]
    usage: Option<Counted>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(default, deserialize_with = "lenient::index")]
    index: Option<usize>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    delta: Option<Delta<'a>>,
    message: Option<Value>,
    /// The text in the older completions API.
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    text: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "lenient::text")]
    finish_reason: Cow<'a, str>,
    /// Where Moonshot sends usage.
    #[serde(default, deserialize_with = "lenient::object")]
    usage: Option<Counted>,
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow, deserialize_with = "lenient::said")]
    content: Said<'a>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    refusal: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::said")]
    reasoning_content: Said<'a>,
    #[serde(borrow, deserialize_with = "lenient::said")]
    reasoning: Said<'a>,
    reasoning_details: Option<Value>,
    thinking_blocks: Option<Value>,
    extra_content: Option<Value>,
    #[serde(deserialize_with = "lenient::list")]
    tool_calls: Vec<calls::Delta>,
    #[serde(deserialize_with = "lenient::object")]
    function_call: Option<calls::Function>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::tests::{read_cut_anywhere, read_pieces};
    use divisi_core::FailureClass;
    use divisi_core::Usage;

    fn stream(chunks: &[Value]) -> String {
        chunks
            .iter()
            .map(|chunk| format!("data: {chunk}\n\n"))
            .collect()
    }

    fn delta(delta: Value) -> Value {
        json!({"model": "gpt-6-luna", "choices": [{"index": 0, "delta": delta, "finish_reason": null}]})
    }

    fn end(reason: &str) -> Value {
        json!({"model": "gpt-6-luna", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    }

    fn read(stream: &str) -> Reply {
        read_pieces(&[stream.as_bytes()], Chunks::default())
            .0
            .unwrap()
    }

    fn class(stream: &str) -> FailureClass {
        read_pieces(&[stream.as_bytes()], Chunks::default())
            .0
            .unwrap_err()
            .class
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
            read(&stream(&[delta(json!({"content": "x"})), last]))
                .billing
                .service
        };
        assert_eq!(service("flex".into()), Service::Flex);
        assert_eq!(service("priority".into()), Service::Priority);
        assert_eq!(service("default".into()), Service::Standard);
        assert_eq!(service(Value::Null), Service::Standard);
    }

    #[test]
    fn local_servers_may_leave_out_what_they_like() {
        let call = |arguments: Value| {
            delta(
                json!({"tool_calls": [{"index": 0, "function": {"name": "read", "arguments": arguments}}]}),
            )
        };
        let reply = read(&stream(&[
            call(json!({"path": "a"})),
            call(json!("{\"path\": \"b\"}")),
            end("stop"),
        ]));
        assert_eq!(reply.stop, Stop::ToolUse);
        let call = |id: &str, path: &str| Block::ToolUse {
            id: id.into(),
            name: "read".into(),
            input: json!({"path": path}),
        };
        assert_eq!(reply.blocks, [call("", "a"), call("", "b")]);
    }

    #[test]
    fn calls_with_one_index_and_their_own_ids_stay_apart() {
        let call = |id: &str| {
            delta(
                json!({"tool_calls": [{"index": 0, "id": id, "function": {"name": "read", "arguments": "{}"}}]}),
            )
        };
        assert_eq!(
            read(&stream(&[call("a"), call("b"), end("tool_calls")]))
                .blocks
                .len(),
            2
        );
    }

    #[test]
    fn ends_for_reasons_of_its_own() {
        let stop = |reason| read(&stream(&[delta(json!({"content": "x"})), end(reason)])).stop;
        assert_eq!(stop("stop"), Stop::EndTurn);
        assert_eq!(stop("length"), Stop::MaxTokens);
        assert_eq!(stop("content_filter"), Stop::Refusal);
        assert_eq!(stop("max_tokens"), Stop::MaxTokens);
        let refused = read(&stream(&[
            delta(json!({"refusal": "I cannot."})),
            end("stop"),
        ]));
        assert_eq!(
            (refused.stop, refused.text().as_str()),
            (Stop::Refusal, "I cannot.")
        );
    }

    #[test]
    fn a_reply_without_a_reason_for_its_end_is_no_reply() {
        let begun = stream(&[delta(json!({"content": "half"}))]);
        assert_eq!(class(&begun), FailureClass::Network);
        assert_eq!(
            class(&(begun.clone() + "data: [DONE]\n\n")),
            FailureClass::Network
        );
        let passed_on = json!({"error": {"code": 502, "message": "upstream died"}, "choices": []});
        assert_eq!(
            class(&(begun.clone() + &stream(&[passed_on]))),
            FailureClass::Server
        );
        assert_eq!(
            class(&(begun.clone() + &stream(&[end("abort")]))),
            FailureClass::Server
        );
        assert_eq!(
            class(&(begun + &stream(&[end("insufficient_system_resource")]))),
            FailureClass::Overloaded
        );
    }

    #[test]
    fn no_odd_field_voids_a_reply() {
        let said = |content: Value| delta(json!({"content": content}));
        let plain = [said("fine".into()), end("stop")];
        let with = |more: Value| [&plain[..], &[more]].concat();
        let changed = |name: &str, value: Value| {
            plain.clone().map(|mut chunk| {
                chunk[name] = value.clone();
                chunk
            })
        };
        for (name, chunks) in [
            (
                "choices null",
                with(json!({"choices": null, "usage": {"prompt_tokens": 9}})),
            ),
            (
                "no choices",
                with(json!({"usage": {"prompt_tokens": null}})),
            ),
            (
                "counts of all forms",
                with(
                    json!({"choices": [], "usage": {"prompt_tokens": "9", "completion_tokens": 2.0, "total_tokens": []}}),
                ),
            ),
            ("usage null", changed("usage", Value::Null).to_vec()),
            ("model null", changed("model", Value::Null).to_vec()),
            ("model a number", changed("model", 7.into()).to_vec()),
            ("error empty", changed("error", json!({})).to_vec()),
            (
                "no error of MiniMax",
                changed("base_resp", json!({"status_code": 0, "status_msg": ""})).to_vec(),
            ),
            (
                "content in parts",
                vec![
                    said(json!([{"type": "text", "text": "fi"}, "ne"])),
                    end("stop"),
                ],
            ),
            (
                "thoughts among the content",
                vec![
                    said(
                        json!([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "fine"}]),
                    ),
                    end("stop"),
                ],
            ),
            (
                "content an object",
                vec![said(json!({"text": "fine"})), end("stop")],
            ),
            (
                "choices an object",
                vec![json!({"choices": {"delta": {"content": "fine"}, "finish_reason": "stop"}})],
            ),
            (
                "index a text",
                vec![
                    json!({"choices": [{"index": "0", "delta": {"content": "fine"}}]}),
                    end("stop"),
                ],
            ),
            (
                "another choice",
                vec![
                    said("fine".into()),
                    json!({"choices": [{"index": 1, "delta": {"content": "other"}}]}),
                    end("stop"),
                ],
            ),
            (
                "delta null",
                vec![
                    said("fine".into()),
                    json!({"choices": [{"delta": null, "finish_reason": "stop"}]}),
                ],
            ),
            (
                "message beside delta",
                vec![
                    said("fine".into()),
                    json!({"choices": [{"delta": {}, "message": {"content": "fine"}, "finish_reason": "stop"}]}),
                ],
            ),
            (
                "messages that grow",
                vec![
                    json!({"choices": [{"message": {"content": "fi"}}]}),
                    json!({"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}]}),
                ],
            ),
            (
                "the older API",
                vec![json!({"choices": [{"text": "fine", "finish_reason": "stop"}]})],
            ),
            (
                "refusal empty",
                vec![
                    delta(json!({"content": "fine", "refusal": ""})),
                    end("stop"),
                ],
            ),
            (
                "reasons empty",
                vec![
                    json!({"choices": [{"delta": {"content": "fine"}, "finish_reason": ""}]}),
                    end("stop"),
                ],
            ),
        ] {
            let reply = read(&stream(&chunks));
            assert_eq!(
                (reply.text().as_str(), reply.stop),
                ("fine", Stop::EndTurn),
                "{name}"
            );
        }
    }

    #[test]
    fn the_reply_is_at_the_lowest_place_that_says_something() {
        let at = |index: Value, said: &str, reason: Value| json!({"choices": [{"index": index, "delta": {"content": said}, "finish_reason": reason}]});
        let whole = json!({"object": "chat.completion", "choices": [
            {"index": 0, "message": {"content": "fine"}, "finish_reason": "stop"}]});
        let both = json!({"choices": [
            {"message": {"content": "fine"}, "finish_reason": "stop"},
            {"message": {"content": "other"}, "finish_reason": "stop"}]});
        let empty_first = json!({"object": "chat.completion", "choices": [
            {"index": 0, "message": {"content": null}, "finish_reason": "stop"},
            {"index": 1, "message": {"content": "fine"}, "finish_reason": "stop"}]});
        for (name, chunks) in [
            (
                "another before a whole one",
                vec![at(1.into(), "other", Value::Null), whole],
            ),
            (
                "another before pieces",
                vec![
                    at(1.into(), "other", Value::Null),
                    at(0.into(), "fi", Value::Null),
                    at(0.into(), "ne", "stop".into()),
                ],
            ),
            (
                "mixed",
                vec![
                    at(0.into(), "fi", Value::Null),
                    at(1.into(), "other", "length".into()),
                    at("0".into(), "ne", "stop".into()),
                ],
            ),
            ("only another", vec![at(1.into(), "fine", "stop".into())]),
            (
                "then without an index",
                vec![
                    at(1.into(), "fi", Value::Null),
                    at(Value::Null, "ne", "stop".into()),
                ],
            ),
            ("several without an index", vec![both]),
            ("nothing at the first", vec![empty_first]),
            (
                "more than anybody asks for",
                (0..100)
                    .rev()
                    .map(|n| at(n.into(), "fine", "stop".into()))
                    .collect(),
            ),
        ] {
            let reply = read(&(stream(&chunks) + "data: [DONE]\n\n"));
            assert_eq!(
                (reply.text().as_str(), reply.stop),
                ("fine", Stop::EndTurn),
                "{name}"
            );
        }
        let apart = json!({"object": "chat.completion", "choices": [
            {"index": 0, "message": {"content": "Let me look."}, "finish_reason": "tool_calls"},
            {"index": 1, "finish_reason": "tool_calls", "message": {"tool_calls": [
                {"id": "c1", "function": {"name": "read", "arguments": "{}"}}]}}]});
        let reply = read(&stream(&[apart]));
        assert_eq!(
            (reply.text().as_str(), reply.stop, reply.blocks.len()),
            ("Let me look.", Stop::ToolUse, 2)
        );
    }

    #[test]
    fn a_body_is_what_it_holds() {
        let whole = json!({"object": "chat.completion", "model": "m", "usage": {"prompt_tokens": 9, "completion_tokens": 2},
            "choices": [{"message": {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "function": {"name": "read", "arguments": "{}"}}]}, "finish_reason": "stop"}]});
        for body in [
            whole.to_string(),
            format!("{whole:#}"),
            format!("data: {whole}\n\ndata: [DONE]\n\n"),
        ] {
            let reply = read(&body);
            assert_eq!(
                (reply.stop, reply.blocks.len(), reply.usage.output),
                (Stop::ToolUse, 1, 2),
                "{body}"
            );
        }
        let lines: String = [delta(json!({"content": "fine"})), end("stop")]
            .iter()
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(read(&lines).text(), "fine");
        let error = |body: &str| {
            read_pieces(&[body.as_bytes()], Chunks::default())
                .0
                .unwrap_err()
        };
        let limited = error(r#"{"error": {"message": "slow down", "code": 429}}"#);
        assert_eq!(
            (limited.class, limited.maybe_billed),
            (FailureClass::RateLimited, false)
        );
        assert!(limited.message.contains("slow down"));
        let first = error(
            "data: {\"object\": \"error\", \"message\": \"no such field\", \"code\": 400}\n\n",
        );
        assert_eq!(
            (first.class, first.maybe_billed),
            (FailureClass::BadRequest, false)
        );
        let late = error(
            &(stream(&[delta(json!({"content": "half"}))])
                + "event: error\ndata: upstream gone\n\n"),
        );
        assert!(
            late.maybe_billed && late.message.contains("upstream gone"),
            "{late}"
        );
        let words = error("upstream connect error or disconnect");
        assert_eq!(words.class, FailureClass::Server);
        assert!(words.message.contains("upstream connect error"));
        assert_eq!(error("<html></html>").class, FailureClass::BadRequest);
        assert_eq!(error("").class, FailureClass::Network);
        assert_eq!(error(&whole.to_string()[..60]).class, FailureClass::Network);
        assert_eq!(error(": PROCESSING\n\n").class, FailureClass::Network);
    }

    #[test]
    fn usage_is_read_wherever_it_stands() {
        let counted = |chunk: Value| {
            read(&stream(&[
                delta(json!({"content": "x"})),
                chunk,
                end("stop"),
            ]))
            .usage
        };
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 5, "cached_tokens": 60});
        let right = Usage {
            input: 40,
            cache_read: 60,
            output: 5,
            ..Usage::default()
        };
        assert_eq!(counted(json!({"choices": [], "usage": usage})), right);
        assert_eq!(
            counted(json!({"choices": [], "x_groq": {"id": "x", "usage": usage}})),
            right
        );
        assert_eq!(
            counted(json!({"choices": [{"index": 0, "delta": {}, "usage": usage}]})),
            right
        );
    }

    #[test]
    fn what_a_vendor_wants_back_is_kept() {
        let signature = json!({"google": {"thought_signature": "c2ln"}});
        let reply = read(&stream(&[
            delta(
                json!({"reasoning": "h", "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0}]}),
            ),
            delta(
                json!({"reasoning": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "signature": "s", "index": 0}]}),
            ),
            delta(
                json!({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x", "index": 1}]}),
            ),
            delta(
                json!({"tool_calls": [{"index": 0, "id": "c1", "extra_content": signature, "function": {"name": "read", "arguments": "{}"}}]}),
            ),
            end("tool_calls"),
        ]));
        insta::assert_json_snapshot!(reply.blocks, @r#"
        [
          {
            "opaque": {
              "reasoning": "hm"
            }
          },
          {
            "opaque": {
              "reasoning_details": [
                {
                  "type": "reasoning.text",
                  "text": "hm",
                  "index": 0,
                  "signature": "s"
                },
                {
                  "type": "reasoning.encrypted",
                  "data": "x",
                  "index": 1
                }
              ]
            }
          },
          {
            "opaque": {
              "fields_of_next": {
                "extra_content": {
                  "google": {
                    "thought_signature": "c2ln"
                  }
                }
              }
            }
          },
          {
            "tool_use": {
              "id": "c1",
              "name": "read",
              "input": {}
            }
          }
        ]
        "#);
    }

    #[test]
    fn halves_of_characters_and_calls_without_a_reason_are_read() {
        let halves = r#"data: {"choices": [{"delta": {"content": "a\ud83d"}}]}

data: {"choices": [{"delta": {"content": "\ude00b", "logprobs": NaN}, "finish_reason": "stop"}]}

"#;
        assert_eq!(read_cut_anywhere(halves, Chunks::default).text(), "a😀b");
        let call = |arguments: &str| {
            stream(&[delta(
                json!({"tool_calls": [{"id": "c", "function": {"name": "read", "arguments": arguments}}]}),
            )])
        };
        assert_eq!(read(&(call("{}") + "data: [DONE]\n\n")).stop, Stop::ToolUse);
        assert_eq!(class(&call("{}")), FailureClass::Network);
        assert_eq!(
            class(&(call("{\"pa") + "data: [DONE]\n\n")),
            FailureClass::Network
        );
    }
}
