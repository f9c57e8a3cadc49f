//! Combines the rules and the vote.
//!
//! A linear model adds what the rules have found to the scores of the vote, with the weights of
//! `together.toml`. `scripts/train-tiers` fits these to cross-validated votes: those on texts that
//! the vote was not trained on.

use super::vote::{ONE, Vote};
use crate::tier::Tier;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Least score for the cheapest tier: a bad result costs more than is saved.
const HAIKU_MIN: i32 = 3 * ONE / 8;

/// Least lead of the cheapest tier over the strongest: complex work on the cheapest tier is the
/// worst error.
const LEAD_MIN: i32 = 3 * ONE / 2;

/// Least score for the strongest tier.
const OPUS_MIN: i32 = ONE / 8;

/// The weights of rules and vote: each for the score of the cheapest tier, then for that of the
/// strongest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Together {
    pub(super) bias: [i32; 2],
    /// Weight of each of the vote's two scores in each of the combined scores, in percent.
    pub(super) votes: [[i32; 2]; 2],
    /// Added by the tier that the rules found and their confidence.
    pub(super) sure: BTreeMap<String, [i32; 2]>,
    /// Added by the kind and the tier that the rules found.
    pub(super) found: BTreeMap<String, [i32; 2]>,
}

/// The result of the rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found<'a> {
    pub(super) kind: &'a str,
    pub(super) tier: Tier,
    pub(super) confidence: f32,
}

impl Found<'_> {
    pub(super) fn sure(&self) -> String {
        let sure = match self.confidence {
            0.0 => "nothing",
            c if c < 0.45 => "weak",
            c if c < 0.62 => "fair",
            _ => "strong",
        };
        format!("{} {sure}", self.tier)
    }

    pub(super) fn found(&self) -> String {
        format!("{} {}", self.kind, self.tier)
    }
}

static TOGETHER: LazyLock<Together> = LazyLock::new(|| {
    toml::from_str(include_str!("together.toml")).expect("a test reads the same file")
});

impl Together {
    /// The built-in weights.
    pub(super) fn built_in() -> &'static Self {
        &TOGETHER
    }

    /// Log odds of the cheapest and of the strongest tier against the balanced one, in units of
    /// [`ONE`].
    pub(super) fn scores(&self, found: Found<'_>, vote: &Vote) -> [i32; 2] {
        let votes = [vote.haiku, vote.opus];
        let added = [self.sure.get(&found.sure()), self.found.get(&found.found())];
        [0, 1].map(|score| {
            let by_vote: i32 = (0..2)
                .map(|other| self.votes[score][other] * votes[other] / 100)
                .sum();
            let by_rules: i32 = added.iter().flatten().map(|added| added[score]).sum();
            self.bias[score] + by_vote + by_rules
        })
    }
}

/// The lead of the tier with these scores, as a share from 0 to 1, in steps of a hundredth.
pub(super) fn lead(scores: [i32; 2]) -> f32 {
    let [haiku, opus] = scores;
    let lead = match tier(scores) {
        Tier::Haiku => haiku - opus.max(0),
        Tier::Opus | Tier::Fable => opus - haiku.max(0),
        Tier::Sonnet => -haiku.max(opus),
    };
    let lead = lead.max(0);
    (100 * lead / (lead + ONE)) as f32 / 100.0
}

/// The tier with these scores.
pub(super) fn tier([haiku, opus]: [i32; 2]) -> Tier {
    if opus >= OPUS_MIN && opus > haiku {
        Tier::Opus
    } else if haiku >= HAIKU_MIN && haiku >= opus + LEAD_MIN {
        Tier::Haiku
    } else {
        Tier::Sonnet
    }
}
