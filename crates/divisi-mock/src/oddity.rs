//! Oddities of servers: the answer is complete, but in an unusual format.

use crate::answer::{Answer, Part, Stop};
use crate::dialect::Dialect;
use crate::fault::Oddity;
use crate::frames::Frames;
use crate::stats::Tokens;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::Write;

impl Oddity {
    /// Changes the content of an answer.
    pub(crate) fn bend(self, answer: &mut Answer<'_>) {
        let is_call = |part: &Part| matches!(part, Part::ToolCall { .. });
        match self {
            Self::Empty => (answer.parts, answer.stop) = (vec![], Stop::End),
            Self::Blank => {
                (answer.parts, answer.stop) = (vec![Part::Text("\n\n".into())], Stop::End);
            }
            Self::ToolStopWithoutCall => {
                answer.parts.retain(|part| !is_call(part));
                answer.stop = Stop::ToolUse;
            }
            Self::ProperStopWithCall => answer.stop = Stop::End,
            Self::ZeroUsage => answer.usage = Tokens::default(),
            Self::EncodedArguments => {
                for part in &mut answer.parts {
                    if let Part::ToolCall { input, .. } = part {
                        *input = input.to_string().into();
                    }
                }
            }
            _ => {}
        }
    }

    /// Changes the format of an answer.
    pub(crate) fn twist<D: Dialect>(self, frames: Frames) -> Frames {
        match self {
            Self::CarriageReturns => frames.map(|frame| frame.replace('\n', "\r\n")),
            Self::ByteOrderMark => {
                let mut is_first = true;
                frames.map(|frame| {
                    if std::mem::take(&mut is_first) {
                        format!("\u{feff}{frame}")
                    } else {
                        frame.to_owned()
                    }
                })
            }
            Self::NoBlankLines => frames.map(|frame| frame.replace("\n\n", "\n")),
            Self::Comments => frames.map(|frame| format!(": keep-alive\n\n{frame}")),
            Self::JsonLines => frames.map(|frame| match data(frame) {
                Some(event) => format!("{event}\n"),
                None => String::new(),
            }),
            Self::NoEndMark => frames.map(|frame| {
                let is_mark = frame.contains("[DONE]") || frame.starts_with("event: message_stop");
                if is_mark {
                    String::new()
                } else {
                    frame.to_owned()
                }
            }),
            Self::UnknownFields => frames.map(|frame| {
                let novelty =
                    json!({"type": "novelty", "object": "novelty", "choices": null, "x": [null]});
                edited(frame, &mut |object| {
                    object.insert("novelty".into(), json!({"x": 1}));
                    for absent in ["error", "refusal", "stop_sequence", "logprobs"] {
                        object.entry(absent).or_insert(Value::Null);
                    }
                }) + &format!("event: novelty\ndata: {novelty}\n\n")
            }),
            Self::NoStopReason => frames.map(|frame| ended(frame, Value::Null, "incomplete")),
            Self::OddStopReason => frames.map(|frame| ended(frame, "error".into(), "cancelled")),
            Self::NoIds => frames.map(|frame| named(frame, "")),
            Self::SameIds => frames.map(|frame| named(frame, "call_0")),
            _ => frames,
        }
    }

    /// Whether a stream is sent in one piece.
    pub(crate) fn is_whole(self) -> bool {
        matches!(self, Self::NotStreamed)
    }
}

/// `body` as gzip.
pub(crate) fn compressed(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .expect("compressing into memory does not fail")
}

/// The event in a frame.
fn data(frame: &str) -> Option<Value> {
    let line = frame.lines().find_map(|line| line.strip_prefix("data: "))?;
    serde_json::from_str(line).ok()
}

/// A frame with `edit` applied to all its objects, innermost first, so that added objects are not
/// edited.
fn edited(frame: &str, edit: &mut dyn FnMut(&mut serde_json::Map<String, Value>)) -> String {
    let Some(mut event) = data(frame) else {
        return frame.to_owned();
    };
    walk(&mut event, edit);
    let name = frame
        .lines()
        .find(|line| line.starts_with("event: "))
        .map(|line| format!("{line}\n"));
    format!("{}data: {event}\n\n", name.unwrap_or_default())
}

fn walk(value: &mut Value, edit: &mut dyn FnMut(&mut serde_json::Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(|value| walk(value, edit));
            edit(fields);
        }
        Value::Array(items) => items.iter_mut().for_each(|value| walk(value, edit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A frame with another stop reason: `reason`, or `status` if the API has a status.
fn ended(frame: &str, reason: Value, status: &str) -> String {
    edited(frame, &mut |object| {
        for name in ["finish_reason", "stop_reason"] {
            if object.get(name).is_some_and(Value::is_string) {
                object.insert(name.to_owned(), reason.clone());
            }
        }
        if object.get("object") == Some(&"response".into()) && object["status"] != "in_progress" {
            object.insert("status".to_owned(), status.into());
        }
    })
}

/// A frame in which all tool calls have this id.
fn named(frame: &str, id: &str) -> String {
    edited(frame, &mut |object| {
        let is_call =
            object.contains_key("function") || object.get("type") == Some(&"tool_use".into());
        for name in ["id", "call_id"] {
            if (is_call && name == "id" || name == "call_id") && object.contains_key(name) {
                object.insert(name.to_owned(), id.into());
            }
        }
    })
}
