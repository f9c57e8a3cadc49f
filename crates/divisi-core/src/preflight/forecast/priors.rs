//! Assumed usage of tasks, until a history corrects it.

use crate::choice::{Kind, TokenPrior};
use crate::{Kinds, Tier};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Rough figures by kind of task and tier of model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Priors {
    /// By kind, from the table of kinds.
    #[serde(skip)]
    kinds: BTreeMap<String, KindPrior>,
    other: KindPrior,
    tiers: BTreeMap<Tier, TierPrior>,
    pub(super) command: CommandPrior,
    pub(super) failures: FailurePrior,
}

/// Usage of a task of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindPrior {
    /// Requests of one attempt with tools.
    pub turns: f64,
    /// Output tokens of one turn, thinking included.
    pub reply: f64,
    /// Prompt tokens that one turn adds besides its own reply.
    pub growth: f64,
    /// The p90 of the cost of such tasks divided by the p10.
    pub spread: f64,
}

/// Speed and quality of the models of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierPrior {
    /// Seconds of one turn, its tools included.
    pub turn_seconds: f64,
    /// Share of results that a check accepts.
    pub accepted: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandPrior {
    pub(super) seconds: f64,
    pub(super) spread: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FailurePrior {
    pub(super) share: f64,
}

impl Priors {
    /// The number of finished tasks that a prior counts for in shares and widths: with more tasks,
    /// observations weigh more.
    pub const WORTH: f64 = 4.0;

    /// The priors of the table of kinds, and built-in figures for the rest.
    pub fn of(kinds: &Kinds) -> Self {
        let figures = |kind: &Kind| {
            let TokenPrior {
                input,
                output,
                turns,
                spread,
            } = kind.tokens;
            KindPrior::of_totals(input, output, turns.into(), spread)
        };
        let all = kinds
            .iter()
            .map(|kind| (kind.name.to_string(), figures(kind)))
            .collect();
        Self {
            kinds: all,
            ..Self::rest()
        }
    }

    /// # Panics
    /// Never: a test reads the same file.
    fn rest() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "part of the program, and read by a test"
        )]
        Self::parse(include_str!("priors.toml")).expect("the built-in priors are well-formed")
    }

    /// Parses priors in the form of `priors.toml`.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Sets the figures of one kind.
    pub fn with_kind(mut self, name: impl Into<String>, prior: KindPrior) -> Self {
        self.kinds.insert(name.into(), prior);
        self
    }

    /// The figures of a kind; general ones if it has none.
    pub fn kind(&self, kind: &str) -> &KindPrior {
        self.kinds.get(kind).unwrap_or(&self.other)
    }

    /// The figures of a tier. A model without a tier counts as a middle one.
    pub fn tier(&self, tier: Option<Tier>) -> TierPrior {
        const MIDDLE: TierPrior = TierPrior {
            turn_seconds: 9.0,
            accepted: 0.7,
        };
        self.tiers
            .get(&tier.unwrap_or(Tier::Sonnet))
            .copied()
            .unwrap_or(MIDDLE)
    }
}

/// The priors that divisi comes with.
impl Default for Priors {
    fn default() -> Self {
        Self::of(Kinds::built_in())
    }
}

impl KindPrior {
    /// Tokens of a first request: instructions, tools, and a prompt of a page.
    const FIRST_PROMPT: f64 = 2_000.0;

    /// Derives the figures of a kind from the totals of a typical task: prompt tokens and output
    /// tokens of all turns together.
    ///
    /// Every turn sends everything before it again, so the total shows how much each turn adds.
    pub fn of_totals(input: u64, output: u64, turns: f64, spread: f64) -> Self {
        let turns = turns.max(1.0);
        let reply = output as f64 / turns;
        let added = (input as f64 - turns * Self::FIRST_PROMPT).max(0.0);
        let steps = turns * (turns - 1.0) / 2.0;
        let growth = if steps > 0.0 {
            (added / steps - reply).max(0.0)
        } else {
            0.0
        };
        Self {
            turns,
            reply,
            growth,
            spread,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_and_every_kind_has_figures_that_make_sense() {
        let priors = Priors::default();
        assert_eq!(priors.tiers.len(), Tier::ALL.len());
        for (name, kind) in priors
            .kinds
            .iter()
            .chain([(&"other".to_owned(), &priors.other)])
        {
            assert!(
                kind.turns >= 1.0 && kind.reply > 0.0 && kind.growth >= 0.0,
                "{name}"
            );
            assert!(kind.spread > 1.0, "{name}");
        }
        assert_eq!(priors.kind("knitting"), &priors.other);
        assert!(
            Priors::parse("[kinds]\nbug = { turn = 3 }").is_err(),
            "unknown keys are errors"
        );
    }

    #[test]
    fn totals_tell_what_each_turn_adds() {
        // Prompts of 2,000, 5,000 and 8,000 tokens; each reply has 500.
        let three = KindPrior::of_totals(15_000, 1_500, 3.0, 6.0);
        assert_eq!(
            three,
            KindPrior {
                turns: 3.0,
                reply: 500.0,
                growth: 2_500.0,
                spread: 6.0
            }
        );
        let one = KindPrior::of_totals(9_000, 700, 1.0, 4.0);
        assert_eq!((one.reply, one.growth), (700.0, 0.0));
        assert_eq!(*Priors::default().with_kind("bug", one).kind("bug"), one);
    }
}
