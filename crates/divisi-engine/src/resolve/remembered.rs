//! What words of a flow have meant so far. Flows use a handful of them.

use crate::models::Model;
use divisi_core::Tier;
use std::sync::{Arc, PoisonError, RwLock};

/// Most that is remembered of a sort.
const KNOWN_MAX: usize = 64;

/// What a word for a model means on one day: prices change no faster.
pub(super) struct Known {
    pub(super) word: Option<Arc<str>>,
    pub(super) tier: Tier,
    pub(super) day: u64,
    pub(super) model: Model,
}

/// The tools that a task asks for, and those it does not want, word for word.
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

/// Things that are asked for again and again.
pub(super) struct Remembered<T>(RwLock<Vec<T>>);

impl<T> Default for Remembered<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T> Remembered<T> {
    /// The first of which `take` takes something.
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
