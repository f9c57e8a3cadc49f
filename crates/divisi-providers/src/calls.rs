//! Assembles tool calls from pieces, and parses them in all forms that models write.

use crate::lenient;
use crate::repair;
use crate::reply::Reply;
use crate::request::{Block, INVALID_INPUT, Request, Tools};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

/// Most times that arguments may be JSON-encoded. Servers do it twice.
const ENCODINGS_MAX: usize = 4;

/// Fields of a call that vendors expect back unchanged, such as the signature of the thoughts
/// before it.
pub(crate) const KEPT: [&str; 3] = [
    "extra_content",
    "thought_signature",
    "provider_specific_fields",
];

/// A piece of a call.
#[derive(Default)]
pub(crate) struct Piece {
    pub(crate) index: Option<usize>,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
    /// Fields to send back with it.
    pub(crate) kept: Map<String, Value>,
}

/// The calls received so far.
#[derive(Default)]
pub(crate) struct Calls(Vec<Piece>);

impl Calls {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a piece. It belongs to the call with its index, if it has one, else with its id, else
    /// to the last; an empty id or name counts as none. A name begins another call only if the call
    /// before it is complete.
    pub(crate) fn add(&mut self, piece: Piece) {
        match self.place(&piece) {
            Some(at) if !begins_another(&self.0[at], &piece) => self.0[at].extend(piece),
            _ => self.0.push(piece),
        }
    }

    fn place(&self, piece: &Piece) -> Option<usize> {
        let last = |fits: &dyn Fn(&Piece) -> bool| self.0.iter().rposition(fits);
        let same_id = |call: &Piece| !piece.id.is_empty() && call.id == piece.id;
        match piece.index {
            Some(_) => {
                let at_index = |call: &Piece| call.index == piece.index;
                last(&|call| at_index(call) && same_id(call))
                    .or_else(|| last(&at_index))
                    // A call that began without an index.
                    .or_else(|| {
                        last(&|call| {
                            call.index.is_none() && (same_id(call) || piece.name.is_empty())
                        })
                    })
            }
            None if piece.id.is_empty() => self.0.len().checked_sub(1),
            None => last(&same_id).or_else(|| self.0.len().checked_sub(1)),
        }
    }

    /// Whether all calls have complete arguments.
    pub(crate) fn are_whole(&self) -> bool {
        self.0
            .iter()
            .all(|call| call.arguments.trim().is_empty() || is_whole(&call.arguments))
    }

    /// The calls as blocks.
    pub(crate) fn into_blocks(self) -> impl Iterator<Item = Block> {
        self.0.into_iter().flat_map(|call| {
            let kept = (!call.kept.is_empty()).then(|| Block::fields_of_next(call.kept));
            let (name, arguments) = (repair::joined(&call.name), repair::joined(&call.arguments));
            let used = Block::ToolUse {
                id: call.id,
                name: name.into_owned(),
                input: input(&arguments),
            };
            kept.into_iter().chain([used])
        })
    }
}

fn begins_another(call: &Piece, piece: &Piece) -> bool {
    if piece.name.is_empty() || call.name.is_empty() {
        return false;
    }
    let other_id = !piece.id.is_empty() && !call.id.is_empty() && piece.id != call.id;
    let repeats = piece.name == call.name
        && (piece.arguments.is_empty() || piece.arguments == call.arguments);
    match (other_id, call.arguments.is_empty()) {
        (true, is_empty) => is_empty || is_whole(&call.arguments),
        (false, true) => false,
        (false, false) => (!repeats || piece.id.is_empty()) && is_whole(&call.arguments),
    }
}

/// Whether a JSON value is complete. It is parsed only if it ends like one, because arguments may
/// be megabytes in pieces of a few bytes.
fn is_whole(arguments: &str) -> bool {
    let text = arguments.trim();
    let closing = match text.as_bytes().first() {
        Some(b'{') => '}',
        Some(b'[') => ']',
        Some(b'"') => '"',
        _ => return matches!(text, "null"),
    };
    text.ends_with(closing) && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

impl Piece {
    fn extend(&mut self, more: Self) {
        self.index = self.index.or(more.index);
        if self.id.is_empty() {
            self.id = more.id;
        }
        if more.name.starts_with(&self.name) {
            // The first piece of the name, or a repetition of all of it.
            self.name = more.name;
        } else if self.arguments.is_empty() {
            self.name.push_str(&more.name);
        }
        // A repetition of complete arguments is ignored.
        if more.arguments != self.arguments || !is_whole(&self.arguments) {
            self.arguments.push_str(&more.arguments);
        }
        self.kept.extend(more.kept);
    }
}

/// A piece of a call in the Chat Completions API.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Delta {
    #[serde(deserialize_with = "lenient::index")]
    index: Option<usize>,
    #[serde(deserialize_with = "lenient::string")]
    id: String,
    #[serde(deserialize_with = "lenient::object")]
    function: Option<Function>,
    /// Some servers omit the object around the function.
    #[serde(deserialize_with = "lenient::string")]
    name: String,
    arguments: Option<Value>,
    extra_content: Option<Value>,
    thought_signature: Option<Value>,
    provider_specific_fields: Option<Value>,
}

/// The called function.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Function {
    #[serde(deserialize_with = "lenient::string")]
    name: String,
    arguments: Option<Value>,
}

impl Delta {
    /// Converts it to a piece; `place` is its index where that identifies calls.
    pub(crate) fn piece(self, place: Option<usize>) -> Piece {
        let function = self.function.unwrap_or_default();
        let mut kept = Map::new();
        let fields = [
            self.extra_content,
            self.thought_signature,
            self.provider_specific_fields,
        ];
        for (name, value) in KEPT.into_iter().zip(fields) {
            if let Some(value) = value.filter(|value| !value.is_null()) {
                kept.insert(name.to_owned(), value);
            }
        }
        Piece {
            index: self.index.or(place),
            id: self.id,
            name: if function.name.is_empty() {
                self.name
            } else {
                function.name
            },
            arguments: written(function.arguments.or(self.arguments)),
            kept,
        }
    }
}

impl Function {
    /// Converts the single function call of the API before tools.
    pub(crate) fn piece(self) -> Piece {
        Piece {
            index: Some(0),
            name: self.name,
            arguments: written(self.arguments),
            ..Piece::default()
        }
    }
}

/// Arguments as text; some servers send an object.
pub(crate) fn written(arguments: Option<Value>) -> String {
    match arguments {
        Some(Value::String(text)) => text,
        Some(Value::Null) | None => String::new(),
        Some(whole) => whole.to_string(),
    }
}

/// Parses a model's arguments; an empty text means none. Invalid ones are returned to the model
/// with the reason: see [`INVALID_INPUT`].
pub(crate) fn input(arguments: &str) -> Value {
    match object(arguments, ENCODINGS_MAX) {
        Some(fields) => Value::Object(fields),
        None => json!({INVALID_INPUT: arguments}),
    }
}

fn object(arguments: &str, encodings: usize) -> Option<Map<String, Value>> {
    let text = unfenced(arguments.trim());
    if text.is_empty() {
        return Some(Map::new());
    }
    match repair::value(text).ok().or_else(|| among_others(text)) {
        Some(value) => fields(value, encodings),
        // The tool's name in front of the arguments: `read_file({"path": "a"})`.
        None => {
            let start = text.find('{')?;
            let is_name = |c: char| c.is_ascii_alphanumeric() || "_-.:( ".contains(c);
            let inner = text[start..].trim_end_matches([')', ';', ' ']);
            (start > 0 && text[..start].chars().all(is_name))
                .then(|| repair::value(inner).ok())?
                .and_then(|value| fields(value, encodings))
        }
    }
}

fn fields(value: Value, encodings: usize) -> Option<Map<String, Value>> {
    match value {
        Value::Object(fields) => Some(fields),
        Value::Null => Some(Map::new()),
        Value::Array(mut items) => match (items.pop(), items.is_empty()) {
            (None, _) => Some(Map::new()),
            (Some(Value::Object(fields)), true) => Some(fields),
            _ => None,
        },
        Value::String(text) if encodings > 0 => object(&text, encodings - 1),
        Value::String(_) | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// The arguments if they are repeated, or follow the empty object with which some gateways begin
/// every call.
fn among_others(text: &str) -> Option<Value> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut found = values.next()?.ok()?;
    for value in values {
        let value = value.ok()?;
        let is_empty = found.as_object().is_some_and(Map::is_empty);
        match is_empty || value == found {
            true => found = value,
            false => return None,
        }
    }
    Some(found)
}

/// A text without the code fence around it.
fn unfenced(text: &str) -> &str {
    let Some(inner) = text
        .strip_prefix("```")
        .and_then(|rest| rest.strip_suffix("```"))
    else {
        return text;
    };
    inner
        .trim_start_matches(|c: char| c.is_ascii_alphanumeric())
        .trim()
}

/// Gives every call of `reply` a unique id in the conversation, and a name that can be sent back.
///
/// Some servers send no ids, or equal ones; vendors refuse conversations with duplicate ids.
pub(crate) fn settle(mut reply: Reply, request: &Request) -> Reply {
    let used = |block: &Block| match block {
        Block::ToolUse { id, .. } => Some(id.clone()),
        Block::Text { .. } | Block::ToolResult { .. } | Block::Opaque(_) => None,
    };
    if !reply.blocks.iter().any(|block| used(block).is_some()) {
        return reply;
    }
    let mut taken: HashSet<String> = request
        .messages
        .iter()
        .flat_map(|message| &message.blocks)
        .filter_map(used)
        .collect();
    for block in &mut reply.blocks {
        let Block::ToolUse { id, name, input } = block else {
            continue;
        };
        *id = free_id(id.trim(), &taken);
        taken.insert(id.clone());
        *name = called(name, input, &request.tools);
    }
    reply
}

fn free_id(id: &str, taken: &HashSet<String>) -> String {
    if !id.is_empty() && !taken.contains(id) {
        return id.to_owned();
    }
    // Nine letters and digits, because Mistral accepts nothing else.
    let made = |n: usize| {
        if id.is_empty() {
            format!("call{n:05}")
        } else {
            format!("{id}_{n}")
        }
    };
    let first = if id.is_empty() { 1 } else { 2 };
    // One more candidate than ids in use, so one of them is free.
    (first..=taken.len() + first)
        .map(made)
        .find(|id| !taken.contains(id))
        .unwrap_or_default()
}

/// The name of the tool that is meant. Some models put marks around it, or its arguments after it.
fn called(name: &str, input: &mut Value, tools: &Tools) -> String {
    let is_offered = |name: &str| tools.iter().any(|tool| tool.name == name);
    if is_offered(name) {
        return name.to_owned();
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let trimmed = name.trim().trim_matches(['"', '`', '\'', '<', '>']);
    let bare = trimmed
        .split(|c: char| !is_part(c) && c != '.' && c != ':')
        .next()
        .unwrap_or_default();
    if let Some(found) = std::iter::once(bare)
        .chain(bare.split(['.', ':']))
        .find(|name| is_offered(name))
    {
        let behind = trimmed[bare.len()..].trim().trim_matches(['(', ')', ' ']);
        if behind.starts_with('{')
            && input.as_object().is_some_and(Map::is_empty)
            && let Some(fields) = object(behind, ENCODINGS_MAX)
        {
            *input = Value::Object(fields);
        }
        return found.to_owned();
    }
    // An unknown tool: its name is sent back to the vendor as well, which accepts only these
    // characters.
    let sent: String = name
        .trim()
        .chars()
        .map(|c| if is_part(c) { c } else { '_' })
        .take(NAME_CHARS_MAX)
        .collect();
    if sent.is_empty() {
        "unnamed".to_owned()
    } else {
        sent
    }
}

/// Longest name of a tool that OpenAI accepts.
const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Message, Role, ToolDefinition};

    /// The calls assembled from `pieces`, each as `name(arguments)`.
    fn put_together(pieces: &[Value]) -> Vec<String> {
        let mut calls = Calls::default();
        for piece in pieces {
            let delta: Delta = serde_json::from_value(piece.clone()).unwrap();
            calls.add(delta.piece(None));
        }
        let shown = |block: Block| match block {
            Block::ToolUse { id, name, input } => format!("{id}:{name}({input})"),
            other => format!("{other:?}"),
        };
        calls.into_blocks().map(shown).collect()
    }

    fn piece(index: Value, id: Value, name: Value, arguments: Value) -> Value {
        json!({"index": index, "id": id, "function": {"name": name, "arguments": arguments}})
    }

    #[test]
    fn one_call_stays_one_whatever_is_repeated_or_left_out() {
        let null = || Value::Null;
        let halves = ["{\"path\": \"no", "te\"}"];
        for (name, pieces) in [
            (
                "id and name empty",
                vec![
                    piece(0.into(), "a".into(), "read".into(), "".into()),
                    piece(0.into(), "".into(), "".into(), halves[0].into()),
                    piece(0.into(), "".into(), "".into(), halves[1].into()),
                ],
            ),
            (
                "nothing repeated",
                vec![
                    piece(0.into(), "a".into(), "read".into(), halves[0].into()),
                    piece(null(), null(), null(), halves[1].into()),
                ],
            ),
            (
                "all repeated",
                vec![
                    piece(0.into(), "a".into(), "read".into(), halves[0].into()),
                    piece(0.into(), "a".into(), "read".into(), halves[1].into()),
                ],
            ),
            (
                "name repeated",
                vec![
                    piece(0.into(), "a".into(), "read".into(), halves[0].into()),
                    piece(0.into(), "".into(), "read".into(), halves[1].into()),
                ],
            ),
            (
                "a new id each time",
                vec![
                    piece(0.into(), "a".into(), "read".into(), halves[0].into()),
                    piece(0.into(), "b".into(), "".into(), halves[1].into()),
                ],
            ),
            (
                "a new id and the name",
                vec![
                    piece(0.into(), "a".into(), "read".into(), halves[0].into()),
                    piece(0.into(), "b".into(), "read".into(), halves[1].into()),
                ],
            ),
            (
                "an index later",
                vec![
                    piece(null(), "a".into(), "read".into(), halves[0].into()),
                    piece(0.into(), null(), null(), halves[1].into()),
                ],
            ),
            (
                "an index as text",
                vec![
                    piece("0".into(), "a".into(), "read".into(), halves[0].into()),
                    piece(0.0.into(), null(), null(), halves[1].into()),
                ],
            ),
            (
                "the name later",
                vec![
                    piece(0.into(), "a".into(), null(), "".into()),
                    piece(0.into(), null(), "read".into(), halves[0].into()),
                    piece(0.into(), null(), null(), halves[1].into()),
                ],
            ),
            (
                "the name in pieces",
                vec![
                    piece(0.into(), "a".into(), "re".into(), "".into()),
                    piece(0.into(), null(), "ad".into(), "".into()),
                    piece(0.into(), null(), null(), halves.concat().into()),
                ],
            ),
            (
                "the whole at the end",
                vec![
                    piece(0.into(), "a".into(), "read".into(), halves[0].into()),
                    piece(0.into(), null(), null(), halves[1].into()),
                    piece(0.into(), "a".into(), "read".into(), halves.concat().into()),
                ],
            ),
            (
                "no index and no id",
                vec![
                    piece(null(), "a".into(), "read".into(), halves[0].into()),
                    piece(null(), "".into(), "".into(), halves[1].into()),
                ],
            ),
        ] {
            assert_eq!(
                put_together(&pieces),
                ["a:read({\"path\":\"note\"})"],
                "{name}"
            );
        }
    }

    #[test]
    fn several_calls_stay_apart() {
        let null = || Value::Null;
        let whole = |path: &str| Value::from(format!("{{\"path\":\"{path}\"}}"));
        for (name, pieces) in [
            (
                "their own ids, one index",
                vec![
                    piece(0.into(), "a".into(), "read".into(), whole("1")),
                    piece(0.into(), "b".into(), "read".into(), whole("2")),
                ],
            ),
            (
                "no index",
                vec![
                    piece(null(), "a".into(), "read".into(), whole("1")),
                    piece(null(), "b".into(), "read".into(), whole("2")),
                ],
            ),
            (
                "pieces by id, one index",
                vec![
                    piece(0.into(), "a".into(), "read".into(), "".into()),
                    piece(0.into(), "b".into(), "read".into(), "".into()),
                    piece(0.into(), "a".into(), null(), whole("1")),
                    piece(0.into(), "b".into(), null(), whole("2")),
                ],
            ),
            (
                "pieces by index, mixed",
                vec![
                    piece(0.into(), "a".into(), "read".into(), "{\"path\":".into()),
                    piece(1.into(), "b".into(), "read".into(), "{\"path\":".into()),
                    piece(0.into(), null(), null(), "\"1\"}".into()),
                    piece(1.into(), null(), null(), "\"2\"}".into()),
                ],
            ),
        ] {
            assert_eq!(
                put_together(&pieces),
                ["a:read({\"path\":\"1\"})", "b:read({\"path\":\"2\"})"],
                "{name}"
            );
        }
        let same = [
            piece(0.into(), "a".into(), "read".into(), whole("1")),
            piece(1.into(), "a".into(), "read".into(), whole("2")),
        ];
        assert_eq!(put_together(&same).len(), 2);
        let bare = [
            piece(0.into(), null(), "read".into(), whole("1")),
            piece(0.into(), null(), "read".into(), whole("2")),
        ];
        assert_eq!(put_together(&bare).len(), 2);
    }

    #[test]
    fn arguments_are_read_however_they_are_written() {
        let path = json!({"path": "a"});
        for (written, right) in [
            ("", json!({})),
            ("  ", json!({})),
            ("null", json!({})),
            ("[]", json!({})),
            ("\"{}\"", json!({})),
            ("{\"path\": \"a\"}", path.clone()),
            ("\"{\\\"path\\\": \\\"a\\\"}\"", path.clone()),
            ("```json\n{\"path\": \"a\"}\n```", path.clone()),
            ("[{\"path\": \"a\"}]", path.clone()),
            ("read_file({\"path\": \"a\"})", path.clone()),
            ("{}{\"path\": \"a\"}", path.clone()),
            ("{\"path\": \"a\"}{\"path\": \"a\"}", path),
            ("{\"path\": \"a\tb\"}", json!({"path": "a\tb"})),
            ("{\"path\": \"a", json!({"invalid_json": "{\"path\": \"a"})),
            (
                "{\"path\": \"a\"}{\"path\": \"b\"}",
                json!({"invalid_json": "{\"path\": \"a\"}{\"path\": \"b\"}"}),
            ),
            ("7", json!({"invalid_json": "7"})),
        ] {
            assert_eq!(input(written), right, "{written}");
        }
    }

    fn settled(before: &[&str], calls: &[(&str, &str)]) -> Vec<String> {
        let block = |(id, name): &(&str, &str)| Block::ToolUse {
            id: (*id).into(),
            name: (*name).into(),
            input: json!({}),
        };
        let mut request = Request::new("m", "p", 1);
        let tool = |name: &str| ToolDefinition {
            name: name.into(),
            description: String::new(),
            input_schema: json!({}),
        };
        request.tools = vec![tool("read_file"), tool("list_files")].into();
        let earlier = before.iter().map(|id| block(&(id, "read_file"))).collect();
        request.messages.push(Message {
            role: Role::Assistant,
            blocks: earlier,
        });
        let reply = Reply {
            model: String::new(),
            blocks: calls.iter().map(block).collect(),
            stop: crate::reply::Stop::ToolUse,
            billing: Default::default(),
            usage: Default::default(),
            usage_estimated: false,
            request_id: None,
            rate: Default::default(),
        };
        let shown = |block: Block| match block {
            Block::ToolUse { id, name, input } => format!("{id}:{name}({input})"),
            other => format!("{other:?}"),
        };
        settle(reply, &request)
            .blocks
            .into_iter()
            .map(shown)
            .collect()
    }

    #[test]
    fn ids_are_unique_in_a_conversation() {
        let read = "read_file";
        assert_eq!(
            settled(
                &["a", "call00001"],
                &[("a", read), ("a", read), ("", read), ("b", read)]
            ),
            [
                "a_2:read_file({})",
                "a_3:read_file({})",
                "call00002:read_file({})",
                "b:read_file({})"
            ]
        );
    }

    #[test]
    fn the_tool_that_is_meant_is_called() {
        let name = |name: &str| settled(&[], &[("a", name)]).remove(0);
        assert_eq!(name(" read_file "), "a:read_file({})");
        assert_eq!(name("functions.read_file"), "a:read_file({})");
        assert_eq!(name("read_file<|channel|>commentary"), "a:read_file({})");
        assert_eq!(
            name("read_file{\"path\": \"a\"}"),
            "a:read_file({\"path\":\"a\"})"
        );
        assert_eq!(name("functions.list_files:0"), "a:list_files({})");
        assert_eq!(name("no such tool"), "a:no_such_tool({})");
        assert_eq!(name(""), "a:unnamed({})");
    }
}
