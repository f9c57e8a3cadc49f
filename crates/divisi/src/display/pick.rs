//! Which model suffices for a task, and why.

use super::look::{Line, Look, Tone};
use super::number;
use super::table::{Column, Table};
use divisi_core::choice::{Choice, Reason, TokenPrior};
use divisi_core::{PicoUsd, Tier};
use schemars::JsonSchema;
use serde::Serialize;

/// The number of tasks for which prices are shown: one costs too little to compare.
pub(crate) const TASKS: u64 = 1_000;

/// The model that suffices for a task, and why.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Pick {
    #[serde(flatten)]
    pub(crate) choice: Choice,
    /// One line about the kind.
    pub(crate) about: String,
    /// The provider that would be used.
    pub(crate) provider: String,
    /// The model that would be used.
    pub(crate) model: Option<String>,
    /// Whether that can be used now.
    pub(crate) ready: bool,
    /// Assumed tokens of one such task, until there is history.
    pub(crate) tokens: TokenPrior,
    /// What such tasks cost on each tier.
    pub(crate) tiers: Vec<TierPrice>,
}

/// What such tasks cost on a tier.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct TierPrice {
    /// The tier.
    pub(crate) tier: Tier,
    /// Its model at that provider.
    pub(crate) model: String,
    /// Price of a thousand of them; `None` for a model without a price.
    pub(crate) thousand: Option<PicoUsd>,
}

/// The page.
pub(crate) fn pick(pick: &Pick, look: &Look) -> Vec<Line> {
    let Choice {
        kind,
        tier,
        confidence,
        declared,
        reasons,
    } = &pick.choice;
    let sure = if *declared {
        "as declared".to_owned()
    } else {
        format!("confidence {confidence:.2}")
    };
    let model = pick.model.as_deref().unwrap_or("no model");
    let mut lines = vec![
        Line::of(Tone::Strong, kind)
            .plain(look.dot())
            .put(Tone::Strong, tier.as_str())
            .plain(look.dot())
            .plain(sure),
        Line::of(Tone::Dim, &pick.about),
        Line::new(),
        Line::new().plain(format!("{model} at {} would answer", pick.provider)),
    ];
    if !pick.ready {
        lines.push(Line::of(
            Tone::Warn,
            "the provider is not ready; `divisi doctor` says what is missing",
        ));
    }
    if !reasons.is_empty() {
        lines.extend([Line::new(), Line::of(Tone::Strong, "Evidence")]);
        lines.extend(evidence(reasons, look));
    }
    lines.extend([
        Line::new(),
        Line::of(Tone::Strong, "A thousand such tasks, roughly"),
    ]);
    lines.extend(prices(pick, look));
    lines.push(Line::of(Tone::Dim, prior(&pick.tokens)));
    lines
}

fn evidence(reasons: &[Reason], look: &Look) -> Vec<Line> {
    let columns = vec![
        Column::right(""),
        Column::left("").rank(1),
        Column::left("").at_least(20),
    ];
    let mut table = Table::new(columns, 2);
    for reason in reasons {
        let (tone, weight) = match reason.weight {
            0.0 => (Tone::Warn, "rule".to_owned()),
            weight if weight < 0.0 => (Tone::Bad, format!("{weight:+.1}")),
            weight => (Tone::Plain, format!("{weight:+.1}")),
        };
        table.row(vec![
            (tone, weight),
            (Tone::Plain, reason.kind.to_string()),
            (tone, reason.to_string()),
        ]);
    }
    table.render(look)
}

fn prices(pick: &Pick, look: &Look) -> Vec<Line> {
    let columns = vec![
        Column::left(""),
        Column::right(""),
        Column::left("").at_least(8),
    ];
    let mut table = Table::new(columns, 2);
    for tier in &pick.tiers {
        let tone = if tier.tier == pick.choice.tier {
            Tone::Strong
        } else {
            Tone::Plain
        };
        let price = tier
            .thousand
            .map_or_else(|| "no price".to_owned(), |price| price.to_string());
        table.row(vec![
            (tone, tier.tier.to_string()),
            (tone, price),
            (Tone::Dim, tier.model.clone()),
        ]);
    }
    table.render(look)
}

fn prior(tokens: &TokenPrior) -> String {
    format!(
        "  at {} prompt tokens in {}, {} written; the dearest tenth costs {:.0} times the cheapest",
        number::tokens(tokens.input),
        number::counted(tokens.turns.into(), "turn", "turns"),
        number::tokens(tokens.output),
        tokens.spread,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_core::choice::{Evidence, Kinds};

    fn shown(prompt: &str, declared: Option<&str>) -> String {
        let kinds = Kinds::built_in();
        let choice = kinds
            .choose(&Evidence {
                prompt,
                declared,
                ..Evidence::default()
            })
            .expect("a kind");
        let kind = kinds.get(&choice.kind).expect("a kind");
        let price = |tier, thousand| TierPrice {
            tier,
            model: format!("own-{tier}"),
            thousand,
        };
        let page = Pick {
            about: kind.about.clone(),
            provider: "corp".into(),
            model: Some(format!("own-{}", choice.tier)),
            ready: declared.is_none(),
            tokens: kind.tokens,
            tiers: vec![
                price(Tier::Haiku, Some(PicoUsd::DOLLAR)),
                price(Tier::Sonnet, None),
            ],
            choice,
        };
        let look = Look {
            color: false,
            unicode: true,
            width: 80,
            demo: false,
        };
        super::super::look::page(&pick(&page, &look), &look)
    }

    #[test]
    fn the_choice_is_explained() {
        insta::assert_snapshot!(shown("Find all files that mention the routing algorithm, not bugs.", None), @r#"
        algorithm · haiku · confidence 0.80
        code or proof where almost right is wrong: algorithms, concurrency, numerics

        own-haiku at corp would answer

        Evidence
          +5.1  vote       texts like this go to haiku: "files", "mention", "that"
          +1.5  algorithm  speaks of "algorithm"
          +1.5  search     speaks of "all files"
          +0.5  search     speaks of "find"

        A thousand such tasks, roughly
          haiku      $1.00  own-haiku
          sonnet  no price  own-sonnet
          at 400 k prompt tokens in 14 turns, 18 k written; the dearest tenth costs 8 times the cheapest
        "#);
    }

    #[test]
    fn a_declared_kind_needs_no_evidence() {
        insta::assert_snapshot!(shown("x", Some("search")), @r"
        search · haiku · as declared
        find where something is

        own-haiku at corp would answer
        the provider is not ready; `divisi doctor` says what is missing

        A thousand such tasks, roughly
          haiku      $1.00  own-haiku
          sonnet  no price  own-sonnet
          at 45 k prompt tokens in 6 turns, 1.5 k written; the dearest tenth costs 5 times the cheapest
        ");
    }
}
