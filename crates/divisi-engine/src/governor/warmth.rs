//! Which prompts begin with something the vendor has cached, and which must
//! wait until it has.
//!
//! A prefix can be read by others once the first reply to a prompt that begins
//! with it has begun. Requests that leave together before that all write it, at
//! more than the full price. So the first one leads, its siblings wait until its
//! reply begins, and then read at a small part of the price.
//!
//! What this promises: a request waits only for one that has left, and a request
//! that waits leads nothing, so nobody waits in a circle. Whatever becomes of the
//! one that leads (reply, failure, drop), those that wait go on: they read, or
//! the next one leads. Nobody waits longer than [`HOLD_MAX`].
//!
//! A request that is held keeps its place in the run and its reservation: the
//! order to start it has been written down. So a process that dies meanwhile
//! counts it as sent; one that only stops, or runs out of time, does not.

use super::gate::SIGN_EVERY;
use super::prefixes::{Lead, Prefixes};
use divisi_core::{Digest, Millis};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Longest time one request waits for others. A reply to a prompt of a million
/// tokens begins within half of it.
const HOLD_MAX: Duration = Duration::from_secs(20);

/// Watches over the prefixes of one provider.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    prefixes: Mutex<Prefixes>,
}

impl Warmth {
    /// Returns when a request with these prefixes may leave; `held` is told how
    /// much longer it waits at the most.
    pub(super) async fn admit(
        self: &Arc<Self>,
        wanted: Vec<Digest>,
        held: impl Fn(Millis) + Send,
    ) -> Admission {
        let give_up_at = Instant::now() + HOLD_MAX;
        let mut was_held = false;
        loop {
            let now = Instant::now();
            let asked = match wanted.is_empty() {
                true => Ok(Lead::default()),
                false => self.lock().ask(&wanted, now, now < give_up_at),
            };
            match asked {
                Ok(lead) => {
                    let lead = Mutex::new(Some(lead));
                    return Admission { warmth: self.clone(), wanted, lead, left_at: now, was_held };
                }
                Err(over) => {
                    was_held = true;
                    held(Millis((give_up_at - now).as_millis() as u64));
                    // Whatever it was that came first, the prefixes tell what follows.
                    let _ = timeout_at(give_up_at.min(now + SIGN_EVERY), over.cancelled()).await;
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
    /// Taken when the reply begins.
    lead: Mutex<Option<Lead>>,
    left_at: Instant,
    /// Whether it had to wait.
    pub(crate) was_held: bool,
}

impl Admission {
    /// Says that the reply has begun: what the prompt begins with can be read.
    pub(crate) fn begun(&self) {
        if let Some(lead) = self.take() {
            self.warmth.lock().begun(&self.wanted, lead, self.left_at);
        }
    }

    fn take(&self) -> Option<Lead> {
        let mut lead = self.lead.lock().unwrap_or_else(PoisonError::into_inner);
        if self.wanted.is_empty() { None } else { lead.take() }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(lead) = self.take() {
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
        let _hangs = waiting(&warmth, &signs).await;
        let admission = waiting(&warmth, &signs).await;
        assert!(admission.was_held);
        assert_eq!(start.elapsed().as_secs(), HOLD_MAX.as_secs());
        assert_eq!(signs.into_inner(), HOLD_MAX.as_secs());
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
