//! A request to a model, in a form independent of the vendor.

mod digest;
mod tools;

pub use digest::Prefix;
pub use tools::Tools;

use divisi_core::Effort;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// One request to a model.
///
/// There is no temperature and no forced tool, because current models refuse both.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The vendor's id of the model.
    pub model: Arc<str>,
    /// The system prompt, in blocks.
    pub system: Vec<SystemBlock>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The tools on offer.
    pub tools: Tools,
    /// Longest reply in tokens, thinking included.
    pub max_tokens: u32,
    /// The effort of the model; its default if absent.
    pub effort: Option<Effort>,
    /// JSON Schema of the final answer. Vendors enforce only a part of it, so the answer must still
    /// be validated.
    pub schema: Option<Arc<Value>>,
}

impl Request {
    /// A first request that asks `model` for `prompt`.
    pub fn new(model: impl Into<Arc<str>>, prompt: impl Into<Arc<str>>, max_tokens: u32) -> Self {
        Self {
            model: model.into(),
            system: Vec::new(),
            messages: vec![Message::user(prompt)],
            tools: Tools::default(),
            max_tokens,
            effort: None,
            schema: None,
        }
    }

    /// All texts that the model reads, each once. Sizes in bytes, characters or tokens are computed
    /// from these.
    pub fn texts(&self) -> impl Iterator<Item = Text<'_>> {
        self.own_texts()
            .chain(self.tools.iter().flat_map(ToolDefinition::texts))
    }

    /// Bytes of all texts that the model reads.
    pub fn bytes(&self) -> u64 {
        // Tools are shared by many requests, so their bytes are counted once.
        self.own_texts().map(Text::bytes).sum::<u64>() + self.tools.bytes()
    }

    fn own_texts(&self) -> impl Iterator<Item = Text<'_>> {
        let system = self.system.iter().map(|block| Text::Plain(&block.text));
        let messages = self.messages.iter().flat_map(Message::texts);
        system
            .chain(messages)
            .chain(self.schema.as_deref().map(Text::Json))
    }
}

/// A text that a model reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Text<'a> {
    /// Plain text.
    Plain(&'a str),
    /// A value, written as JSON.
    Json(&'a Value),
}

impl<'a> Text<'a> {
    /// Its length in bytes.
    pub fn bytes(self) -> u64 {
        self.written().len() as u64
    }

    /// Its text.
    pub fn written(self) -> Cow<'a, str> {
        match self {
            Self::Plain(text) => text.into(),
            Self::Json(value) => value.to_string().into(),
        }
    }
}

/// A block of the system prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemBlock {
    /// The text.
    pub text: Arc<str>,
    /// Cache mark: vendors with explicit caching cache everything up to here.
    pub cache: bool,
}

/// A message of the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its side.
    pub role: Role,
    /// Its content, in order.
    pub blocks: Vec<Block>,
}

impl Message {
    /// A text from the user's side.
    pub fn user(text: impl Into<Arc<str>>) -> Self {
        Self {
            role: Role::User,
            blocks: vec![Block::text(text)],
        }
    }

    /// Bytes of all texts that the model reads.
    pub fn bytes(&self) -> u64 {
        self.texts().map(Text::bytes).sum()
    }

    fn texts(&self) -> impl Iterator<Item = Text<'_>> {
        self.blocks.iter().flat_map(Block::texts)
    }
}

/// The two sides of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The user's side: the task, and results of tools.
    User,
    /// The model.
    Assistant,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// A text.
    Text {
        /// The text itself.
        text: Arc<str>,
        /// Cache mark: vendors with explicit caching cache everything up to here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cache: bool,
    },
    /// The model calls a tool.
    ToolUse {
        /// Id of the call, unique in the conversation.
        id: String,
        /// The tool.
        name: String,
        /// Always an object; see [`INVALID_INPUT`].
        input: Value,
    },
    /// The result of a tool.
    ToolResult {
        /// The call it answers.
        tool_use_id: String,
        /// The result, or the error.
        content: String,
        /// Whether it is an error.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        /// Cache mark: vendors with explicit caching cache everything up to here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cache: bool,
    },
    /// A block that only its vendor understands, such as thinking or encrypted reasoning. It must
    /// be sent back unchanged, to the same vendor.
    Opaque(Value),
}

impl Block {
    /// A text without a cache mark.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text {
            text: text.into(),
            cache: false,
        }
    }

    /// Fields that the vendor expects back on the next block.
    pub(crate) fn fields_of_next(fields: Map<String, Value>) -> Self {
        Self::Opaque(json!({FIELDS_OF_NEXT: fields}))
    }

    /// The fields for the next block, if this is such a block.
    pub(crate) fn as_fields_of_next(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Opaque(value) => value.get(FIELDS_OF_NEXT)?.as_object(),
            Self::Text { .. } | Self::ToolUse { .. } | Self::ToolResult { .. } => None,
        }
    }

    /// All texts that the model reads.
    pub(crate) fn texts(&self) -> impl Iterator<Item = Text<'_>> {
        let (first, second) = match self {
            Self::Text { text, .. } => (Text::Plain(text), None),
            Self::ToolUse { name, input, .. } => (Text::Plain(name), Some(Text::Json(input))),
            Self::ToolResult { content, .. } => (Text::Plain(content), None),
            Self::Opaque(value) => (Text::Json(value), None),
        };
        [Some(first), second].into_iter().flatten()
    }

    /// The text of a text block.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            Self::ToolUse { .. } | Self::ToolResult { .. } | Self::Opaque(_) => None,
        }
    }
}

/// The only field of an opaque block with fields for the next block, such as the signature of a
/// call.
const FIELDS_OF_NEXT: &str = "fields_of_next";

/// The only field of a tool input that the model did not write as a JSON object; it holds the
/// model's text.
///
/// Such a call is not executed, and the model sees in the conversation what it did wrong. Vendors
/// accept only objects there.
pub const INVALID_INPUT: &str = "invalid_json";

/// Name, description and schema of a tool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolDefinition {
    /// Unique in the request.
    pub name: String,
    /// Written for the model.
    pub description: String,
    /// JSON Schema of an object.
    pub input_schema: Value,
}

impl ToolDefinition {
    /// All texts that the model reads.
    pub(crate) fn texts(&self) -> impl Iterator<Item = Text<'_>> {
        [
            Text::Plain(&self.name),
            Text::Plain(&self.description),
            Text::Json(&self.input_schema),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_model_reads_counts() {
        let call = |input| Block::ToolUse {
            id: "unread".to_owned(),
            name: "f".to_owned(),
            input,
        };
        let result = Block::ToolResult {
            tool_use_id: "unread".to_owned(),
            content: "result".to_owned(),
            is_error: false,
            cache: true,
        };
        let tool = ToolDefinition {
            name: "f".to_owned(),
            description: "does it".to_owned(),
            input_schema: json!({"type": "object"}),
        };
        let blocks = vec![
            call(json!({"a": 1})),
            result,
            Block::Opaque(json!(["thought"])),
        ];
        let whole = Request {
            system: vec![SystemBlock {
                text: "system".into(),
                cache: false,
            }],
            messages: vec![
                Message::user("prompt"),
                Message {
                    role: Role::Assistant,
                    blocks,
                },
            ],
            tools: vec![tool].into(),
            schema: Some(json!({"type": "null"}).into()),
            ..Request::new("model", "", 1)
        };
        let texts: Vec<_> = whole.texts().map(Text::written).collect();
        assert_eq!(
            texts,
            [
                "system",
                "prompt",
                "f",
                r#"{"a":1}"#,
                "result",
                r#"["thought"]"#,
                r#"{"type":"null"}"#,
                "f",
                "does it",
                r#"{"type":"object"}"#
            ]
        );
        assert_eq!(
            whole.bytes(),
            texts.iter().map(|text| text.len() as u64).sum::<u64>()
        );
    }
}
