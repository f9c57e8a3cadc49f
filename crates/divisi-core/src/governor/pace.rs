//! What all share who use one credential: the processes of one machine, and the
//! providers of one process that have the same key.

use super::KINDS;
use super::bucket::Bucket;
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
        self.buckets.iter_mut().flatten().for_each(|bucket| bucket.drain(now));
    }
}

impl Closure {
    pub(super) fn is_over(self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

#[cfg(test)]
mod tests;
