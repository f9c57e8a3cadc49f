//! Long texts of a page, which the journal only refers to.

use divisi_core::{Content, Digest};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Long texts that were loaded from the store.
#[derive(Default)]
pub(crate) struct Texts(BTreeMap<Digest, Arc<str>>);

impl Texts {
    /// Keeps the text of `content`.
    pub(crate) fn insert(&mut self, content: &Content, text: Arc<str>) {
        if let Content::Stored { digest, .. } = content {
            self.0.insert(*digest, text);
        }
    }

    /// The text of `content`, if it is short or has been loaded.
    pub(super) fn get<'a>(&'a self, content: &'a Content) -> Option<&'a str> {
        match content {
            Content::Inline(text) => Some(text),
            Content::Stored { digest, .. } => self.0.get(digest).map(|text| &**text),
        }
    }
}
