//! The list of models with their prices.

use super::look::{Line, Look, Tone};
use super::number;
use super::table::{Cell, Column, Table};
use divisi_core::PicoUsd;
use divisi_core::price::{Rates, TokenClass};
use divisi_engine::prices::Quote;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;

/// Models with their prices. As JSON, rates are dollars per token.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Listing {
    /// The models, by provider.
    #[serde(rename = "models")]
    pub(crate) rows: Vec<Row>,
}

/// One model, at one provider.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Row {
    /// The name of its provider.
    pub(crate) provider: String,
    /// Whether its provider can be used; `None` if that is not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ready: Option<bool>,
    /// The name of the model in flows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tier: Option<String>,
    /// Its id at that provider.
    pub(crate) model: String,
    /// Its price; `null` if unknown.
    #[serde(rename = "price", serialize_with = "price")]
    #[schemars(with = "Option<Price<'static>>")]
    pub(crate) quote: Option<Quote>,
}

/// A price, with its source.
#[derive(Serialize, JsonSchema)]
struct Price<'a> {
    #[serde(flatten)]
    price: &'a divisi_core::ModelPrice,
    /// Where the price is from.
    source: &'a str,
    /// The day on which it was last checked.
    checked: Option<&'a str>,
    /// The day since which it holds, if that is known.
    since: Option<&'a str>,
}

fn price<S: Serializer>(quote: &Option<Quote>, serializer: S) -> Result<S::Ok, S::Error> {
    let form = quote.as_ref().map(|quote| Price {
        price: &quote.price,
        source: &quote.source,
        checked: quote.checked.as_deref(),
        since: quote.since.as_deref(),
    });
    form.serialize(serializer)
}

/// The list, followed by the sources of its prices.
pub(crate) fn models(listing: &Listing, look: &Look) -> Vec<Line> {
    if listing.rows.is_empty() {
        return vec![Line::new().plain("no model has such a name and a price")];
    }
    let titles = [
        ("input", 0),
        ("write 5m", 2),
        ("write 1h", 3),
        ("read", 1),
        ("output", 0),
    ];
    let titles = titles.map(|(title, rank)| Column::right(title).rank(rank));
    let front = [Column::left("tier"), Column::left("model").at_least(12)];
    let mut columns: Vec<Column> = front.into_iter().chain(titles).collect();
    columns.push(Column::right("since").rank(4));
    let mut table = Table::new(columns, 2);
    table.titles();
    let mut provider = None;
    for row in &listing.rows {
        if provider != Some(&row.provider) {
            table.line(head(row));
            provider = Some(&row.provider);
        }
        tell(row, &mut table);
    }
    let mut lines = vec![Line::of(Tone::Dim, "dollars per million tokens")];
    lines.extend(table.render(look));
    lines.push(Line::new());
    lines.extend(sources(listing, look));
    lines
}

fn head(row: &Row) -> Line {
    let line = Line::of(Tone::Strong, crate::text::line(&row.provider));
    match row.ready {
        Some(true) => line.put(Tone::Good, "  ready"),
        Some(false) => line.put(Tone::Dim, "  no key"),
        None => line,
    }
}

fn tell(row: &Row, table: &mut Table) {
    let tier = (Tone::Plain, row.tier.clone().unwrap_or_default());
    let Some(quote) = &row.quote else {
        let blanks = std::iter::repeat_n((Tone::Plain, String::new()), 6);
        let no_price = (Tone::Warn, format!("{}: no price", row.model));
        table.row([tier, no_price].into_iter().chain(blanks).collect());
        return;
    };
    let since = (
        Tone::Dim,
        quote.since.as_deref().unwrap_or_default().to_owned(),
    );
    let name = (Tone::Plain, row.model.clone());
    table.row(
        [tier, name]
            .into_iter()
            .chain(rates(&quote.price.base))
            .chain([since])
            .collect(),
    );
    for (threshold, above) in &quote.price.above {
        let front = [
            String::new(),
            format!("  prompt over {}", number::count(*threshold)),
        ];
        let front = front.map(|text| (Tone::Dim, text));
        table.row(
            front
                .into_iter()
                .chain(rates(above))
                .chain([(Tone::Dim, String::new())])
                .collect(),
        );
    }
}

fn rates(rates: &Rates) -> impl Iterator<Item = Cell> {
    TokenClass::ALL
        .into_iter()
        .map(|class| (Tone::Plain, per_million(rates.of(class))))
}

/// The price of a million tokens in full precision, with at least two decimals.
fn per_million(rate: PicoUsd) -> String {
    const PICO_PER_UNIT: u64 = 1_000_000;
    let (whole, fraction) = (rate.0 / PICO_PER_UNIT, rate.0 % PICO_PER_UNIT);
    let fraction = format!("{fraction:06}");
    let digits = fraction.trim_end_matches('0');
    format!("{}.{digits:0<2}", number::count(whole))
}

fn sources(listing: &Listing, look: &Look) -> Vec<Line> {
    let quotes = listing.rows.iter().filter_map(|row| row.quote.as_ref());
    let sources: BTreeSet<String> = quotes
        .map(|quote| match &quote.checked {
            Some(day) => format!("{}{}{day}", quote.source, look.dot()),
            None => quote.source.to_string(),
        })
        .collect();
    let mut lines = vec![Line::of(Tone::Dim, "prices by")];
    lines.extend(
        sources
            .iter()
            .map(|source| Line::of(Tone::Dim, format!("  {source}"))),
    );
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_engine::prices::Catalogue;

    #[test]
    fn shows_rates_thresholds_and_sources() {
        let at = divisi_core::Timestamp(1_795_305_600_000);
        let row = |provider: &str, ready, tier: &str, model: &str| Row {
            provider: provider.into(),
            ready: Some(ready),
            tier: Some(tier.into()),
            model: model.into(),
            quote: Catalogue::default().quote(provider, model, at),
        };
        let listing = Listing {
            rows: vec![
                row("anthropic", true, "haiku", "claude-haiku-5-5"),
                row("anthropic", true, "opus", "claude-opus-5-5"),
                row("corp", false, "haiku", "our-model"),
            ],
        };
        let look = Look {
            color: false,
            unicode: true,
            width: 100,
            demo: false,
        };
        insta::assert_snapshot!(super::super::look::page(&models(&listing, &look), &look), @r"
        dollars per million tokens
          tier   model                input  write 5m  write 1h  read  output       since
        anthropic  ready
          haiku  claude-haiku-5-5      0.10     0.125      0.20  0.01    0.50  2026-10-07
                 prompt over 100,000   0.50     0.625      1.00  0.05    2.50
          opus   claude-opus-5-5       4.00      5.00      8.00  0.20   20.00  2026-09-22
        corp  no key
          haiku  our-model: no price

        prices by
          https://platform.claude.com/docs/en/about-claude/pricing · 2026-11-30
        ");
    }

    #[test]
    fn prices_of_a_million_are_shown_whole() {
        assert_eq!(
            [0, 50_000, 125_000, 2_000_000, 41_667].map(|r| per_million(PicoUsd(r))),
            ["0.00", "0.05", "0.125", "2.00", "0.041667"]
        );
    }
}
