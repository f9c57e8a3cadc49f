//! The core's prefix cache, with a clock and async waiting.
//!
//! A held request keeps its slot and its reservation, because the order to start it is recorded. So
//! if the process dies meanwhile, it counts as sent; if it is only stopped or times out, it does
//! not.

use divisi_core::governor::{Lead, Leader, PrefixCache};
use divisi_core::{Digest, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The prefixes of one provider, shared by all requests to it.
#[derive(Debug)]
pub(super) struct Prefixes {
    state: Mutex<State>,
    since: Instant,
}

#[derive(Debug, Default)]
struct State {
    cache: PrefixCache,
    /// Cancelled when the requests that wait for a lead should ask again.
    over: BTreeMap<Lead, CancellationToken>,
}

/// A request that must wait for the writer of its prefix.
#[derive(Debug)]
pub(crate) struct Held {
    /// Cancelled when it should ask again.
    pub(crate) over: CancellationToken,
    /// Whether the writer has been sent.
    pub(crate) has_left: bool,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            since: Instant::now(),
        }
    }
}

impl Prefixes {
    /// Admits a request with these prefixes, unless it must wait for their writer.
    pub(super) fn ask(
        self: &Arc<Self>,
        wanted: Vec<Digest>,
        patient: bool,
    ) -> Result<Admission, Held> {
        let lead = match wanted.is_empty() {
            true => None,
            false => {
                let (mut state, now) = (self.lock(), self.now());
                let asked = state.cache.ask(&wanted, now, patient);
                state.tell();
                match asked {
                    Ok(lead) => Some((lead, None)),
                    Err(Leader { lead, has_left }) => {
                        let over = state.over.entry(lead).or_default().clone();
                        return Err(Held { over, has_left });
                    }
                }
            }
        };
        Ok(Admission {
            prefixes: self.clone(),
            wanted,
            lead: Mutex::new(lead),
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.since.elapsed().as_millis() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A poisoned lock is safe to use: no change can stop halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notifies the requests that wait for ended leads.
    fn tell(&mut self) {
        for lead in self.cache.take_over() {
            if let Some(over) = self.over.remove(&lead) {
                over.cancel();
            }
        }
    }
}

/// Admits one request. If dropped before its reply has begun, the next request may write the
/// prefix.
#[derive(Debug)]
pub(crate) struct Admission {
    prefixes: Arc<Prefixes>,
    wanted: Vec<Digest>,
    /// With the time of sending. Taken when the reply begins.
    lead: Mutex<Option<(Lead, Option<Timestamp>)>>,
}

impl Admission {
    /// Marks the request as sent: from here on the patience of waiting requests is used up.
    pub(crate) fn leaves(&self) {
        if let Some((lead, left_at)) = self.lead().as_mut() {
            // The hedge, if there is one, does not write the prefix.
            left_at.get_or_insert_with(|| self.prefixes.now());
            self.prefixes.lock().cache.leaves(&self.wanted, *lead);
        }
    }

    /// The reply has begun, so the prefix can be read.
    pub(crate) fn begun(&self) {
        if let Some((lead, left_at)) = self.take() {
            let left_at = left_at.unwrap_or_else(|| self.prefixes.now());
            let mut state = self.prefixes.lock();
            state.cache.begun(&self.wanted, lead, left_at);
            state.tell();
        }
    }

    fn take(&self) -> Option<(Lead, Option<Timestamp>)> {
        self.lead().take()
    }

    fn lead(&self) -> MutexGuard<'_, Option<(Lead, Option<Timestamp>)>> {
        self.lead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some((lead, _)) = self.take() {
            let mut state = self.prefixes.lock();
            state.cache.failed(&self.wanted, lead);
            state.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(prefixes: &Arc<Prefixes>) -> Result<Admission, Held> {
        prefixes.ask(vec![Digest::of(b"a")], true)
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_leader_lets_exactly_one_other_lead() {
        let prefixes: Arc<Prefixes> = Arc::default();
        let leader = asks(&prefixes).unwrap();
        let [one, other] = [(); 2].map(|()| asks(&prefixes).err().unwrap());
        assert!(!one.has_left && !one.over.is_cancelled());
        leader.leaves();
        assert!(asks(&prefixes).err().unwrap().has_left);
        drop(leader);
        assert!(one.over.is_cancelled() && other.over.is_cancelled());
        let next = asks(&prefixes).unwrap();
        assert!(asks(&prefixes).is_err());
        next.begun();
        drop(next);
        assert!(
            asks(&prefixes).is_ok(),
            "it stays warm when those that used it are gone"
        );
    }

    #[tokio::test]
    async fn what_shares_nothing_waits_for_nothing() {
        let prefixes: Arc<Prefixes> = Arc::default();
        for _ in 0..2 {
            prefixes.ask(vec![], true).unwrap().begun();
        }
    }
}
