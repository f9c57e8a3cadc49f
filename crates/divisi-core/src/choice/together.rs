//! Rules and vote together.
//!
//! What the rules have found adds to the vote as much as `together.toml` says.
//! `scripts/train-tiers` writes that file: it weighs both sorts of evidence on
//! votes over texts that the vote was not trained on.

use super::vote::{ONE, Vote};
use crate::tier::Tier;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Least score at which the cheapest tier is taken: a bad result costs more than
/// what is saved.
const HAIKU_MIN: i32 = 3 * ONE / 8;

/// Least lead of the cheapest tier over the strongest: complex work on the
/// cheapest is the worst that can happen.
const LEAD_MIN: i32 = 3 * ONE / 2;

/// Least score at which the strongest tier is taken.
const OPUS_MIN: i32 = ONE / 8;

/// How rules and vote are weighed; scores for the cheapest tier, then for the strongest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Together {
    pub(super) bias: [i32; 2],
    /// How much each of the vote's two scores adds to each of ours, in percent.
    pub(super) votes: [[i32; 2]; 2],
    /// What is added for the tier by the rules, and how sure they are.
    pub(super) sure: BTreeMap<String, [i32; 2]>,
    /// What is added for the kind, and its tier by the rules.
    pub(super) found: BTreeMap<String, [i32; 2]>,
}

/// What the rules have found.
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
    /// Ours.
    pub(super) fn built_in() -> &'static Self {
        &TOGETHER
    }

    /// How much more likely the cheapest and the strongest tier are than the balanced one.
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

/// How far the tier of such scores is ahead, as a share: 0 to 1, in hundredths.
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

/// The tier that such scores stand for.
pub(super) fn tier([haiku, opus]: [i32; 2]) -> Tier {
    if opus >= OPUS_MIN && opus > haiku {
        Tier::Opus
    } else if haiku >= HAIKU_MIN && haiku >= opus + LEAD_MIN {
        Tier::Haiku
    } else {
        Tier::Sonnet
    }
}
