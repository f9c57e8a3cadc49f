//! Parts of requests that some servers refuse, each with the words of such a server.
//!
//! A mock with `"refuses": ["schema_with_tools"]` answers such requests as that server does, and
//! all others as usual.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A part of requests that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// A schema for the answer, like DeepSeek.
    Schema,
    /// A schema together with tools, like Groq.
    SchemaWithTools,
    /// Any schema because of its size, like Anthropic.
    LargeGrammar,
    /// Tools, like Ollama.
    Tools,
    /// Options of a stream, like Mistral.
    StreamOptions,
    /// `max_tokens`, like OpenAI.
    MaxTokens,
    /// `output_config`, like servers with an older version of Anthropic's API.
    OutputConfig,
    /// More than 4,096 tokens of a reply, like older models.
    LongReply,
    /// System messages, like Gemma's template.
    SystemRole,
    /// Blank texts, like Anthropic.
    BlankText,
}

/// The longest reply that [`Refusal::LongReply`] accepts.
const REPLY_TOKENS_MAX: u64 = 4_096;

impl Refusal {
    /// The status and the body of the refusal, if `request` has the part.
    pub(crate) fn of(self, request: &Value) -> Option<(u16, Value)> {
        let has = |pointer: &str| request.pointer(pointer).is_some_and(|part| !part.is_null());
        let has_schema =
            has("/response_format") || has("/output_config/format") || has("/text/format");
        let reply = ["max_tokens", "max_completion_tokens", "max_output_tokens"]
            .into_iter()
            .find_map(|name| request[name].as_u64());
        let is_refused = match self {
            Self::Schema | Self::LargeGrammar => has_schema,
            Self::SchemaWithTools => has_schema && has("/tools"),
            Self::Tools => has("/tools"),
            Self::StreamOptions => has("/stream_options"),
            Self::MaxTokens => has("/max_tokens"),
            Self::OutputConfig => has("/output_config"),
            Self::LongReply => reply.is_some_and(|tokens| tokens > REPLY_TOKENS_MAX),
            Self::SystemRole => request
                .pointer("/messages/0/role")
                .is_some_and(|role| role == "system"),
            Self::BlankText => has_blank_text(request),
        };
        is_refused.then(|| self.words(reply.unwrap_or_default()))
    }

    fn words(self, reply: u64) -> (u16, Value) {
        let openai = |message: &str, param: Option<&str>| json!({"error": {"message": message, "type": "invalid_request_error", "param": param, "code": null}});
        let anthropic = |message: &str| json!({"type": "error", "error": {"type": "invalid_request_error", "message": message}});
        match self {
            Self::Schema => (
                400,
                openai("This response_format type is unavailable now", None),
            ),
            Self::SchemaWithTools => (
                400,
                openai(
                    "json mode cannot be combined with tool/function calling",
                    None,
                ),
            ),
            Self::LargeGrammar => (
                400,
                anthropic(
                    "The compiled grammar is too large, which would cause performance issues. Simplify your tool schemas or reduce the number of strict tools.",
                ),
            ),
            Self::Tools => (
                400,
                openai(
                    "registry.ollama.ai/library/gemma3:4b does not support tools",
                    None,
                ),
            ),
            Self::StreamOptions => (
                422,
                json!({"object": "error", "type": "invalid_request_error", "message": {"detail": [{
                    "type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"
                }]}}),
            ),
            Self::MaxTokens => (
                400,
                openai(
                    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                    Some("max_tokens"),
                ),
            ),
            Self::OutputConfig => (
                400,
                anthropic("output_config: Extra inputs are not permitted"),
            ),
            Self::LongReply => (
                400,
                openai(
                    &format!(
                        "max_tokens is too large: {reply}. This model supports at most {REPLY_TOKENS_MAX} completion tokens, whereas you provided {reply}."
                    ),
                    Some("max_tokens"),
                ),
            ),
            Self::SystemRole => (
                400,
                json!({"object": "error", "message": "System role not supported", "type": "BadRequestError", "param": null, "code": 400}),
            ),
            Self::BlankText => (
                400,
                anthropic("messages: text content blocks must contain non-whitespace text"),
            ),
        }
    }
}

/// Whether a text in the messages or the system prompt is blank.
fn has_blank_text(request: &Value) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of_messages = list(&request["messages"])
        .into_iter()
        .flat_map(|message| list(&message["content"]));
    let blocks = list(&request["system"]).into_iter().chain(of_messages);
    blocks.into_iter().any(|block| {
        block["text"]
            .as_str()
            .is_some_and(|text| text.trim().is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_requests_with_the_part_are_refused() {
        let plain = json!({"model": "m", "max_completion_tokens": 100, "messages": [{"role": "user", "content": "hi"}]});
        for (refusal, with) in [
            (Refusal::Schema, json!({"response_format": {}})),
            (
                Refusal::SchemaWithTools,
                json!({"response_format": {}, "tools": [{}]}),
            ),
            (
                Refusal::LargeGrammar,
                json!({"output_config": {"format": {}}}),
            ),
            (Refusal::Tools, json!({"tools": [{}]})),
            (Refusal::StreamOptions, json!({"stream_options": {}})),
            (Refusal::MaxTokens, json!({"max_tokens": 100})),
            (Refusal::OutputConfig, json!({"output_config": {}})),
            (Refusal::LongReply, json!({"max_tokens": 5_000})),
            (
                Refusal::SystemRole,
                json!({"messages": [{"role": "system"}]}),
            ),
            (
                Refusal::BlankText,
                json!({"messages": [{"content": [{"text": " \n"}]}]}),
            ),
        ] {
            assert_eq!(refusal.of(&plain), None);
            assert!(
                refusal
                    .of(&with)
                    .is_some_and(|(status, body)| status >= 400 && body.is_object()),
                "{refusal:?}"
            );
        }
        assert_eq!(
            Refusal::SchemaWithTools.of(&json!({"response_format": {}})),
            None
        );
    }
}
