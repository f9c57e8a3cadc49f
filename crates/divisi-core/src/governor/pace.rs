//! What all share who use one credential: the processes of one machine, and the
//! providers of one process that have the same key.

use super::bucket::Bucket;
use super::{Governor, KINDS};
use crate::Timestamp;
use serde::{Deserialize, Serialize};

/// What has been taken and what is left, for all who use one credential.
///
/// Whoever asks first adopts what the others have left, and afterwards shares
/// what they leave; both in one step that nobody comes between. What a user
/// sets stays with the process whose settings it stands in, and so does the
/// number of requests under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    pub(super) buckets: [Option<Bucket>; KINDS],
    /// Everything ever taken, to tell what a vendor cannot have known.
    pub(super) taken: [u64; KINDS],
    /// Nobody leaves before it.
    pub(super) not_before: Timestamp,
    /// Whether the vendor has told somebody that it takes no more, and has answered
    /// nobody since.
    pub(super) closed: Option<Closure>,
}

/// What has been learnt that the others do not know of yet.
#[derive(Clone, Debug, Default)]
pub(super) struct News {
    pub(super) taken: [u64; KINDS],
    pub(super) not_before: Timestamp,
    /// When nothing was left of any limit.
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
    /// Nothing is left of any limit.
    pub(super) fn drain(&mut self, now: Timestamp) {
        self.buckets
            .iter_mut()
            .flatten()
            .for_each(|bucket| bucket.drain(now));
    }
}

impl Governor {
    /// Whether anything holds requests back that others should know of, or may
    /// have told of.
    pub fn is_paced(&self) -> bool {
        let Pace {
            buckets,
            not_before,
            closed,
            ..
        } = &self.pace;
        buckets.iter().any(Option::is_some) || *not_before > Timestamp(0) || closed.is_some()
    }

    /// Learns what others who use the same credential have left, before
    /// anything else is asked. All must go by one clock.
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

    /// What it leaves to others, who from now on know all of it.
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
