//! A mock of the Anthropic and OpenAI APIs over real HTTP, for tests and benchmarks.
//!
//! It answers the Messages, Chat Completions and Responses APIs, streamed or not, in the formats of
//! the vendors. An answer is a pure function of the request, unless a [`Rule`] with a limited
//! number of uses applies. The mock enforces rate limits, a quota and a prompt cache, breaks
//! answers on demand or formats them in the unusual ways of real servers, and counts its requests.
//!
//! ```no_run
//! use divisi_mock::{Config, ErrorKind, Mock, Reply, Rule, When};
//! use serde_json::json;
//!
//! # async fn example() {
//! let config = Config::default()
//!     .rule(Rule::fault(When::prompt("audit"), ErrorKind::Overloaded).times(1))
//!     .rule(Rule::new(
//!         When::prompt("audit").tool_result(false),
//!         Reply::tool_call("read_file", json!({"path": "src/lib.rs"})),
//!     ))
//!     .rule(Rule::new(When::prompt("audit"), Reply::text("read {tool_result_digest}")));
//! let mock = Mock::start(config).await;
//! println!("{}/v1/messages", mock.url());
//! assert_eq!(mock.stats().completed, 0);
//! # }
//! ```
//!
//! An `encrypted` mock accepts TLS as well, with a self-signed certificate, and then HTTP/2 like
//! the vendors.
//!
//! Out of scope: batches, files, images, server-side tools, and the quality of answers.

mod config;
mod latency;
mod fault;
mod refusal;
mod script;
mod encryption;
mod server;
mod thread;
mod raw;

mod exchange;
mod session;

mod answer;
mod ask;
mod sample;
mod template;

mod cache;
mod limits;
mod quota;

mod anthropic;
mod dialect;
mod models;
mod openai;
mod openai_chat;
mod openai_responses;

mod digest;
mod frames;
mod kept;
mod oddity;
mod playback;
mod stats;

pub use answer::echo;
pub use config::{CacheTimes, Config, FaultRate, FaultRates, Limits, Price, Quota, QuotaAnswer};
pub use digest::{body_digest, text_digest};
pub use encryption::choose_encryption;
pub use fault::{Breakage, ErrorKind, Fault, Oddity};
pub use kept::Received;
pub use latency::Latency;
pub use raw::{http, serve_raw};
pub use refusal::Refusal;
pub use script::{Reply, Rule, ToolCall, When};
pub use server::Mock;
pub use stats::{Stats, Tokens};
pub use thread::MockThread;
