//! Durations of a run's requests, and the limit above which one counts as slow.

use crate::Millis;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// A request is slow above this multiple of the 95th percentile. Replies differ in length by more
/// than a factor of two; at three a request is a straggler.
const HEDGE_FACTOR: u64 = 3;

/// Requests of a model that must have been answered before one can count as slow: of twenty, the
/// 95th percentile is the second slowest.
const SAMPLES_MIN: usize = 20;

/// The percentile that counts as nearly all requests.
const NEARLY_ALL_PERCENT: usize = 95;

/// Durations kept per model, the latest.
const REMEMBERED_MAX: usize = 256;

/// How long the requests of a run have taken, by model.
#[derive(Clone, Debug, Default)]
pub struct Durations(BTreeMap<Arc<str>, VecDeque<Millis>>);

impl Durations {
    /// Adds the duration of an answered request.
    pub fn learn(&mut self, model: &Arc<str>, took: Millis) {
        let known = self.0.entry(model.clone()).or_default();
        known.truncate(REMEMBERED_MAX - 1);
        known.push_front(took);
    }

    /// How long a request may take before it is sent a second time; `None` while too few durations
    /// are known.
    pub fn patience(&self, model: &str) -> Option<Millis> {
        let mut known: Vec<_> = self.0.get(model)?.iter().copied().collect();
        let place = (known.len() * NEARLY_ALL_PERCENT)
            .div_ceil(100)
            .checked_sub(1)?;
        (known.len() >= SAMPLES_MIN).then(|| {
            Millis(
                known
                    .select_nth_unstable(place)
                    .1
                    .0
                    .saturating_mul(HEDGE_FACTOR),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_comes_with_experience() {
        let (mut durations, model) = (Durations::default(), Arc::from("haiku"));
        for millis in 1..20 {
            durations.learn(&model, Millis(millis));
            assert_eq!(durations.patience("haiku"), None);
        }
        durations.learn(&model, Millis(100_000));
        assert_eq!(durations.patience("haiku"), Some(Millis(3 * 19)));
        assert_eq!(durations.patience("opus"), None);
        for _ in 0..REMEMBERED_MAX {
            durations.learn(&model, Millis(7));
        }
        assert_eq!(
            durations.patience("haiku"),
            Some(Millis(21)),
            "what is long ago is forgotten"
        );
    }
}
