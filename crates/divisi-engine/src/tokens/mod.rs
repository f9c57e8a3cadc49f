//! How many tokens a text is, counted offline.
//!
//! OpenAI's models: by their own tokeniser (`openai`), where that is built in. Claude: by what each
//! piece of text was measured to cost, per family of its tokenisers (`claude`).
//! Anyone else: as new Claude models, which make the most tokens of all. What
//! the error is, and how it was measured, stands in `docs/tokens.md`.
//!
//! Counted is a text, not a request: the frame that a vendor puts around
//! messages and tools comes on top ([`FRAME_TOKENS`]). What a model is really
//! charged for corrects the count ([`Correction`]).

mod features;

mod claude;
#[cfg(feature = "tokenisers")]
mod openai;

mod correction;

pub use correction::Correction;
pub use features::Features;

use claude::Generation;
use divisi_providers::Request;

/// Tokens that vendors add to each message: three to eight have been seen.
pub const FRAME_TOKENS: u64 = 8;

/// How many tokens a text is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Most likely.
    pub tokens: u64,
    /// Hardly ever exceeded: by a few of some thousand texts. Measured, not
    /// proven: what must never be too low takes the number of bytes.
    pub upper: u64,
}

/// How a model makes tokens of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokeniser {
    /// That of OpenAI's models from GPT-4o on.
    Openai,
    /// That of Claude up to 4.6.
    ClaudeOld,
    /// That of Claude from 4.7 on.
    ClaudeNew,
    /// Nobody told us.
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

/// Counts the tokens that `model` makes of `text`.
///
/// The first count for an OpenAI model takes as long as its vocabulary takes to
/// load, a fraction of a second.
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
    // Small vocabularies of local models cut finer still.
    Count {
        tokens,
        upper: (upper + upper / 2).min(bytes(text)),
    }
}

/// About how many tokens `request` has to its model.
pub fn of_request(request: &Request) -> u64 {
    let texts = request
        .texts()
        .map(|text| count(&request.model, &text.written()).tokens);
    texts.sum::<u64>() + FRAME_TOKENS
}

fn bytes(text: &str) -> u64 {
    text.len() as u64
}

/// Whether a Claude model is one of up to 4.6, by the numbers in its id. A
/// number with more than two digits is a date.
fn is_old_claude(model: &str) -> bool {
    let numbers = model
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| (1..=2).contains(&digits.len()));
    let mut numbers = numbers.filter_map(|digits| digits.parse::<u32>().ok());
    let version = (numbers.next(), numbers.next());
    match version {
        (Some(major), minor) => (major, minor.unwrap_or(0)) < (4, 7),
        // `claude-instant`, `claude-v1`: nothing new is without a number.
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
