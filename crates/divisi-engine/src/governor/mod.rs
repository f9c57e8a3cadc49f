//! Allows requests by the core's governor and by the state of shared prefixes.
//!
//! Each provider has its [`Governors`], with one gate for each family of its models, shared by all
//! runs that use the provider.

mod gate;
mod shared;

mod prefixes;

pub use shared::SharedLimits;

pub(crate) use gate::{Closed, Gate, Leave, Outlook, Pending, Permit, RunNumber};
pub(crate) use prefixes::{Admission, Held};

use divisi_core::governor::RateSettings;
use divisi_core::tokens::BYTES_OF_DENSE;
use divisi_core::{Digest, Tier};
use divisi_providers::Request;
use prefixes::Prefixes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// The gates of one provider, by model family.
#[derive(Default)]
pub struct Governors {
    settings: RateSettings,
    shared: Option<SharedLimits>,
    gates: Mutex<BTreeMap<Box<str>, Arc<Gate>>>,
    /// Whether new gates begin with one test request.
    cautious: AtomicBool,
    /// Whether a new gate that finds itself blocked for long by shared state also sends a test
    /// request.
    hopeful: AtomicBool,
    prefixes: Arc<Prefixes>,
}

impl Governors {
    /// Gates with these limits.
    pub fn new(settings: RateSettings) -> Self {
        Self {
            settings,
            ..Self::default()
        }
    }

    /// Gates with the same limits, shared with all processes that use a credential.
    pub fn shared(&self, limits: SharedLimits) -> Self {
        Self {
            shared: Some(limits),
            ..Self::new(self.settings)
        }
    }

    /// Whether both have the same credential and the same settings: then one of them is enough.
    pub fn is_twin(&self, other: &Self) -> bool {
        self.shared.is_some() && (&self.shared, self.settings) == (&other.shared, other.settings)
    }

    /// The user's limits.
    pub fn settings(&self) -> &RateSettings {
        &self.settings
    }

    /// Admits `request`, unless it is `patient` and must wait for another one that writes its
    /// prefix. It counts as under way until the [`Admission`] is dropped. Prefixes of at least
    /// `tokens_min` tokens count; without that, none do.
    pub(crate) fn admit(
        &self,
        tokens_min: Option<u64>,
        request: &Request,
        patient: bool,
    ) -> Result<Admission, Held> {
        self.prefixes.ask(cacheable(tokens_min, request), patient)
    }

    /// Reopens closed gates with one test request each. The same holds for gates made later, if
    /// shared state blocks them for long or the run has `found_closed` one.
    pub(crate) fn reopen(&self, found_closed: bool) {
        // Set before the gates are locked: a gate made by `of` meanwhile either sees the flags or
        // is in the map already.
        self.cautious.fetch_or(found_closed, Ordering::Relaxed);
        self.hopeful.store(true, Ordering::Relaxed);
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        gates.values().for_each(Gate::reopen_if_shut);
    }

    /// The gate for requests to `model`.
    pub(crate) fn of(&self, model: &str) -> Arc<Gate> {
        let family = family(model);
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(family) {
            return gate.clone();
        }
        let gate = Gate::new(
            &self.settings,
            self.shared.as_ref().map(|shared| shared.file_of(family)),
        );
        if self.cautious.load(Ordering::Relaxed) {
            gate.reopen();
        } else if self.hopeful.load(Ordering::Relaxed) {
            gate.reopen_if_shut();
        }
        gates.insert(family.into(), gate.clone());
        gate
    }
}

/// The group of models that share the vendor's limits: one tier of Claude, or any other model by
/// itself. Dated names count as the model.
pub fn family(model: &str) -> &str {
    let is_of = |tier: &Tier| model.contains("claude") && model.contains(tier.as_str());
    if let Some(tier) = Tier::ALL.into_iter().find(is_of) {
        return tier.as_str();
    }
    let undated = model.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let is_date = model[undated.len()..]
        .bytes()
        .filter(u8::is_ascii_digit)
        .count()
        == 8;
    if is_date { undated } else { model }
}

/// The prefixes of `request` that siblings can read at a lower price.
fn cacheable(tokens_min: Option<u64>, request: &Request) -> Vec<Digest> {
    let Some(tokens_min) = tokens_min else {
        return vec![];
    };
    let is_long = |bytes: u64| bytes >= tokens_min * BYTES_OF_DENSE;
    let prefixes = request.shared_prefixes();
    prefixes
        .iter()
        .filter(|prefix| is_long(prefix.bytes))
        .map(|prefix| prefix.digest)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use divisi_core::governor::Estimate;
    use divisi_core::{FailureClass, Millis};
    use divisi_providers::ProviderError;

    #[tokio::test(start_paused = true)]
    async fn whoever_resumes_sends_one_where_others_have_been_told_to_wait_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let limits = SharedLimits::new(folder.path(), Digest::of(b"account"));
        let [earlier, anew, resumed] =
            [(); 3].map(|()| Governors::default().shared(limits.clone()));
        let run = RunNumber::next();
        let refused = earlier
            .of("opus")
            .enter(run, 0, Estimate::default(), |_| ())
            .await
            .unwrap();
        let error = ProviderError::new(FailureClass::RateLimited, "later");
        refused
            .report(&Err(ProviderError {
                retry_after: Some(Millis::from_secs(28_800)),
                ..error
            }))
            .await;

        resumed.reopen(false);
        let leaves = async |governors: &Governors| {
            let (says, mut waits) = tokio::sync::mpsc::unbounded_channel();
            let gate = governors.of("opus");
            tokio::select! {
                permit = gate.enter(run, 0, Estimate::default(), |_| _ = says.send(())) => permit.is_ok(),
                _ = waits.recv() => false,
            }
        };
        assert_eq!((leaves(&anew).await, leaves(&resumed).await), (false, true));
        anew.reopen(false);
        assert!(leaves(&anew).await);
    }

    #[test]
    fn versions_of_a_tier_are_limited_together() {
        let families = [
            "claude-opus-5-5",
            "claude-opus-4-8",
            "claude-haiku-5-5-20261001",
            "gpt-x-2026-08-01",
            "gpt-5",
            "日本",
        ];
        assert_eq!(
            families.map(family),
            ["opus", "opus", "haiku", "gpt-x", "gpt-5", "日本"]
        );
    }
}
