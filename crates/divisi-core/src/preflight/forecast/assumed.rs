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
    /// Whether it takes more than one turn: tasks at its place have done so or, if none has run, it
    /// has tools or an executor of its own.
    pub(super) uses_tools: bool,
    pub(super) primed: bool,
}

impl Assumed<'_> {
    fn is_command(&self) -> bool {
        self.task.rungs.is_empty()
    }

    pub(super) fn conversation(&self) -> (Usage, PicoUsd) {
        if self.is_command() {
            // Only the bound of its cost is known.
            let cost = match self.task.attempt_cost {
                AttemptCost::UpTo(most) => most,
                AttemptCost::Free | AttemptCost::Unbounded => PicoUsd::ZERO,
            };
            return (Usage::default(), cost);
        }
        self.talk().total(self.rung.price.as_ref())
    }

    fn talk(&self) -> Conversation {
        let prior = self.priors.kind(&self.task.kind);
        let prompt = self.task.prompt_tokens.max(1);
        Conversation::of(self.task, prior, prompt, self.uses_tools, self.primed)
    }

    /// The work that would be assumed for it as a past task: without limits and without a cache.
    pub(super) fn past_work(&self) -> f64 {
        let prior = self.priors.kind(&self.task.kind);
        Conversation::past(prior, self.task.prompt_tokens.max(1), self.uses_tools).work()
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

    pub(super) fn turns(&self) -> f64 {
        if self.is_command() {
            return 0.0;
        }
        f64::from(self.talk().turns)
    }

    pub(super) fn seconds(&self) -> f64 {
        if self.is_command() {
            return self.priors.command.seconds;
        }
        let turns = self.turns();
        turns * self.priors.tier(self.rung.tier).turn_seconds
    }
}
