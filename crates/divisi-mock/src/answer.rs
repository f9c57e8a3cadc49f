//! The answer of a model, before it is encoded in a vendor's format.

use crate::ask::{Ask, tokens};
use crate::digest::Digest;
use crate::sample::sample;
use crate::script::{Reply, Rule};
use crate::stats::Tokens;
use crate::template::{fill, fill_value};
use serde_json::Value;

/// One whole answer.
pub(crate) struct Answer<'a> {
    /// The digest of the request, from which ids are made.
    pub(crate) digest: Digest,
    pub(crate) model: &'a str,
    pub(crate) parts: Vec<Part>,
    pub(crate) stop: Stop,
    pub(crate) usage: Tokens,
    pub(crate) stream_usage: bool,
    pub(crate) chunk_chars: usize,
}

/// A piece of an answer.
pub(crate) enum Part {
    Thinking(String),
    Text(String),
    Refusal(String),
    ToolCall { name: String, input: Value },
}

/// Why an answer ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    End,
    ToolUse,
    TokensMax,
    Refusal,
}

/// The parts with which `rule` answers `ask`, or the default ones without a rule.
pub(crate) fn parts(ask: &Ask<'_>, rule: Option<&Rule>) -> Vec<Part> {
    let Some(rule) = rule else { return usual(ask) };
    let mut parts = Vec::new();
    if let Some(thinking) = &rule.thinking {
        parts.push(Part::Thinking(fill(thinking, &ask.conversation)));
    }
    if let Some(preface) = &rule.preface {
        parts.push(Part::Text(fill(preface, &ask.conversation)));
    }
    match &rule.reply {
        Reply::Auto => parts.extend(usual(ask)),
        Reply::Echo => parts.push(Part::Text(echo(&ask.conversation.prompt))),
        Reply::Text(text) => parts.push(Part::Text(fill(text, &ask.conversation))),
        Reply::Json(value) => {
            parts.push(Part::Text(fill_value(value, &ask.conversation).to_string()));
        }
        Reply::ToolCalls(calls) => parts.extend(calls.iter().map(|call| Part::ToolCall {
            name: call.name.clone(),
            input: fill_value(&call.input, &ask.conversation),
        })),
        Reply::Refusal(text) => parts.push(Part::Refusal(fill(text, &ask.conversation))),
    }
    parts
}

fn usual(ask: &Ask<'_>) -> Vec<Part> {
    let prompt = &ask.conversation.prompt;
    vec![Part::Text(match ask.schema {
        Some(schema) => sample(schema, &mut Digest::of(prompt.as_bytes()).dice()).to_string(),
        None => echo(prompt),
    })]
}

/// The text with which the mock answers `prompt` without a matching rule.
pub fn echo(prompt: &str) -> String {
    let digest = Digest::of(prompt.as_bytes());
    let mut dice = digest.dice();
    let count = 4 + dice.below(13);
    format!("echo {digest}: {}", dice.words(count))
}

impl Answer<'_> {
    /// Counts the output, cuts it at `output_tokens_max` and sets the stop reason.
    ///
    /// A tool call that does not fit is left out, since a part of its input would be invalid.
    pub(crate) fn fit(&mut self, output_tokens_max: Option<u64>) {
        let mut left = output_tokens_max.unwrap_or(u64::MAX);
        let mut stop = natural_stop(&self.parts);
        let mut fitting = Vec::with_capacity(self.parts.len());
        for part in self.parts.drain(..) {
            let (wanted, thinks) = (part.tokens(), matches!(part, Part::Thinking(_)));
            let spent = wanted.min(left);
            left -= spent;
            self.usage.output += spent;
            self.usage.thinking += if thinks { spent } else { 0 };
            if spent < wanted {
                fitting.extend(part.cut(spent));
                stop = Stop::TokensMax;
                break;
            }
            fitting.push(part);
        }
        self.parts = fitting;
        self.stop = stop;
    }
}

fn natural_stop(parts: &[Part]) -> Stop {
    match parts.last() {
        Some(Part::ToolCall { .. }) => Stop::ToolUse,
        Some(Part::Refusal(_)) => Stop::Refusal,
        Some(Part::Thinking(_) | Part::Text(_)) | None => Stop::End,
    }
}

impl Part {
    fn tokens(&self) -> u64 {
        match self {
            Self::Thinking(text) | Self::Text(text) | Self::Refusal(text) => {
                tokens(text.chars().count())
            }
            Self::ToolCall { name, input } => {
                tokens(name.chars().count() + input.to_string().chars().count())
            }
        }
    }

    /// The first `tokens` tokens; `None` if nothing of them can be shown.
    fn cut(self, tokens: u64) -> Option<Self> {
        let head = |text: String| text.chars().take(4 * tokens as usize).collect();
        match self {
            _ if tokens == 0 => None,
            Self::Thinking(text) => Some(Self::Thinking(head(text))),
            Self::Text(text) => Some(Self::Text(head(text))),
            Self::Refusal(text) => Some(Self::Refusal(head(text))),
            Self::ToolCall { .. } => None,
        }
    }
}
