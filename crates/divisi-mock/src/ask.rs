//! A request in a common form for all vendors: what rules, cache and limits read.

use crate::script::When;
use serde_json::Value;
use std::borrow::Cow;

/// One request to a model.
pub(crate) struct Ask<'a> {
    pub(crate) body: &'a Value,
    pub(crate) model: &'a str,
    pub(crate) stream: bool,
    /// Whether a stream ends with its usage; only OpenAI's chat requires an option for it.
    pub(crate) stream_usage: bool,
    pub(crate) schema: Option<&'a Value>,
    pub(crate) output_tokens_max: Option<u64>,
    pub(crate) conversation: Conversation<'a>,
    /// The whole prompt in the order of caching.
    pub(crate) blocks: Vec<Block<'a>>,
}

/// The state of a conversation.
#[derive(Default)]
pub(crate) struct Conversation<'a> {
    /// The text of the last user message that has one.
    pub(crate) prompt: Cow<'a, str>,
    /// The tool results at the end, if it ends with some.
    pub(crate) tool_result: Option<Cow<'a, str>>,
    /// Number of earlier answers.
    pub(crate) turn: u32,
}

/// A block of the prompt, the smallest unit that can be cached.
pub(crate) struct Block<'a> {
    /// Its section: `tools`, `system` or the role of its message.
    pub(crate) place: &'a str,
    /// The text that is counted in tokens.
    pub(crate) text: Cow<'a, str>,
    /// Set if the prefix up to and including this block is to be cached.
    pub(crate) breakpoint: Option<Life>,
}

/// The lifetime class of a cache entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Short,
    Long,
    Implicit,
}

impl Ask<'_> {
    pub(crate) fn matches(&self, when: &When) -> bool {
        let Conversation {
            prompt,
            tool_result,
            turn,
        } = &self.conversation;
        let holds = |wanted: Option<bool>, found: bool| wanted.is_none_or(|wanted| wanted == found);
        let contains = |part: &Option<String>, text: &str| {
            part.as_ref().is_none_or(|part| text.contains(part))
        };
        contains(&when.prompt_contains, prompt)
            && contains(&when.model_contains, self.model)
            && contains(
                &when.tool_result_contains,
                tool_result.as_deref().unwrap_or_default(),
            )
            && holds(when.tool_result, tool_result.is_some())
            && holds(when.schema, self.schema.is_some())
            && when.turn_min.is_none_or(|min| *turn >= min)
            && when.turn_max.is_none_or(|max| *turn <= max)
            && when
                .any_contains
                .as_ref()
                .is_none_or(|part| mentions(self.body, part))
    }
}

fn mentions(value: &Value, part: &str) -> bool {
    match value {
        Value::String(text) => text.contains(part),
        Value::Array(items) => items.iter().any(|item| mentions(item, part)),
        Value::Object(map) => map.values().any(|value| mentions(value, part)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The number of tokens in `chars` characters, by the mock's own rule.
pub(crate) fn tokens(chars: usize) -> u64 {
    chars.div_ceil(4) as u64
}

/// The tokens of the whole prompt.
pub(crate) fn prompt_tokens(blocks: &[Block<'_>]) -> u64 {
    tokens(blocks.iter().map(|block| block.text.chars().count()).sum())
}

/// Joins texts line by line; copies only if there are several.
pub(crate) fn join<'a>(texts: impl IntoIterator<Item = Cow<'a, str>>) -> Cow<'a, str> {
    let mut texts = texts.into_iter();
    let Some(mut joined) = texts.next() else {
        return Cow::Borrowed("");
    };
    for text in texts {
        let joined = joined.to_mut();
        joined.push('\n');
        joined.push_str(&text);
    }
    joined
}
