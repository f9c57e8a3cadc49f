//! Caches of resolved words. Flows use a handful of them.

use crate::models::Model;
use divisi_core::{Failure, Tier};
use std::sync::{Arc, PoisonError, RwLock};

/// Most entries of a cache.
const KNOWN_MAX: usize = 64;

/// A resolved model word on one day: prices do not change faster.
pub(super) struct Known {
    pub(super) word: Option<Arc<str>>,
    pub(super) tier: Tier,
    pub(super) day: u64,
    pub(super) model: Model,
}

/// The version of an executor's program, or why it has none.
pub(super) struct Version {
    pub(super) executor: Arc<str>,
    pub(super) said: Result<Arc<str>, Failure>,
}

/// The allowed and the disallowed tools of a task, as written.
pub(super) struct ToolWords {
    allowed: Option<Vec<String>>,
    disallowed: Vec<String>,
}

impl ToolWords {
    pub(super) fn of(allowed: Option<&[&str]>, disallowed: &[&str]) -> Self {
        let own = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        Self {
            allowed: allowed.map(own),
            disallowed: own(disallowed),
        }
    }

    pub(super) fn are(&self, allowed: Option<&[&str]>, disallowed: &[&str]) -> bool {
        self.allowed.as_deref().is_some() == allowed.is_some()
            && self.allowed.as_deref().unwrap_or_default() == allowed.unwrap_or_default()
            && self.disallowed == disallowed
    }
}

/// A small cache.
pub(super) struct Remembered<T>(RwLock<Vec<T>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Remembered<T> {
    /// The first entry for which `take` returns a value.
    pub(super) fn find<U>(&self, take: impl FnMut(&T) -> Option<U>) -> Option<U> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .find_map(take)
    }

    /// Remembers one more.
    pub(super) fn add(&self, new: T) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if all.len() == KNOWN_MAX {
            all.clear();
        }
        all.push(new);
    }
}
