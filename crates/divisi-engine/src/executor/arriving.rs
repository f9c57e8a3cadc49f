//! What has arrived of a reply, for a request that may never be answered in full.

use divisi_core::budget::{TurnBound, Unanswered};
use divisi_core::{ModelPrice, PicoUsd, Usage};
use divisi_providers::is_plausible_prompt;
use std::sync::Arc;

/// A reply as far as it has arrived.
#[derive(Debug, Default)]
pub(crate) struct Arriving {
    price: Option<Arc<ModelPrice>>,
    /// Bytes of all texts in the request.
    bytes: u64,
    /// Longest reply in tokens.
    reply_tokens_max: u32,
    /// The prompt as the vendor has counted it.
    prompt: Usage,
    /// Tokens of the reply, estimated from its text.
    output: u64,
}

impl Arriving {
    /// Nothing has arrived.
    pub(crate) fn new(price: Option<&Arc<ModelPrice>>, bytes: u64, reply_tokens_max: u32) -> Self {
        Self {
            price: price.cloned(),
            bytes,
            reply_tokens_max,
            ..Self::default()
        }
    }

    /// The vendor has counted the prompt.
    pub(crate) fn counts(&mut self, prompt: Usage) {
        self.prompt = prompt;
    }

    /// The reply has grown to about this many tokens.
    pub(crate) fn grows(&mut self, tokens: u64) {
        // A longer reply only shows that the estimate is too high.
        self.output = tokens.min(self.reply_tokens_max.into());
    }

    /// What the request may be billed if no more arrives.
    ///
    /// What has arrived is spent, but bounds nothing: the vendor may have written on after the
    /// connection broke, up to the longest reply. A counted prompt is exact, so it bounds the rest.
    pub(crate) fn unanswered(&self) -> Unanswered {
        let Some(price) = self.price.as_deref() else {
            return Unanswered::UNKNOWN;
        };
        // Some gateways send a placeholder at first.
        let is_counted = is_plausible_prompt(self.prompt.prompt(), self.bytes);
        let usage = Usage {
            output: self.output,
            ..if is_counted {
                self.prompt
            } else {
                Usage::default()
            }
        };
        Unanswered {
            usage,
            known: price.cost(&usage),
            most: match is_counted {
                true => TurnBound::counted(price, &usage, self.reply_tokens_max).most(),
                false => PicoUsd::MAX,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_core::price::Rates;

    /// A picodollar for a token of the prompt, ten for one of the reply.
    fn arriving(bytes: u64) -> Arriving {
        let base = Rates {
            input: PicoUsd(1),
            output: PicoUsd(10),
            ..Rates::default()
        };
        let price = Arc::new(ModelPrice {
            base,
            ..ModelPrice::default()
        });
        Arriving::new(Some(&price), bytes, 1_000)
    }

    fn shown(arriving: &Arriving) -> (u64, u64) {
        let Unanswered { known, most, .. } = arriving.unanswered();
        (known.0, most.0)
    }

    fn prompt(input: u64) -> Usage {
        Usage {
            input,
            ..Usage::default()
        }
    }

    #[test]
    fn a_counted_prompt_bounds_and_what_arrives_is_known() {
        let mut reply = arriving(40_000);
        assert_eq!(shown(&reply), (0, u64::MAX));
        reply.grows(7);
        assert_eq!(shown(&reply), (70, u64::MAX), "the prompt is not counted");
        reply.counts(prompt(9_000));
        // The bound has the factor of a region that an account may choose for all requests.
        assert_eq!(shown(&reply), (9_070, 9_900 + 11_000));
        reply.grows(5_000);
        assert_eq!(
            shown(&reply),
            (19_000, 9_900 + 11_000),
            "no longer than it may be"
        );
    }

    #[test]
    fn a_placeholder_is_no_count() {
        let mut reply = arriving(400_000);
        reply.counts(prompt(1));
        assert_eq!(shown(&reply), (0, u64::MAX));
        assert_eq!(Arriving::default().unanswered(), Unanswered::UNKNOWN);
    }
}
