//! One conversation turn sent to a model, in words that fit every vendor.

use crate::tools::Tools;
use divisi_core::Effort;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
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
        Self { role: Role::User, blocks: vec![Block::text(text)] }
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
        Self::Text { text: text.into(), cache: false }
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
