//! Sends a request a second time where the first takes far longer than others.
//!
//! Only where the user allows it: the second costs as much as the first, whether
//! it helps or not. The first good answer wins, and the other request is given up.

use super::Line;
use super::ask::{Asker, Sending};
use divisi_providers::{ProviderError, Reply};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How many times as long as nearly all others a request has to take. Replies
/// differ in length by more than two; three is a straggler.
const HEDGE_FACTOR: u32 = 3;

/// Requests that have to have been answered before one can be called slow:
/// with twenty, one in a hundred of them is slower than what is called nearly all.
const HEDGE_SAMPLES: usize = 20;

/// What nearly all are, in percent.
const NEARLY_ALL_PERCENT: usize = 95;

/// Requests of a model that are remembered, the latest.
const REMEMBERED_MAX: usize = 256;

/// How long nobody looks whether others have been answered meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How long the requests of a run have taken, by model.
#[derive(Debug, Default)]
pub struct Durations(Mutex<BTreeMap<Arc<str>, VecDeque<Duration>>>);

impl Durations {
    /// A request was answered, and took this long.
    pub(super) fn learn(&self, model: &Arc<str>, took: Duration) {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = models.entry(model.clone()).or_default();
        known.truncate(REMEMBERED_MAX - 1);
        known.push_front(took);
    }

    /// How long a request may take before it is sent again; `None` while that
    /// is not known.
    fn patience(&self, model: &str) -> Option<Duration> {
        let models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known: Vec<_> = models.get(model)?.iter().copied().collect();
        let place = (known.len() * NEARLY_ALL_PERCENT).div_ceil(100).checked_sub(1)?;
        (known.len() >= HEDGE_SAMPLES).then(|| *known.select_nth_unstable(place).1 * HEDGE_FACTOR)
    }
}

impl Asker {
    /// The first good answer of `first` and, if that takes too long, of a second
    /// request for the same.
    pub(super) async fn hedged(
        &self,
        sending: &Sending<'_>,
        first: impl Future<Output = Result<Reply, ProviderError>>,
        durations: &Durations,
    ) -> Result<Reply, ProviderError> {
        let (line, begun) = (&self.line, Instant::now());
        let mut first = pin!(first);
        loop {
            let patience = durations.patience(&sending.model.id);
            let left = patience.map(|patience| patience.saturating_sub(begun.elapsed()));
            if left == Some(Duration::ZERO) {
                break;
            }
            tokio::select! {
                reply = &mut first => return reply,
                () = sleep(left.unwrap_or(LOOK_EVERY).min(LOOK_EVERY)) => {}
            }
        }
        // Whether the one that is given up may be billed: the second, so far.
        let billed = AtomicBool::new(false);
        let given_up = GivenUp { line, billed: &billed };
        let mut second = pin!(async {
            line.hedge_wanted().await.ok()?;
            // The first one is out, so the attempt as a whole does not wait.
            let permit = line.unless_parking(self.permit(sending, |_| ())).await.ok()?.ok()?;
            line.asks_again().ok()?;
            billed.store(true, Ordering::Relaxed);
            Some(self.exchange(sending, permit).await)
        });
        tokio::select! {
            reply = &mut first => match reply {
                // A second one that has left may still answer. One that has not would
                // leave when its turn comes, which may be long after the error's wish.
                Err(error) if billed.load(Ordering::Relaxed) => {
                    billed.store(error.maybe_billed, Ordering::Relaxed);
                    match second.await {
                        Some(Ok(reply)) => Ok(reply),
                        Some(Err(other)) => {
                            billed.store(other.maybe_billed, Ordering::Relaxed);
                            Err(error)
                        }
                        None => Err(error),
                    }
                }
                reply => reply,
            },
            reply = &mut second => match reply {
                Some(Ok(reply)) => Ok(reply),
                other => {
                    let is_billed = matches!(other, Some(Err(error)) if error.maybe_billed);
                    billed.store(is_billed, Ordering::Relaxed);
                    drop(given_up);
                    first.await
                }
            },
        }
    }
}

/// Tells the driver, once it goes out of scope, that one of two requests is given
/// up: however that comes, and before the attempt's end is told.
struct GivenUp<'a> {
    line: &'a Line,
    billed: &'a AtomicBool,
}

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        self.line.hedge_ended(self.billed.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_comes_with_experience() {
        let (durations, model) = (Durations::default(), Arc::from("haiku"));
        for millis in 1..20 {
            durations.learn(&model, Duration::from_millis(millis));
            assert_eq!(durations.patience("haiku"), None);
        }
        durations.learn(&model, Duration::from_secs(100));
        assert_eq!(durations.patience("haiku"), Some(Duration::from_millis(3 * 19)));
        assert_eq!(durations.patience("opus"), None);
        for _ in 0..REMEMBERED_MAX {
            durations.learn(&model, Duration::from_millis(7));
        }
        assert_eq!(
            durations.patience("haiku"),
            Some(Duration::from_millis(21)),
            "what is long ago is forgotten"
        );
    }
}
