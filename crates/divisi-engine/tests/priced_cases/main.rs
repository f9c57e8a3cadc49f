//! Prices of requests, computed by hand from the published prices of nine vendors, must be equal to
//! the last picodollar.
#![allow(clippy::unwrap_used, missing_docs)]

mod anthropic;
mod gemini;
mod openai;
mod vendors;
mod wire;

use divisi_core::price::{Billing, Service};
use divisi_core::{PicoUsd, Timestamp, Usage};
use divisi_engine::prices::Catalogue;

/// One request.
struct Case {
    what: &'static str,
    provider: &'static str,
    model: &'static str,
    /// The day of the request, in UTC.
    day: &'static str,
    usage: Usage,
    billing: Billing,
    /// Picodollars.
    cost: u128,
}

/// A day on which every model below could be bought.
const TODAY: &str = "2026-11-30";

fn case(
    what: &'static str,
    provider: &'static str,
    model: &'static str,
    usage: Usage,
    cost: u128,
) -> Case {
    Case {
        what,
        provider,
        model,
        day: TODAY,
        usage,
        billing: Billing::default(),
        cost,
    }
}

impl Case {
    fn on(self, day: &'static str) -> Self {
        Self { day, ..self }
    }

    fn served(self, service: Service) -> Self {
        Self {
            billing: Billing {
                service,
                ..self.billing
            },
            ..self
        }
    }

    fn searched(self, searches: u32) -> Self {
        Self {
            billing: Billing {
                searches,
                ..self.billing
            },
            ..self
        }
    }

    fn us_only(self) -> Self {
        Self {
            billing: Billing {
                us_only: true,
                ..self.billing
            },
            ..self
        }
    }
}

/// The price of one token in picodollars, where a million cost so many dollars.
fn usd(per_million: &str) -> u128 {
    let (whole, fraction) = per_million.split_once('.').unwrap_or((per_million, ""));
    let micros: u128 = format!("{fraction:0<6}").parse().unwrap();
    whole.parse::<u128>().unwrap() * 1_000_000 + micros
}

/// Tokens by class: fresh, written for five minutes, for an hour, read; output.
fn tokens(
    input: u64,
    cache_write_5m: u64,
    cache_write_1h: u64,
    cache_read: u64,
    output: u64,
) -> Usage {
    Usage {
        input,
        cache_write_5m,
        cache_write_1h,
        cache_read,
        output,
        thinking: 0,
    }
}

/// The same, with part of the output being thought.
fn thinking(usage: Usage, thinking: u64) -> Usage {
    Usage { thinking, ..usage }
}

fn midnight(day: &str) -> Timestamp {
    let day: jiff::civil::Date = day.parse().unwrap();
    let utc = day.to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    Timestamp(utc.timestamp().as_millisecond() as u64)
}

#[test]
fn every_case_costs_what_the_published_prices_say() {
    let catalogue = Catalogue::default();
    let cases: Vec<Case> = [
        anthropic::cases(),
        openai::cases(),
        gemini::cases(),
        vendors::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    assert!(cases.len() >= 80, "{}", cases.len());
    for Case {
        what,
        provider,
        model,
        day,
        usage,
        billing,
        cost,
    } in cases
    {
        let price = catalogue.price(provider, model, midnight(day));
        let price = price.unwrap_or_else(|| panic!("{what}: {model} has no price"));
        assert_eq!(
            price.billed(&usage, billing),
            PicoUsd(cost as u64),
            "{what} ({provider}, {model}, {day})"
        );
    }
}
