//! Estimates token counts that a server does not give.

use crate::reply::Reply;
use crate::request::{Block, Request, Text};
use divisi_core::tokens::BYTES_OF_PROSE;
use serde_json::Value;

/// Approximate tokens for a number of characters. Code and languages other than English need up to
/// twice as many.
pub(crate) fn tokens(chars: usize) -> u64 {
    (chars as u64).div_ceil(BYTES_OF_PROSE)
}

/// Largest plausible average of characters per token: tokens for runs of blanks or dashes have
/// more, words a handful. A count below that is wrong.
const CHARS_PER_TOKEN_MAX: u64 = 32;

/// Texts up to this length may have any count: it is about less than a cent, and some servers
/// exclude a short system prompt, or what was in their cache.
const CHARS_IN_DOUBT: u64 = 16_000;

/// Whether a prompt of this many bytes of text may have this many tokens.
pub fn is_plausible_prompt(counted: u64, bytes: u64) -> bool {
    counted > 0 && !is_too_few(counted, bytes)
}

fn is_too_few(count: u64, chars: u64) -> bool {
    chars > CHARS_IN_DOUBT && count.saturating_mul(CHARS_PER_TOKEN_MAX) < chars
}

/// Replaces counts of the reply that are missing or implausibly low. Zero counts as missing,
/// because no prompt and no reply is free of tokens.
pub(crate) fn counted(mut reply: Reply, request: &Request) -> Reply {
    let (asked, said) = (prompt_tokens(request), output_tokens(&reply.blocks));
    // Encrypted thoughts are longer than their plain text.
    let open = reply
        .blocks
        .iter()
        .filter(|block| !matches!(block, Block::Opaque(_)));
    let open = open.map(block_chars).sum::<usize>() as u64;
    let (prompt, output) = (reply.usage.prompt(), reply.usage.output);
    let counts = [
        (
            prompt == 0 || is_too_few(prompt, asked * BYTES_OF_PROSE),
            &mut reply.usage.input,
            asked,
            prompt,
        ),
        (
            output == 0 || is_too_few(output, open),
            &mut reply.usage.output,
            said,
            output,
        ),
    ];
    for (is_missing, count, guess, whole) in counts {
        if is_missing && guess > whole {
            // Cached prompt tokens are counted separately.
            *count = count.saturating_add(guess - whole);
            reply.usage_estimated = true;
        }
    }
    reply
}

/// Approximate prompt tokens of `request`.
pub(crate) fn prompt_tokens(request: &Request) -> u64 {
    tokens(request.texts().map(chars).sum())
}

/// Approximate output tokens of `blocks`.
pub(crate) fn output_tokens(blocks: &[Block]) -> u64 {
    tokens(blocks.iter().map(block_chars).sum())
}

fn block_chars(block: &Block) -> usize {
    block.texts().map(chars).sum()
}

fn chars(text: Text<'_>) -> usize {
    match text {
        Text::Plain(text) => text.chars().count(),
        Text::Json(value) => json_chars(value),
    }
}

fn json_chars(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 4,
        Value::String(text) => chars(Text::Plain(text)) + 2,
        Value::Array(items) => 2 + items.iter().map(|item| json_chars(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields
                .iter()
                .map(|(name, value)| chars(Text::Plain(name)) + json_chars(value) + 4)
                .sum::<usize>()
        }
    }
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
        let of = |input, output| Usage {
            input,
            output,
            ..Usage::default()
        };
        assert_eq!(estimated(of(0, 0), "four"), (2, 1, true));
        assert_eq!(estimated(of(9, 0), "four"), (9, 1, true));
        assert_eq!(estimated(of(0, 9), "four"), (2, 9, true));
        assert_eq!(estimated(of(9, 9), "four"), (9, 9, false));
        assert_eq!(estimated(of(9, 0), ""), (9, 0, false));
        assert_eq!(
            estimated(
                Usage {
                    cache_read: 9,
                    ..of(0, 9)
                },
                "four"
            ),
            (0, 9, false)
        );
        // One token for a megabyte.
        let megabyte = "x".repeat(1 << 20);
        assert_eq!(estimated(of(9, 1), &megabyte), (9, 1 << 18, true));
        // The largest plausible number for blanks.
        assert_eq!(estimated(of(9, 1 << 15), &megabyte), (9, 1 << 15, false));
    }

    #[test]
    fn a_prompt_is_counted_by_more_than_a_token() {
        let request = Request::new("m", "x".repeat(1 << 20), 1);
        let input = |usage: Usage| {
            let reply = Reply {
                model: String::new(),
                blocks: vec![Block::text("four")],
                stop: Stop::EndTurn,
                usage: Usage { output: 1, ..usage },
                billing: Default::default(),
                usage_estimated: false,
                request_id: None,
                rate: Default::default(),
            };
            let reply = counted(reply, &request);
            (
                reply.usage.input,
                reply.usage.prompt(),
                reply.usage_estimated,
            )
        };
        assert_eq!(
            input(Usage {
                input: 1,
                ..Usage::default()
            }),
            (1 << 18, 1 << 18, true)
        );
        assert_eq!(
            input(Usage {
                input: 1,
                cache_read: 9,
                ..Usage::default()
            }),
            ((1 << 18) - 9, 1 << 18, true)
        );
        assert_eq!(
            input(Usage {
                input: 1,
                cache_read: 1 << 18,
                ..Usage::default()
            }),
            (1, (1 << 18) + 1, false)
        );
    }
}
