//! Lets requests leave when the core's governor says so.
//!
//! Each provider has its [`Governors`], one [`Gate`] for each family of its
//! models. Whoever has the provider shares them: all runs of a process.

mod gate;
mod permit;
mod turns;

pub(crate) use gate::{Closed, Gate, RunNumber};

use divisi_core::governor::RateSettings;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The gates of one provider, by model family.
#[derive(Default)]
pub struct Governors {
    settings: RateSettings,
    gates: Mutex<BTreeMap<Box<str>, Arc<Gate>>>,
}

impl Governors {
    /// Gates that keep to these limits.
    pub fn new(settings: RateSettings) -> Self {
        Self { settings, ..Self::default() }
    }

    /// The gate through which requests to `model` leave.
    pub(crate) fn of(&self, model: &str) -> Arc<Gate> {
        let family = family(model);
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        match gates.get(family) {
            Some(gate) => gate.clone(),
            None => gates.entry(family.into()).or_insert(Arc::new(Gate::new(&self.settings))).clone(),
        }
    }
}

/// What the vendor limits together: the models of one tier of Claude, and any
/// other model by itself. Dated names of a model mean the model.
fn family(model: &str) -> &str {
    const CLAUDE: [&str; 4] = ["haiku", "sonnet", "opus", "fable"];
    if let Some(tier) = CLAUDE.into_iter().find(|tier| model.contains("claude") && model.contains(tier)) {
        return tier;
    }
    let undated = model.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-');
    let is_date = model[undated.len()..].bytes().filter(u8::is_ascii_digit).count() == 8;
    if is_date { undated } else { model }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(families.map(family), ["opus", "opus", "haiku", "gpt-x", "gpt-5", "日本"]);
    }
}
