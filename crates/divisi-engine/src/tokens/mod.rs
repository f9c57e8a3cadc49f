//! Token counts of texts, computed offline.
//!
//! OpenAI's models: with their own tokeniser (`openai`), if built in. Claude: estimated from the
//! measured cost of text features, for each generation of its tokenisers (`claude`). Other models:
//! like new Claude models, which use the most tokens. The errors, and how they were measured, are
//! in `docs/tokens.md`.
//!
//! A count is for a text, not for a request: vendors add a frame around messages and tools
//! ([`FRAME_TOKENS`]). What a model charges corrects the count ([`Correction`]).

mod features;

mod claude;
#[cfg(feature = "tokenisers")]
mod openai;

mod correction;

pub use correction::Correction;
pub use features::Features;

use claude::Generation;
use divisi_providers::Request;

/// Tokens that vendors add to each message: three to eight have been observed.
pub const FRAME_TOKENS: u64 = 8;

/// Number of tokens of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The most likely number.
    pub tokens: u64,
    /// Rarely exceeded: by a few of some thousand texts. Measured, not proven: where a count must
    /// never be too low, use the number of bytes.
    pub upper: u64,
}

/// The tokeniser of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokeniser {
    /// That of OpenAI's models from GPT-4o on.
    Openai,
    /// That of Claude up to 4.6.
    ClaudeOld,
    /// That of Claude from 4.7 on.
    ClaudeNew,
    /// Unknown.
    Unknown,
}

impl Tokeniser {
    /// The tokeniser of the model with this id, as vendors and gateways write it.
    pub fn of(model: &str) -> Self {
        let model = model
            .rsplit('/')
            .next()
            .unwrap_or(model)
            .to_ascii_lowercase();
        let begins = |stems: &[&str]| stems.iter().any(|stem| model.starts_with(stem));
        match model.find("claude") {
            Some(at) if is_old_claude(&model[at..]) => Self::ClaudeOld,
            Some(_) => Self::ClaudeNew,
            None if begins(&["gpt-", "chatgpt-", "o1", "o3", "o4", "codex-"]) => Self::Openai,
            None => Self::Unknown,
        }
    }
}

/// Counts the tokens of `text` for `model`.
///
/// The first count for an OpenAI model includes the time to load its vocabulary, about a second.
pub fn count(model: &str, text: &str) -> Count {
    match Tokeniser::of(model) {
        #[cfg(feature = "tokenisers")]
        Tokeniser::Openai => openai::count(text),
        #[cfg(not(feature = "tokenisers"))]
        Tokeniser::Openai => of_unknown(text),
        Tokeniser::ClaudeOld => claude::count(Generation::Old, text),
        Tokeniser::ClaudeNew => claude::count(Generation::New, text),
        Tokeniser::Unknown => of_unknown(text),
    }
}

fn of_unknown(text: &str) -> Count {
    let Count { tokens, upper } = claude::count(Generation::New, text);
    // Small vocabularies of local models give even more tokens.
    Count {
        tokens,
        upper: (upper + upper / 2).min(bytes(text)),
    }
}

/// Approximate tokens of `request` for its model.
pub fn of_request(request: &Request) -> u64 {
    let texts = request
        .texts()
        .map(|text| count(&request.model, &text.written()).tokens);
    texts.sum::<u64>() + FRAME_TOKENS
}

fn bytes(text: &str) -> u64 {
    text.len() as u64
}

/// Whether a Claude model is at most 4.6, by the numbers in its id. A number of more than two
/// digits is a date.
fn is_old_claude(model: &str) -> bool {
    let numbers = model
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| (1..=2).contains(&digits.len()));
    let mut numbers = numbers.filter_map(|digits| digits.parse::<u32>().ok());
    let version = (numbers.next(), numbers.next());
    match version {
        (Some(major), minor) => (major, minor.unwrap_or(0)) < (4, 7),
        // `claude-instant`, `claude-v1`: only old models have no number.
        (None, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_known_by_their_ids() {
        let all = |models: &[&str], tokeniser| {
            for model in models {
                assert_eq!(Tokeniser::of(model), tokeniser, "{model}");
            }
        };
        all(
            &[
                "claude-haiku-4-5-20251001",
                "claude-opus-4-20250514",
                "claude-3-5-sonnet-latest",
                "claude-opus-4-6",
            ],
            Tokeniser::ClaudeOld,
        );
        all(
            &[
                "claude-opus-4-7",
                "claude-haiku-5-5",
                "anthropic/claude-sonnet-5.5",
                "claude-sonnet-5",
            ],
            Tokeniser::ClaudeNew,
        );
        all(
            &["us.anthropic.claude-haiku-4-5-20251001-v1:0"],
            Tokeniser::ClaudeOld,
        );
        all(
            &["gpt-6-luna", "openai/gpt-6.1-sol", "o3-mini", "GPT-4o"],
            Tokeniser::Openai,
        );
        all(&["llama-3", "demo-sonnet", "qwen"], Tokeniser::Unknown);
    }

    #[test]
    fn no_count_is_above_the_bytes_or_below_itself() {
        for text in [
            "",
            "x",
            "日本語テキスト",
            "🦀🦀",
            "    \n\n",
            "a b c d e f g",
            "0123456789",
            "\u{1b}[31m",
        ] {
            for model in [
                "gpt-6-luna",
                "claude-haiku-4-5",
                "claude-haiku-5-5",
                "llama",
            ] {
                let Count { tokens, upper } = count(model, text);
                assert!(
                    tokens <= upper && upper <= bytes(text),
                    "{model} {text:?}: {tokens} {upper}"
                );
                assert_eq!(tokens == 0, text.is_empty(), "{model} {text:?}");
            }
        }
    }
}
