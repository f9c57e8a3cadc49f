//! Vendors of models over HTTP, one folder for each wire format, and scripted and recorded
//! providers.
//!
//! A [`Provider`] turns one [`Request`] into one [`Reply`] or one [`ProviderError`], and nothing
//! more. It sends every request exactly once: retries, pacing and budgets are up to the caller,
//! because only there they are recorded. If a server has refused a part of a request that can be
//! left out, the error says so ([`Again`]), and the caller sends the request once more, now without
//! that part. Deadlines are up to the caller, too; [`Progress`] gives the signs of life that it
//! needs for them.

pub mod request;

pub mod error;
pub mod provider;
pub mod rate;
pub mod reply;
pub mod redact;
pub mod secret;

pub mod dialect;
pub mod endpoint;

pub mod wire_format;
pub mod vendors;

pub mod anthropic;
mod openai;
pub mod openai_chat;
pub mod openai_responses;

pub mod absent;
pub mod cassette;
pub mod scripted;

pub mod discover;
pub mod webhook;
pub mod sample;

mod classify;
mod estimate;
mod http;
mod manners;
mod strict;
mod turns;

mod stream;

mod frames;

mod calls;
mod end;
mod fault;
mod lenient;
mod repair;
mod usage;

#[cfg(test)]
mod fuzz;

pub use absent::Absent;
pub use anthropic::Anthropic;
pub use cassette::Cassette;
pub use dialect::{Again, Dialect, Objection, Part};
pub use discover::{LocalServer, discover};
pub use endpoint::{Endpoint, EndpointError};
pub use error::ProviderError;
pub use estimate::is_plausible_prompt;
#[doc(hidden)]
pub use http::{HttpClient, http_client};
pub use openai_chat::OpenAiChat;
pub use openai_responses::OpenAiResponses;
pub use provider::{Progress, Provider};
pub use rate::RateLimits;
pub use redact::redact;
pub use reply::{Reply, Stop};
pub use request::{
    Block, INVALID_INPUT, Message, Prefix, Request, Role, SystemBlock, Text, ToolDefinition, Tools,
};
pub use scripted::Scripted;
pub use secret::Secret;
pub use usage::{usage_of_anthropic, usage_of_codex};
pub use vendors::{Vendor, vendors};
pub use wire_format::WireFormat;
