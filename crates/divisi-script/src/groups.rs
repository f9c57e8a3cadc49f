//! Which tasks of a script belong together.
//!
//! `parallel`, `pipeline` and `decompose` call these functions when they begin and end. A task
//! belongs to the innermost group whose functions run at that moment; after an `await`, to the
//! group of the call whose answer resumed the script. Nothing here holds values of the engine.

use crate::Site;
use divisi_core::event::GroupKind;
use std::fmt;

/// The number of a group within its host, from 0 in the order in which groups are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(pub u32);

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "g{}", self.0)
    }
}

#[derive(Default)]
pub(crate) struct Groups {
    all: Vec<Group>,
    /// The group in which the script currently runs.
    current: Option<GroupId>,
}

struct Group {
    kind: GroupKind,
    site: Option<Site>,
    /// The group around it.
    parent: Option<GroupId>,
    has_ended: bool,
}

impl Groups {
    /// Creates a group that has not begun.
    pub(crate) fn add(&mut self, kind: GroupKind, site: Option<Site>) -> GroupId {
        let id = GroupId(self.all.len() as u32);
        self.all.push(Group {
            kind,
            site,
            parent: None,
            has_ended: false,
        });
        id
    }

    /// Makes `id` the current group; returns its kind, its parent and its line.
    pub(crate) fn begin(
        &mut self,
        id: GroupId,
    ) -> Option<(GroupKind, Option<GroupId>, Option<Site>)> {
        let parent = self.current();
        let group = self.all.get_mut(id.0 as usize)?;
        group.parent = parent;
        self.current = Some(id);
        Some((group.kind, parent, group.site.clone()))
    }

    /// The functions of `id` have run until their first wait: its parent is current again.
    pub(crate) fn leave(&mut self, id: GroupId) {
        self.current = self.all.get(id.0 as usize).and_then(|group| group.parent);
    }

    /// Ends `id`; returns whether it was still open.
    pub(crate) fn end(&mut self, id: GroupId) -> bool {
        let group = self.all.get_mut(id.0 as usize);
        group.is_some_and(|group| !std::mem::replace(&mut group.has_ended, true))
    }

    /// The line that created `id`.
    pub(crate) fn site(&self, id: GroupId) -> Option<Site> {
        self.all.get(id.0 as usize)?.site.clone()
    }

    /// The script continues after a call made in `group`.
    pub(crate) fn go_on_in(&mut self, group: Option<GroupId>) {
        self.current = group;
    }

    /// The innermost current group that is not over.
    pub(crate) fn current(&mut self) -> Option<GroupId> {
        while let Some(group) = self.current.and_then(|id| self.all.get(id.0 as usize)) {
            if !group.has_ended {
                break;
            }
            self.current = group.parent;
        }
        self.current
    }
}
