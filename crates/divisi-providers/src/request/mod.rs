//! One conversation turn sent to a model, in words that fit every vendor.

mod digest;
mod tools;

pub use digest::Prefix;
pub use tools::Tools;

use divisi_core::Effort;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;

/// One conversation turn sent to a model.
///
/// There is no temperature and no forced tool: the models this is written for
/// refuse both.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The vendor's id of the model.
    pub model: Arc<str>,
    /// What stands before the conversation, in order.
    pub system: Vec<SystemBlock>,
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// The tools on offer.
    pub tools: Tools,
    /// Longest reply in tokens, thinking included.
    pub max_tokens: u32,
    /// How hard the model should think; its own default when absent.
    pub effort: Option<Effort>,
    /// JSON Schema of the final answer. Vendors hold a model to a part of it
    /// only, so the answer still has to be validated.
    pub schema: Option<Arc<Value>>,
}

impl Request {
    /// A first turn that says only `prompt` to `model`.
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

    /// All that a model reads of it, piece by piece, each once. Whatever counts the size of
    /// a request, in bytes, characters or tokens, counts these.
    pub fn texts(&self) -> impl Iterator<Item = Text<'_>> {
        self.own_texts()
            .chain(self.tools.iter().flat_map(ToolDefinition::texts))
    }

    /// Bytes of all that a model reads of it.
    pub fn bytes(&self) -> u64 {
        // Tools are shared by many requests, which count them once.
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

/// Something that a model reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Text<'a> {
    /// As it is.
    Plain(&'a str),
    /// Written as JSON.
    Json(&'a Value),
}

impl<'a> Text<'a> {
    /// Its bytes.
    pub fn bytes(self) -> u64 {
        self.written().len() as u64
    }

    /// As it is read.
    pub fn written(self) -> Cow<'a, str> {
        match self {
            Self::Plain(text) => text.into(),
            Self::Json(value) => value.to_string().into(),
        }
    }
}

/// A part of what stands before the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemBlock {
    /// The text.
    pub text: Arc<str>,
    /// Whether vendors that are told what to cache cache everything up to here.
    pub cache: bool,
}

/// One side's say in the conversation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Whose.
    pub role: Role,
    /// What it consists of, in order.
    pub blocks: Vec<Block>,
}

impl Message {
    /// A text from us.
    pub fn user(text: impl Into<Arc<str>>) -> Self {
        Self {
            role: Role::User,
            blocks: vec![Block::text(text)],
        }
    }

    /// Bytes of all that a model reads of it.
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
    /// We, and the tools that answer for us.
    User,
    /// The model.
    Assistant,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Block {
    /// Something said.
    Text {
        /// The words.
        text: Arc<str>,
        /// Whether vendors that are told what to cache cache everything up to here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cache: bool,
    },
    /// The model wants a tool to be used.
    ToolUse {
        /// Names this use among all of the conversation.
        id: String,
        /// The tool.
        name: String,
        /// Always an object; see [`INVALID_INPUT`].
        input: Value,
    },
    /// What the tool answered.
    ToolResult {
        /// The use it answers.
        tool_use_id: String,
        /// The answer, or what went wrong.
        content: String,
        /// Whether it went wrong.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        /// Whether vendors that are told what to cache cache everything up to here.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cache: bool,
    },
    /// Something only its vendor understands, such as thinking or encrypted
    /// reasoning. It must be given back unchanged, to the same vendor.
    Opaque(Value),
}

impl Block {
    /// A text that marks no cache.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text {
            text: text.into(),
            cache: false,
        }
    }

    /// Something that its vendor wants back on the block that follows.
    pub(crate) fn fields_of_next(fields: Map<String, Value>) -> Self {
        Self::Opaque(json!({FIELDS_OF_NEXT: fields}))
    }

    /// The fields that belong to the block that follows, if it is such a block.
    pub(crate) fn as_fields_of_next(&self) -> Option<&Map<String, Value>> {
        match self {
            Self::Opaque(value) => value.get(FIELDS_OF_NEXT)?.as_object(),
            Self::Text { .. } | Self::ToolUse { .. } | Self::ToolResult { .. } => None,
        }
    }

    /// All that a model reads of it.
    pub(crate) fn texts(&self) -> impl Iterator<Item = Text<'_>> {
        let (first, second) = match self {
            Self::Text { text, .. } => (Text::Plain(text), None),
            Self::ToolUse { name, input, .. } => (Text::Plain(name), Some(Text::Json(input))),
            Self::ToolResult { content, .. } => (Text::Plain(content), None),
            Self::Opaque(value) => (Text::Json(value), None),
        };
        [Some(first), second].into_iter().flatten()
    }

    /// What it says, if it says something.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            Self::ToolUse { .. } | Self::ToolResult { .. } | Self::Opaque(_) => None,
        }
    }
}

/// The only field of an opaque block that holds what goes back on the next block,
/// such as the signature of a call.
const FIELDS_OF_NEXT: &str = "fields_of_next";

/// The only field of a tool input that the model wrote as something other than
/// a JSON object; it holds the text as written.
///
/// Such a call is not carried out, and the model sees in the conversation what it
/// did wrong. Vendors accept nothing but objects there.
pub const INVALID_INPUT: &str = "invalid_json";

/// What a tool is called, does and takes.
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
    /// All that a model reads of it.
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
