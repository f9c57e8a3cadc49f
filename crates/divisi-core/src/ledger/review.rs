//! What the entries of a ledger cost by a price list, and would have cost otherwise.

use super::{Entry, Ledger};
use crate::price::TokenClass;
use crate::{ModelPrice, PicoUsd, Usage};
use serde::Serialize;
use std::collections::BTreeMap;

/// What the replies of a ledger cost by a price list, class by class.
///
/// The list is asked for the price of each reply's model at the time of the
/// reply. The sums need not be what was recorded: lists are corrected, models
/// are served at other rates, user's prices change. The difference is part of
/// the review, not hidden in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Review {
    /// By class of token.
    pub classes: BTreeMap<TokenClass, ClassCost>,
    /// Tokens of models that the list has no price for, and that cost something.
    pub unpriced: Usage,
    /// Tokens of models that the list has no price for, and that cost nothing:
    /// a server of one's own, scripted answers.
    pub free: Usage,
    /// What the replies with a price cost by the list.
    pub list: PicoUsd,
    /// What was recorded for the same replies.
    pub recorded: PicoUsd,
    /// What the same replies would have cost without any cache.
    pub uncached: PicoUsd,
    /// What they would have cost on the strongest model, as far as there is one.
    pub strongest: PicoUsd,
    /// What those cost by the list that `strongest` speaks of.
    pub comparable: PicoUsd,
}

/// Tokens of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassCost {
    /// How many.
    pub tokens: u64,
    /// What they cost by the list.
    pub cost: PicoUsd,
}

impl Review {
    /// Goes through the replies of `ledger`. `price` and `strongest` say what
    /// a reply's model cost at its time, and what the strongest model of its
    /// vendor did.
    pub fn of(
        ledger: &Ledger,
        price: impl Fn(&Entry) -> Option<ModelPrice>,
        strongest: impl Fn(&Entry) -> Option<ModelPrice>,
    ) -> Self {
        let mut review = Self::default();
        for entry in ledger.entries().iter().filter(|entry| entry.is_reply()) {
            review.reply(entry, price(entry).as_ref(), strongest(entry).as_ref());
        }
        review
    }

    fn reply(&mut self, entry: &Entry, price: Option<&ModelPrice>, strongest: Option<&ModelPrice>) {
        let Some(price) = price else {
            match entry.cost {
                PicoUsd::ZERO => self.free += entry.usage,
                _ => self.unpriced += entry.usage,
            }
            return;
        };
        let rates = price.rates(entry.usage.prompt());
        for class in TokenClass::ALL {
            let so_far = self.classes.entry(class).or_default();
            so_far.tokens = so_far.tokens.saturating_add(class.of(&entry.usage));
            so_far.cost += rates.part(class, &entry.usage);
        }
        let uncached = Usage {
            input: entry.usage.prompt(),
            output: entry.usage.output,
            ..Usage::default()
        };
        let list = rates.cost(&entry.usage);
        self.list += list;
        self.recorded += entry.cost;
        self.uncached += rates.cost(&uncached);
        if let Some(strongest) = strongest {
            self.strongest += strongest.cost(&entry.usage);
            self.comparable += list;
        }
    }
}
