//! What a reply of the Messages API is billed for, in our classes.
//!
//! Usage is cumulative: each event that carries it repeats what was counted
//! before, so the largest count of each class is the truth. The input leaves
//! out what was written to a cache or read from one.

use divisi_core::Usage;
use divisi_core::price::{Billing, Service};
use serde::Deserialize;

/// Usage as it is counted up.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Counted {
    input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<Written>,
    cache_read_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<OutputDetails>,
    service_tier: Option<String>,
    speed: Option<String>,
    inference_geo: Option<String>,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Written {
    ephemeral_5m_input_tokens: u64,
    ephemeral_1h_input_tokens: u64,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    thinking_tokens: u64,
}

impl Written {
    fn raise(&mut self, new: Self) {
        self.ephemeral_5m_input_tokens = self.ephemeral_5m_input_tokens.max(new.ephemeral_5m_input_tokens);
        self.ephemeral_1h_input_tokens = self.ephemeral_1h_input_tokens.max(new.ephemeral_1h_input_tokens);
    }
}

impl Counted {
    /// Takes in a further event's counts.
    pub(super) fn raise(&mut self, new: Self) {
        self.input_tokens = self.input_tokens.max(new.input_tokens);
        self.cache_creation_input_tokens =
            self.cache_creation_input_tokens.max(new.cache_creation_input_tokens);
        let written = self.cache_creation.get_or_insert_default();
        written.raise(new.cache_creation.unwrap_or_default());
        self.cache_read_input_tokens = self.cache_read_input_tokens.max(new.cache_read_input_tokens);
        self.output_tokens = self.output_tokens.max(new.output_tokens);
        let output = self.output_tokens_details.get_or_insert_default();
        output.thinking_tokens =
            output.thinking_tokens.max(new.output_tokens_details.unwrap_or_default().thinking_tokens);
        self.service_tier = new.service_tier.or(self.service_tier.take());
        self.speed = new.speed.or(self.speed.take());
        self.inference_geo = new.inference_geo.or(self.inference_geo.take());
    }

    /// Whether the server has counted at all.
    pub(super) fn is_counted(&self) -> bool {
        self.output_tokens.is_some()
    }

    /// How it was served. A tier of `priority` is paid for by a contract; its tokens are at the list price.
    pub(super) fn billing(&self) -> Billing {
        let service = match (self.service_tier.as_deref(), self.speed.as_deref()) {
            (Some("batch"), _) => Service::Batch,
            (_, Some("fast")) => Service::Fast,
            _ => Service::Standard,
        };
        Billing { service, us_only: self.inference_geo.as_deref() == Some("us") }
    }

    /// The tokens by class.
    pub(super) fn into_usage(self) -> Usage {
        let written = self.cache_creation.unwrap_or_default();
        let cache_write_1h = written.ephemeral_1h_input_tokens;
        let cache_written = self.cache_creation_input_tokens.unwrap_or(0);
        Usage {
            input: self.input_tokens.unwrap_or(0),
            // Servers that do not tell the lives apart know only the short one.
            cache_write_5m: written
                .ephemeral_5m_input_tokens
                .max(cache_written.saturating_sub(cache_write_1h)),
            cache_write_1h,
            cache_read: self.cache_read_input_tokens.unwrap_or(0),
            output: self.output_tokens.unwrap_or(0),
            thinking: self.output_tokens_details.unwrap_or_default().thinking_tokens,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::Events;
    use super::*;
    use crate::reply::Reply;
    use crate::stream::tests::read_pieces;

    /// The reply to a stream whose two events with usage carry these.
    fn counted(start: &str, end: &str) -> Reply {
        let stream = format!(
            "data: {{\"type\":\"message_start\",\"message\":{{\"model\":\"m\",\"usage\":{start}}}}}\n\n\
             data: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},\"usage\":{end}}}\n\n\
             data: {{\"type\":\"message_stop\"}}\n\n"
        );
        read_pieces(&[stream.as_bytes()], Events::default()).0.unwrap()
    }

    #[test]
    fn usage_is_cumulative_and_never_lowered() {
        let written = r#""cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}"#;
        let start =
            format!(r#"{{"input_tokens":7,"cache_creation_input_tokens":30,{written},"output_tokens":1}}"#);
        let end = r#"{"input_tokens":7,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":25}"#;
        let whole =
            Usage { input: 7, cache_write_5m: 10, cache_write_1h: 20, output: 25, ..Usage::default() };
        assert_eq!(counted(&start, end).usage, whole);
        assert_eq!(counted(&start, r#"{"output_tokens":25,"cache_creation":null}"#).usage, whole);
    }

    #[test]
    fn how_it_was_served_stands_in_the_usage() {
        let billing = |usage: &str| counted(usage, r#"{"output_tokens":1}"#).billing;
        let of = |service, us_only| Billing { service, us_only };
        assert_eq!(
            billing(r#"{"service_tier":"standard","inference_geo":"not_available"}"#),
            Billing::default()
        );
        assert_eq!(billing(r#"{"service_tier":"priority","speed":"standard"}"#), Billing::default());
        assert_eq!(billing(r#"{"service_tier":"batch"}"#), of(Service::Batch, false));
        assert_eq!(billing(r#"{"speed":"fast","inference_geo":"us"}"#), of(Service::Fast, true));
    }

    #[test]
    fn a_server_that_counts_nothing_is_noticed() {
        assert!(counted("{}", "{}").usage_estimated);
        assert!(!counted("{}", r#"{"output_tokens":0}"#).usage_estimated);
    }
}
