//! The estimate recorded with a run, and its error afterwards.

use crate::{Digest, Millis, PicoUsd};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The expected cost of a run at its start: a small value recorded in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Estimate {
    /// Dollars.
    pub cost: Spread<PicoUsd>,
    /// The most it could cost, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<PicoUsd>,
    /// Time.
    pub took: Spread<Millis>,
    /// Number of known tasks.
    pub tasks: usize,
    /// Those of them without any history.
    pub guessed: usize,
    /// Digest of the plan's shape.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
}

/// Three points of a distribution: of a hundred cases ten lie below `p10`,
/// fifty below `p50`, ninety below `p90`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Spread<T> {
    /// The low end.
    pub p10: T,
    /// The middle.
    pub p50: T,
    /// The high end.
    pub p90: T,
}

impl<T: Copy> Spread<T> {
    /// Applies a function to each point.
    pub fn map<U>(self, change: impl Fn(T) -> U) -> Spread<U> {
        Spread {
            p10: change(self.p10),
            p50: change(self.p50),
            p90: change(self.p90),
        }
    }
}

/// The difference between a run and its estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EstimateError {
    /// Its cost.
    pub actual: PicoUsd,
    /// That divided by the median of the estimate.
    pub ratio: f64,
    /// Whether it was within the range.
    pub inside: bool,
    /// Whether it was above the ceiling, which is a bug in divisi.
    pub above_ceiling: bool,
}

impl Estimate {
    /// The error for a run that cost `actual`; `None` if the expected cost was zero.
    pub fn error(&self, actual: PicoUsd) -> Option<EstimateError> {
        if self.cost.p50 == PicoUsd::ZERO {
            return None;
        }
        Some(EstimateError {
            actual,
            ratio: actual.0 as f64 / self.cost.p50.0 as f64,
            inside: (self.cost.p10..=self.cost.p90).contains(&actual),
            above_ceiling: self.ceiling.is_some_and(|ceiling| actual > ceiling),
        })
    }
}

/// `$1.20, 8 % above the estimate, within its range`.
impl fmt::Display for EstimateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let off = (self.ratio - 1.0) * 100.0;
        let side = if off < 0.0 { "below" } else { "above" };
        let range = if self.inside { "within" } else { "outside" };
        write!(
            f,
            "{}, {:.0} % {side} the estimate, {range} its range",
            self.actual,
            off.abs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_how_far_off_it_was() {
        let estimate = Estimate {
            cost: Spread {
                p10: PicoUsd(800),
                p50: PicoUsd(1_000),
                p90: PicoUsd(1_500),
            },
            ceiling: Some(PicoUsd(9_000)),
            took: Spread::default(),
            tasks: 3,
            guessed: 0,
            plan: None,
        };
        let error = estimate.error(PicoUsd(1_250)).unwrap();
        assert_eq!(
            (error.ratio, error.inside, error.above_ceiling),
            (1.25, true, false)
        );
        assert_eq!(
            error.to_string(),
            "<$0.0001, 25 % above the estimate, within its range"
        );
        assert!(!estimate.error(PicoUsd(1_501)).unwrap().inside);
        assert!(estimate.error(PicoUsd(9_001)).unwrap().above_ceiling);
        let free = Estimate {
            cost: Spread::default(),
            ..estimate
        };
        assert_eq!(free.error(PicoUsd(1)), None);
    }
}
