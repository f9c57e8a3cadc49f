//! How long the requests of a run take, and from when on one is called slow.

use crate::Millis;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// How many times as long as nearly all others a request has to take. Replies
/// differ in length by more than two; three is a straggler.
const HEDGE_FACTOR: u64 = 3;

/// Requests that have to have been answered before one can be called slow:
/// with twenty, one in a hundred of them is slower than what is called nearly all.
const SAMPLES_MIN: usize = 20;

/// What nearly all are, in percent.
const NEARLY_ALL_PERCENT: usize = 95;

/// Requests of a model that are remembered, the latest.
const REMEMBERED_MAX: usize = 256;

/// How long the requests of a run have taken, by model.
#[derive(Clone, Debug, Default)]
pub struct Durations(BTreeMap<Arc<str>, VecDeque<Millis>>);

impl Durations {
    /// A request was answered, and took this long.
    pub fn learn(&mut self, model: &Arc<str>, took: Millis) {
        let known = self.0.entry(model.clone()).or_default();
        known.truncate(REMEMBERED_MAX - 1);
        known.push_front(took);
    }

    /// How long a request may take before it is sent again; `None` while that
    /// is not known.
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
