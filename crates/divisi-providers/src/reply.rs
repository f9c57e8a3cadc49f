//! Replies of models.

use crate::rate::RateLimits;
use crate::request::{Block, Message, Role};
use divisi_core::Usage;
pub use divisi_core::attempt::Stop;
use divisi_core::price::Billing;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A model's reply to one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The model named by the vendor, which may differ from the one asked for.
    pub model: String,
    /// Its content, in order.
    pub blocks: Vec<Block>,
    /// Why it ended.
    pub stop: Stop,
    /// The billed tokens.
    pub usage: Usage,
    /// How it was served, as far as its price depends on it.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub billing: Billing,
    /// Whether `usage` is an estimate, because the server sent no counts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub usage_estimated: bool,
    /// The request's id in the vendor's logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The rate limits in its headers. Not recorded, because they do not apply later.
    #[serde(skip)]
    pub rate: RateLimits,
}

impl Reply {
    /// A free reply of `model` with this text.
    pub fn new(model: impl Into<String>, text: impl Into<Arc<str>>) -> Self {
        Self {
            model: model.into(),
            blocks: vec![Block::Text {
                text: text.into(),
                cache: false,
            }],
            stop: Stop::EndTurn,
            usage: Usage::default(),
            billing: Billing::default(),
            usage_estimated: false,
            request_id: None,
            rate: RateLimits::default(),
        }
    }

    /// All its text, joined without separators.
    pub fn text(&self) -> String {
        self.blocks.iter().filter_map(Block::as_text).collect()
    }

    /// The reply as a message of the next request.
    pub fn into_message(self) -> Message {
        Message {
            role: Role::Assistant,
            blocks: self.blocks,
        }
    }
}

fn is_usual(billing: &Billing) -> bool {
    *billing == Billing::default()
}
