//! Which prompts begin with something the vendor has cached, and which must
//! wait until it has.
//!
//! A prefix can be read by others once the first reply to a prompt that begins
//! with it has begun. Requests that leave together before that all write it, at
//! more than the full price. So the first one leads, its siblings wait until its
//! reply begins, and then read at a small part of the price.
//!
//! What this promises: a request waits only for one that is under way or next at
//! the gate, and a request that waits leads nothing, so nobody waits in a circle.
//! Whatever becomes of the one that leads (reply, failure, drop), those that wait
//! go on: they read, or the next one leads. Nobody waits longer than [`HOLD_MAX`]
//! for requests that are under way; while the one that leads waits at the gate,
//! its siblings would wait there, too.
//!
//! A request that is held keeps its place in the run and its reservation: the
//! order to start it has been written down. So a process that dies meanwhile
//! counts it as sent; one that only stops, or runs out of time, does not.

use super::gate::SIGN_EVERY;
use super::prefixes::{Lead, Prefixes};
use divisi_core::{Digest, Millis};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Longest time one request waits for others that are under way. A reply to a
/// prompt of a million tokens begins within half of it.
const HOLD_MAX: Duration = Duration::from_secs(20);

/// Watches over the prefixes of one provider.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    prefixes: Mutex<Prefixes>,
}

impl Warmth {
    /// Returns when a request with these prefixes may leave; `held` is told how
    /// much longer it waits at the most, once the one that leads is under way.
    pub(super) async fn admit(
        self: &Arc<Self>,
        wanted: Vec<Digest>,
        held: impl Fn(Millis) + Send,
    ) -> Admission {
        let mut patience = HOLD_MAX;
        let mut was_held = false;
        loop {
            let now = Instant::now();
            let asked = match wanted.is_empty() {
                true => Ok(Lead::default()),
                false => self.lock().ask(&wanted, now, !patience.is_zero()),
            };
            match asked {
                Ok(lead) => {
                    let lead = Mutex::new(Some((lead, None)));
                    return Admission { warmth: self.clone(), wanted, lead, was_held };
                }
                Err(leader) => {
                    was_held = true;
                    held(Millis(patience.as_millis() as u64));
                    // Whatever it was that came first, the prefixes tell what follows.
                    let _ = timeout(patience.min(SIGN_EVERY), leader.over.cancelled()).await;
                    if leader.has_left {
                        patience = patience.saturating_sub(now.elapsed());
                    }
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Prefixes> {
        // No change can panic halfway.
        self.prefixes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right of one request to be under way. Dropped before its reply has
/// begun, it lets the next one lead.
#[derive(Debug)]
pub(crate) struct Admission {
    warmth: Arc<Warmth>,
    wanted: Vec<Digest>,
    /// And when the request left. Taken when the reply begins.
    lead: Mutex<Option<(Lead, Option<Instant>)>>,
    /// Whether it had to wait.
    pub(crate) was_held: bool,
}

impl Admission {
    /// Says that the request leaves now: from here on, those who wait for it lose
    /// their patience.
    pub(crate) fn leaves(&self) {
        if let Some((lead, left_at)) = self.lead().as_mut().filter(|_| !self.wanted.is_empty()) {
            // A second one, where the first takes long, is not what warms it.
            left_at.get_or_insert_with(Instant::now);
            self.warmth.lock().leaves(&self.wanted, lead);
        }
    }

    /// Says that the reply has begun: what the prompt begins with can be read.
    pub(crate) fn begun(&self) {
        if let Some((lead, left_at)) = self.take() {
            let left_at = left_at.unwrap_or_else(Instant::now);
            self.warmth.lock().begun(&self.wanted, lead, left_at);
        }
    }

    fn take(&self) -> Option<(Lead, Option<Instant>)> {
        let mut lead = self.lead();
        if self.wanted.is_empty() { None } else { lead.take() }
    }

    fn lead(&self) -> MutexGuard<'_, Option<(Lead, Option<Instant>)>> {
        self.lead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some((lead, _)) = self.take() {
            self.warmth.lock().failed(&self.wanted, lead);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A request that waits, and counts its signs of life.
    async fn waiting(warmth: &Arc<Warmth>, signs: &AtomicU64) -> Admission {
        warmth
            .admit(vec![Digest::of(b"a")], |_| {
                signs.fetch_add(1, Ordering::Relaxed);
            })
            .await
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_longer_than_the_limit_and_gives_signs_meanwhile() {
        let (warmth, signs, start) = (Arc::default(), AtomicU64::new(0), Instant::now());
        let hangs = waiting(&warmth, &signs).await;
        hangs.leaves();
        let admission = waiting(&warmth, &signs).await;
        assert!(admission.was_held);
        assert_eq!(start.elapsed().as_secs(), HOLD_MAX.as_secs());
        assert_eq!(signs.into_inner(), HOLD_MAX.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_loses_patience_while_the_first_one_waits_at_the_gate() {
        let (warmth, signs, start) = (Arc::default(), AtomicU64::new(0), Instant::now());
        let leader = waiting(&warmth, &signs).await;
        let leads = async {
            tokio::time::sleep(3 * HOLD_MAX).await;
            leader.leaves();
            tokio::time::sleep(Duration::from_secs(1)).await;
            leader.begun();
        };
        let (admission, ()) = tokio::join!(waiting(&warmth, &signs), leads);
        assert!(admission.was_held);
        assert_eq!(start.elapsed(), 3 * HOLD_MAX + Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_leader_and_a_dropped_waiter_hold_up_nobody() {
        let (warmth, signs, start) = (Arc::default(), AtomicU64::new(0), Instant::now());
        let leader = waiting(&warmth, &signs).await;
        let answered = async || {
            let admission = waiting(&warmth, &signs).await;
            admission.begun();
            admission.was_held
        };
        let mut gives_up = Box::pin(waiting(&warmth, &signs));
        assert!(futures::poll!(&mut gives_up).is_pending());
        drop(gives_up);
        let held = tokio::join!(answered(), answered(), async { drop(leader) });
        assert_eq!(held, (true, true, ()));
        assert!(!waiting(&warmth, &signs).await.was_held, "it stays warm when those who used it are gone");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn who_shares_nothing_waits_for_nothing() {
        let warmth: Arc<Warmth> = Arc::default();
        let admission = warmth.admit(vec![], |_| panic!("held")).await;
        admission.begun();
        assert!(!admission.was_held);
    }
}
