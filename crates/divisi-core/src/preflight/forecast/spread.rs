//! Ranges, and the distributions that draws come from.

use crate::estimate::Spread;
use crate::{Millis, PicoUsd};
use statrs::distribution::{ContinuousCDF, Normal};

impl Spread<f64> {
    /// The points of these values, which it sorts; zeros if there are none.
    pub(super) fn of(values: &mut [f64]) -> Self {
        values.sort_by(f64::total_cmp);
        Spread {
            p10: quantile(values, 0.1),
            p50: quantile(values, 0.5),
            p90: quantile(values, 0.9),
        }
    }
}

/// Converts an estimated amount to picodollars.
pub(super) fn pico(amount: f64) -> PicoUsd {
    PicoUsd(amount.round() as u64)
}

/// Converts seconds to milliseconds.
pub(super) fn millis(seconds: f64) -> Millis {
    Millis((seconds * 1_000.0).round() as u64)
}

/// Distance of the p90 of a normal distribution from its mean, in standard deviations.
const P90_DEVIATIONS: f64 = 1.281_551_565_544_6;

/// Standard deviation of the logarithm of a value whose p90 is `ratio` times its p10.
pub(super) fn deviation(ratio: f64) -> f64 {
    ratio.ln() / (2.0 * P90_DEVIATIONS)
}

/// The quantile of sorted values, interpolated between neighbours; zero if there are none.
pub(super) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    let place = share * last as f64;
    let below = (place as usize).min(last);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

/// Number of points of a shape, so that a thousand draws rarely repeat one.
pub(super) const POINTS: usize = 1_024;

/// From this many values on, their own tails weigh more than those of a normal distribution.
const TAILS: f64 = 200.0;

/// The distribution of the unexplained rest of a logarithm: its quantiles at [`POINTS`] even steps.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) points: Vec<f64>,
    /// Its standard deviation, with the assumed one weighed in.
    pub(super) deviation: f64,
}

impl Shape {
    /// Mixes the values with a normal distribution: with few values that dominates, with many their
    /// own tails do.
    ///
    /// Its width comes from the values and from the `assumed` deviation, which counts like `worth`
    /// values. Fitting makes the values smaller than future ones: `fitted` is the share of their
    /// squares that it removed.
    pub(super) fn of(sorted: &[f64], fitted: f64, assumed: f64, worth: f64) -> Self {
        let n = sorted.len() as f64;
        let mean = if sorted.is_empty() {
            0.0
        } else {
            sorted.iter().sum::<f64>() / n
        };
        let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation =
            ((squares / (1.0 - fitted) + worth * assumed * assumed) / (n + worth)).sqrt();
        let own = (POINTS as f64 * n / (n + TAILS)).round() as usize;
        let bell = Normal::standard();
        // Midpoints of even steps: at 0 and 1 the normal distribution is infinite.
        let share = |i: usize, of: usize| (i as f64 + 0.5) / of as f64;
        let seen = (0..own).map(|i| quantile(sorted, share(i, own)));
        let rest = POINTS - own;
        let smooth = (0..rest).map(|i| mean + deviation * bell.inverse_cdf(share(i, rest)));
        let mut points: Vec<f64> = seen.chain(smooth).collect();
        points.sort_by(f64::total_cmp);
        Self { points, deviation }
    }
}

/// Number of tasks, of a place or a kind, that the assumed length of a result counts for.
const WORTH: f64 = 2.0;

/// A mean of logarithms.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Mean {
    count: f64,
    mean: f64,
}

impl Mean {
    pub(super) fn add(&mut self, log: f64) {
        self.count += 1.0;
        self.mean += (log - self.mean) / self.count;
    }

    pub(super) fn drawn_to(self, assumed: f64, most: f64) -> f64 {
        let count = self.count.min(most);
        (self.mean * count + assumed * WORTH) / (count + WORTH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_of_nothing_has_the_assumed_width() {
        let shape = Shape::of(&[], 0.0, deviation(6.0), 4.0);
        let ratio = (quantile(&shape.points, 0.9) - quantile(&shape.points, 0.1)).exp();
        assert!((ratio - 6.0).abs() < 0.02, "{ratio}");
    }

    #[test]
    fn many_values_keep_their_own_tail() {
        // Nine in ten are alike, the tenth is far away: no normal distribution has this shape.
        let values: Vec<f64> = (0..10_000)
            .map(|i| if i < 9_500 { 0.0 } else { 5.0 })
            .collect();
        let shape = Shape::of(&values, 0.0, 1.0, 4.0);
        assert!(quantile(&shape.points, 0.9) < 0.1);
        assert!(quantile(&shape.points, 0.99) > 4.5);
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        assert_eq!(quantile(&[], 0.5), 0.0);
        assert_eq!(quantile(&[3.0], 0.9), 3.0);
        assert_eq!(quantile(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.1), 1.4);
        assert_eq!(
            Spread::of(&mut [3.0, 1.0, 2.0]),
            Spread {
                p10: 1.2,
                p50: 2.0,
                p90: 2.8
            }
        );
    }
}
