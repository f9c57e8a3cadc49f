//! Assumptions about one task on one model, without history.

use super::conversation::Conversation;
use super::priors::{KindPrior, Priors};
use super::spread::deviation;
use crate::preflight::{Assigned, AttemptCost, Rung};
use crate::{PicoUsd, Usage};

/// The assumptions about a task.
pub(super) struct Assumed<'a> {
    pub(super) priors: &'a Priors,
    pub(super) task: &'a Assigned,
    pub(super) rung: &'a Rung,
    pub(super) primed: bool,
}

impl Assumed<'_> {
    fn is_command(&self) -> bool {
        self.task.rungs.is_empty()
    }

    pub(super) fn conversation(&self, kind: &str, prompt: u64) -> (Usage, PicoUsd) {
        if self.is_command() {
            // Only the bound of its cost is known.
            let cost = match self.task.attempt_cost {
                AttemptCost::UpTo(most) => most,
                AttemptCost::Free | AttemptCost::Unbounded => PicoUsd::ZERO,
            };
            return (Usage::default(), cost);
        }
        let talk = Conversation::of(self.task, self.priors.kind(kind), prompt, self.primed);
        talk.total(self.rung.price.as_ref())
    }

    /// Logarithm of the median cost, failed attempts included.
    pub(super) fn log_cost(&self, kind: &str, log_prompt: f64) -> Option<f64> {
        let (_, cost) = self.conversation(kind, log_prompt.exp().round() as u64);
        (cost.0 > 0).then(|| (cost.0 as f64 * (1.0 + self.priors.failures.share)).ln())
    }

    pub(super) fn deviation(&self, prior: &KindPrior) -> f64 {
        // An executor with a cost asks models, as built-in agents do.
        let is_plain = self.is_command() && self.task.attempt_cost == AttemptCost::Free;
        deviation(if is_plain {
            self.priors.command.spread
        } else {
            prior.spread
        })
    }

    pub(super) fn turns(&self, prior: &KindPrior) -> f64 {
        if self.is_command() {
            return 0.0;
        }
        f64::from(Conversation::of(self.task, prior, 1, false).turns)
    }

    pub(super) fn seconds(&self) -> f64 {
        if self.is_command() {
            return self.priors.command.seconds;
        }
        let turns = self.turns(self.priors.kind(&self.task.kind));
        turns * self.priors.tier(self.rung.tier).turn_seconds
    }
}
