//! What the entries of a ledger cost by a price list, and what they would have cost otherwise.

use super::{Entry, Ledger};
use crate::price::TokenClass;
use crate::{ModelPrice, PicoUsd, Usage};
use serde::Serialize;
use std::collections::BTreeMap;

/// The replies of a ledger at the prices of a list, by token class.
///
/// The list is asked for each reply's model at the time of the reply. The sums may differ from what
/// was recorded: lists are corrected, vendors use other rates, users change prices. The difference
/// is shown, not hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Review {
    /// By class of token.
    pub classes: BTreeMap<TokenClass, ClassCost>,
    /// Tokens of models without a list price that did cost something.
    pub unpriced: Usage,
    /// Tokens of models without a list price that cost nothing: a local server, scripted answers.
    pub free: Usage,
    /// List cost of the replies with a price.
    pub list: PicoUsd,
    /// Recorded cost of the same replies.
    pub recorded: PicoUsd,
    /// List cost of the same replies without any cache.
    pub uncached: PicoUsd,
    /// List cost of the comparable replies on the strongest model.
    pub strongest: PicoUsd,
    /// List cost of the replies for which there is a strongest model.
    pub comparable: PicoUsd,
}

/// Tokens of one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ClassCost {
    /// How many.
    pub tokens: u64,
    /// What they cost by the list.
    pub cost: PicoUsd,
}

impl Review {
    /// Reviews the replies of `ledger`. `price` and `strongest` give the price of the reply's model
    /// and of the strongest model of its vendor, at the time of the reply.
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
