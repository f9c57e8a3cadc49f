//! An estimate to be kept with a run, and how far off it was.

use crate::{Digest, Millis, PicoUsd};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a run was expected to cost when it started: a small value to be stored
/// with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estimate {
    /// Dollars.
    pub cost: Spread<PicoUsd>,
    /// The most it could cost, where that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<PicoUsd>,
    /// Time.
    pub took: Spread<Millis>,
    /// Tasks that were known of.
    pub tasks: usize,
    /// Those of them that the history knew nothing of.
    pub guessed: usize,
    /// The shape of the plan that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
}

/// Three points of a distribution: of a hundred cases ten lie below `p10`,
/// fifty below `p50`, ninety below `p90`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spread<T> {
    /// The low end.
    pub p10: T,
    /// The middle.
    pub p50: T,
    /// The high end.
    pub p90: T,
}

impl<T: Copy> Spread<T> {
    /// The same with each point changed.
    pub fn map<U>(self, change: impl Fn(T) -> U) -> Spread<U> {
        Spread {
            p10: change(self.p10),
            p50: change(self.p50),
            p90: change(self.p90),
        }
    }
}

/// How far a run was from its estimate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimateError {
    /// What it cost.
    pub actual: PicoUsd,
    /// That over the middle of the estimate.
    pub ratio: f64,
    /// Whether it was between the low end and the high end.
    pub inside: bool,
    /// Whether it was above the ceiling, which is an error of divisi.
    pub above_ceiling: bool,
}

impl Estimate {
    /// How far off it was for a run that cost `actual`; `None` where nothing
    /// was expected to cost anything.
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
