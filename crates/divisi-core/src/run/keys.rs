//! Which tasks ask for the same.

use crate::{Key, TaskId};
// Hash order would be a leak of chance into the core, but nothing here is ever
// iterated over; and with 100,000 keys a tree costs three times as much.
#[expect(clippy::disallowed_types, reason = "looked up only, so its order is never seen")]
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The tasks of every key, and how many of them the current execution has asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Keys(
    #[expect(clippy::disallowed_types, reason = "looked up only, so its order is never seen")]
    HashMap<Key, Alike, BuildHasherDefault<FirstBytes>>,
);

/// Tasks with the same key, by their occurrence. Nearly always there is one.
#[derive(Clone, Debug, PartialEq)]
struct Alike {
    first: TaskId,
    more: Vec<TaskId>,
    claimed: u32,
}

impl Keys {
    /// Which occurrence of `key` is asked for next, and the task that it is, if known.
    pub(super) fn next(&self, key: &Key) -> (u32, Option<TaskId>) {
        let Some(alike) = self.0.get(key) else { return (0, None) };
        let task = match alike.claimed {
            0 => Some(alike.first),
            occurrence => alike.more.get(occurrence as usize - 1).copied(),
        };
        (alike.claimed, task)
    }

    /// Takes note of the next occurrence of `key`; of `task`, unless it is known.
    pub(super) fn claim(&mut self, key: Key, task: TaskId) {
        let alike = self.0.entry(key).or_insert_with(|| Alike { first: task, more: vec![], claimed: 0 });
        if alike.claimed as usize > alike.more.len() {
            alike.more.push(task);
        }
        alike.claimed += 1;
    }

    /// Begins an execution, which has asked for nothing yet.
    pub(super) fn begin(&mut self) {
        for alike in self.0.values_mut() {
            alike.claimed = 0;
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
