//! Limits shared by all users of one credential: the processes of a machine, and the providers of
//! one process with the same key.

use super::bucket::Bucket;
use super::{Governor, KINDS};
use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// Amounts taken and left, shared by all users of one credential.
///
/// A process first adopts the shared state, then asks, then shares the result; all under one lock.
/// The user's limits and the number of requests under way stay with the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    pub(super) buckets: [Option<Bucket>; KINDS],
    /// Total amounts ever taken; differences show what a vendor's report cannot include.
    pub(super) taken: [u64; KINDS],
    /// No request is sent before this moment.
    pub(super) not_before: Timestamp,
    /// Set when the vendor accepts no requests, until a request is answered again.
    pub(super) closed: Option<Closure>,
}

/// Changes that the other processes do not know yet.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    pub(super) taken: [u64; KINDS],
    pub(super) not_before: Timestamp,
    /// When a rate limit was exceeded, which drains all buckets.
    pub(super) drained_at: Option<Timestamp>,
    pub(super) closed: Option<Closure>,
}

/// The vendor takes no more requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Closure {
    /// When it will again, if that is known.
    pub(super) until: Option<Timestamp>,
}

impl Pace {
    /// Drains all buckets.
    pub(super) fn drain(&mut self, now: Timestamp) {
        self.buckets
            .iter_mut()
            .flatten()
            .for_each(|bucket| bucket.drain(now));
    }
}

impl Governor {
    /// Whether there is anything to share, or anything adopted from others.
    pub fn is_paced(&self) -> bool {
        let Pace {
            buckets,
            not_before,
            closed,
            ..
        } = &self.pace;
        buckets.iter().any(Option::is_some) || *not_before > Timestamp(0) || closed.is_some()
    }

    /// Adopts the shared state, merging this process's changes. Must precede [`Governor::ask`], and
    /// all processes must use one clock.
    pub fn adopt(&mut self, shared: Pace) {
        if shared.closed.is_some() && self.pace.closed.is_none() {
            self.doubted = self.flight.last();
        }
        let own = std::mem::replace(&mut self.pace, shared);
        let News {
            taken,
            not_before,
            drained_at,
            closed,
        } = &self.news;
        for (kind, own) in own.buckets.into_iter().enumerate() {
            let shared = self.pace.buckets[kind].take();
            self.pace.buckets[kind] = match shared {
                Some(shared) => Some(shared.adopted(self.set[kind], taken[kind])),
                None => own,
            };
            self.pace.taken[kind] = self.pace.taken[kind].saturating_add(taken[kind]);
        }
        self.pace.not_before = self.pace.not_before.max(*not_before);
        self.pace.closed = closed.or(self.pace.closed);
        if let Some(at) = *drained_at {
            self.pace.drain(at);
        }
    }

    /// Returns the state to share. From here on it includes all changes of this process.
    pub fn share(&mut self) -> &Pace {
        self.news = News::default();
        &self.pace
    }
}

impl Closure {
    pub(super) fn is_over(self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests;
