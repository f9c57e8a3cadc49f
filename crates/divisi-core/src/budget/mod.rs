//! Dollars allowed, set aside and spent.

mod room;

pub use room::Headroom;

use crate::price::{ModelPrice, Rates};
use crate::{PicoUsd, Usage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The money of a run or of a part of it: `settled + reserved ≤ cap`, after every event that
/// reserves. A cap that is lowered takes nothing back, and does not hold an attempt without a bound
/// that had started before.
///
/// Before a request leaves, the most it can cost is reserved; when its reply
/// has arrived, that is replaced by what it did cost. A request that was sent
/// and never answered settles at its reservation, because it may be billed, or
/// at less if the vendor had counted its prompt ([`Unanswered`]).
/// What a vendor claims above a reservation is booked apart: it counts as spent,
/// but no request was allowed to cost it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Most that may be spent; without one there is no limit.
    pub cap: Option<PicoUsd>,
    /// Set aside for requests under way.
    pub reserved: PicoUsd,
    /// Spent, each request up to what was set aside for it.
    pub settled: PicoUsd,
    /// The part of `settled` for requests whose reply never came whole, besides what is known of
    /// it: at most this much, and perhaps nothing, will be billed.
    pub unconfirmed: PicoUsd,
    /// What replies have cost above what was set aside for them.
    pub over: PicoUsd,
    /// The part of all this that is the cost of replies without counts, estimated from their texts,
    /// and of what had arrived of replies that broke off.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub estimated: PicoUsd,
}

fn is_nothing(amount: &PicoUsd) -> bool {
    *amount == PicoUsd::ZERO
}

/// What was spent, by how sure it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Spent {
    /// What replies have cost, up to what was set aside for them.
    pub billed: PicoUsd,
    /// What requests whose reply never came whole may be billed besides what is known.
    pub unconfirmed: PicoUsd,
    /// What replies have cost above what was set aside for them.
    pub over: PicoUsd,
    /// The part of `billed` and `over` that is the cost of replies without counts, estimated from
    /// their texts, and of what had arrived of replies that broke off.
    #[serde(skip_serializing_if = "is_nothing")]
    pub estimated: PicoUsd,
}

impl Spent {
    /// The cost of one request with this reservation, split at the reservation. `unconfirmed` is
    /// the part of the cost that no bill confirms.
    pub fn of(reserved: PicoUsd, cost: PicoUsd, unconfirmed: PicoUsd) -> Self {
        let billed = cost.saturating_sub(unconfirmed);
        let within = billed.min(reserved.saturating_sub(unconfirmed));
        Self {
            billed: within,
            unconfirmed,
            over: billed.saturating_sub(within),
            estimated: PicoUsd::ZERO,
        }
    }

    /// The same, marked as estimated if it is.
    pub(crate) fn if_estimated(self, is_estimated: bool) -> Self {
        let estimated = match is_estimated {
            true => self.billed + self.over,
            false => PicoUsd::ZERO,
        };
        Self { estimated, ..self }
    }

    /// The same for an attempt. An open-ended one has no bound, so none of its cost is over.
    pub(crate) fn of_attempt(
        is_open_ended: bool,
        reserved: PicoUsd,
        cost: PicoUsd,
        unconfirmed: PicoUsd,
    ) -> Self {
        Self::of(
            if is_open_ended {
                reserved.max(cost)
            } else {
                reserved
            },
            cost,
            unconfirmed,
        )
    }

    /// The sum of all parts.
    pub fn total(&self) -> PicoUsd {
        self.billed + self.unconfirmed + self.over
    }

    /// The difference to `earlier`.
    pub fn since(&self, earlier: Self) -> Self {
        Self {
            billed: self.billed.saturating_sub(earlier.billed),
            unconfirmed: self.unconfirmed.saturating_sub(earlier.unconfirmed),
            over: self.over.saturating_sub(earlier.over),
            estimated: self.estimated.saturating_sub(earlier.estimated),
        }
    }
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.billed += other.billed;
        self.unconfirmed += other.unconfirmed;
        self.over += other.over;
        self.estimated += other.estimated;
    }
}

impl Budget {
    /// An unused budget with this cap.
    pub fn new(cap: Option<PicoUsd>) -> Self {
        Self {
            cap,
            ..Self::default()
        }
    }

    /// What may still be reserved. Without a cap, the largest amount there is.
    pub fn left(&self) -> PicoUsd {
        self.cap.map_or(PicoUsd::MAX, |cap| {
            // Saturates: an overcharge or a lowered cap may leave less than nothing.
            cap.saturating_sub(self.spent().total() + self.reserved)
        })
    }

    /// What was spent, by how sure it is.
    pub fn spent(&self) -> Spent {
        let billed = self.settled.saturating_sub(self.unconfirmed);
        Spent {
            billed,
            unconfirmed: self.unconfirmed,
            over: self.over,
            estimated: self.estimated,
        }
    }

    pub(crate) fn reserve(&mut self, amount: PicoUsd) {
        self.reserved += amount;
    }

    pub(crate) fn settle(&mut self, reserved: PicoUsd, spent: Spent) {
        self.reserved = self.reserved.saturating_sub(reserved);
        self.settled += spent.billed + spent.unconfirmed;
        self.unconfirmed += spent.unconfirmed;
        self.over += spent.over;
        self.estimated += spent.estimated;
    }
}

/// What a request without a reply may be billed, as far as that is known.
///
/// A vendor bills what it has read and written before a connection broke, but the count at the end
/// of the reply is lost. So what it counted and sent by then is spent, and the rest up to `most` is
/// unconfirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered {
    /// Tokens that the vendor had counted or sent.
    pub usage: Usage,
    /// What those cost.
    pub known: PicoUsd,
    /// What the request can cost at most; no more than its reservation counts.
    pub most: PicoUsd,
}

impl Unanswered {
    /// Nothing is known, so it may be billed up to its reservation.
    pub const UNKNOWN: Self = Self {
        usage: Usage {
            input: 0,
            cache_write_5m: 0,
            cache_write_1h: 0,
            cache_read: 0,
            output: 0,
            thinking: 0,
        },
        known: PicoUsd::ZERO,
        most: PicoUsd::MAX,
    };

    /// A reply of which tokens and cost are estimates.
    pub fn exactly(known: PicoUsd, usage: Usage) -> Self {
        Self {
            usage,
            known,
            most: known,
        }
    }

    /// The part of `reserved` that no bill confirms, besides what is known.
    pub fn unconfirmed(&self, reserved: PicoUsd) -> PicoUsd {
        self.most.min(reserved).saturating_sub(self.known)
    }
}

/// The budget of a run and those of its phases, which hold at the same time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    /// The budget of the run.
    pub run: Budget,
    /// Budgets of phases that have a cap or have spent something.
    pub phases: BTreeMap<Arc<str>, Budget>,
}

/// The phase of a task, if any.
type Phase<'a> = Option<&'a Arc<str>>;

impl Budgets {
    /// What a task of this phase may still reserve.
    pub fn left(&self, phase: Phase<'_>) -> PicoUsd {
        let of_phase = phase
            .and_then(|phase| self.phases.get(phase))
            .map_or(PicoUsd::MAX, Budget::left);
        self.run.left().min(of_phase)
    }

    /// Whether any cap applies to tasks of this phase.
    pub(crate) fn limit(&self, phase: Phase<'_>) -> bool {
        self.run.cap.is_some() || self.is_capped(phase)
    }

    /// Whether this phase has its own cap.
    pub fn is_capped(&self, phase: Phase<'_>) -> bool {
        phase
            .and_then(|phase| self.phases.get(phase))
            .is_some_and(|budget| budget.cap.is_some())
    }

    /// The money of this phase that is not spent, reserved or not.
    pub(crate) fn unspent(&self, phase: Phase<'_>) -> PicoUsd {
        let unspent = |budget: &Budget| PicoUsd(budget.left().0.saturating_add(budget.reserved.0));
        let of_phase = phase.and_then(|phase| self.phases.get(phase));
        unspent(&self.run).min(of_phase.map_or(PicoUsd::MAX, unspent))
    }

    /// What a task of this phase may still reserve once `reserved` of its reservation is released.
    pub(crate) fn left_without(&self, phase: Phase<'_>, reserved: PicoUsd) -> PicoUsd {
        let without = |budget: &Budget| {
            Budget {
                reserved: budget.reserved.saturating_sub(reserved),
                ..*budget
            }
            .left()
        };
        let of_phase = phase
            .and_then(|phase| self.phases.get(phase))
            .map_or(PicoUsd::MAX, without);
        without(&self.run).min(of_phase)
    }

    /// Only the budgets with a cap, the run's included.
    pub(crate) fn capped(&self) -> Self {
        let capped = self
            .phases
            .iter()
            .filter(|(_, budget)| budget.cap.is_some());
        Self {
            run: self.run,
            phases: capped
                .map(|(phase, budget)| (phase.clone(), *budget))
                .collect(),
        }
    }

    /// Sets the cap of one phase.
    pub(crate) fn cap_phase(&mut self, phase: &Arc<str>, cap: PicoUsd) {
        self.phases.entry(phase.clone()).or_default().cap = Some(cap);
    }

    /// Sets `amount` aside for a task of this phase.
    pub(crate) fn reserve(&mut self, phase: Phase<'_>, amount: PicoUsd) {
        self.run.reserve(amount);
        self.of_phase(phase, amount, |budget| budget.reserve(amount));
    }

    /// Releases a reservation and books what was spent of it.
    pub(crate) fn settle(&mut self, phase: Phase<'_>, reserved: PicoUsd, spent: Spent) {
        self.run.settle(reserved, spent);
        self.of_phase(phase, reserved.max(spent.total()), |budget| {
            budget.settle(reserved, spent);
        });
    }

    /// Applies a change to the phase's budget. A zero amount creates no phase entry.
    fn of_phase(&mut self, phase: Phase<'_>, amount: PicoUsd, change: impl FnOnce(&mut Budget)) {
        let Some(phase) = phase.filter(|_| amount > PicoUsd::ZERO) else {
            return;
        };
        match self.phases.get_mut(phase) {
            Some(budget) => change(budget),
            None => change(self.phases.entry(phase.clone()).or_default()),
        }
    }
}

/// The most one request can cost, by how long its reply may be.
///
/// The longest reply makes up most of it, and is rarely written. So where a
/// budget does not hold all of it, the reply is given less room rather than
/// the request refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "Written", into = "Written")]
pub struct TurnBound {
    /// What the prompt may cost, at the dearest class that may apply.
    pub prompt: PicoUsd,
    /// What one token of the reply may cost.
    pub reply_token: PicoUsd,
    /// Longest reply in tokens.
    pub reply_tokens_max: u32,
    /// Lower limit when the longest reply is reduced; equal to `reply_tokens_max` where a shorter
    /// reply is useless.
    pub reply_tokens_min: u32,
}

/// What is set aside for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The most it can cost.
    pub reserved: PicoUsd,
    /// Longest reply in tokens, where that is less than was asked for.
    pub reply_tokens: Option<u32>,
}

impl TurnBound {
    /// Smallest reply length that a request is reduced to for a budget. A thousand tokens hold most
    /// answers to a question; with less, most replies would be cut off and paid for nevertheless.
    pub const REPLY_TOKENS_MIN: u32 = 1_024;

    /// Creates the bound of a request from the price of its prompt and of a reply token.
    pub fn new(prompt: PicoUsd, reply_token: PicoUsd, reply_tokens_max: u32) -> Self {
        let reply_tokens_min = reply_tokens_max.min(Self::REPLY_TOKENS_MIN);
        Self {
            prompt,
            reply_token,
            reply_tokens_max,
            reply_tokens_min,
        }
    }

    /// Creates the bound of a request with at most `prompt_tokens_max` tokens at this price.
    ///
    /// The prompt counts at the dearest class that requests can use, the five-minute cache write,
    /// and at the dearest rates its length may reach. Prompt and reply are multiplied by the
    /// largest factor that a vendor may apply without being asked.
    pub fn of(price: &ModelPrice, prompt_tokens_max: u64, reply_tokens_max: u32) -> Self {
        let reached = price
            .above
            .iter()
            .filter(|(threshold, _)| prompt_tokens_max > *threshold);
        let rates = || reached.clone().map(|(_, rates)| rates).chain([&price.base]);
        let dearest = |class: fn(&Rates) -> PicoUsd| {
            price
                .factors
                .dearest(rates().map(class).max().unwrap_or_default())
        };
        let token = dearest(|rates| rates.input.max(rates.cache_write_5m).max(rates.cache_read));
        let prompt = PicoUsd(token.0.saturating_mul(prompt_tokens_max));
        Self::new(prompt, dearest(|rates| rates.output), reply_tokens_max)
    }

    /// Creates the bound of a request whose prompt the vendor has counted, by class.
    pub fn counted(price: &ModelPrice, prompt: &Usage, reply_tokens_max: u32) -> Self {
        let rates = price.rates(prompt.prompt());
        let prompt = Usage {
            output: 0,
            thinking: 0,
            ..*prompt
        };
        let dearest = |list| price.factors.dearest(list);
        Self::new(
            dearest(rates.cost(&prompt)),
            dearest(rates.output),
            reply_tokens_max,
        )
    }

    /// Creates a bound that does not depend on the reply.
    pub fn fixed(most: PicoUsd) -> Self {
        Self {
            prompt: most,
            ..Self::default()
        }
    }

    /// The same without a reduced reply.
    pub fn whole(self) -> Self {
        Self {
            reply_tokens_min: self.reply_tokens_max,
            ..self
        }
    }

    /// A bound that covers either of two requests, with the same room for their replies.
    pub fn or(self, other: Self) -> Self {
        Self {
            prompt: self.prompt.max(other.prompt),
            reply_token: self.reply_token.max(other.reply_token),
            reply_tokens_max: self.reply_tokens_max.max(other.reply_tokens_max),
            reply_tokens_min: self.reply_tokens_min.max(other.reply_tokens_min),
        }
    }

    /// Cost with the longest reply.
    pub fn most(&self) -> PicoUsd {
        self.with(self.reply_tokens_max)
    }

    /// Cost with the shortest allowed reply.
    pub fn least(&self) -> PicoUsd {
        self.with(self.reply_tokens_min)
    }

    /// Reserves as much room for the reply as `left` allows; `None` if even the shortest does not
    /// fit.
    pub fn fit(&self, left: PicoUsd) -> Option<Grant> {
        if self.most() <= left {
            return Some(Grant {
                reserved: self.most(),
                reply_tokens: None,
            });
        }
        if self.least() > left {
            return None;
        }
        // The whole bound did not fit, so a reply token has a price; `max(1)` only avoids a
        // division by zero.
        let tokens = left.saturating_sub(self.prompt).0 / self.reply_token.0.max(1);
        let tokens = u32::try_from(tokens)
            .unwrap_or(u32::MAX)
            .min(self.reply_tokens_max);
        Some(Grant {
            reserved: self.with(tokens),
            reply_tokens: Some(tokens),
        })
    }

    /// Reserves this much room for the reply, or what the request wants if that is less.
    pub fn with_room(&self, tokens: u32) -> Grant {
        let tokens = tokens.min(self.reply_tokens_max);
        Grant {
            reserved: self.with(tokens),
            reply_tokens: (tokens < self.reply_tokens_max).then_some(tokens),
        }
    }

    fn with(&self, reply_tokens: u32) -> PicoUsd {
        self.prompt + PicoUsd(self.reply_token.0.saturating_mul(reply_tokens.into()))
    }
}

/// The form in a journal: a single number where the bound does not depend on the reply.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
enum Written {
    /// The most that it can cost.
    Fixed(PicoUsd),
    /// The most, by the length of the reply.
    Bound {
        /// What the prompt may cost.
        prompt: PicoUsd,
        /// What one token of the reply may cost.
        reply_token: PicoUsd,
        /// Longest reply in tokens.
        reply_tokens_max: u32,
        /// Lower limit when the longest reply is reduced.
        reply_tokens_min: u32,
    },
}

impl From<Written> for TurnBound {
    fn from(written: Written) -> Self {
        match written {
            Written::Fixed(most) => Self::fixed(most),
            Written::Bound {
                prompt,
                reply_token,
                reply_tokens_max,
                reply_tokens_min,
            } => Self {
                prompt,
                reply_token,
                reply_tokens_max,
                reply_tokens_min,
            },
        }
    }
}

impl From<TurnBound> for Written {
    fn from(bound: TurnBound) -> Self {
        let TurnBound {
            prompt,
            reply_token,
            reply_tokens_max,
            reply_tokens_min,
        } = bound;
        match bound == TurnBound::fixed(prompt) {
            true => Self::Fixed(prompt),
            false => Self::Bound {
                prompt,
                reply_token,
                reply_tokens_max,
                reply_tokens_min,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::Billing;
    use proptest::prelude::*;

    #[test]
    fn a_reply_gets_the_room_that_is_left() {
        let bound = TurnBound::new(PicoUsd(1_000), PicoUsd(10), 4_000);
        assert_eq!(bound.most(), PicoUsd(41_000));
        let grant = |left| bound.fit(PicoUsd(left));
        assert_eq!(
            grant(50_000),
            Some(Grant {
                reserved: PicoUsd(41_000),
                reply_tokens: None
            })
        );
        assert_eq!(
            grant(21_005),
            Some(Grant {
                reserved: PicoUsd(21_000),
                reply_tokens: Some(2_000)
            })
        );
        assert_eq!(
            grant(11_240),
            Some(Grant {
                reserved: PicoUsd(11_240),
                reply_tokens: Some(1_024)
            })
        );
        assert_eq!(grant(11_239), None);
        assert_eq!(bound.whole().fit(PicoUsd(40_999)), None);
    }

    #[test]
    fn what_costs_nothing_always_fits() {
        assert!(TurnBound::default().fit(PicoUsd::ZERO).is_some());
    }

    #[test]
    fn a_phase_is_held_by_its_own_cap_and_by_the_run() {
        let phase: Arc<str> = "Audit".into();
        let mut budgets = Budgets {
            run: Budget::new(Some(PicoUsd(100))),
            ..Budgets::default()
        };
        budgets.cap_phase(&phase, PicoUsd(30));
        budgets.reserve(Some(&phase), PicoUsd(20));
        assert_eq!(budgets.left(Some(&phase)), PicoUsd(10));
        assert_eq!(budgets.left(None), PicoUsd(80));
        budgets.settle(
            Some(&phase),
            PicoUsd(20),
            Spent {
                billed: PicoUsd(5),
                ..Spent::default()
            },
        );
        budgets.reserve(None, PicoUsd(90));
        assert_eq!(budgets.left(Some(&phase)), PicoUsd(5));
    }

    #[test]
    fn what_is_claimed_above_a_reservation_is_spent_and_not_settled() {
        let spent = |reserved, cost, unconfirmed| {
            let spent = Spent::of(PicoUsd(reserved), PicoUsd(cost), PicoUsd(unconfirmed));
            (spent.billed.0, spent.unconfirmed.0, spent.over.0)
        };
        assert_eq!(spent(20, 5, 0), (5, 0, 0));
        assert_eq!(spent(20, 20, 20), (0, 20, 0));
        assert_eq!(spent(20, 50, 0), (20, 0, 30));
        assert_eq!(
            spent(20, 50, 20),
            (0, 20, 30),
            "beside what was never answered"
        );
        assert_eq!(spent(20, u64::MAX, 0), (20, 0, u64::MAX - 20));
        let mut budget = Budget::new(Some(PicoUsd(100)));
        budget.reserve(PicoUsd(20));
        budget.settle(PicoUsd(20), Spent::of(PicoUsd(20), PicoUsd(50), PicoUsd(0)));
        assert_eq!(
            (budget.settled, budget.spent().total(), budget.left()),
            (PicoUsd(20), PicoUsd(50), PicoUsd(50))
        );
        budget.settle(PicoUsd(0), Spent::of(PicoUsd(0), PicoUsd::MAX, PicoUsd(0)));
        assert_eq!(
            (budget.settled, budget.left()),
            (PicoUsd(20), PicoUsd::ZERO)
        );
    }

    #[test]
    fn what_is_known_of_a_broken_reply_is_spent_and_the_rest_unconfirmed() {
        let unconfirmed = |known, most, reserved| {
            let broken = Unanswered {
                known: PicoUsd(known),
                most: PicoUsd(most),
                ..Unanswered::UNKNOWN
            };
            broken.unconfirmed(PicoUsd(reserved)).0
        };
        assert_eq!(Unanswered::UNKNOWN.unconfirmed(PicoUsd(20)), PicoUsd(20));
        assert_eq!(unconfirmed(0, 15, 20), 15, "the prompt was counted");
        assert_eq!(unconfirmed(4, 15, 20), 11, "and something arrived");
        assert_eq!(unconfirmed(4, 90, 20), 16, "no more than was set aside");
        assert_eq!(
            unconfirmed(30, 30, 20),
            0,
            "the vendor counts more than was set aside"
        );
    }

    proptest! {
        /// Whatever is billed for a request whose prompt was counted before its reply broke off is
        /// within what is booked for it, and that is within its reservation.
        #[test]
        fn a_counted_prompt_bounds_every_bill(
            base in (1..50u64, 0..50u64, 0..50u64, 1..200u64), dearer in 1..4u64, threshold in 1..400_000u64,
            prompt in (0..400_000u64, 0..400_000u64, 0..400_000u64), spare in 0..400_000u64,
            room in 0..40_000u32, arrived in 0..40_000u64, longer in 0..40_000u64, us_only: bool,
        ) {
            let rates = |factor: u64| Rates {
                input: PicoUsd(base.0 * factor),
                cache_write_5m: PicoUsd(base.1 * factor),
                cache_write_1h: PicoUsd(0),
                cache_read: PicoUsd(base.2 * factor),
                output: PicoUsd(base.3 * factor),
            };
            let price = ModelPrice {
                base: rates(1),
                above: vec![(threshold, rates(dearer))],
                ..ModelPrice::default()
            };
            let counted = Usage {
                input: prompt.0,
                cache_write_5m: prompt.1,
                cache_read: prompt.2,
                output: arrived.min(room.into()),
                ..Usage::default()
            };
            let reserved = TurnBound::of(&price, counted.prompt() + spare, room).most();
            let most = TurnBound::counted(&price, &counted, room).most();
            let broken = Unanswered { usage: counted, known: price.cost(&counted), most };
            let booked = broken.known + broken.unconfirmed(reserved);
            let usage = Usage { output: (counted.output + longer).min(room.into()), ..counted };
            let billed = price.billed(&usage, Billing { us_only, ..Billing::default() });
            prop_assert!(billed <= booked, "{billed:?} of {booked:?}");
            prop_assert!(booked <= reserved, "{booked:?} of {reserved:?}");
        }
    }

    #[test]
    fn bounds_of_old_journals_are_numbers() {
        let old: TurnBound = serde_json::from_str("70").unwrap();
        assert_eq!(old, TurnBound::fixed(PicoUsd(70)));
        assert_eq!(serde_json::to_string(&old).unwrap(), "70");
        let bound = TurnBound::new(PicoUsd(1), PicoUsd(2), 3);
        let written = serde_json::to_string(&bound).unwrap();
        assert_eq!(serde_json::from_str::<TurnBound>(&written).unwrap(), bound);
    }
}
