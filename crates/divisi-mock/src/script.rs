//! The answers of a mock, by rules.
//!
//! A rule in JSON, here the second turn of an agent:
//!
//! ```json
//! {"when": {"prompt_contains": "audit", "tool_result": true},
//!  "times": 1,
//!  "reply": {"text": "read {tool_result_digest}"}}
//! ```

use crate::fault::Fault;
use crate::latency::Latency;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One rule of the script. It applies to requests that no earlier rule has answered.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// The requests to which it applies.
    pub when: When,
    /// How many requests it answers; all of them if absent.
    pub times: Option<u32>,
    /// The answer.
    pub reply: Reply,
    /// A block of thinking before the answer. Its tokens are output tokens.
    pub thinking: Option<String>,
    /// A text before tool calls, in the same message.
    pub preface: Option<String>,
    /// The fault of the answer.
    pub fault: Option<Fault>,
    /// Replaces the latency of the configuration.
    pub latency: Option<Latency>,
}

impl Rule {
    /// A rule that answers `reply` to the requests of `when`.
    pub fn new(when: When, reply: Reply) -> Self {
        Self {
            when,
            reply,
            ..Self::default()
        }
    }

    /// A rule that breaks the usual answer to the requests of `when`.
    pub fn fault(when: When, fault: impl Into<Fault>) -> Self {
        Self {
            when,
            fault: Some(fault.into()),
            ..Self::default()
        }
    }

    /// Limits the rule to its first `times` requests.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Gives the answers of this rule their own latency.
    #[must_use]
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = Some(latency);
        self
    }
}

/// Conditions on a request; all given ones must hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// A part of the prompt: the text of the last user message that has one.
    ///
    /// The prompt stays the same while an agent's tool calls are answered.
    pub prompt_contains: Option<String>,
    /// A part of any string of the request body, keys excepted.
    pub any_contains: Option<String>,
    /// A part of the name of the model.
    pub model_contains: Option<String>,
    /// Whether the request ends with tool results.
    pub tool_result: Option<bool>,
    /// A part of the tool results at the end of the request.
    pub tool_result_contains: Option<String>,
    /// Whether the answer must fit a schema.
    pub schema: Option<bool>,
    /// The least number of earlier answers in the conversation; its first request has zero.
    pub turn_min: Option<u32>,
    /// The greatest number of earlier answers in the conversation.
    pub turn_max: Option<u32>,
}

impl When {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requests whose prompt contains `part`.
    pub fn prompt(part: impl Into<String>) -> Self {
        Self {
            prompt_contains: Some(part.into()),
            ..Self::default()
        }
    }

    /// Restricts it to models whose name contains `part`.
    #[must_use]
    pub fn model(mut self, part: impl Into<String>) -> Self {
        self.model_contains = Some(part.into());
        self
    }

    /// Restricts it to requests that do, or do not, end with tool results.
    #[must_use]
    pub fn tool_result(mut self, present: bool) -> Self {
        self.tool_result = Some(present);
        self
    }
}

/// The content of an answer.
///
/// In strings, also within JSON and the inputs of tools, these placeholders are replaced:
/// `{prompt}`, `{prompt_digest}`, `{tool_result}`, `{tool_result_digest}` and `{turn}`, the number
/// of earlier answers. Digests are those of [`text_digest`](crate::text_digest).
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// A sample of the schema if the request has one, an echo otherwise.
    #[default]
    Auto,
    /// A text drawn from the digest of the prompt, also if there is a schema.
    Echo,
    /// This text.
    Text(String),
    /// This value, as text.
    Json(Value),
    /// Calls of tools, all in one message.
    ToolCalls(Vec<ToolCall>),
    /// The model declines, with this text.
    Refusal(String),
}

impl Reply {
    /// A text, with templates.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// One call of the tool `name`.
    pub fn tool_call(name: impl Into<String>, input: Value) -> Self {
        Self::ToolCalls(vec![ToolCall {
            name: name.into(),
            input,
        }])
    }
}

/// One call of a tool.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    /// The tool.
    pub name: String,
    /// Its input, an object.
    pub input: Value,
}
