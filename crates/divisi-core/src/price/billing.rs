//! Requests that cost more or less than usual, by how they were served.

use crate::PicoUsd;
use serde::{Deserialize, Serialize};

/// How a request was served, as far as its price depends on it.
///
/// It is read from the reply, not from the request: what was asked for may not
/// have been granted. The default is a request at the list price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Billing {
    /// At which service.
    pub service: Service,
    /// Whether it was kept within the United States.
    pub us_only: bool,
    /// How often the vendor searched the web for it. No request of ours asks for that, but
    /// gateways and accounts can be set up to.
    #[serde(skip_serializing_if = "is_zero")]
    pub searches: u32,
}

/// What a search of the web costs, beside its tokens: the price of OpenAI and Anthropic. Others
/// ask for as much or less.
const SEARCH: PicoUsd = PicoUsd(PicoUsd::DOLLAR.0 / 100);

impl Billing {
    /// What the vendor did for the request beside reading and writing tokens.
    pub(super) fn beside(&self) -> PicoUsd {
        PicoUsd(SEARCH.0.saturating_mul(u64::from(self.searches)))
    }

    /// How requests of ours may be served without our having asked for it.
    pub const UNASKED: [Self; 2] = [
        Self {
            service: Service::Standard,
            us_only: false,
            searches: 0,
        },
        Self {
            service: Service::Standard,
            us_only: true,
            searches: 0,
        },
    ];
}

/// The services that vendors sell the same model by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// The usual one.
    #[default]
    Standard,
    /// Answered within a day.
    Batch,
    /// Answered when there is room.
    Flex,
    /// Answered before others.
    Priority,
    /// Written faster.
    Fast,
}

/// By how much a request's price changes with how it was served, in thousandths.
/// The default is what most vendors ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Factors {
    /// Of a request in a batch.
    pub batch: u32,
    /// Of one that waited for room.
    pub flex: u32,
    /// Of one that went before others.
    pub priority: u32,
    /// Of one that was written faster.
    pub fast: u32,
    /// Of one kept within the United States; on top of the others.
    pub us_only: u32,
}

/// The price as it is.
const UNCHANGED: u32 = 1_000;

impl Default for Factors {
    fn default() -> Self {
        Self {
            batch: 500,
            flex: 500,
            priority: 2_000,
            fast: 2_000,
            us_only: 1_100,
        }
    }
}

impl Factors {
    /// The most that what costs `list` may cost without our having asked for it:
    /// accounts can be set up to keep every request within the United States.
    /// Services are another matter. Those are bought, and requests of ours name
    /// the usual one where a vendor lets an account choose another.
    pub fn dearest(&self, list: PicoUsd) -> PicoUsd {
        Billing::UNASKED
            .map(|billing| self.apply(list, billing))
            .into_iter()
            .max()
            .unwrap_or(list)
    }

    /// What a request costs that would cost `list` as usual. A fraction of a
    /// picodollar counts as one.
    pub fn apply(&self, list: PicoUsd, billing: Billing) -> PicoUsd {
        let service = match billing.service {
            Service::Standard => UNCHANGED,
            Service::Batch => self.batch,
            Service::Flex => self.flex,
            Service::Priority => self.priority,
            Service::Fast => self.fast,
        };
        let place = if billing.us_only {
            self.us_only
        } else {
            UNCHANGED
        };
        let thousandths = u128::from(service) * u128::from(place);
        // 64 bits of money and twice 32 of factors could pass 128 bits.
        let scaled = u128::from(list.0).saturating_mul(thousandths);
        let cost = scaled.div_ceil(u128::from(UNCHANGED) * u128::from(UNCHANGED));
        PicoUsd(cost.try_into().unwrap_or(u64::MAX))
    }
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cost(list: u64, service: Service, us_only: bool) -> u64 {
        Factors::default()
            .apply(
                PicoUsd(list),
                Billing {
                    service,
                    us_only,
                    searches: 0,
                },
            )
            .0
    }

    #[test]
    fn factors_multiply() {
        assert_eq!(cost(1_000, Service::Standard, false), 1_000);
        assert_eq!(cost(1_000, Service::Batch, true), 550);
        assert_eq!(cost(1_000, Service::Fast, true), 2_200);
    }

    #[test]
    fn a_fraction_counts_as_a_whole_unit_once() {
        assert_eq!(cost(1, Service::Flex, false), 1);
        // 3 × 0.5 × 1.1 is 1.65; rounded after each step it would be 3.
        assert_eq!(cost(3, Service::Batch, true), 2);
        assert_eq!(cost(u64::MAX, Service::Fast, true), u64::MAX);
    }

    #[test]
    fn what_is_not_said_is_as_usual() {
        assert_eq!(
            serde_json::from_str::<Billing>("{}").unwrap(),
            Billing::default()
        );
        assert_eq!(
            serde_json::to_string(&Billing::default()).unwrap(),
            r#"{"service":"standard","us_only":false}"#
        );
    }
}
