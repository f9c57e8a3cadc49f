//! Fuzzes recorded replies of all three wire formats: cut, moved, duplicated, nulled and retyped at
//! every place.
//!
//! No change may cause a panic. A change after which the reply is still readable must leave the
//! same text, calls and end; a change that removes its end must not give a success. The test knows
//! which is which, because it makes the changes.
//!
//! The suite uses the same cases each time, so that a failure comes from a change of the code; with
//! `DIVISI_FUZZ_SECONDS` it uses new cases for that time.

use crate::anthropic::events::Events as Messages;
use crate::openai_chat::chunks::Chunks;
use crate::openai_responses::events::Events as Responses;
use crate::reply::Reply;
use crate::request::Block;
use crate::stream::Assembler;
use crate::stream::tests::Reader;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Batches of each format in the suite.
const BATCHES: u64 = 8;

/// Executions between two checks of the clock.
const BATCH: u32 = 512;

/// A recorded reply, and what must be kept of it.
struct Recorded {
    /// Name and data of each event; the name may be empty, and `null` data is the end mark.
    events: Vec<(&'static str, Value)>,
    /// The event with which the reply is complete.
    end: usize,
    /// Events that may be left out, duplicated and moved.
    idle: Vec<usize>,
    /// Events that may arrive twice in a row.
    repeatable: Vec<usize>,
    /// Parts of the paths of required fields.
    needed: &'static [&'static str],
}

/// Fields with an index, where another number has another meaning.
const PLACES: [&str; 3] = ["index", "output_index", "content_index"];

fn chat() -> Recorded {
    let chunk = |delta: Value, reason: Value| {
        (
            "",
            json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "f",
            "service_tier": "default",
            "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]}),
        )
    };
    let call = |call: Value| chunk(json!({"tool_calls": [call]}), Value::Null);
    let usage = json!({"id": "c1", "model": "m", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 8,
        "total_tokens": 17, "prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}});
    Recorded {
        events: vec![
            (
                "",
                json!({"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}),
            ),
            chunk(
                json!({"role": "assistant", "reasoning_content": "hm"}),
                Value::Null,
            ),
            chunk(json!({"content": "Voilà: \"𝄞\""}), Value::Null),
            chunk(json!({"content": "\\ and {1}.\n"}), Value::Null),
            call(
                json!({"index": 0, "id": "a", "type": "function", "function": {"name": "read", "arguments": ""}}),
            ),
            call(json!({"index": 0, "function": {"arguments": "{\"path\": \"s"}})),
            call(json!({"index": 0, "function": {"arguments": "rc\"}"}})),
            call(
                json!({"index": 1, "id": "b", "type": "function", "function": {"name": "list", "arguments": "{}"}}),
            ),
            chunk(json!({}), "tool_calls".into()),
            ("", usage),
            ("", Value::Null),
        ],
        end: 8,
        idle: vec![0, 1, 9],
        repeatable: vec![0, 1, 4, 8, 9],
        needed: &["/content", "/function", "/finish_reason", "/tool_calls"],
    }
}

fn messages() -> Recorded {
    let event = |name: &'static str, mut data: Value| {
        data["type"] = name.into();
        (name, data)
    };
    let start = |index: usize, block: Value| {
        event(
            "content_block_start",
            json!({"index": index, "content_block": block}),
        )
    };
    let delta = |index: usize, delta: Value| {
        event(
            "content_block_delta",
            json!({"index": index, "delta": delta}),
        )
    };
    let stop = |index: usize| event("content_block_stop", json!({"index": index}));
    let usage = json!({"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 1, "cache_creation": {"ephemeral_5m_input_tokens": 2}});
    Recorded {
        events: vec![
            event(
                "message_start",
                json!({"message": {"id": "m1", "model": "m", "content": [], "stop_reason": null, "usage": usage}}),
            ),
            event("ping", json!({})),
            start(
                0,
                json!({"type": "thinking", "thinking": "", "signature": ""}),
            ),
            delta(0, json!({"type": "thinking_delta", "thinking": "hm"})),
            delta(0, json!({"type": "signature_delta", "signature": "c2ln"})),
            stop(0),
            start(1, json!({"type": "text", "text": ""})),
            delta(1, json!({"type": "text_delta", "text": "Voilà: \"𝄞\""})),
            delta(1, json!({"type": "text_delta", "text": "\\ and {1}.\n"})),
            stop(1),
            start(
                2,
                json!({"type": "tool_use", "id": "a", "name": "read", "input": {}}),
            ),
            delta(
                2,
                json!({"type": "input_json_delta", "partial_json": "{\"path\": \"s"}),
            ),
            delta(
                2,
                json!({"type": "input_json_delta", "partial_json": "rc\"}"}),
            ),
            stop(2),
            start(
                3,
                json!({"type": "tool_use", "id": "b", "name": "list", "input": {}}),
            ),
            stop(3),
            event(
                "message_delta",
                json!({"delta": {"stop_reason": "tool_use", "stop_sequence": null}, "usage": {"output_tokens": 8}}),
            ),
            event("message_stop", json!({})),
        ],
        end: 16,
        idle: vec![0, 1, 5, 9, 13, 15],
        repeatable: vec![0, 1, 2, 5, 6, 9, 10, 14, 16],
        needed: &[
            "/content_block",
            "/delta/text",
            "/delta/partial_json",
            "/delta/stop_reason",
            "/message/content",
        ],
    }
}

fn responses() -> Recorded {
    let event = |name: &'static str, mut data: Value| {
        data["type"] = name.into();
        (name, data)
    };
    let message = |content: Value| json!({"type": "message", "id": "msg_1", "status": "x", "role": "assistant", "content": content});
    let text = |text: &str| json!([{"type": "output_text", "text": text, "annotations": []}]);
    let call = |id: &str, name: &str, arguments: &str| json!({"type": "function_call", "id": format!("fc_{id}"), "call_id": id, "name": name, "arguments": arguments});
    let whole = "Voilà: \"𝄞\"\\ and {1}.\n";
    let reasoning =
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"});
    let at = |index: usize, name: &str, value: Value| json!({"output_index": index, "content_index": 0, "item_id": "x", name: value});
    let usage = json!({"input_tokens": 9, "output_tokens": 8, "input_tokens_details": {"cached_tokens": 4}, "output_tokens_details": {"reasoning_tokens": 2}});
    let output = json!([
        reasoning,
        message(text(whole)),
        call("a", "read", "{\"path\": \"src\"}"),
        call("b", "list", "{}")
    ]);
    Recorded {
        events: vec![
            event(
                "response.created",
                json!({"response": {"model": "m", "status": "in_progress", "output": []}}),
            ),
            event("response.in_progress", json!({"response": {"model": "m"}})),
            event(
                "response.output_item.done",
                json!({"output_index": 0, "item": reasoning}),
            ),
            event(
                "response.output_item.added",
                json!({"output_index": 1, "item": message(json!([]))}),
            ),
            event(
                "response.content_part.added",
                at(1, "part", text("")[0].clone()),
            ),
            event(
                "response.output_text.delta",
                at(1, "delta", "Voilà: \"𝄞\"".into()),
            ),
            event(
                "response.output_text.delta",
                at(1, "delta", "\\ and {1}.\n".into()),
            ),
            event(
                "response.content_part.done",
                at(1, "part", text(whole)[0].clone()),
            ),
            event(
                "response.output_item.done",
                json!({"output_index": 1, "item": message(text(whole))}),
            ),
            event(
                "response.output_item.added",
                json!({"output_index": 2, "item": call("a", "read", "")}),
            ),
            event(
                "response.function_call_arguments.delta",
                json!({"output_index": 2, "item_id": "fc_a", "delta": "{\"path\": \"s"}),
            ),
            event(
                "response.function_call_arguments.delta",
                json!({"output_index": 2, "item_id": "fc_a", "delta": "rc\"}"}),
            ),
            event(
                "response.output_item.done",
                json!({"output_index": 2, "item": call("a", "read", "{\"path\": \"src\"}")}),
            ),
            event(
                "response.output_item.done",
                json!({"output_index": 3, "item": call("b", "list", "{}")}),
            ),
            event(
                "response.completed",
                json!({"response": {"model": "m", "status": "completed", "incomplete_details": null,
                "service_tier": "default", "output": output, "usage": usage}}),
            ),
        ],
        end: 14,
        idle: vec![0, 1, 4, 7],
        repeatable: vec![0, 1, 2, 3, 4, 7, 8, 9, 12, 13],
        needed: &[
            "/item",
            "/delta",
            "/response/output",
            "/response/status",
            "/part",
        ],
    }
}

/// A change of a reply. Numbers are taken modulo the number of possible places.
#[derive(Clone, Debug)]
enum Change {
    /// Replaces a field of an event.
    Field {
        event: usize,
        field: usize,
        form: usize,
    },
    /// Adds an unknown field.
    Unknown {
        event: usize,
    },
    /// Leaves out, duplicates or moves an event.
    Leave {
        event: usize,
    },
    Double {
        event: usize,
    },
    Move {
        event: usize,
        to: usize,
    },
    /// Adds an unknown event.
    Novelty {
        at: usize,
    },
    /// The same, even if the reply becomes unreadable.
    Wild {
        event: usize,
        field: usize,
        form: usize,
        to: usize,
    },
}

/// The way a reply is sent.
#[derive(Clone, Debug)]
struct Sending {
    changes: Vec<Change>,
    line_end: usize,
    marked: bool,
    comments: bool,
    labelled: bool,
    spaced: bool,
    /// Where it is split into pieces, and where it ends early, in parts of 65,536.
    cuts: Vec<u16>,
    ends: Option<u16>,
    /// A changed byte at any place.
    flipped: Option<(u16, u8)>,
}

fn change() -> impl Strategy<Value = Change> {
    let n = 0..1_000_usize;
    prop_oneof![
        6 => (n.clone(), n.clone(), n.clone()).prop_map(|(event, field, form)| Change::Field { event, field, form }),
        1 => n.clone().prop_map(|event| Change::Unknown { event }),
        1 => n.clone().prop_map(|event| Change::Leave { event }),
        1 => n.clone().prop_map(|event| Change::Double { event }),
        1 => (n.clone(), n.clone()).prop_map(|(event, to)| Change::Move { event, to }),
        1 => n.clone().prop_map(|at| Change::Novelty { at }),
        1 => (n.clone(), n.clone(), n.clone(), n).prop_map(|(event, field, form, to)| Change::Wild { event, field, form, to }),
    ]
}

fn sending() -> impl Strategy<Value = Sending> {
    let framing = (
        0..3_usize,
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.9),
    );
    let cuts = prop::collection::vec(any::<u16>(), 0..6);
    let ends = prop::option::weighted(0.3, any::<u16>());
    let flipped = prop::option::weighted(0.1, any::<(u16, u8)>());
    (
        prop::collection::vec(change(), 0..5),
        framing,
        cuts,
        ends,
        flipped,
    )
        .prop_map(
            |(changes, (line_end, marked, comments, labelled, spaced), cuts, ends, flipped)| {
                Sending {
                    changes,
                    line_end,
                    marked,
                    comments,
                    labelled,
                    spaced,
                    cuts,
                    ends,
                    flipped,
                }
            },
        )
}

/// The paths of all values in `value`.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut inner = |name: String, value: &Value| {
        let at = format!("{at}/{name}");
        found.push(at.clone());
        pointers(value, &at, found);
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| inner(name.clone(), value)),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, value)| inner(index.to_string(), value));
        }
        _ => {}
    }
}

/// Another form of `value`; `None` removes it.
fn formed(value: &Value, form: usize) -> Option<Value> {
    Some(match form % 9 {
        0 => return None,
        1 => Value::Null,
        2 => json!(true),
        3 => json!(-1),
        4 => json!(1.5),
        5 => json!("odd"),
        6 => json!([]),
        7 => json!({"unknown": [1]}),
        _ => match value {
            Value::Number(number) => json!(number.to_string()),
            other => other.clone(),
        },
    })
}

fn set(data: &mut Value, pointer: &str, new: Option<Value>) {
    let Some((parent, name)) = pointer.rsplit_once('/') else {
        return;
    };
    match (data.pointer_mut(parent), new) {
        (Some(Value::Object(fields)), Some(new)) => _ = fields.insert(name.to_owned(), new),
        (Some(Value::Object(fields)), None) => _ = fields.shift_remove(name),
        (Some(Value::Array(items)), new) => {
            if let Some(item) = name
                .parse()
                .ok()
                .and_then(|index: usize| items.get_mut(index))
            {
                *item = new.unwrap_or_default();
            }
        }
        _ => {}
    }
}

impl Recorded {
    /// Whether the reply stays readable with another value at `pointer`.
    fn may_change(&self, pointer: &str, form: usize, labelled: bool) -> bool {
        let name = pointer.rsplit('/').next().unwrap_or_default();
        let touches = |needed: &&str| {
            pointer.starts_with(*needed) || needed.starts_with(pointer) || pointer.contains(*needed)
        };
        if PLACES.contains(&name) {
            return false;
        }
        if name == "type" && (matches!(form % 9, 3..=5) || pointer == "/type" && !labelled) {
            // Another type changes the meaning; a missing one is derived from the other fields.
            return false;
        }
        // A choice and its delta are required if they have content.
        let is_frame = [
            "/choices",
            "/choices/0",
            "/choices/0/delta",
            "/delta",
            "/response",
            "/message",
        ]
        .contains(&pointer);
        let is_needed = self.needed.iter().any(touches);
        !(is_frame || is_needed || name == "error" && form % 9 > 1)
    }

    /// The reply after `changes`: its events, and whether it is still readable.
    fn changed(&self, sending: &Sending) -> (Vec<(&'static str, Value, bool)>, bool) {
        let mut events: Vec<_> = self
            .events
            .iter()
            .enumerate()
            .map(|(n, (name, data))| (n, *name, data.clone()))
            .collect();
        let mut is_readable = true;
        for change in &sending.changes {
            let len = events.len();
            let position = |n: &usize, events: &[(usize, &'static str, Value)], of: &[usize]| {
                events
                    .iter()
                    .position(|(number, ..)| *number == of[n % of.len()])
            };
            match change {
                Change::Field { event, field, form } => {
                    let data = &mut events[event % len].2;
                    let mut all = Vec::new();
                    pointers(data, "", &mut all);
                    let Some(pointer) = all.get(field % all.len().max(1)) else {
                        continue;
                    };
                    if self.may_change(pointer, *form, sending.labelled) {
                        let new = data.pointer(pointer).and_then(|value| formed(value, *form));
                        set(data, pointer, new);
                    }
                }
                Change::Unknown { event } => {
                    if let Value::Object(fields) = &mut events[event % len].2 {
                        fields.insert("novelty".into(), json!({"choices": [null], "delta": 7}));
                    }
                }
                Change::Leave { event } => {
                    if let Some(at) = position(event, &events, &self.idle) {
                        events.remove(at);
                    }
                }
                Change::Double { event } => {
                    if let Some(at) = position(event, &events, &self.repeatable) {
                        events.insert(at, events[at].clone());
                    }
                }
                Change::Move { event, to } => {
                    if let Some(at) = position(event, &events, &self.idle) {
                        let moved = events.remove(at);
                        events.insert(to % len.max(1), moved);
                    }
                }
                Change::Novelty { at } => {
                    let data = json!({"type": "novelty", "choices": null, "x": [{"y": 1}]});
                    events.insert(at % (len + 1), (usize::MAX, "novelty", data));
                }
                Change::Wild {
                    event,
                    field,
                    form,
                    to,
                } => {
                    is_readable = false;
                    let from = event % len;
                    let mut all = Vec::new();
                    pointers(&events[from].2, "", &mut all);
                    if let Some(pointer) = all.get(field % all.len().max(1)) {
                        let new = events[from]
                            .2
                            .pointer(pointer)
                            .and_then(|value| formed(value, *form));
                        set(&mut events[from].2, pointer, new);
                    }
                    events.swap(from, to % len);
                }
            }
        }
        let events = events
            .into_iter()
            .map(|(number, name, data)| (name, data, number == self.end))
            .collect();
        (events, is_readable)
    }

    /// The bytes to send, and whether the reply in them is complete, as far as known.
    fn bytes(&self, sending: &Sending) -> (Vec<u8>, Verdict) {
        let line_end = ["\n", "\r\n", "\r"][sending.line_end];
        let (events, mut is_known) = self.changed(sending);
        let mut out = if sending.marked {
            "\u{feff}".to_owned()
        } else {
            String::new()
        };
        let mut whole_from = None;
        for (name, data, is_end) in &events {
            if sending.comments {
                out.push_str(&format!(": keep alive{line_end}{line_end}"));
            }
            if sending.labelled && !name.is_empty() {
                out.push_str(&format!("event: {name}{line_end}"));
            }
            let data = if data.is_null() {
                "[DONE]".to_owned()
            } else {
                data.to_string()
            };
            out.push_str(&format!("data: {data}"));
            if *is_end && whole_from.is_none() {
                whole_from = Some(out.len());
            }
            out.push_str(line_end);
            if sending.spaced {
                out.push_str(line_end);
            }
        }
        let mut bytes = out.into_bytes();
        let mut is_whole = true;
        if let Some(ends) = sending.ends {
            let end = bytes.len() * usize::from(ends) / 65_536;
            bytes.truncate(end);
            is_whole = whole_from.is_some_and(|from| end >= from);
        }
        if let Some((at, byte)) = sending.flipped
            && !bytes.is_empty()
        {
            is_known = false;
            let at = bytes.len() * usize::from(at) / 65_536;
            bytes[at] = byte;
        }
        let verdict = match (is_known, is_whole) {
            (false, _) => Verdict::Unknown,
            (true, true) => Verdict::Whole,
            (true, false) => Verdict::Half,
        };
        (bytes, verdict)
    }
}

/// The expected result for the bytes sent.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Verdict {
    Whole,
    Half,
    Unknown,
}

/// What must be kept of a reply.
fn essence(reply: &Reply) -> String {
    let call = |block: &Block| match block {
        Block::ToolUse { name, input, .. } => Some(format!("{name}({input})")),
        Block::Text { .. } | Block::ToolResult { .. } | Block::Opaque(_) => None,
    };
    let calls: Vec<_> = reply.blocks.iter().filter_map(call).collect();
    format!("{:?} {:?} {}", reply.stop, reply.text(), calls.join(" "))
}

/// Fuzzes one format for its time, and reports the number of executions.
#[expect(clippy::print_stderr, reason = "who fuzzes wants to know how often")]
#[expect(clippy::result_large_err, reason = "as sends return it")]
fn fuzz<A: Assembler>(name: &str, recorded: &Recorded, assembler: impl Fn() -> A) {
    let reader = Reader::new();
    let read = |pieces: &[&[u8]]| reader.read(pieces, assembler()).0;
    let plain = Sending {
        changes: vec![],
        line_end: 0,
        marked: false,
        comments: false,
        labelled: true,
        spaced: true,
        cuts: vec![],
        ends: None,
        flipped: None,
    };
    let (bytes, _) = recorded.bytes(&plain);
    let right = essence(&read(&[&bytes]).unwrap_or_else(|error| panic!("{name}: {error}")));
    assert!(
        right.contains("Voil") && right.contains("src"),
        "{name}: {right}"
    );
    let seconds: Option<u64> = std::env::var("DIVISI_FUZZ_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok());
    let begun_at = Instant::now();
    let begun = seconds.map_or_else(
        || "suite".to_owned(),
        |_| format!("{:?}", std::time::SystemTime::now()),
    );
    let is_over = |batch: u64| match seconds {
        Some(seconds) => begun_at.elapsed() >= Duration::from_secs(seconds),
        None => batch >= BATCHES,
    };
    let mut counts = [0_u64; 3];
    let mut batches = 0..;
    while let Some(batch) = batches.next().filter(|batch| !is_over(*batch)) {
        let seed: [u8; 32] = blake3::hash(format!("{name} {begun} {batch}").as_bytes()).into();
        let config = Config {
            cases: BATCH,
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner =
            TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
        let seen = std::cell::RefCell::new([0_u64; 3]);
        let outcome = runner.run(&sending(), |sending| {
            let (bytes, verdict) = recorded.bytes(&sending);
            let mut cuts: Vec<_> = sending
                .cuts
                .iter()
                .map(|cut| bytes.len() * usize::from(*cut) / 65_536)
                .collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
            let result = read(&pieces);
            seen.borrow_mut()[verdict as usize] += 1;
            let fail = |what: String| {
                Err(TestCaseError::fail(format!(
                    "{what}\n{}",
                    String::from_utf8_lossy(&bytes)
                )))
            };
            match (verdict, result) {
                (Verdict::Whole, Ok(reply)) if essence(&reply) == right => Ok(()),
                (Verdict::Whole, Ok(reply)) => fail(format!("{} is not {right}", essence(&reply))),
                (Verdict::Whole, Err(error)) => fail(format!("a whole reply was lost: {error}")),
                (Verdict::Half, Ok(reply)) => {
                    fail(format!("half a reply is a success: {}", essence(&reply)))
                }
                (Verdict::Half, Err(_)) | (Verdict::Unknown, _) => Ok(()),
            }
        });
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
        counts
            .iter_mut()
            .zip(seen.into_inner())
            .for_each(|(count, seen)| *count += seen);
    }
    assert!(counts.iter().all(|count| *count > 0), "{name}: {counts:?}");
    let [whole, half, unknown] = counts;
    let executions = whole + half + unknown;
    eprintln!(
        "fuzz {name}: {executions} executions in {:?}: {whole} whole, {half} cut off, {unknown} broken",
        begun_at.elapsed()
    );
}

#[test]
fn fuzz_chat_completions() {
    fuzz("chat completions", &chat(), Chunks::default);
}

#[test]
fn fuzz_messages() {
    fuzz("messages", &messages(), Messages::default);
}

#[test]
fn fuzz_responses() {
    fuzz("responses", &responses(), Responses::default);
}
