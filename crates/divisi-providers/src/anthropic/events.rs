//! Assembles a reply from the events of the Messages API.

use super::usage::Bill;
use crate::calls;
use crate::end::{self, End, Unfinished};
use crate::fault;
use crate::lenient::{self, text_in};
use crate::repair::joined;
use crate::reply::Reply;
use crate::request::Block;
use crate::stream::{Assembler, Trouble};
use crate::usage::Habits;
use divisi_core::Usage;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The reply received so far.
#[derive(Default)]
pub(crate) struct Events {
    model: String,
    parts: Vec<Part>,
    bill: Bill,
    end: Option<End>,
    written: usize,
    is_complete: bool,
}

/// A block received so far.
struct Part {
    /// Its index, as sent by the server.
    index: usize,
    is_closed: bool,
    content: Content,
}

enum Content {
    Text(String),
    /// `begun` is the input in the block's first event, for servers that send no more.
    ToolUse {
        id: String,
        name: String,
        begun: Option<Value>,
        input: String,
    },
    Opaque {
        value: Map<String, Value>,
        input: String,
    },
}

impl Assembler for Events {
    fn take(&mut self, name: &str, data: &str) -> Result<bool, Trouble> {
        let event: Event<'_> = serde_json::from_str(data)?;
        let kind = if event.kind.is_empty() {
            name
        } else {
            &event.kind
        };
        Ok(match kind {
            "content_block_delta" => self.add(event.index, &event.delta.unwrap_or_default()),
            "content_block_start" => event
                .content_block
                .is_some_and(|block| self.begin(event.index, block)),
            "content_block_stop" => self.close(event.index),
            "message_start" => event.message.is_some_and(|message| self.start(message)),
            "message_delta" => {
                let delta = event.delta.unwrap_or_default();
                let bills = [event.usage, delta.usage].into_iter().flatten();
                // Counted, because `any` would stop at the first, and every one must be applied.
                let has_bill = bills.filter(|bill| self.bill.raise(bill)).count() > 0;
                self.stop(&delta.stop_reason) || has_bill
            }
            "message_stop" => {
                // Where Bedrock sends usage.
                event
                    .usage
                    .or(event.metrics)
                    .into_iter()
                    .for_each(|bill| _ = self.bill.raise(bill));
                self.is_complete = true;
                true
            }
            "ping" => false,
            // A whole message instead of a stream.
            "message" => {
                let message: Message<'_> = serde_json::from_str(data)?;
                self.stop(&message.stop_reason);
                self.start(message);
                self.is_complete = true;
                true
            }
            _ => match serde_json::from_str(data).ok().as_ref().and_then(fault::of) {
                Some(error) => return Err(Trouble::Vendor(error)),
                None => false,
            },
        })
    }

    fn usage(&self) -> Usage {
        self.bill.usage()
    }

    fn written(&self) -> usize {
        self.written
    }

    fn said(&self) -> &str {
        let text = |part: &'_ Part| matches!(part.content, Content::Text(_));
        match self
            .parts
            .iter()
            .find(|part| text(part))
            .map(|part| &part.content)
        {
            Some(Content::Text(text)) => text,
            _ => "",
        }
    }

    fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    fn is_complete(&self) -> bool {
        self.is_complete
    }

    fn finish(self) -> Result<Reply, Unfinished> {
        let calls = || {
            self.parts
                .iter()
                .filter(|part| matches!(part.content, Content::ToolUse { .. }))
        };
        let is_marked = self.is_complete && calls().all(Part::is_whole);
        let stop = end::decided(self.end.clone(), calls().next().is_some(), is_marked)?;
        Ok(Reply {
            model: self.model,
            blocks: self
                .parts
                .into_iter()
                .filter_map(|part| part.content.finish())
                .collect(),
            stop,
            billing: self.bill.billing(),
            usage_estimated: false,
            usage: self.bill.usage(),
            request_id: None,
            rate: Default::default(),
        })
    }
}

impl Events {
    /// An empty reply of a vendor with these habits.
    pub(crate) fn by(habits: Habits) -> Self {
        Self {
            bill: Bill::by(habits),
            ..Self::default()
        }
    }

    /// Applies a message: its beginning, or all of it.
    fn start(
        &mut self,
        Message {
            model,
            usage,
            content,
            ..
        }: Message<'_>,
    ) -> bool {
        if self.model.is_empty() {
            self.model = model.into_owned();
        }
        usage
            .into_iter()
            .for_each(|usage| _ = self.bill.raise(usage));
        match content {
            Some(Value::Array(blocks)) => {
                let blocks = blocks.into_iter().filter(Value::is_object);
                blocks.for_each(|block| _ = self.begin(None, block));
            }
            Some(Value::String(text)) => {
                _ = self.begin(None, serde_json::json!({"type": "text", "text": text}));
            }
            _ => {}
        }
        true
    }

    /// Begins a block. If the same block begins again with nothing in between, it is one block; a
    /// call is identified by its id, even after its end.
    fn begin(&mut self, index: Option<usize>, block: Value) -> bool {
        let Value::Object(block) = block else {
            return false;
        };
        let index = index.unwrap_or(self.parts.len());
        let content = Content::of(block);
        let is_again = |part: &Part| {
            let may_go_on = !part.is_closed || content.has_id();
            part.index == index && may_go_on && part.content.is_like(&content)
        };
        if !self.parts.last().is_some_and(is_again) {
            self.written += content.len();
            self.parts.push(Part {
                index,
                is_closed: false,
                content,
            });
        }
        true
    }

    fn close(&mut self, index: Option<usize>) -> bool {
        let part = self
            .parts
            .iter_mut()
            .rfind(|part| index.is_none_or(|index| part.index == index));
        part.map(|part| part.is_closed = true).is_some()
    }

    /// Adds a piece to its block: the one at its index if that accepts it, else the last one that
    /// does, else a new block.
    fn add(&mut self, index: Option<usize>, delta: &Delta<'_>) -> bool {
        let Some(piece) = Piece::of(delta) else {
            return false;
        };
        let fits = |part: &Part| part.content.takes(&piece);
        let at_index = self
            .parts
            .iter()
            .rposition(|part| index.is_none_or(|index| part.index == index) && fits(part));
        let place = at_index
            .or_else(|| self.parts.iter().rposition(fits))
            .or_else(|| {
                let content = piece.block()?;
                self.parts.push(Part {
                    index: index.unwrap_or(self.parts.len()),
                    is_closed: false,
                    content,
                });
                Some(self.parts.len() - 1)
            });
        let Some(place) = place else { return false };
        self.written += piece.len();
        self.parts[place].content.add(&piece);
        true
    }

    fn stop(&mut self, reason: &str) -> bool {
        let Some(end) = End::of(reason) else {
            return false;
        };
        self.end = Some(match self.end.take() {
            Some(before) => before.or_worse(end),
            None => end,
        });
        true
    }
}

impl Part {
    /// Whether its input is complete.
    fn is_whole(&self) -> bool {
        match &self.content {
            Content::ToolUse { input, .. } if input.is_empty() => true,
            Content::ToolUse { input, .. } => {
                serde_json::from_str::<serde::de::IgnoredAny>(input).is_ok()
            }
            Content::Text(_) | Content::Opaque { .. } => true,
        }
    }
}

impl Content {
    fn of(block: Map<String, Value>) -> Self {
        let text = |name: &str| {
            block
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        match block.get("type").and_then(Value::as_str) {
            Some("text") => Self::Text(block.get("text").map(text_in).unwrap_or_default()),
            Some("tool_use") => {
                let id = match block.get("id") {
                    Some(Value::Number(id)) => id.to_string(),
                    _ => text("id"),
                };
                let begun = block.get("input").filter(|input| !input.is_null()).cloned();
                Self::ToolUse {
                    id,
                    name: text("name"),
                    begun,
                    input: String::new(),
                }
            }
            _ => Self::Opaque {
                value: block,
                input: String::new(),
            },
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::ToolUse { .. } | Self::Opaque { .. } => 0,
        }
    }

    /// Whether it is a call with an id.
    fn has_id(&self) -> bool {
        matches!(self, Self::ToolUse { id, .. } if !id.is_empty())
    }

    /// Whether it equals `other` at the time when that began.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => one == other,
            (
                Self::ToolUse {
                    id, name, input, ..
                },
                Self::ToolUse {
                    id: other,
                    name: named,
                    ..
                },
            ) => id == other && name == named && input.is_empty(),
            (Self::Opaque { value, input }, Self::Opaque { value: other, .. }) => {
                value == other && input.is_empty()
            }
            _ => false,
        }
    }

    fn takes(&self, piece: &Piece<'_>) -> bool {
        let is_thinking = |value: &Map<String, Value>| {
            value
                .get("type")
                .and_then(Value::as_str)
                .is_none_or(|kind| kind == "thinking")
        };
        match (self, piece) {
            (Self::Text(_), Piece::Text(_)) | (Self::ToolUse { .. }, Piece::Input(_)) => true,
            (Self::Opaque { value, .. }, Piece::Thinking(_) | Piece::Signature(_)) => {
                is_thinking(value)
            }
            (Self::Opaque { value, .. }, Piece::Input(_)) => !is_thinking(value),
            _ => false,
        }
    }

    fn add(&mut self, piece: &Piece<'_>) {
        match (self, piece) {
            (Self::Text(said), Piece::Text(text)) => said.push_str(text),
            (Self::ToolUse { input, .. } | Self::Opaque { input, .. }, Piece::Input(json)) => {
                input.push_str(json);
            }
            (Self::Opaque { value, .. }, Piece::Thinking(text)) => append(value, "thinking", text),
            (Self::Opaque { value, .. }, Piece::Signature(text)) => {
                append(value, "signature", text);
            }
            // Cannot happen: see `takes`.
            _ => {}
        }
    }

    /// The block; `None` for empty thinking, which vendors do not accept back.
    fn finish(self) -> Option<Block> {
        Some(match self {
            Self::Text(text) => Block::text(&*joined(&text)),
            Self::ToolUse {
                id,
                name,
                begun,
                input,
            } => {
                let written = if input.trim().is_empty() {
                    calls::written(begun)
                } else {
                    input
                };
                Block::ToolUse {
                    id,
                    name,
                    input: calls::input(&joined(&written)),
                }
            }
            Self::Opaque { mut value, input } => {
                if !input.is_empty() {
                    value.insert("input".into(), calls::input(&joined(&input)));
                }
                let holds = |name: &str| {
                    value
                        .get(name)
                        .and_then(Value::as_str)
                        .is_some_and(|text| !text.is_empty())
                };
                let is_thinking = value.get("type").and_then(Value::as_str) == Some("thinking");
                if is_thinking && !holds("thinking") && !holds("signature") {
                    return None;
                }
                if let Some(Value::String(thinking)) = value.get_mut("thinking")
                    && let Cow::Owned(whole) = joined(thinking)
                {
                    *thinking = whole;
                }
                Block::Opaque(value.into())
            }
        })
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

/// An addition to a block.
enum Piece<'a> {
    Text(&'a str),
    Input(&'a str),
    Thinking(&'a str),
    Signature(&'a str),
}

impl<'a> Piece<'a> {
    /// The addition of `delta`, by its type or, without one, by its field. Citations and unknown
    /// types are ignored.
    fn of(delta: &'a Delta<'_>) -> Option<Self> {
        let Delta {
            kind,
            text,
            partial_json,
            thinking,
            signature,
            ..
        } = delta;
        let pieces = [
            ("text_delta", Self::Text(text), text),
            ("input_json_delta", Self::Input(partial_json), partial_json),
            ("thinking_delta", Self::Thinking(thinking), thinking),
            ("signature_delta", Self::Signature(signature), signature),
        ];
        let is_meant = |name: &str| kind.is_empty() || kind == name;
        pieces
            .into_iter()
            .find(|(name, _, text)| is_meant(name) && !text.is_empty())
            .map(|(_, piece, _)| piece)
    }

    fn len(&self) -> usize {
        match self {
            Self::Text(text) | Self::Input(text) | Self::Thinking(text) => text.len(),
            Self::Signature(_) => 0,
        }
    }

    /// The block to begin if a piece arrives without the begin of a block.
    fn block(&self) -> Option<Content> {
        let opaque = || {
            let value = Map::from_iter([("type".to_owned(), "thinking".into())]);
            Some(Content::Opaque {
                value,
                input: String::new(),
            })
        };
        match self {
            Self::Text(_) => Some(Content::Text(String::new())),
            Self::Thinking(_) => opaque(),
            // A call without a name, or a signature without thoughts.
            Self::Input(_) | Self::Signature(_) => None,
        }
    }
}

/// An event with the fields of all types. A reply has thousands of them, and determining the type
/// first would take several times as long.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default, deserialize_with = "lenient::text")]
    kind: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    message: Option<Message<'a>>,
    content_block: Option<Value>,
    #[serde(default, deserialize_with = "lenient::index")]
    index: Option<usize>,
    #[serde(borrow, default, deserialize_with = "lenient::object")]
    delta: Option<Delta<'a>>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "amazon-bedrock-invocationMetrics")]
    metrics: Option<&'a RawValue>,
}

/// A message: its beginning, or all of it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow, deserialize_with = "lenient::text")]
    model: Cow<'a, str>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    content: Option<Value>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    stop_reason: Cow<'a, str>,
}

/// An addition to a block, or to the message.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Delta<'a> {
    #[serde(borrow, rename = "type", deserialize_with = "lenient::text")]
    kind: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    text: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::json")]
    partial_json: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    thinking: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    signature: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "lenient::text")]
    stop_reason: Cow<'a, str>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

#[cfg(test)]
#[expect(clippy::result_large_err, reason = "as sends return it")]
mod tests {
    use super::*;
    use crate::provider::Progress;
    use crate::stream::tests::{read_cut_anywhere, read_pieces};
    use divisi_core::FailureClass;
    use serde_json::json;

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
        let error = read_pieces(&[stream.as_bytes()], Events::default())
            .0
            .unwrap_err();
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

    #[test]
    fn reports_progress() {
        let (first, rest) = STREAM.as_bytes().split_at(10);
        let (_, seen) = read_pieces(&[first, rest], Events::default());
        use Progress::{Alive, OutputTokens, Started};
        use divisi_core::governor::RateLimits;
        let written: Vec<_> = seen
            .iter()
            .filter(|sign| matches!(sign, OutputTokens(_)))
            .cloned()
            .collect();
        assert_eq!(seen[..3], [Alive, Alive, Started(RateLimits::default())]);
        let counted: Vec<_> = seen
            .iter()
            .filter_map(|sign| match sign {
                Progress::Prompt(prompt) => Some((prompt.prompt(), prompt.output)),
                _ => None,
            })
            .collect();
        assert_eq!(counted, [(442, 0)], "once, with the first event");
        // All but the ping.
        assert_eq!(
            written,
            [0, 0, 1, 1, 1, 1, 3, 4, 4, 7, 8, 8, 8].map(OutputTokens)
        );
    }

    #[test]
    fn a_reply_without_its_end_is_no_reply() {
        let (broken, _) = STREAM.split_once("event: message_delta").unwrap();
        assert_eq!(class(broken), FailureClass::Network);
        assert_eq!(class(""), FailureClass::Network);
        let (whole, _) = STREAM.split_once("event: message_stop").unwrap();
        assert!(
            read_pieces(&[whole.as_bytes()], Events::default())
                .0
                .is_ok(),
            "it says why it ended"
        );
    }

    #[test]
    fn an_error_in_the_middle_is_told_apart() {
        let (begun, _) = STREAM.split_once("event: message_delta").unwrap();
        let error =
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
        assert_eq!(
            class(&format!("{begun}event: error\ndata: {error}\n\n")),
            FailureClass::Overloaded
        );
        assert_eq!(
            class(&format!("{begun}data: {{\"nonsense\n\n")),
            FailureClass::Server
        );
        assert_eq!(
            class(&format!("{begun}data: nonsense\n\n")),
            FailureClass::Network,
            "a word keeps it open"
        );
    }

    #[test]
    fn nothing_after_the_end_matters() {
        let longer = format!("{STREAM}event: error\ndata: nonsense\n\n");
        assert!(
            read_pieces(&[longer.as_bytes()], Events::default())
                .0
                .is_ok()
        );
    }

    #[test]
    fn a_tool_input_that_is_no_object_is_kept_as_it_was_written() {
        let cut = STREAM.replace(r#"c\"}"#, "c");
        let reply = read_pieces(&[cut.as_bytes()], Events::default()).0.unwrap();
        let Some(Block::ToolUse { input, .. }) = reply.blocks.last() else {
            panic!("{reply:?}")
        };
        assert_eq!(
            input,
            &serde_json::json!({"invalid_json": "{\"path\": \"src"})
        );
    }

    fn read(events: &[Value]) -> Result<Reply, crate::ProviderError> {
        let stream: String = events
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        read_pieces(&[stream.as_bytes()], Events::default()).0
    }

    fn start() -> Value {
        json!({"type": "message_start", "message": {"model": "m", "usage": {"input_tokens": 9}}})
    }

    fn block(index: usize, block: Value) -> Value {
        json!({"type": "content_block_start", "index": index, "content_block": block})
    }

    fn said(index: Value, text: Value) -> Value {
        json!({"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": text}})
    }

    fn end(reason: Value) -> Value {
        json!({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": {"output_tokens": 5}})
    }

    fn stop() -> Value {
        json!({"type": "message_stop"})
    }

    #[test]
    fn no_odd_field_voids_a_reply() {
        let text = || block(0, json!({"type": "text", "text": ""}));
        let fine = || said(0.into(), "fine".into());
        let last = || [end("end_turn".into()), stop()];
        let around = |middle: Vec<Value>| [&[start()][..], &middle, &last()].concat();
        for (name, events) in [
            (
                "indices from seven",
                around(vec![
                    block(7, json!({"type": "text", "text": ""})),
                    said(7.into(), "fine".into()),
                ]),
            ),
            (
                "no index",
                around(vec![
                    json!({"type": "content_block_start", "content_block": {"type": "text"}}),
                    said(Value::Null, "fine".into()),
                ]),
            ),
            (
                "index a text",
                around(vec![text(), said("0".into(), "fine".into())]),
            ),
            (
                "a block that was not begun",
                around(vec![said(3.into(), "fine".into())]),
            ),
            ("begun twice", around(vec![text(), text(), fine()])),
            (
                "all in its beginning",
                around(vec![block(0, json!({"type": "text", "text": "fine"}))]),
            ),
            (
                "text null between",
                around(vec![text(), said(0.into(), Value::Null), fine()]),
            ),
            (
                "a delta without a type",
                around(vec![
                    text(),
                    json!({"type": "content_block_delta", "index": 0, "delta": {"text": "fine"}}),
                ]),
            ),
            (
                "a new block and delta",
                around(vec![
                    block(0, json!({"type": "novelty"})),
                    json!({"type": "content_block_delta", "index": 0, "delta": {"type": "novel_delta", "x": 1}}),
                    block(1, json!({"type": "text", "text": ""})),
                    said(1.into(), "fine".into()),
                ]),
            ),
            (
                "no message in the start",
                [
                    &[
                        json!({"type": "message_start", "message": null}),
                        text(),
                        fine(),
                    ][..],
                    &last(),
                ]
                .concat(),
            ),
            ("no start", [&[text(), fine()][..], &last()].concat()),
            (
                "usage null",
                vec![
                    start(),
                    text(),
                    fine(),
                    json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": null}),
                    stop(),
                ],
            ),
            (
                "usage of a gateway",
                vec![
                    start(),
                    text(),
                    fine(),
                    json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "usage": {"completion_tokens": 5}}}),
                    stop(),
                ],
            ),
            (
                "an empty thought",
                around(vec![
                    block(0, json!({"type": "thinking", "thinking": ""})),
                    block(1, json!({"type": "text", "text": ""})),
                    said(1.into(), "fine".into()),
                ]),
            ),
            (
                "not streamed",
                vec![
                    json!({"type": "message", "model": "m", "content": [{"type": "text", "text": "fine"}], "stop_reason": "end_turn", "usage": {"input_tokens": 9, "output_tokens": 5}}),
                ],
            ),
        ] {
            let reply = read(&events).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(
                (reply.text().as_str(), reply.stop),
                ("fine", crate::Stop::EndTurn),
                "{name}"
            );
        }
    }

    #[test]
    fn events_named_outside_of_their_data_are_read() {
        let stream = "event: content_block_delta\ndata: {\"index\": 0, \"delta\": {\"type\": \"text_delta\", \"text\": \"fine\"}}\n\n\
            event: message_delta\ndata: {\"delta\": {\"stop_reason\": \"end_turn\"}}\n\nevent: message_stop\ndata: {}\n\n";
        assert_eq!(
            read_pieces(&[stream.as_bytes()], Events::default())
                .0
                .unwrap()
                .text(),
            "fine"
        );
    }

    fn call(index: usize, id: &str, begun: Value) -> Value {
        block(
            index,
            json!({"type": "tool_use", "id": id, "name": "read", "input": begun}),
        )
    }

    fn input(index: usize, json: &str) -> Value {
        json!({"type": "content_block_delta", "index": index, "delta": {"type": "input_json_delta", "partial_json": json}})
    }

    fn closed(index: usize) -> Value {
        json!({"type": "content_block_stop", "index": index})
    }

    #[test]
    fn a_call_is_a_call() {
        let called = |reason: Value| {
            read(&[
                start(),
                call(0, "a", json!({})),
                input(0, "{}"),
                end(reason),
                stop(),
            ])
        };
        for reason in ["end_turn", "tool_use", "tool_calls", "stop", ""] {
            assert_eq!(
                called(reason.into()).unwrap().stop,
                crate::Stop::ToolUse,
                "{reason}"
            );
        }
        assert_eq!(called(Value::Null).unwrap().stop, crate::Stop::ToolUse);
        assert_eq!(
            called("max_tokens".into()).unwrap().stop,
            crate::Stop::MaxTokens
        );
        assert_eq!(
            called("model_error".into()).unwrap_err().class,
            FailureClass::Server
        );
        assert_eq!(
            read(&[start(), call(0, "a", json!({})), input(0, "{\"p"), stop()])
                .unwrap_err()
                .class,
            FailureClass::Network
        );
    }

    #[test]
    fn blocks_are_found_by_index_and_identity() {
        let inputs = |events: Vec<Value>| {
            let reply =
                read(&[&[start()][..], &events, &[end("tool_use".into()), stop()]].concat())
                    .unwrap();
            let input = |block: Block| match block {
                Block::ToolUse { id, input, .. } => Some(format!("{id}{input}")),
                Block::Text { .. } | Block::ToolResult { .. } | Block::Opaque(_) => None,
            };
            reply
                .blocks
                .into_iter()
                .filter_map(input)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let right = "a{\"n\":1} b{\"n\":2}";
        let (one, two) = ("{\"n\":1}", "{\"n\":2}");
        assert_eq!(
            inputs(vec![
                call(1, "a", json!({})),
                call(2, "b", json!({})),
                input(2, two),
                input(1, one)
            ]),
            right
        );
        assert_eq!(
            inputs(vec![
                call(0, "a", json!({})),
                input(0, one),
                closed(0),
                call(0, "b", json!({})),
                input(0, two)
            ]),
            right
        );
        assert_eq!(
            inputs(vec![
                call(0, "a", json!({"n": 1})),
                call(1, "b", json!({"n": 2}))
            ]),
            right
        );
        assert_eq!(
            inputs(vec![
                call(0, "a", json!({})),
                closed(0),
                call(0, "a", json!({})),
                input(0, one),
                call(1, "b", json!({})),
                input(1, two)
            ]),
            right,
            "begun twice"
        );
        assert_eq!(
            inputs(vec![
                call(0, "a", json!({"n": 1})),
                input(0, one),
                call(1, "b", Value::Null),
                input(1, two)
            ]),
            right
        );
    }

    #[test]
    fn errors_of_any_shape_are_errors() {
        let class = |error: Value| read(&[start(), error]).unwrap_err().class;
        assert_eq!(
            class(json!({"error": {"type": "overloaded_error", "message": "x"}})),
            FailureClass::Overloaded
        );
        assert_eq!(
            class(json!({"error": {"code": 429, "message": "x"}})),
            FailureClass::RateLimited
        );
        let first =
            read(&[json!({"type": "error", "error": {"type": "overloaded_error"}})]).unwrap_err();
        assert_eq!(
            (first.class, first.maybe_billed),
            (FailureClass::Overloaded, false)
        );
    }
}
