//! Requests billed above or below the list price, by how they were served.

use crate::PicoUsd;
use serde::{Deserialize, Serialize};

/// How a request was served, as far as its price depends on it.
///
/// It is read from the reply, because a request for a service may not have been granted. The
/// default is a request at the list price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Billing {
    /// The service level.
    pub service: Service,
    /// Whether it was kept within the United States.
    pub us_only: bool,
    /// Number of web searches by the vendor. divisi never requests them, but gateways and accounts
    /// can be configured to.
    #[serde(skip_serializing_if = "is_zero")]
    pub searches: u32,
    /// The cost that the vendor itself states in the reply, if it is a vendor whose statements are
    /// its bills. It counts instead of anything computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stated: Option<PicoUsd>,
}

/// Price of a web search besides its tokens, as charged by OpenAI and Anthropic; used for models
/// whose price names none.
const SEARCH: PicoUsd = PicoUsd(PicoUsd::DOLLAR.0 / 100);

impl Billing {
    /// Whether the vendor states what the request has cost.
    pub fn is_stated(&self) -> bool {
        self.stated.is_some_and(|stated| stated > PicoUsd::ZERO)
    }

    /// Cost besides tokens, at a price of `search` for each web search.
    pub(super) fn beside(&self, search: Option<PicoUsd>) -> PicoUsd {
        let search = search.unwrap_or(SEARCH);
        PicoUsd(search.0.saturating_mul(u64::from(self.searches)))
    }

    /// The ways in which a vendor may serve a request without being asked.
    pub const UNASKED: [Self; 2] = [Self::kept(false), Self::kept(true)];

    /// The default service, with or without the data kept within the United States.
    const fn kept(us_only: bool) -> Self {
        Self {
            service: Service::Standard,
            us_only,
            searches: 0,
            stated: None,
        }
    }
}

/// Service levels at which vendors sell the same model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// The default.
    #[default]
    Standard,
    /// Answered within a day.
    Batch,
    /// Answered when there is room.
    Flex,
    /// Answered with priority.
    Priority,
    /// Generated faster.
    Fast,
    /// Generated faster still.
    Ultrafast,
}

/// Price factors in thousandths, by how a request was served. The defaults are what most vendors
/// charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Factors {
    /// For a batch request.
    pub batch: u32,
    /// For a request that waited for capacity.
    pub flex: u32,
    /// For a prioritised request.
    pub priority: u32,
    /// For a faster one.
    pub fast: u32,
    /// For the fastest one.
    pub ultrafast: u32,
    /// For one kept within the United States; multiplies the others.
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
            ultrafast: 6_000,
            us_only: 1_100,
        }
    }
}

impl Factors {
    /// The largest price that a request with list price `list` may have without its options asking
    /// for it: an account may keep every request within the United States. Service levels are not
    /// included: they are bought, and requests name the default one where an account could choose
    /// another.
    pub fn dearest(&self, list: PicoUsd) -> PicoUsd {
        Billing::UNASKED
            .map(|billing| self.apply(list, billing))
            .into_iter()
            .max()
            .unwrap_or(list)
    }

    /// The price of a request with list price `list`, rounded up to a picodollar.
    pub fn apply(&self, list: PicoUsd, billing: Billing) -> PicoUsd {
        let service = match billing.service {
            Service::Standard => UNCHANGED,
            Service::Batch => self.batch,
            Service::Flex => self.flex,
            Service::Priority => self.priority,
            Service::Fast => self.fast,
            Service::Ultrafast => self.ultrafast,
        };
        let place = if billing.us_only {
            self.us_only
        } else {
            UNCHANGED
        };
        let thousandths = u128::from(service) * u128::from(place);
        // 64 bits of money and twice 32 of factors could exceed 128 bits.
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
                    ..Billing::default()
                },
            )
            .0
    }

    #[test]
    fn factors_multiply() {
        assert_eq!(cost(1_000, Service::Standard, false), 1_000);
        assert_eq!(cost(1_000, Service::Batch, true), 550);
        assert_eq!(cost(1_000, Service::Fast, true), 2_200);
        assert_eq!(cost(1_000, Service::Ultrafast, false), 6_000);
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
