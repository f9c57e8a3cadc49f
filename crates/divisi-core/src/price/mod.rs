//! Prices of a model's tokens, by class.

mod billing;
mod names;

pub use billing::{Billing, Factors, Service};
pub use names::is_same_model;

use crate::{PicoUsd, Usage};
use serde::{Deserialize, Serialize};

/// A class of tokens with its own price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TokenClass {
    /// Prompt tokens neither written to a cache nor read from one.
    Input,
    /// Prompt tokens written to the five-minute cache.
    #[serde(rename = "cache_write_5m")]
    CacheWrite5m,
    /// Prompt tokens written to the one-hour cache.
    #[serde(rename = "cache_write_1h")]
    CacheWrite1h,
    /// Prompt tokens read from a cache.
    CacheRead,
    /// Output tokens, thinking included.
    Output,
}

impl TokenClass {
    /// All classes, in display order.
    pub const ALL: [Self; 5] = [
        Self::Input,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::CacheRead,
        Self::Output,
    ];

    /// Number of tokens of this class in `usage`.
    pub fn of(self, usage: &Usage) -> u64 {
        match self {
            Self::Input => usage.input,
            Self::CacheWrite5m => usage.cache_write_5m,
            Self::CacheWrite1h => usage.cache_write_1h,
            Self::CacheRead => usage.cache_read,
            Self::Output => usage.output,
        }
    }
}

/// Price of one token of each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Rates {
    /// Prompt tokens neither written to a cache nor read from one.
    pub input: PicoUsd,
    /// Prompt tokens written to the five-minute cache.
    pub cache_write_5m: PicoUsd,
    /// Prompt tokens written to the one-hour cache.
    pub cache_write_1h: PicoUsd,
    /// Prompt tokens read from a cache.
    pub cache_read: PicoUsd,
    /// Output tokens, thinking included.
    pub output: PicoUsd,
}

impl Rates {
    /// The price of one token of `class`.
    pub fn of(&self, class: TokenClass) -> PicoUsd {
        match class {
            TokenClass::Input => self.input,
            TokenClass::CacheWrite5m => self.cache_write_5m,
            TokenClass::CacheWrite1h => self.cache_write_1h,
            TokenClass::CacheRead => self.cache_read,
            TokenClass::Output => self.output,
        }
    }

    /// Cost of the tokens of `class` in `usage`.
    pub fn part(&self, class: TokenClass, usage: &Usage) -> PicoUsd {
        PicoUsd(class.of(usage).saturating_mul(self.of(class).0))
    }

    /// Cost of `usage` at these rates.
    pub fn cost(&self, usage: &Usage) -> PicoUsd {
        TokenClass::ALL
            .into_iter()
            .map(|class| self.part(class, usage))
            .sum()
    }
}

/// The rates of one service of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Tariff {
    /// The rates of a request with a short prompt.
    pub base: Rates,
    /// Rates of a whole request whose prompt has more tokens than the threshold; smallest threshold
    /// first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<(u64, Rates)>,
}

impl Tariff {
    /// The rates of a request with this many prompt tokens, cached ones included.
    pub fn rates(&self, prompt_tokens: u64) -> &Rates {
        reached(&self.base, &self.above, prompt_tokens)
    }
}

/// The rates of the highest threshold that a prompt of this length has passed.
fn reached<'a>(base: &'a Rates, above: &'a [(u64, Rates)], prompt_tokens: u64) -> &'a Rates {
    let passed = above
        .iter()
        .rev()
        .find(|(threshold, _)| prompt_tokens > *threshold);
    passed.map_or(base, |(_, rates)| rates)
}

/// The price of one model at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ModelPrice {
    /// The rates of a request with a short prompt.
    pub base: Rates,
    /// Rates of a whole request, output included, whose prompt has more tokens than the threshold;
    /// smallest threshold first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub above: Vec<(u64, Rates)>,
    /// Factors for requests not served by default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub factors: Factors,
    /// Services whose rates are no multiple of those of the default one, such as a batch in which
    /// cached tokens cost as much as otherwise. They count instead of the service's factor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<(Service, Tariff)>,
    /// Price of a web search by the vendor, if it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<PicoUsd>,
}

impl ModelPrice {
    /// The rates of a request with this many prompt tokens, cached ones included.
    pub fn rates(&self, prompt_tokens: u64) -> &Rates {
        reached(&self.base, &self.above, prompt_tokens)
    }

    /// Cost of one request with this usage at the default service. Not for sums of requests:
    /// thresholds apply to each request by itself.
    pub fn cost(&self, usage: &Usage) -> PicoUsd {
        self.rates(usage.prompt()).cost(usage)
    }

    /// Cost of one request served as `billing` says, rounded up to a picodollar once. If tokens are
    /// free, so is everything else: a local server sends no bill.
    ///
    /// What the vendor states as its bill counts, except a statement of nothing: that is what
    /// servers send that do not know the cost.
    pub fn billed(&self, usage: &Usage, billing: Billing) -> PicoUsd {
        let tokens = self.tokens(usage, billing);
        match (self.base == Rates::default(), billing.stated) {
            (true, _) => tokens,
            (false, Some(stated)) if billing.is_stated() => stated,
            (false, _) => PicoUsd(tokens.0.saturating_add(billing.beside(self.search).0)),
        }
    }

    /// Cost of the tokens of one request served as `billing` says.
    fn tokens(&self, usage: &Usage, billing: Billing) -> PicoUsd {
        let own = self
            .services
            .iter()
            .find(|(service, _)| *service == billing.service);
        let Some((_, tariff)) = own else {
            return self.factors.apply(self.cost(usage), billing);
        };
        let list = tariff.rates(usage.prompt()).cost(usage);
        let billing = Billing {
            service: Service::Standard,
            ..billing
        };
        self.factors.apply(list, billing)
    }
}

/// Converts a price per million tokens to one per token.
///
/// `None` if that is not a whole number of picodollars: no vendor has such a price, so it is a
/// typing error.
pub fn per_token(per_million: PicoUsd) -> Option<PicoUsd> {
    per_million
        .0
        .is_multiple_of(1_000_000)
        .then_some(PicoUsd(per_million.0 / 1_000_000))
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::{Grant, TurnBound};
    use proptest::prelude::*;

    #[test]
    fn searches_are_paid_for_where_tokens_are() {
        let billing = Billing {
            searches: 3,
            us_only: true,
            ..Billing::default()
        };
        let usage = Usage {
            input: 1_000,
            ..Usage::default()
        };
        let paid = ModelPrice {
            base: rates(1),
            ..ModelPrice::default()
        };
        assert_eq!(
            paid.billed(&usage, billing),
            PicoUsd(30_000_000_000 + 1_100)
        );
        assert_eq!(ModelPrice::default().billed(&usage, billing), PicoUsd::ZERO);
        let many = Billing {
            searches: u32::MAX,
            ..billing
        };
        assert!(
            paid.billed(
                &Usage {
                    input: u64::MAX,
                    ..usage
                },
                many
            ) == PicoUsd(u64::MAX)
        );
    }

    #[test]
    fn what_the_vendor_states_is_the_bill() {
        let stated = |amount| Billing {
            stated: Some(PicoUsd(amount)),
            searches: 1,
            ..Billing::default()
        };
        let usage = Usage {
            input: 1_000,
            ..Usage::default()
        };
        let paid = ModelPrice {
            base: rates(1),
            search: Some(PicoUsd(7)),
            ..ModelPrice::default()
        };
        assert_eq!(paid.billed(&usage, stated(5)), PicoUsd(5));
        assert_eq!(paid.billed(&usage, stated(0)), PicoUsd(1_007));
        assert_eq!(
            ModelPrice::default().billed(&usage, stated(5)),
            PicoUsd::ZERO
        );
    }

    #[test]
    fn a_service_with_rates_of_its_own_has_no_factor() {
        let price = ModelPrice {
            services: vec![(
                Service::Batch,
                Tariff {
                    base: rates(4),
                    above: vec![(100, rates(30))],
                },
            )],
            ..tiered()
        };
        let cost = |input, service, us_only| {
            let usage = Usage {
                input,
                ..Usage::default()
            };
            let billing = Billing {
                service,
                us_only,
                ..Billing::default()
            };
            price.billed(&usage, billing).0
        };
        assert_eq!(cost(100, Service::Batch, false), 100 * 4);
        assert_eq!(cost(101, Service::Batch, false), 101 * 30);
        assert_eq!(cost(100, Service::Batch, true), 100 * 4 * 11 / 10);
        assert_eq!(cost(100, Service::Priority, false), 100 * 10 * 2);
    }

    /// Rates of one, two, three … times `unit`.
    fn rates(unit: u64) -> Rates {
        Rates {
            input: PicoUsd(unit),
            cache_write_5m: PicoUsd(2 * unit),
            cache_write_1h: PicoUsd(3 * unit),
            cache_read: PicoUsd(unit / 10),
            output: PicoUsd(5 * unit),
        }
    }

    fn tiered() -> ModelPrice {
        ModelPrice {
            base: rates(10),
            above: vec![(100, rates(50)), (200, rates(20))],
            ..Default::default()
        }
    }

    #[test]
    fn the_whole_prompt_decides_the_rates_of_the_whole_request() {
        let usage = |cache_read| Usage {
            input: 40,
            cache_read,
            output: 10,
            ..Usage::default()
        };
        assert_eq!(tiered().cost(&usage(60)).0, 40 * 10 + 60 + 10 * 50);
        assert_eq!(tiered().cost(&usage(61)).0, 40 * 50 + 61 * 5 + 10 * 250);
        assert_eq!(tiered().cost(&usage(161)).0, 40 * 20 + 161 * 2 + 10 * 100);
    }

    #[test]
    fn the_most_is_looked_for_among_all_rates_within_reach() {
        let most = |prompt, reply| TurnBound::of(&tiered(), prompt, reply).most().0;
        assert_eq!(most(100, 10), (100 * 20 + 10 * 50) * 11 / 10);
        // A prompt counted from above may in fact be short, so the dearer rate below the threshold
        // counts.
        assert_eq!(most(201, 10), (201 * 100 + 10 * 250) * 11 / 10);
        let at_home = ModelPrice {
            factors: Factors {
                us_only: 1_000,
                ..Factors::default()
            },
            ..tiered()
        };
        assert_eq!(
            TurnBound::of(&at_home, 100, 10).most().0,
            100 * 20 + 10 * 50,
            "where prices say so"
        );
    }

    #[test]
    fn absurd_numbers_saturate() {
        let usage = Usage {
            input: u64::MAX,
            output: u64::MAX,
            ..Usage::default()
        };
        assert_eq!(tiered().cost(&usage), PicoUsd(u64::MAX));
        assert_eq!(
            TurnBound::of(&tiered(), u64::MAX, 1).most(),
            PicoUsd(u64::MAX)
        );
    }

    fn any_rates() -> impl Strategy<Value = Rates> {
        prop::array::uniform5(0u64..2_000_000).prop_map(|[input, write, write_1h, read, output]| {
            Rates {
                input: PicoUsd(input),
                cache_write_5m: PicoUsd(write),
                cache_write_1h: PicoUsd(write_1h),
                cache_read: PicoUsd(read),
                output: PicoUsd(output),
            }
        })
    }

    fn any_price() -> impl Strategy<Value = ModelPrice> {
        let steps = prop::collection::btree_map(0u64..400, any_rates(), 0..3);
        let factors = prop::array::uniform6(0u32..4_000).prop_map(
            |[batch, flex, priority, fast, ultrafast, us_only]| Factors {
                batch,
                flex,
                priority,
                fast,
                ultrafast,
                us_only,
            },
        );
        let factors = prop_oneof![Just(Factors::default()), factors];
        (any_rates(), steps, factors).prop_map(|(base, above, factors)| ModelPrice {
            base,
            above: above.into_iter().collect(),
            factors,
            ..ModelPrice::default()
        })
    }

    proptest! {
        /// A bill never exceeds its reservation, with any factor that an unasked service may add
        /// and also with a shortened reply.
        #[test]
        fn no_bill_is_above_its_reservation(
            price in any_price(),
            parts in prop::array::uniform3(0u64..150),
            longest in 0u32..6_000,
            written in 0.0f64..=1.0,
            room in 0u64..50,
            left in 0u64..20_000_000_000,
        ) {
            // divisi requests no hour-long cache.
            let [input, cache_write_5m, cache_read] = parts;
            let prompt = Usage { input, cache_write_5m, cache_read, ..Usage::default() };
            let bound = TurnBound::of(&price, prompt.prompt() + room, longest);
            let whole = Grant { reserved: bound.most(), reply_tokens: None };
            for grant in [Some(whole), bound.fit(PicoUsd(left))].into_iter().flatten() {
                let longest = grant.reply_tokens.unwrap_or(longest);
                let output = (f64::from(longest) * written) as u64;
                for billing in Billing::UNASKED {
                    let billed = price.billed(&Usage { output, ..prompt }, billing);
                    prop_assert!(billed <= grant.reserved, "{billed} of {grant:?}, {billing:?}");
                }
            }
            prop_assert!(bound.fit(PicoUsd(left)).is_none_or(|grant| grant.reserved <= PicoUsd(left)));
        }
    }
}
