//! Usage and cost of a conversation with a number of turns.
//!
//! Each turn sends everything before it again. The prefix that the last turn left in the cache is
//! read, and what is new since then is written. So the cost of an agent grows faster than its
//! turns, and each turn is priced by itself: a long prompt may pass a price threshold that a sum
//! does not show.

use super::priors::KindPrior;
use crate::check::Judge;
use crate::preflight::{Assigned, Rung};
use crate::tokens::BYTES_OF_DENSE;
use crate::{ModelPrice, PicoUsd, Usage};

/// Turns priced one by one; further ones cost as much as the last of these. Built-in priors are far
/// below; this bounds the work for a prior that a user writes.
const TURNS_PRICED_MAX: u32 = 500;

/// A typical attempt at a task.
pub(super) struct Conversation {
    /// Tokens of its first request.
    pub(super) prompt: u64,
    /// The part of it that another task has left in the cache.
    pub(super) cached: u64,
    /// The part of it that siblings will read there, and that this task writes if needed.
    pub(super) shared: u64,
    pub(super) turns: u32,
    pub(super) reply: u64,
    pub(super) growth: u64,
}

impl Conversation {
    /// The assumed conversation of a task, within the task's limits. With `primed` a sibling has
    /// written the shared prefix before.
    pub(super) fn of(
        task: &Assigned,
        prior: &KindPrior,
        prompt: u64,
        uses_tools: bool,
        primed: bool,
    ) -> Self {
        let turns = if uses_tools {
            (prior.turns.round() as u32).clamp(1, task.turns_max.max(1))
        } else {
            1
        };
        let reply = Self::reply(prior, uses_tools);
        let shared = task.shared_tokens.min(prompt);
        Self {
            prompt,
            cached: if primed { shared } else { 0 },
            shared,
            turns,
            reply: (reply as u64).min(task.reply_tokens_max.into()),
            growth: prior.growth as u64,
        }
    }

    /// The assumed conversation of a past task of this kind, of which only the prompt and the use
    /// of tools are known.
    pub(super) fn past(prior: &KindPrior, prompt: u64, has_tools: bool) -> Self {
        Self {
            prompt,
            cached: 0,
            shared: 0,
            turns: if has_tools {
                prior.turns.round().max(1.0) as u32
            } else {
                1
            },
            reply: Self::reply(prior, has_tools) as u64,
            growth: prior.growth as u64,
        }
    }

    /// Output tokens of one turn. Without tools one turn does all the work.
    pub(super) fn reply(prior: &KindPrior, has_tools: bool) -> f64 {
        match has_tools {
            true => prior.reply,
            false => prior.reply * prior.turns.clamp(1.0, 2.0),
        }
    }

    /// Its work: a cost independent of vendors, in fresh prompt tokens, by the usual ratios of
    /// prices.
    pub(super) fn work(&self) -> f64 {
        let turns = 0..self.turns.min(TURNS_PRICED_MAX);
        turns.map(|turn| work(&self.turn(turn))).sum()
    }

    /// Usage of one turn, counted from 0.
    fn turn(&self, turn: u32) -> Usage {
        let goes_on = turn + 1 < self.turns;
        let (read, fresh) = if turn == 0 {
            (self.cached, self.prompt - self.cached)
        } else {
            let before = self.prompt + u64::from(turn - 1) * (self.growth + self.reply);
            (before, self.growth + self.reply)
        };
        // A conversation of one turn writes only the prefix it shares.
        let written = match (turn, goes_on) {
            (0, false) => self.shared - self.cached,
            (_, true) => fresh,
            (_, false) => 0,
        };
        Usage {
            input: fresh - written,
            cache_write_5m: written,
            cache_read: read,
            output: self.reply,
            ..Usage::default()
        }
    }

    /// Usage of all turns, and its cost at this price.
    pub(super) fn total(&self, price: Option<&ModelPrice>) -> (Usage, PicoUsd) {
        let (mut usage, mut cost) = (Usage::default(), PicoUsd::ZERO);
        for turn in 0..self.turns.min(TURNS_PRICED_MAX) {
            let used = self.turn(turn);
            cost += price.map_or(PicoUsd::ZERO, |price| price.cost(&used));
            usage += used;
        }
        (usage, cost)
    }
}

/// The work of this usage, in fresh prompt tokens.
pub(super) fn work(usage: &Usage) -> f64 {
    let written = (usage.cache_write_5m + usage.cache_write_1h) as f64;
    usage.input as f64 + 1.25 * written + 0.1 * usage.cache_read as f64 + 5.0 * usage.output as f64
}

/// Output tokens of a judge: a mark, and some sentences of findings.
const VERDICT_TOKENS: u64 = 300;

/// Cost of one verdict on a typical result: the judge reads the prompt, the rubric and the result.
pub(super) fn judge_cost(task: &Assigned, judge: &Judge, rung: &Rung) -> PicoUsd {
    let rubric = judge.rubric.len() as u64 / BYTES_OF_DENSE;
    let result = u64::from(task.reply_tokens_max).min(RESULT_TOKENS);
    let usage = Usage {
        input: task.prompt_tokens + rubric + result,
        output: VERDICT_TOKENS,
        ..Usage::default()
    };
    rung.price
        .as_ref()
        .map_or(PicoUsd::ZERO, |price| price.cost(&usage))
}

/// Tokens of a typical result.
const RESULT_TOKENS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::Rates;

    fn price() -> ModelPrice {
        // Picodollar prices that make each token class visible in the sum.
        let base = Rates {
            input: PicoUsd(1_000),
            cache_write_5m: PicoUsd(1_250),
            cache_write_1h: PicoUsd(2_000),
            cache_read: PicoUsd(100),
            output: PicoUsd(5_000),
        };
        ModelPrice {
            base,
            ..ModelPrice::default()
        }
    }

    #[test]
    fn a_turn_reads_what_the_one_before_it_wrote() {
        let three = Conversation {
            prompt: 1_000,
            cached: 0,
            shared: 0,
            turns: 3,
            reply: 100,
            growth: 400,
        };
        let (usage, cost) = three.total(Some(&price()));
        // 1: writes 1,000; 2: reads 1,000, writes 500; 3: reads 1,500, sends 500.
        let expected = Usage {
            input: 500,
            cache_write_5m: 1_500,
            cache_read: 2_500,
            output: 300,
            ..Usage::default()
        };
        assert_eq!(usage, expected);
        assert_eq!(
            cost.0,
            500 * 1_000 + 1_500 * 1_250 + 2_500 * 100 + 300 * 5_000
        );
    }

    #[test]
    fn one_sibling_writes_the_shared_prefix_and_the_others_read_it() {
        let first = Conversation {
            prompt: 900,
            cached: 0,
            shared: 800,
            turns: 1,
            reply: 10,
            growth: 0,
        };
        let (usage, _) = first.total(None);
        assert_eq!(
            (usage.cache_write_5m, usage.cache_read, usage.input),
            (800, 0, 100)
        );
        let (usage, _) = Conversation {
            cached: 800,
            ..first
        }
        .total(None);
        assert_eq!(
            (usage.cache_write_5m, usage.cache_read, usage.input),
            (0, 800, 100)
        );
    }

    #[test]
    fn each_turn_has_its_own_place_among_the_thresholds() {
        let dear = Rates {
            output: PicoUsd(10_000),
            ..price().base
        };
        let stepped = ModelPrice {
            above: vec![(1_200, dear)],
            ..price()
        };
        let two = Conversation {
            prompt: 1_000,
            cached: 0,
            shared: 0,
            turns: 2,
            reply: 100,
            growth: 400,
        };
        let more = two.total(Some(&stepped)).1.0 - two.total(Some(&price())).1.0;
        assert_eq!(
            more,
            100 * 5_000,
            "the second turn passes it, the first does not"
        );
    }
}
