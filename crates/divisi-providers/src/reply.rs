//! What comes back from a model.

use crate::rate::RateLimits;
use crate::request::{Block, Message, Role};
use divisi_core::Usage;
pub use divisi_core::attempt::Stop;
use divisi_core::price::Billing;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a model answered to one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The model as the vendor names it, which may not be the one asked for.
    pub model: String,
    /// What it consists of, in order.
    pub blocks: Vec<Block>,
    /// Why it ended.
    pub stop: Stop,
    /// What it is billed for.
    pub usage: Usage,
    /// How it was served, as far as its price depends on it.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub billing: Billing,
    /// Whether `usage` is our guess, because the server counted nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub usage_estimated: bool,
    /// Names the request in the vendor's logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// What may be sent next. Not recorded: an old reply says nothing about it.
    #[serde(skip)]
    pub rate: RateLimits,
}

impl Reply {
    /// A reply of `model` that says `text` and nothing else, and costs nothing.
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

    /// Everything said in it, without a break between the parts.
    pub fn text(&self) -> String {
        self.blocks.iter().filter_map(Block::as_text).collect()
    }

    /// The reply as it belongs into the next request.
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
