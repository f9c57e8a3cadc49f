//! The requests under way, with the amounts taken before and after each was sent.

use super::bucket::ON_ITS_WAY;
use super::{KINDS, PermitId};
use crate::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// The requests under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Flight {
    grants: BTreeMap<PermitId, Grant>,
    /// Requests sent so recently that later ones may overtake them.
    on_their_way: VecDeque<(Timestamp, PermitId)>,
    granted: u64,
}

/// A request under way.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) at: Timestamp,
    pub(super) amounts: [u64; KINDS],
    /// Total amounts taken when it was sent.
    taken: [u64; KINDS],
    /// The same at the moment from which later requests cannot overtake it.
    taken_later: Option<[u64; KINDS]>,
}

impl Flight {
    /// Registers a request that is sent. It takes `amounts`, which makes `taken` in total.
    pub(super) fn leaves(
        &mut self,
        now: Timestamp,
        amounts: [u64; KINDS],
        taken: [u64; KINDS],
    ) -> PermitId {
        self.granted += 1;
        let id = PermitId(self.granted);
        self.grants.insert(
            id,
            Grant {
                at: now,
                amounts,
                taken,
                taken_later: None,
            },
        );
        self.on_their_way.push_back((now, id));
        id
    }

    /// Marks requests that must have arrived by now, so that later ones cannot overtake them.
    /// `taken` is the present total.
    pub(super) fn note_arrivals(&mut self, now: Timestamp, taken: [u64; KINDS]) {
        while let Some((_, id)) = self
            .on_their_way
            .pop_front_if(|(at, _)| *at + ON_ITS_WAY < now)
        {
            if let Some(grant) = self.grants.get_mut(&id) {
                grant.taken_later = Some(taken);
            }
        }
    }

    pub(super) fn get(&self, id: PermitId) -> Option<&Grant> {
        self.grants.get(&id)
    }

    pub(super) fn ends(&mut self, id: PermitId) -> Option<Grant> {
        self.grants.remove(&id)
    }

    /// The last request sent.
    pub(super) fn last(&self) -> PermitId {
        PermitId(self.granted)
    }

    pub(super) fn len(&self) -> usize {
        self.grants.len()
    }
}

impl Grant {
    /// Amounts taken since it was sent.
    pub(super) fn since(&self, taken: &[u64; KINDS]) -> [u64; KINDS] {
        std::array::from_fn(|kind| taken[kind].saturating_sub(self.taken[kind]))
    }

    /// The part of it that cannot have arrived before it.
    pub(super) fn since_surely(&self, taken: &[u64; KINDS]) -> [u64; KINDS] {
        let before = self.taken_later.as_ref().unwrap_or(taken);
        std::array::from_fn(|kind| taken[kind].saturating_sub(before[kind]))
    }
}
