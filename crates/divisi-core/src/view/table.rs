//! Tables of names that many tasks share.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

/// Index of an entry in its table, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(from = "u32", into = "u32")]
pub struct Ref(NonZeroU32);

impl From<u32> for Ref {
    fn from(place: u32) -> Self {
        Self(NonZeroU32::MIN.saturating_add(place))
    }
}

impl From<Ref> for u32 {
    fn from(Ref(place): Ref) -> Self {
        place.get() - 1
    }
}

impl Ref {
    /// Index of the last of `length` entries.
    pub(super) fn last(length: usize) -> Self {
        // Unreachable in practice: no run has this many entries.
        Self::from(u32::try_from(length.saturating_sub(1)).unwrap_or(u32::MAX - 1))
    }

    /// The index as a number.
    pub fn index(self) -> usize {
        u32::from(self) as usize
    }
}

/// An entry identified by its name.
pub trait Named {
    /// The type of its name.
    type Name: Clone + Ord;
    /// A new entry with this name.
    fn named(name: &Self::Name) -> Self;
    /// Its name.
    fn name(&self) -> &Self::Name;
}

impl Named for Arc<str> {
    type Name = Self;

    fn named(name: &Arc<str>) -> Self {
        name.clone()
    }

    fn name(&self) -> &Arc<str> {
        self
    }
}

/// Entries by name, in order of first use. Serialised as a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(
    transparent,
    bound(serialize = "T: Serialize", deserialize = "T: Deserialize<'de>")
)]
pub struct Table<T: Named> {
    entries: Vec<T>,
    /// Rebuilt after deserialisation.
    #[serde(skip)]
    index: BTreeMap<T::Name, Ref>,
}

impl<T: Named> Default for Table<T> {
    fn default() -> Self {
        Self {
            entries: vec![],
            index: BTreeMap::new(),
        }
    }
}

impl<T: Named + PartialEq> PartialEq for Table<T> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<T: Named> Table<T> {
    /// The entries, in order of first use.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.entries.iter()
    }

    /// The entry at this index.
    pub fn get(&self, place: Ref) -> Option<&T> {
        self.entries.get(place.index())
    }

    pub(super) fn get_mut(&mut self, place: Ref) -> Option<&mut T> {
        self.entries.get_mut(place.index())
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.entries.iter_mut()
    }

    /// The index of the entry with this name, which is added if missing.
    pub(super) fn of(&mut self, name: &T::Name) -> Ref {
        if self.index.len() != self.entries.len() {
            let places = self.entries.iter().enumerate();
            self.index = places
                .map(|(place, entry)| (entry.name().clone(), Ref::last(place + 1)))
                .collect();
        }
        if let Some(place) = self.index.get(name) {
            return *place;
        }
        self.entries.push(T::named(name));
        let place = Ref::last(self.entries.len());
        self.index.insert(name.clone(), place);
        place
    }
}

impl<'a, T: Named> IntoIterator for &'a Table<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
