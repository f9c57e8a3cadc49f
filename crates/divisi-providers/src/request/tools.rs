//! The tools on offer in a request.

use super::digest::fields_of;
use super::{Text, ToolDefinition};
use divisi_core::Digest;
use std::ops::Deref;
use std::sync::Arc;

/// The tools of a request, sorted by name, so that vendors can cache them.
///
/// Requests of all tasks with the same tools share them, together with the values computed from
/// them.
#[derive(Clone, Debug)]
pub struct Tools(Arc<Offer>);

#[derive(Debug)]
struct Offer {
    sorted: Vec<ToolDefinition>,
    /// Their part of a request's digest.
    fields: Vec<u8>,
    digest: Digest,
    bytes: u64,
}

impl Tools {
    /// Bytes of all that a model reads of them.
    pub fn bytes(&self) -> u64 {
        self.0.bytes
    }

    /// Their part of a request's digest.
    pub(crate) fn fields(&self) -> &[u8] {
        &self.0.fields
    }

    /// Digest of the tools with their descriptions and schemas.
    pub(crate) fn digest(&self) -> Digest {
        self.0.digest
    }
}

impl Default for Tools {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl From<Vec<ToolDefinition>> for Tools {
    fn from(mut sorted: Vec<ToolDefinition>) -> Self {
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let bytes = sorted
            .iter()
            .flat_map(ToolDefinition::texts)
            .map(Text::bytes)
            .sum();
        let fields = fields_of(&sorted);
        Self(Arc::new(Offer {
            digest: Digest::of(&fields),
            fields,
            bytes,
            sorted,
        }))
    }
}

impl Deref for Tools {
    type Target = [ToolDefinition];

    fn deref(&self) -> &[ToolDefinition] {
        &self.0.sorted
    }
}

impl PartialEq for Tools {
    fn eq(&self, other: &Self) -> bool {
        self.0.sorted == other.0.sorted
    }
}
