//! Records when all slots were taken: the reason why a task that could start did not.

use super::task::Cause;
use crate::{Millis, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Most times kept, the latest ones. A task that waited through more of them has waited for a slot
/// in any case.
const TIMES_MAX: usize = 16;

/// Time from being allowed to start to starting, which takes one read of the inbox and one append.
/// A shorter delay does not count as a wait.
const PROMPTLY: Millis = Millis(50);

/// The times at which all slots were taken, each with its beginning and its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct FullTimes(VecDeque<(Timestamp, Option<Timestamp>)>);

impl FullTimes {
    /// Records whether all slots are taken now.
    pub(super) fn note(&mut self, at: Timestamp, is_full: bool) {
        match self.0.back_mut() {
            Some((_, until @ None)) if !is_full => *until = Some(at),
            // Another attempt took the free slot at once, so the time continues.
            Some((_, until))
                if is_full && until.is_none_or(|until| at.since(until) <= PROMPTLY) =>
            {
                *until = None;
            }
            _ if is_full => {
                if self.0.len() == TIMES_MAX {
                    self.0.pop_front();
                }
                self.0.push_back((at, None));
            }
            _ => {}
        }
    }

    /// The waits of a task that could start at `from` and did at `at`: for a slot while all were
    /// taken, otherwise for money if there is a cap.
    pub(super) fn waits(
        &self,
        from: Timestamp,
        at: Timestamp,
        is_capped: bool,
    ) -> Vec<(Cause, Timestamp, Timestamp)> {
        let mut until = at;
        let mut waits = vec![];
        let mut add = |cause, from: Timestamp, until: Timestamp| {
            let least = if cause == Cause::Cap {
                PROMPTLY
            } else {
                Millis(0)
            };
            if until.since(from) > least && (cause == Cause::Slot || is_capped) {
                waits.push((cause, from, until));
            }
        };
        for (since, to) in self.0.iter().rev() {
            let to = to.unwrap_or(at).min(until);
            if to <= from {
                break;
            }
            add(Cause::Cap, to, until);
            add(Cause::Slot, (*since).max(from), to);
            until = (*since).max(from);
        }
        let is_forgotten =
            self.0.len() == TIMES_MAX && self.0.front().is_some_and(|(since, _)| *since >= until);
        add(
            if is_forgotten {
                Cause::Slot
            } else {
                Cause::Cap
            },
            from,
            until,
        );
        waits.reverse();
        waits
    }
}
