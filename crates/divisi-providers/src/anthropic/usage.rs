//! Usage and billing of a reply of the Messages API.
//!
//! Usage is cumulative: each event repeats earlier counts, so the largest count of each class is
//! the right one. The input count excludes tokens written to a cache or read from one.

use crate::usage::{Counted, Habits};
use divisi_core::Usage;
use divisi_core::price::Billing;
use serde_json::value::RawValue;

/// The usage received so far.
#[derive(Default)]
pub(super) struct Bill {
    counted: Counted,
    habits: Habits,
}

impl Bill {
    /// Nothing yet, of a vendor with these habits.
    pub(super) fn by(habits: Habits) -> Self {
        Self {
            habits,
            ..Self::default()
        }
    }

    /// Applies the usage of a further event; returns whether it was usage.
    pub(super) fn raise(&mut self, usage: &RawValue) -> bool {
        let usage = usage.get();
        self.counted
            .raise(serde_json::from_str(usage).unwrap_or_default());
        usage.starts_with('{')
    }

    /// How the request was served.
    pub(super) fn billing(&self) -> Billing {
        self.counted.billing(self.habits)
    }

    /// The tokens by class.
    pub(super) fn usage(&self) -> Usage {
        self.counted.usage(true, self.habits)
    }
}

#[cfg(test)]
mod tests {
    use super::super::events::Events;
    use super::*;
    use crate::reply::Reply;
    use crate::stream::tests::read_pieces;
    use divisi_core::price::Service;

    /// The reply to a stream whose two usage events have these contents.
    fn counted(start: &str, end: &str) -> Reply {
        let stream = format!(
            "data: {{\"type\":\"message_start\",\"message\":{{\"model\":\"m\",\"usage\":{start}}}}}\n\n\
             data: {{\"type\":\"message_delta\",\"delta\":{{\"stop_reason\":\"end_turn\"}},\"usage\":{end}}}\n\n\
             data: {{\"type\":\"message_stop\"}}\n\n"
        );
        read_pieces(&[stream.as_bytes()], Events::default())
            .0
            .unwrap()
    }

    #[test]
    fn usage_is_cumulative_and_never_lowered() {
        let written =
            r#""cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20}"#;
        let start = format!(
            r#"{{"input_tokens":7,"cache_creation_input_tokens":30,{written},"output_tokens":1}}"#
        );
        let end = r#"{"input_tokens":7,"cache_creation_input_tokens":30,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":25}"#;
        let whole = Usage {
            input: 7,
            cache_write_5m: 10,
            cache_write_1h: 20,
            output: 25,
            ..Usage::default()
        };
        assert_eq!(counted(&start, end).usage, whole);
        assert_eq!(
            counted(&start, r#"{"output_tokens":25,"cache_creation":null}"#).usage,
            whole
        );
        // Gateways that count nothing in the first and in the last event.
        assert_eq!(
            counted(r#"{"input_tokens":0,"output_tokens":0}"#, end)
                .usage
                .input,
            7
        );
        assert_eq!(
            counted(&start, r#"{"input_tokens":0,"output_tokens":25}"#).usage,
            whole
        );
        assert_eq!(
            counted("null", r#"{"input_tokens":"7","output_tokens":25.0}"#)
                .usage
                .output,
            25
        );
    }

    #[test]
    fn how_it_was_served_stands_in_the_usage() {
        let billing = |usage: &str| counted(usage, r#"{"output_tokens":1}"#).billing;
        let of = |service, us_only| Billing {
            service,
            us_only,
            ..Billing::default()
        };
        assert_eq!(
            billing(r#"{"service_tier":"standard","inference_geo":"not_available"}"#),
            Billing::default()
        );
        assert_eq!(
            billing(r#"{"service_tier":"priority","speed":"standard"}"#),
            Billing::default()
        );
        assert_eq!(
            billing(r#"{"service_tier":"batch"}"#),
            of(Service::Batch, false)
        );
        assert_eq!(
            billing(r#"{"speed":"fast","inference_geo":"us"}"#),
            of(Service::Fast, true)
        );
        let searched = billing(r#"{"server_tool_use":{"web_search_requests":2}}"#);
        assert_eq!(
            searched,
            Billing {
                searches: 2,
                ..Billing::default()
            }
        );
        assert_eq!(
            billing(r#"{"speed":null,"inference_geo":["us"]}"#),
            Billing::default()
        );
    }
}
