//! Time and cost of a run under its limits, the limit that holds it back most, and the effect of
//! raising it.
//!
//! The tasks of a graph, as its forecast draws them, go through the real governor, its real queue
//! and the real bounds of the budget, in an event loop without a journal: some hundred nanoseconds
//! per request, so that a million tasks take a second. Then each limit is doubled separately, with
//! the same draws; the gain is what the limit costs.
//!
//! Left out: failures, which the forecast's costs contain; limits of the vendor that are not
//! configured; checks, which cost money here but no time.
//!
//! Read in this order: [`tasks`](Tasks) is the graph, [`work`](Works) the work of one draw, `play`
//! one run of it, [`answer`](Answer) many of them.

mod tasks;
mod work;

mod play;

mod answer;
mod compare;

pub mod sample;

#[cfg(test)]
mod tests;

pub use answer::{Answer, Gain, Holds, Percentiles, Uncapped};
pub use compare::what_if;
use play::Played;
pub use tasks::Tasks;
pub use work::{Leg, Works};

use divisi_core::PicoUsd;
use divisi_core::governor::RateSettings;

/// The limits of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Tasks at once.
    pub in_flight_max: u32,
    /// The number of these that may be programs on this machine. If it equals `in_flight_max`, as
    /// with `--jobs`, both are one limit and are raised together.
    pub programs_max: u32,
    /// Most that may be spent.
    pub cap: Option<PicoUsd>,
    /// The settings of each provider.
    pub rates: Vec<RateSettings>,
    /// For each model family the index of its provider's settings.
    pub families: Vec<usize>,
}

/// One of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Limit {
    /// Requests per minute to a provider.
    RequestsPerMinute {
        /// Index of its settings.
        provider: usize,
    },
    /// Input tokens per minute.
    InputTokensPerMinute {
        /// Index of its settings.
        provider: usize,
    },
    /// Output tokens per minute.
    OutputTokensPerMinute {
        /// Index of its settings.
        provider: usize,
    },
    /// Tasks at once.
    TasksAtOnce,
    /// Programs on this machine at once.
    ProgramsAtOnce,
}

impl Limits {
    /// All limits that can be raised, except the cap. `has_programs` says whether any task is a
    /// program.
    fn all(&self, has_programs: bool) -> Vec<Limit> {
        let mut all = vec![];
        for (provider, rate) in self.rates.iter().enumerate() {
            let set = [
                (
                    rate.requests_per_minute,
                    Limit::RequestsPerMinute { provider },
                ),
                (
                    rate.input_tokens_per_minute,
                    Limit::InputTokensPerMinute { provider },
                ),
                (
                    rate.output_tokens_per_minute,
                    Limit::OutputTokensPerMinute { provider },
                ),
            ];
            all.extend(
                set.into_iter()
                    .filter_map(|(set, limit)| set.map(|_| limit)),
            );
        }
        all.push(Limit::TasksAtOnce);
        if has_programs && self.holds_programs() {
            all.push(Limit::ProgramsAtOnce);
        }
        all
    }

    /// Whether fewer programs than tasks may run at once.
    pub fn holds_programs(&self) -> bool {
        self.programs_max < self.in_flight_max
    }

    /// The limits with one of them doubled.
    fn doubled(mut self, limit: Limit) -> Self {
        let double = |set: &mut Option<u64>| *set = set.map(|limit| limit.saturating_mul(2));
        match limit {
            Limit::RequestsPerMinute { provider } => {
                double(&mut self.rates[provider].requests_per_minute);
            }
            Limit::InputTokensPerMinute { provider } => {
                double(&mut self.rates[provider].input_tokens_per_minute);
            }
            Limit::OutputTokensPerMinute { provider } => {
                double(&mut self.rates[provider].output_tokens_per_minute);
            }
            Limit::TasksAtOnce => {
                if self.programs_max == self.in_flight_max {
                    self = self.doubled(Limit::ProgramsAtOnce);
                }
                self.in_flight_max = self.in_flight_max.saturating_mul(2);
                for rate in &mut self.rates {
                    rate.in_flight = rate.in_flight.map(|at_once| at_once.saturating_mul(2));
                }
            }
            Limit::ProgramsAtOnce => self.programs_max = self.programs_max.saturating_mul(2),
        }
        self
    }

    /// No limits and no vendor: only dependencies make tasks wait.
    fn lifted() -> Self {
        Self {
            in_flight_max: u32::MAX,
            programs_max: u32::MAX,
            ..Self::default()
        }
    }
}
