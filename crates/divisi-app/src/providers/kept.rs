//! The vendors recorded with a run, so that a resume asks the same ones.
//!
//! A shell with another key, a stopped server, another address in the environment, a new model
//! behind the name `haiku`: none of these may send a run elsewhere, or change what its finished
//! tasks asked for.

use super::candidate::{Candidate, Found, LOCAL, local_name};
use crate::Problem;
use crate::settings::{AUTO, Settings};
use divisi_core::RunId;
use divisi_engine::{Models, ProviderModels};
use divisi_providers::{Absent, WireFormat};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The vendors of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Vendors {
    /// The default provider.
    pub provider: String,
    /// The default model; empty if the settings give it.
    pub model: String,
    /// All providers that were available at the beginning of the run.
    pub providers: BTreeMap<String, KeptProvider>,
}

/// One provider, as recorded.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeptProvider {
    /// Its wire format; `None` for scripted or replayed answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<WireFormat>,
    /// Its address, without secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// Identifies the account without revealing the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// Model ids by tier.
    tiers: BTreeMap<String, Arc<str>>,
    /// Patterns of its model ids.
    models: Vec<String>,
    /// Whether it was unpriced.
    free: bool,
}

/// The result of finding the vendors of a run again.
#[derive(Debug)]
pub(super) struct Held {
    /// Messages for the user, one per line.
    pub(super) notes: Vec<String>,
    /// Providers that are not available any more.
    pub(super) lost: BTreeSet<String>,
}

impl Vendors {
    /// The record of `models`, made from `candidates`.
    pub(super) fn of(models: &Models, candidates: &[Candidate]) -> Self {
        let kept = |(name, models): (&String, &ProviderModels)| {
            let candidate = candidates.iter().find(|candidate| candidate.name == *name);
            let kept = KeptProvider {
                kind: candidate.map(|candidate| candidate.wire_format),
                address: candidate.map(Candidate::shown_url),
                account: candidate
                    .and_then(Candidate::account)
                    .map(|account| account.short()),
                tiers: models.tiers.clone(),
                models: models
                    .known
                    .iter()
                    .map(|known| known.glob().glob().to_owned())
                    .collect(),
                free: models.free,
            };
            (name.clone(), kept)
        };
        Self {
            provider: models.provider.clone(),
            model: models.default.to_string(),
            providers: models.providers.iter().map(kept).collect(),
        }
    }

    /// The default provider, with its address.
    pub fn shown(&self) -> String {
        match self
            .providers
            .get(&self.provider)
            .and_then(|kept| kept.address.as_ref())
        {
            Some(address) => format!("`{}` at {address}", self.provider),
            None => format!("`{}`", self.provider),
        }
    }

    /// The record for another provider or model: the provider as it is now, with the model of the
    /// settings if none is named.
    pub fn changed_to(mut self, provider: Option<&str>, model: Option<&str>) -> Self {
        if let Some(provider) = provider {
            // Forgotten, so that it is recorded again with its present address and models.
            self.providers.remove(provider);
            provider.clone_into(&mut self.provider);
            self.model.clear();
        }
        if let Some(model) = model {
            model.clone_into(&mut self.model);
        }
        self
    }

    /// The settings of the run, with messages about differences to the present ones.
    pub(super) fn held(&self, settings: &Settings) -> (Settings, Vec<String>) {
        let mut notes = vec![];
        let says_otherwise = |now: &str, kept: &str| now != kept && now != AUTO;
        if says_otherwise(&settings.provider, &self.provider) {
            notes.push(format!(
                "the run stays with provider `{}`, though the settings now name `{}`; `--provider` changes it",
                self.provider, settings.provider
            ));
        }
        if !self.model.is_empty() && settings.model != self.model {
            notes.push(format!(
                "the run stays with model `{}`, though the settings now name `{}`; `--model` changes it",
                self.model, settings.model
            ));
        }
        let model = if self.model.is_empty() {
            &settings.model
        } else {
            &self.model
        };
        let held = Settings {
            provider: self.provider.clone(),
            model: model.clone(),
            ..settings.clone()
        };
        (held, notes)
    }

    /// Why the default provider is not available among the present candidates.
    pub(super) fn gone(&self, run: &RunId, candidates: &[Candidate]) -> Option<Problem> {
        let (reason, hint) = why_absent(&self.provider, candidates)?;
        Some(self.refused(run, &reason).hint(hint).hint(elsewhere(run)))
    }

    fn refused(&self, run: &RunId, reason: &str) -> Problem {
        let error = anyhow::Error::msg(reason.to_owned());
        Problem::failed(error.context(format!(
            "run {run} is answered by {}, and only by it",
            self.shown()
        )))
    }

    /// Adjusts `models` to the record: the same ids for the same words, and a placeholder for each
    /// provider that is not available any more.
    pub(super) fn hold(
        &self,
        run: &RunId,
        models: &mut Models,
        candidates: &[Candidate],
    ) -> Result<Held, Problem> {
        let (mut notes, mut gone) = (vec![], BTreeSet::new());
        for (name, kept) in &self.providers {
            let candidate = candidates.iter().find(|candidate| candidate.name == *name);
            let is_default = *name == self.provider;
            let lost = match (candidate, models.providers.get_mut(name)) {
                (Some(candidate), Some(now)) => match kept.lost_in(candidate) {
                    Some((reason, hint)) if is_default => {
                        return Err(self.refused(run, &reason).hint(hint).hint(elsewhere(run)));
                    }
                    Some(lost) => Some(lost),
                    None => {
                        notes.extend(kept.differences(candidate, &now.tiers));
                        now.tiers.clone_from(&kept.tiers);
                        None
                    }
                },
                // Scripted or replayed answers, without a vendor.
                (None, Some(now)) => {
                    now.tiers.clone_from(&kept.tiers);
                    None
                }
                (_, None) => why_absent(name, candidates),
            };
            if let Some((reason, hint)) = lost {
                models
                    .providers
                    .insert(name.clone(), kept.absent(name, reason, hint));
                gone.insert(name.clone());
            }
        }
        Ok(Held { notes, lost: gone })
    }

    /// Adds the record of `kept` for providers that were not examined again.
    pub(super) fn with(mut self, kept: &Self, is_unseen: impl Fn(&str) -> bool) -> Self {
        let unseen = kept.providers.iter().filter(|(name, _)| is_unseen(name));
        self.providers
            .extend(unseen.map(|(name, kept)| (name.clone(), kept.clone())));
        self
    }

    /// The recorded providers that `models` lacks, with `provider` for requests.
    pub(super) fn answered_by(
        &self,
        provider: &Arc<dyn divisi_providers::Provider>,
        models: &mut Models,
    ) {
        for (name, kept) in &self.providers {
            let known = kept.models_of(provider.clone());
            models.providers.entry(name.clone()).or_insert(known);
        }
    }

    /// Whether `models` lacks a recorded server of this machine.
    pub(super) fn misses_local(&self, models: &Models) -> bool {
        let mut names = self
            .providers
            .keys()
            .filter(|name| !models.providers.contains_key(*name));
        names.any(|name| is_local(name))
    }
}

impl KeptProvider {
    /// Why `now` is not the recorded provider, with advice.
    fn lost_in(&self, now: &Candidate) -> Option<(String, String)> {
        let (name, address) = (&now.name, now.shown_url());
        if let Some(before) = &self.address
            && origin(before) != origin(&address)
        {
            let hint = "lead it there again: by `base_url`, or the variable that holds its address"
                .to_owned();
            return Some((
                format!("`{name}` was at {before} and is now at {address}"),
                hint,
            ));
        }
        // The models of a local server are patterns made from its exact ids.
        let has = |id: &Arc<str>| now.models.iter().any(|known| *known == globset::escape(id));
        let gone = self
            .tiers
            .values()
            .find(|id| now.found == Found::Local && !has(id));
        gone.map(|id| {
            (
                format!("{name} no longer has the model `{id}`"),
                "get the model again".to_owned(),
            )
        })
    }

    /// Messages about differences between the recorded and the present provider.
    fn differences(&self, now: &Candidate, tiers: &BTreeMap<String, Arc<str>>) -> Vec<String> {
        let (name, address) = (&now.name, now.shown_url());
        let mut notes = vec![];
        let moved_from = self.address.as_ref().filter(|before| **before != address);
        if let Some(before) = moved_from {
            notes.push(format!("`{name}` is now at {address}; it was at {before}"));
        }
        // The digest of an account includes its address.
        let account = now
            .account()
            .filter(|_| moved_from.is_none())
            .map(|account| account.short());
        if self.account.is_some() && account.is_some() && self.account != account {
            notes.push(format!(
                "`{name}` is now asked with another key, which may be billed to another account"
            ));
        }
        if self.kind.is_some_and(|kind| kind != now.wire_format) {
            notes.push(format!("`{name}` now speaks another API"));
        }
        let changed = self
            .tiers
            .iter()
            .filter_map(|(tier, id)| Some((tier, id, tiers.get(tier)?)));
        let changed = changed
            .filter(|(_, id, now)| id != now)
            .map(|(tier, id, now)| format!("{tier} stays {id}, not {now}"));
        let changed: Vec<String> = changed.collect();
        if !changed.is_empty() {
            notes.push(format!(
                "the run stays with the models that it began with: {}; `--provider {name}` takes those of now",
                changed.join(", ")
            ));
        }
        notes
    }

    fn models_of(&self, provider: Arc<dyn divisi_providers::Provider>) -> ProviderModels {
        let tiers: Vec<(&str, &str)> = self
            .tiers
            .iter()
            .map(|(tier, id)| (tier.as_str(), &**id))
            .collect();
        let known: Vec<&str> = self.models.iter().map(String::as_str).collect();
        let models = ProviderModels::new(provider, &tiers, &known);
        if self.free { models.free() } else { models }
    }

    fn absent(&self, name: &str, reason: String, hint: String) -> ProviderModels {
        self.models_of(Arc::new(Absent {
            name: name.to_owned(),
            reason,
            hint,
        }))
    }
}

/// Why the provider with this name is not available, with advice; `None` if it is.
fn why_absent(name: &str, candidates: &[Candidate]) -> Option<(String, String)> {
    match candidates.iter().find(|candidate| candidate.name == name) {
        Some(candidate) if candidate.is_ready() => None,
        Some(candidate) => {
            let key_env = candidate.key_env.as_deref().unwrap_or_default();
            Some((
                format!("provider `{name}` has no key"),
                format!("set {key_env}"),
            ))
        }
        None if is_local(name) => Some((
            format!("no {name} answers on this machine"),
            "start it at its usual port".to_owned(),
        )),
        None => Some((
            format!("there is no provider `{name}` any more"),
            format!("add it again as [providers.{name}] in divisi.toml"),
        )),
    }
}

fn is_local(name: &str) -> bool {
    LOCAL.into_iter().any(|kind| local_name(kind) == name)
}

fn elsewhere(run: &RunId) -> String {
    format!(
        "or name another one: `divisi resume {run} --provider NAME`; its models are others, so most tasks run again"
    )
}

/// The receiver at an address: its scheme and host. On this machine ports and schemes may change at
/// every start.
fn origin(address: &str) -> (&str, &str) {
    let (scheme, rest) = address.split_once("://").unwrap_or(("", address));
    let host = rest.split('/').next().unwrap_or_default();
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split(':').next().unwrap_or_default(),
    };
    match name {
        "localhost" | "127.0.0.1" | "::1" => ("", "localhost"),
        _ => (scheme, host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::local_candidates;
    use divisi_providers::LocalServer;
    use divisi_providers::discover::ServerKind;

    #[test]
    fn what_is_sent_goes_to_a_host() {
        let same = [
            ("http://127.0.0.1:11434/v1", "http://localhost:1234"),
            ("http://[::1]:80/v1", "http://127.0.0.1"),
            ("https://a.example/v1", "https://a.example/v2/x"),
        ];
        let other = [
            ("https://a.example/v1", "http://a.example/v1"),
            ("https://a.example/v1", "https://b.example/v1"),
            ("https://a.example/v1", "http://127.0.0.1/v1"),
            ("https://127.0.0.1.example/v1", "http://127.0.0.1/v1"),
            ("https://a.example:1/v1", "https://a.example:2/v1"),
        ];
        same.iter()
            .for_each(|(one, two)| assert_eq!(origin(one), origin(two), "{one} {two}"));
        other
            .iter()
            .for_each(|(one, two)| assert_ne!(origin(one), origin(two), "{one} {two}"));
    }

    fn ollama(models: &[&str]) -> Vec<Candidate> {
        let models = models.iter().map(|&id| id.to_owned()).collect();
        let base_url = "http://127.0.0.1:11434/v1".to_owned();
        local_candidates(
            &[LocalServer {
                kind: ServerKind::Ollama,
                base_url,
                models,
            }],
            &Settings::default(),
        )
    }

    fn models(candidates: &[Candidate]) -> Models {
        let models = |candidate: &Candidate| candidate.models_of(candidate.connect().unwrap());
        let providers = candidates
            .iter()
            .map(|candidate| (candidate.name.clone(), models(candidate)));
        Models {
            default: "sonnet".into(),
            provider: "ollama".to_owned(),
            providers: providers.collect(),
        }
    }

    #[test]
    fn a_server_with_a_new_first_model_answers_with_the_one_it_had() {
        let run = RunId::new("k3f9").unwrap();
        let before = ollama(&["qwen3:8b"]);
        let kept = Vendors::of(&models(&before), &before);
        let kept: Vendors = serde_json::from_value(serde_json::to_value(kept).unwrap()).unwrap();
        let now = ollama(&["nomic-embed-text", "qwen3:8b"]);
        let mut answering = models(&now);
        let notes = kept.hold(&run, &mut answering, &now).unwrap().notes;
        assert_eq!(&*answering.find(None).unwrap().id, "qwen3:8b");
        assert_eq!(notes.len(), 1, "{notes:?}");
        let gone = ollama(&["nomic-embed-text"]);
        let problem = kept.hold(&run, &mut models(&gone), &gone).unwrap_err();
        insta::assert_snapshot!(problem, @"run k3f9 is answered by `ollama` at http://127.0.0.1:11434/v1, and only by it: ollama no longer has the model `qwen3:8b`");
    }

    #[test]
    fn a_server_that_has_been_stopped_is_missed() {
        let before = ollama(&["qwen3:8b"]);
        let kept = Vendors::of(&models(&before), &before);
        let run = RunId::new("k3f9").unwrap();
        let problem = kept.gone(&run, &[]).unwrap();
        insta::assert_snapshot!(format!("{problem}\n{}", problem.hints().join("\n")), @"
        run k3f9 is answered by `ollama` at http://127.0.0.1:11434/v1, and only by it: no ollama answers on this machine
        start it at its usual port
        or name another one: `divisi resume k3f9 --provider NAME`; its models are others, so most tasks run again
        ");
        assert!(kept.gone(&run, &before).is_none());
    }
}
