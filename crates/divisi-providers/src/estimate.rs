//! Token counts where nobody counts for us.

use crate::reply::Reply;
use crate::request::{Block, Request};
use serde_json::Value;

/// About how many tokens so many characters are. Code and other languages than
/// English need up to twice as many.
pub(crate) fn tokens(chars: usize) -> u64 {
    chars.div_ceil(4) as u64
}

/// The reply with our guess wherever its server counted nothing. No prompt and no
/// reply is free of tokens, so zero is no count.
pub(crate) fn counted(mut reply: Reply, request: &Request) -> Reply {
    let counts = [
        (reply.usage.prompt() == 0, &mut reply.usage.input, prompt_tokens(request)),
        (reply.usage.output == 0, &mut reply.usage.output, output_tokens(&reply.blocks)),
    ];
    for (is_missing, count, guess) in counts {
        if is_missing && guess > 0 {
            *count = guess;
            reply.usage_estimated = true;
        }
    }
    reply
}

/// About how many tokens a model reads for `request`.
pub(crate) fn prompt_tokens(request: &Request) -> u64 {
    let system: usize = request.system.iter().map(|block| chars(&block.text)).sum();
    let messages: usize = request.messages.iter().flat_map(|message| &message.blocks).map(block_chars).sum();
    let tools: usize = request
        .tools
        .iter()
        .map(|tool| chars(&tool.name) + chars(&tool.description) + json_chars(&tool.input_schema))
        .sum();
    tokens(system + messages + tools + request.schema.as_deref().map_or(0, json_chars))
}

/// About how many tokens a model writes for `blocks`.
pub(crate) fn output_tokens(blocks: &[Block]) -> u64 {
    tokens(blocks.iter().map(block_chars).sum())
}

fn block_chars(block: &Block) -> usize {
    match block {
        Block::Text { text, .. } => chars(text),
        Block::ToolUse { name, input, .. } => chars(name) + json_chars(input),
        Block::ToolResult { content, .. } => chars(content),
        Block::Opaque(value) => json_chars(value),
    }
}

fn json_chars(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
        Value::String(text) => chars(text) + 2,
        Value::Array(items) => 2 + items.iter().map(|item| json_chars(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(name, value)| chars(name) + json_chars(value) + 4).sum::<usize>()
        }
    }
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::Stop;
    use divisi_core::Usage;

    #[test]
    fn zero_is_no_count() {
        let request = Request::new("m", "eight in", 1);
        let estimated = |usage: Usage, text: &str| {
            let reply = Reply {
                model: String::new(),
                blocks: vec![Block::text(text)],
                stop: Stop::EndTurn,
                usage,
                billing: Default::default(),
                usage_estimated: false,
                request_id: None,
                rate: Default::default(),
            };
            let reply = counted(reply, &request);
            (reply.usage.input, reply.usage.output, reply.usage_estimated)
        };
        let of = |input, output| Usage { input, output, ..Usage::default() };
        assert_eq!(estimated(of(0, 0), "four"), (2, 1, true));
        assert_eq!(estimated(of(9, 0), "four"), (9, 1, true));
        assert_eq!(estimated(of(0, 9), "four"), (2, 9, true));
        assert_eq!(estimated(of(9, 9), "four"), (9, 9, false));
        assert_eq!(estimated(of(9, 0), ""), (9, 0, false));
        assert_eq!(estimated(Usage { cache_read: 9, ..of(0, 9) }, "four"), (0, 9, false));
    }
}
