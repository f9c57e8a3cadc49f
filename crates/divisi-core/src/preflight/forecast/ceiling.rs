//! The most a task can cost, whatever the models answer.

use super::Bounds;
use crate::budget::TurnBound;
use crate::preflight::{Assigned, AttemptCost, Node, Rung};
use crate::tokens::BYTES_OF_PROSE;
use crate::{ModelPrice, PicoUsd};

/// The most that all attempts of a task on one rung can cost: every turn with a full context and a
/// full reply. `check` is the most that checking one result costs.
///
/// For an executor it is the declared bound of an attempt, and zero if it is free. Reservations
/// enforce a task's `maxCost`, so the ceiling is never above it. Not included are requests lost in
/// a crash or cut off by an overloaded vendor: each settles at its reservation and uses up no
/// retry.
pub(super) fn ceiling(node: &Node, rung: &Rung, check: PicoUsd, bounds: &Bounds) -> PicoUsd {
    let Ok(task) = &node.assigned else {
        return PicoUsd::ZERO;
    };
    let attempts = u64::from(task.retries_max) + 1;
    let within = |all: PicoUsd| node.task.max_cost.map_or(all, |most| most.min(all));
    if task.rungs.is_empty() {
        let AttemptCost::UpTo(most) = task.attempt_cost else {
            return check;
        };
        return within(
            PicoUsd(most.0.saturating_mul(attempts).saturating_mul(named(node))) + check,
        );
    }
    let Some(price) = &rung.price else {
        return PicoUsd::ZERO;
    };
    let turns = u64::from(task.turns_max.max(1)) * (1 + u64::from(task.hedge));
    let turn = turn_max(price, context_max(node, bounds), task.reply_tokens_max);
    within(PicoUsd(turn.0.saturating_mul(turns).saturating_mul(attempts)) + check)
}

/// Number of rungs of a ladder whose words only the executor understands.
fn named(node: &Node) -> u64 {
    let words = node.task.model.0.len() as u64;
    // A single model gets one more try, with the findings of the check.
    words.max(1 + u64::from(words == 1 && !node.task.check.is_empty()))
}

/// Bound of the first request of a task on this model.
pub(super) fn bound(task: &Assigned, rung: &Rung) -> TurnBound {
    if let AttemptCost::UpTo(most) = task.attempt_cost {
        return TurnBound::fixed(most);
    }
    rung.price
        .as_ref()
        .map_or_else(TurnBound::default, |price| {
            TurnBound::of(
                price,
                task.prompt_tokens.saturating_mul(BYTES_OF_PROSE),
                task.reply_tokens_max,
            )
        })
}

/// The most that one turn can cost with a prompt of this length: what a run would reserve for it.
fn turn_max(price: &ModelPrice, context: u64, reply: u32) -> PicoUsd {
    TurnBound::of(price, context, reply).most()
}

/// The most that one verdict on a result of this task can cost.
pub(super) fn judge_max(task: &Assigned, judge: &Rung, bounds: &Bounds) -> PicoUsd {
    let turn = |price| turn_max(price, bounds.context_tokens_max, task.reply_tokens_max);
    judge.price.as_ref().map_or(PicoUsd::ZERO, turn)
}

/// The longest prompt that a turn of this task can have.
///
/// Tools and results of other tasks may add anything. Without them a conversation grows only by its
/// own replies and the hints on them; the length of the prompt is an estimate, so it counts twice.
fn context_max(node: &Node, bounds: &Bounds) -> u64 {
    let Ok(task) = &node.assigned else { return 0 };
    if task.has_tools || !node.reads.is_empty() {
        return bounds.context_tokens_max;
    }
    let replies = u64::from(task.turns_max).saturating_mul(u64::from(task.reply_tokens_max) * 2);
    task.prompt_tokens
        .saturating_mul(2)
        .saturating_add(replies)
        .min(bounds.context_tokens_max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preflight::forecast::sample;

    #[test]
    fn every_turn_of_every_attempt_is_as_dear_as_it_can_be() {
        let node = sample::node("a", true);
        let task = node.assigned.as_ref().unwrap();
        let rung = &task.rungs[0];
        let rates = rung.price.as_ref().unwrap().base;
        let list =
            1_000_000 * rates.cache_write_5m.0 + u64::from(task.reply_tokens_max) * rates.output.0;
        // An account may keep its requests within the United States, at a tenth more.
        let turn = list * 11 / 10;
        let all = turn * u64::from(task.turns_max) * (u64::from(task.retries_max) + 1);
        let bounds = Bounds::default();
        assert_eq!(ceiling(&node, rung, PicoUsd(7), &bounds), PicoUsd(all + 7));

        let mut hedged = node.clone();
        hedged.assigned.as_mut().unwrap().hedge = true;
        assert_eq!(
            ceiling(&hedged, rung, PicoUsd(7), &bounds),
            PicoUsd(all * 2 + 7)
        );
        let mut capped = node.clone();
        capped.task.max_cost = Some(PicoUsd::DOLLAR);
        assert_eq!(
            ceiling(&capped, rung, PicoUsd::ZERO, &bounds),
            PicoUsd::DOLLAR
        );
        let free = Rung {
            price: None,
            ..rung.clone()
        };
        assert_eq!(ceiling(&node, &free, PicoUsd::ZERO, &bounds), PicoUsd::ZERO);
    }

    #[test]
    fn an_attempt_of_a_program_is_counted_with_the_most_it_may_cost() {
        let mut node = sample::node("a", true);
        let rung = node.assigned.as_ref().unwrap().rungs[0].clone();
        let task = node.assigned.as_mut().unwrap();
        (task.rungs, task.attempt_cost) = (vec![], AttemptCost::UpTo(PicoUsd(100)));
        let attempts = u64::from(task.retries_max) + 1;
        let most = |node: &Node| ceiling(node, &rung, PicoUsd(7), &Bounds::default());
        assert_eq!(most(&node), PicoUsd(100 * attempts + 7));
        node.task.model = crate::check::Ladder(vec!["haiku".into(), "opus".into()]);
        assert_eq!(most(&node), PicoUsd(200 * attempts + 7));
        node.task.max_cost = Some(PicoUsd(150));
        assert_eq!(most(&node), PicoUsd(150));
        node.assigned.as_mut().unwrap().attempt_cost = AttemptCost::Free;
        assert_eq!(
            most(&node),
            PicoUsd(7),
            "its judge costs something all the same"
        );
    }
}
