//! Finds tasks with equal keys.

use crate::{Key, TaskId};
use std::collections::BTreeMap;
// A hash map, because with 100,000 keys a tree would take several times as long as the rest of a
// submission.
#[expect(
    clippy::disallowed_types,
    reason = "looked up only, so its order is never seen"
)]
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The tasks of every key, and how many of them the current execution has requested.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Keys {
    #[expect(
        clippy::disallowed_types,
        reason = "looked up only, so its order is never seen"
    )]
    first: HashMap<Key, First, BuildHasherDefault<FirstBytes>>,
    /// Occurrences after the first; there are few.
    more: BTreeMap<(Key, u32), TaskId>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct First {
    task: TaskId,
    claimed: u32,
}

impl Keys {
    /// The occurrence number of the next task with `key`, and the task, if it is known.
    pub(super) fn next(&self, key: &Key) -> (u32, Option<TaskId>) {
        match self.first.get(key) {
            None => (0, None),
            Some(First { task, claimed: 0 }) => (0, Some(*task)),
            Some(First { claimed, .. }) => (*claimed, self.more.get(&(*key, *claimed)).copied()),
        }
    }

    /// Registers `task` as the next occurrence of `key`.
    pub(super) fn claim(&mut self, key: Key, task: TaskId) {
        let first = self.first.entry(key).or_insert(First { task, claimed: 0 });
        if first.claimed > 0 {
            self.more.insert((key, first.claimed), task);
        }
        first.claimed += 1;
    }

    /// Begins an execution, in which no task has been requested yet.
    pub(super) fn begin(&mut self) {
        for first in self.first.values_mut() {
            first.claimed = 0;
        }
    }
}

/// Takes the first eight bytes for the hash: a key is a hash already.
#[derive(Clone, Debug, Default)]
struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_le_bytes(*first);
        }
    }

    /// The length, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}
