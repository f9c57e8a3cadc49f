//! What tasks are taken to need while no history says better.

use crate::Tier;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Rough figures by kind of task and tier of model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Priors {
    kinds: BTreeMap<String, KindPrior>,
    other: KindPrior,
    tiers: BTreeMap<Tier, TierPrior>,
    pub(super) command: CommandPrior,
    pub(super) failures: FailurePrior,
}

/// What a task of one kind needs.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindPrior {
    /// Requests of one attempt, where the task may use tools.
    pub turns: f64,
    /// Output tokens of one turn, thinking included.
    pub reply: f64,
    /// Prompt tokens that one turn adds besides its own reply.
    pub growth: f64,
    /// Cost of the 90th of a hundred such tasks over the cost of the 10th.
    pub spread: f64,
}

/// How a model of one tier works.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierPrior {
    /// Seconds of one turn, its tools included.
    pub turn_seconds: f64,
    /// Share of its results that a check accepts.
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
    /// How many finished tasks the priors are worth where shares and widths are
    /// concerned: from this many on, what has been seen weighs more.
    pub const WORTH: f64 = 4.0;

    /// Reads priors in the form of `priors.toml`.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// What a task of this kind needs; the figures of no kind in particular
    /// where there is none of its own.
    pub fn kind(&self, kind: &str) -> &KindPrior {
        self.kinds.get(kind).unwrap_or(&self.other)
    }

    /// How models of this tier work. One that stands for no tier is taken to
    /// be in the middle.
    pub fn tier(&self, tier: Option<Tier>) -> TierPrior {
        const MIDDLE: TierPrior = TierPrior { turn_seconds: 9.0, accepted: 0.7 };
        self.tiers.get(&tier.unwrap_or(Tier::Sonnet)).copied().unwrap_or(MIDDLE)
    }
}

/// The priors that divisi comes with.
impl Default for Priors {
    /// # Panics
    /// Never: a test reads the file.
    fn default() -> Self {
        #[expect(clippy::expect_used, reason = "part of the program, and read by a test")]
        Self::parse(include_str!("priors.toml")).expect("the built-in priors are well-formed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_and_every_kind_has_figures_that_make_sense() {
        let priors = Priors::default();
        assert_eq!(priors.tiers.len(), Tier::ALL.len());
        for (name, kind) in priors.kinds.iter().chain([(&"other".to_owned(), &priors.other)]) {
            assert!(kind.turns >= 1.0 && kind.reply > 0.0 && kind.growth >= 0.0, "{name}");
            assert!(kind.spread > 1.0, "{name}");
        }
        assert_eq!(priors.kind("knitting"), &priors.other);
        assert!(Priors::parse("[kinds]\nbug = { turn = 3 }").is_err(), "unknown keys are errors");
    }
}
