//! What tests on money share: list prices, and the bill as `divisi cost` shows it.

use crate::support::Machine;
use divisi_mock::{Config, Price};
use serde_json::Value;
use std::process::Output;

/// The list prices, in picodollars a token.
pub(crate) const PRICES: [(&str, Price); 3] = [
    (
        "claude-haiku-5-5",
        price(100_000, 125_000, 200_000, 10_000, 500_000),
    ),
    (
        "claude-sonnet-5-5",
        price(2_000_000, 2_500_000, 4_000_000, 100_000, 10_000_000),
    ),
    (
        "claude-opus-5-5",
        price(4_000_000, 5_000_000, 8_000_000, 200_000, 20_000_000),
    ),
];

const fn price(
    input: u64,
    cache_write_short: u64,
    cache_write_long: u64,
    cache_read: u64,
    output: u64,
) -> Price {
    Price {
        input,
        cache_write_short,
        cache_write_long,
        cache_read,
        output,
    }
}

/// The same mock with the list prices.
pub(crate) fn prices(config: Config) -> Config {
    let prices = PRICES.map(|(model, price)| (model.to_owned(), price));
    Config {
        prices: prices.into(),
        retry_after_ms: 1,
        ..config
    }
}

/// Everything a command has printed.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).into_owned()
}

/// The ledger of the last run.
pub(crate) fn bill(machine: &Machine) -> Value {
    let output = machine.run(&["cost", "--json"]);
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

/// An amount of the ledger, in picodollars.
pub(crate) fn pico(value: &Value) -> u128 {
    let dollars = value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no amount"));
    (dollars * 1e12).round() as u128
}
