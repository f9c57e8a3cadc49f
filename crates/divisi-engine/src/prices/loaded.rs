//! A public price list that the user has loaded, newer than the built-in one.

use super::{Quote, litellm, published};
use divisi_core::Timestamp;
use genai_prices::Calculator;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// A price list with its source.
#[derive(Debug)]
pub struct LoadedList {
    about: About,
    list: List,
}

/// Where a list comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Its format: `genai-prices` or `litellm`.
    pub format: String,
    /// The file it was loaded from.
    pub source: String,
    /// The day on which it was loaded, as `2026-11-30`.
    pub day: String,
}

enum List {
    GenaiPrices(Box<Calculator>),
    LiteLlm(litellm::Prices),
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.format())
    }
}

/// A text that is no price list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is neither a list of genai-prices nor one of LiteLLM")]
pub struct NoList;

impl List {
    fn read(text: &[u8]) -> Result<Self, NoList> {
        let value: Value = serde_json::from_slice(text).map_err(|_| NoList)?;
        if value.is_array() {
            let calculator = Calculator::from_json(text).map_err(|_| NoList)?;
            return Ok(Self::GenaiPrices(Box::new(calculator)));
        }
        litellm::read(&value).map(Self::LiteLlm).ok_or(NoList)
    }

    fn format(&self) -> &'static str {
        match self {
            Self::GenaiPrices(_) => "genai-prices",
            Self::LiteLlm(_) => "litellm",
        }
    }
}

impl LoadedList {
    /// Reads a list as it is published, loaded from `source` on `day`.
    pub fn new(text: &[u8], source: &str, day: &str) -> Result<Self, NoList> {
        let list = List::read(text)?;
        let about = About {
            format: list.format().to_owned(),
            source: source.to_owned(),
            day: day.to_owned(),
        };
        Ok(Self { about, list })
    }

    /// Its source.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Number of models in it.
    pub fn len(&self) -> usize {
        self.models().len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All its models, by provider and id.
    pub(super) fn models(&self) -> Vec<(String, String)> {
        match &self.list {
            List::GenaiPrices(calculator) => published::models(calculator),
            List::LiteLlm(prices) => prices.keys().cloned().collect(),
        }
    }

    /// Its price of a model.
    pub(super) fn quote(&self, provider: &str, model: &str, at: Timestamp) -> Option<Quote> {
        let price = match &self.list {
            List::GenaiPrices(calculator) => published::price(calculator, provider, model, at)?,
            List::LiteLlm(prices) => litellm::find(prices, provider, model)?.clone(),
        };
        let About {
            format,
            source,
            day,
        } = &self.about;
        Some(Quote {
            price,
            source: format!("{format}, loaded from {source}").into(),
            checked: Some(day.as_str().into()),
            since: None,
        })
    }
}
