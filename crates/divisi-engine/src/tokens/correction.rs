//! Corrects token counts by what vendors charged.

use serde::{Deserialize, Serialize};

/// The ratio of charged to counted tokens of a model.
///
/// It is a ratio of sums, so that long prompts, which cost more, count more. With few samples it
/// stays near 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// Number of requests.
    pub samples: u32,
    /// Tokens counted for them.
    pub counted: u64,
    /// Tokens charged for them.
    pub charged: u64,
}

impl Correction {
    /// Number of samples that the initial assumption (the count is right) weighs. A single unusual
    /// request changes the factor by a ninth of its own error.
    const TRUST_SAMPLES: f64 = 8.0;

    /// Largest factor in either direction. A larger error has another cause than the tokeniser:
    /// pictures, or a prompt that a gateway extends.
    const FACTOR_MAX: f64 = 2.0;

    /// Adds a request. One without counted or charged tokens is ignored.
    pub fn with(self, counted: u64, charged: u64) -> Self {
        if counted == 0 || charged == 0 {
            return self;
        }
        Self {
            samples: self.samples.saturating_add(1),
            counted: self.counted.saturating_add(counted),
            charged: self.charged.saturating_add(charged),
        }
    }

    /// The factor for counts.
    pub fn factor(&self) -> f64 {
        if self.counted == 0 {
            return 1.0;
        }
        let ratio = self.charged as f64 / self.counted as f64;
        let trust = f64::from(self.samples) / (f64::from(self.samples) + Self::TRUST_SAMPLES);
        // In logarithms, so that double and half are equally far from 1.
        let bound = Self::FACTOR_MAX.ln();
        (trust * ratio.ln()).clamp(-bound, bound).exp()
    }

    /// `tokens`, corrected.
    pub fn apply(&self, tokens: u64) -> u64 {
        (tokens as f64 * self.factor()).round() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn after(samples: u32, counted: u64, charged: u64) -> Correction {
        (0..samples).fold(Correction::default(), |correction, _| {
            correction.with(counted, charged)
        })
    }

    #[test]
    fn it_is_learnt_slowly() {
        let shown = |samples| format!("{:.3}", after(samples, 1_000, 1_300).factor());
        assert_eq!(
            [0, 1, 8, 100, 10_000].map(shown),
            ["1.000", "1.030", "1.140", "1.275", "1.300"]
        );
        assert_eq!(after(100, 1_000, 1_300).apply(1_000), 1_275);
    }

    #[test]
    fn long_prompts_count_more() {
        let correction = after(100, 100_000, 120_000).with(10, 5);
        assert!(correction.factor() > 1.18);
    }

    #[test]
    fn what_was_not_counted_or_charged_teaches_nothing() {
        assert_eq!(
            Correction::default().with(0, 100).with(100, 0),
            Correction::default()
        );
    }

    proptest! {
        #[test]
        fn it_stays_between_one_and_what_was_seen(
            samples in 1..1_000_u32, counted in 1..1_000_000_u64, charged in 1..1_000_000_u64,
        ) {
            let factor = after(samples, counted, charged).factor();
            let seen = charged as f64 / counted as f64;
            prop_assert!((0.5..=2.0).contains(&factor));
            prop_assert!((factor - 1.0) * (seen - 1.0) >= 0.0 && (factor - 1.0).abs() <= (seen - 1.0).abs() + 1e-9);
        }
    }
}
