//! Prices set by the user.

use super::Quote;
use crate::globs;
use divisi_core::ModelPrice;
use globset::GlobMatcher;

/// The user's prices, by patterns of model ids.
#[derive(Clone, Debug, Default)]
pub struct OwnPrices {
    /// The most specific pattern first.
    entries: Vec<(GlobMatcher, ModelPrice)>,
}

/// An invalid pattern of model ids.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern of model ids `{pattern}` {message}")]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// What is wrong with it.
    pub message: String,
}

impl OwnPrices {
    /// Prices by patterns such as `my-model`, `llama-*` or `corp:*`, the last with a provider in
    /// front. If several match, the longest is used, and an exact id before any pattern.
    pub fn new(
        prices: impl IntoIterator<Item = (String, ModelPrice)>,
    ) -> Result<Self, PatternError> {
        let entry = |(pattern, price): (String, ModelPrice)| match globs::compile(&pattern, false) {
            Ok(glob) => Ok((glob, price)),
            Err(message) => Err(PatternError { pattern, message }),
        };
        let mut entries = prices
            .into_iter()
            .map(entry)
            .collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(|(pattern, _)| {
            let pattern = pattern.glob().glob();
            (
                pattern.contains(['*', '?', '[', '{']),
                std::cmp::Reverse(pattern.len()),
            )
        });
        Ok(Self { entries })
    }

    pub(super) fn quote(&self, provider: &str, model: &str) -> Option<Quote> {
        if self.entries.is_empty() {
            return None;
        }
        let full = format!("{provider}:{model}");
        let fits = |pattern: &GlobMatcher| pattern.is_match(model) || pattern.is_match(&full);
        let (_, price) = self.entries.iter().find(|(pattern, _)| fits(pattern))?;
        Some(Quote {
            price: price.clone(),
            source: "your settings".into(),
            checked: None,
            since: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_core::price::Rates;
    use divisi_core::{PicoUsd, Timestamp};

    fn own(patterns: &[&str]) -> OwnPrices {
        let price = |n: usize| ModelPrice {
            base: Rates {
                input: PicoUsd(n as u64),
                ..Rates::default()
            },
            ..ModelPrice::default()
        };
        let entries = patterns
            .iter()
            .enumerate()
            .map(|(n, pattern)| ((*pattern).to_owned(), price(n)));
        OwnPrices::new(entries).unwrap()
    }

    #[test]
    fn the_most_particular_pattern_counts() {
        let own = own(&["*", "llama-*", "llama-3", "corp:*", "meta/llama*"]);
        let found = |provider, model| {
            own.quote(provider, model)
                .map(|quote| quote.price.base.input.0)
        };
        assert_eq!(found("x", "llama-3"), Some(2));
        assert_eq!(found("x", "llama-4"), Some(1));
        assert_eq!(found("corp", "mine"), Some(3));
        assert_eq!(found("x", "meta/llama-4"), Some(4));
        assert_eq!(found("x", "other"), Some(0));
    }

    #[test]
    fn they_win_over_every_list() {
        let catalogue = super::super::Catalogue::new(own(&["never", "claude-*"]));
        let price = catalogue
            .price("anthropic", "claude-opus-5-5", Timestamp(0))
            .unwrap();
        assert_eq!(price.base.input, PicoUsd(1));
    }

    #[test]
    fn what_is_no_pattern_is_named() {
        let error = OwnPrices::new([("a[".to_owned(), ModelPrice::default())]).unwrap_err();
        insta::assert_snapshot!(error, @"the pattern of model ids `a[` is not valid: unclosed character class; missing ']'");
    }
}
