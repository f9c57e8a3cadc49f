//! What decides when a request may leave.
//!
//! There is one governor per provider, so per credential, and it is shared by
//! all runs of a process that ask the same provider. So far it keeps siblings
//! from paying twice for the prefix they share.

mod prefixes;
mod warmth;

pub(crate) use warmth::Admission;

use crate::setup::Model;
use divisi_core::Digest;
use divisi_providers::Request;
use std::sync::Arc;
use warmth::Warmth;

/// Bytes that every vendor's tokeniser makes at least one token of, in texts as
/// they are. Taken from below: to hold a request whose prefix is a little too
/// short costs a moment, to miss one costs the prefix.
const TOKEN_BYTES: u64 = 3;

/// Decides when requests to one provider may leave. Clones are the same governor.
#[derive(Clone, Debug, Default)]
pub struct Governor {
    warmth: Arc<Warmth>,
}

impl Governor {
    /// Returns when `request` to `model` may leave; calls `held` at once and then
    /// every second while it may not.
    ///
    /// Dropping the future gives up the place. The request counts as under way
    /// until the [`Admission`] is dropped.
    pub(crate) async fn admit(&self, model: &Model, request: &Request, held: impl Fn() + Send) -> Admission {
        self.warmth.admit(cacheable(model, request), held).await
    }
}

/// The prefixes of `request` that siblings can read for less. Where nobody sends
/// a bill, there is nothing to save.
fn cacheable(model: &Model, request: &Request) -> Vec<Digest> {
    let tokens_min = if model.free { None } else { model.provider.cached_tokens_min() };
    let Some(tokens_min) = tokens_min else { return vec![] };
    let is_long = |bytes: u64| bytes >= tokens_min * TOKEN_BYTES;
    let prefixes = request.shared_prefixes();
    prefixes.iter().filter(|prefix| is_long(prefix.bytes)).map(|prefix| prefix.digest).collect()
}
