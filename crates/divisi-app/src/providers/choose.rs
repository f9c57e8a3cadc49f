//! Chooses the default provider, and connects all available ones.

use super::candidate::{Candidate, LOCAL, candidates, local_candidates, local_name};
use super::default::{USUAL, default_of, tier_models};
use super::kept::Vendors;
use crate::Problem;
use crate::settings::{self, AUTO, Environment, Settings};
use divisi_core::{Digest, RunId};
use divisi_engine::executor::Executors;
use divisi_engine::{Models, ProviderModels, SharedLimits};
use divisi_providers::discover::ServerKind;
use divisi_providers::{Absent, Cassette, Provider, Scripted, discover};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The name of the scripted provider.
const DEMO: &str = "demo";

/// Replacements for vendors.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerMode<'a> {
    /// Scripted answers instead of vendors.
    pub demo: bool,
    /// A cassette to record replies.
    pub record: Option<&'a Path>,
    /// A cassette to replay replies from.
    pub replay: Option<&'a Path>,
}

/// Chooses the providers. May try ports of this machine for model servers.
pub async fn choose(
    settings: &Settings,
    environment: &Environment,
    mode: AnswerMode<'_>,
) -> Result<Models, Problem> {
    chosen(settings, environment, mode)
        .await
        .map(|(models, _)| models)
}

/// The providers of a run.
pub(crate) struct Answering {
    /// All available models.
    pub(crate) models: Models,
    /// The record kept with the run.
    pub(crate) vendors: Vendors,
    /// Messages for the user, one per line.
    pub(crate) notes: Vec<String>,
}

/// Chooses the providers of a new run.
pub(crate) async fn choose_first(
    settings: &Settings,
    environment: &Environment,
    mode: AnswerMode<'_>,
) -> Result<Answering, Problem> {
    let (models, candidates) = chosen(settings, environment, mode).await?;
    Ok(Answering {
        vendors: Vendors::of(&models, &candidates),
        models,
        notes: vec![],
    })
}

/// Finds the providers of `run` again, by what was `kept` with it.
pub(crate) async fn choose_again(
    settings: &Settings,
    environment: &Environment,
    mode: AnswerMode<'_>,
    (run, kept): (&RunId, &Vendors),
) -> Result<Answering, Problem> {
    let (settings, mut notes) = kept.held(settings);
    let is_asked = mode.replay.is_none() && !mode.demo;
    let (mut models, mut candidates) = match chosen(&settings, environment, mode).await {
        Ok(found) => found,
        // The reason why the required provider is unavailable says more than the general one.
        Err(problem) if is_asked => {
            return Err(kept
                .gone(run, &super::candidate::candidates(&settings, environment))
                .unwrap_or(problem));
        }
        Err(problem) => return Err(problem),
    };
    if let Some(path) = mode.replay {
        let cassette: Arc<dyn Provider> =
            Arc::new(Cassette::replay(path).map_err(Problem::failed)?);
        kept.answered_by(&cassette, &mut models);
    } else if settings.local && kept.misses_local(&models) {
        let found = local_candidates(&discover().await, &settings);
        for candidate in &found {
            let connected = candidate.models_of(taped(candidate.connect()?, mode)?);
            models
                .providers
                .entry(candidate.name.clone())
                .or_insert(connected);
        }
        candidates.extend(found);
    }
    let held = kept.hold(run, &mut models, if is_asked { &candidates } else { &[] })?;
    notes.extend(held.notes);
    let now = Vendors::of(&models, &candidates);
    let vendors = now.with(kept, |name| !is_asked || held.lost.contains(name));
    Ok(Answering {
        models,
        vendors,
        notes,
    })
}

/// The providers, and the candidates they were chosen from.
async fn chosen(
    settings: &Settings,
    environment: &Environment,
    mode: AnswerMode<'_>,
) -> Result<(Models, Vec<Candidate>), Problem> {
    let (default, mut ready, candidates) = match mode {
        AnswerMode {
            replay: Some(path),
            demo,
            ..
        } => replayed(settings, environment, path, demo).await?,
        AnswerMode { demo: true, .. } => (
            DEMO.to_owned(),
            BTreeMap::from([(DEMO.to_owned(), demo())]),
            vec![],
        ),
        AnswerMode { .. } => match connected(settings, environment).await {
            // An agent program has a login of its own.
            Err(problem) if ![Executors::USUAL, AUTO].contains(&&*settings.executor) => {
                absent(settings, environment, &problem).ok_or(problem)?
            }
            other => other?,
        },
    };
    for models in ready.values_mut() {
        models.provider = taped(models.provider.clone(), mode)?;
    }
    for (name, models) in &mut ready {
        tier_models(models, name, &default, settings);
    }
    let models = Models {
        default: settings.model.as_str().into(),
        provider: default,
        providers: ready,
    };
    Ok((models, candidates))
}

/// The provider, with recording of its replies if requested.
fn taped(provider: Arc<dyn Provider>, mode: AnswerMode<'_>) -> Result<Arc<dyn Provider>, Problem> {
    match mode.record {
        None => Ok(provider),
        Some(path) => Ok(Arc::new(
            Cassette::record(provider, path).map_err(Problem::failed)?,
        )),
    }
}

/// The default provider's name, all available providers by name, and all candidates.
type Ready = (String, BTreeMap<String, ProviderModels>, Vec<Candidate>);

/// All available providers.
async fn connected(settings: &Settings, environment: &Environment) -> Result<Ready, Problem> {
    let mut candidates = candidates(settings, environment);
    if settings.local && wants_local(settings, &candidates) {
        candidates.extend(local_candidates(&discover().await, settings));
    }
    let default = default_of(settings, &candidates)?.name.clone();
    let mut ready = BTreeMap::new();
    for candidate in candidates.iter().filter(|candidate| candidate.is_ready()) {
        let models = candidate.models_of(candidate.connect()?);
        let models = shared(models, candidate.account(), &ready);
        ready.insert(candidate.name.clone(), models);
    }
    Ok((default, ready, candidates))
}

/// The known providers without any that answers: tasks that ask one fail, and name the reason.
/// `None` if the settings name one that does not exist.
fn absent(settings: &Settings, environment: &Environment, problem: &Problem) -> Option<Ready> {
    let candidates = candidates(settings, environment);
    let default = match settings.provider.as_str() {
        AUTO => USUAL,
        name => name,
    };
    let (reason, hint) = (problem.to_string(), problem.hints().join("; "));
    let models = |candidate: &Candidate| {
        let absent = Absent {
            name: candidate.name.clone(),
            reason: reason.clone(),
            hint: hint.clone(),
        };
        (
            candidate.name.clone(),
            candidate.models_of(Arc::new(absent)),
        )
    };
    let ready: BTreeMap<_, _> = candidates.iter().map(models).collect();
    ready
        .contains_key(default)
        .then(|| (default.to_owned(), ready, candidates))
}

/// Shares rate limits with all users of the account: other processes of this machine, and providers
/// in `ready`.
fn shared(
    mut models: ProviderModels,
    account: Option<Digest>,
    ready: &BTreeMap<String, ProviderModels>,
) -> ProviderModels {
    // Without a home folder, limits are not shared.
    if let (Some(account), Some(folder)) = (account, settings::limits_folder()) {
        models = models.shared(SharedLimits::new(folder, account));
    }
    if let Some(twin) = ready
        .values()
        .find(|known| known.governors.is_twin(&models.governors))
    {
        models.governors = twin.governors.clone();
    }
    models
}

/// The models of all providers, with the replies of a cassette, which needs no key.
async fn replayed(
    settings: &Settings,
    environment: &Environment,
    path: &Path,
    as_demo: bool,
) -> Result<Ready, Problem> {
    let cassette: Arc<dyn Provider> = Arc::new(Cassette::replay(path).map_err(Problem::failed)?);
    let recorded = cassette.models().await.unwrap_or_default();
    let candidates = candidates(settings, environment);
    let ready = candidates
        .iter()
        .map(|c| (c.name.clone(), c.models_of(cassette.clone())));
    let mut ready: BTreeMap<_, _> = ready.collect();
    let has_recorded = |candidate: &&Candidate| {
        let known = &ready[&candidate.name].known;
        recorded
            .iter()
            .any(|model| known.iter().any(|known| known.is_match(model)))
    };
    let default = match settings.provider.as_str() {
        _ if as_demo => DEMO.to_owned(),
        AUTO => candidates
            .iter()
            .find(has_recorded)
            .map_or(DEMO, |candidate| &candidate.name)
            .to_owned(),
        name => name.to_owned(),
    };
    ready.insert(
        DEMO.to_owned(),
        ProviderModels {
            provider: cassette,
            ..demo()
        },
    );
    Ok((default, ready, candidates))
}

/// The name of the scripted model of a tier.
pub(crate) fn of_demo(tier: &str) -> String {
    format!("{DEMO}-{tier}")
}

/// Scripted answers under the names of all tiers.
fn demo() -> ProviderModels {
    let tiers = divisi_engine::setup::TIERS.map(|tier| (tier, of_demo(tier)));
    let tiers: Vec<(&str, &str)> = tiers
        .iter()
        .map(|(tier, id)| (*tier, id.as_str()))
        .collect();
    // Any other model id is accepted, so that every flow can be tried.
    ProviderModels::new(Arc::new(Scripted::demo()), &tiers, &["*"]).free()
}

/// Local servers are searched for if no other provider is available, or by name.
fn wants_local(settings: &Settings, candidates: &[Candidate]) -> bool {
    let named = |kind: ServerKind| {
        let name = local_name(kind);
        settings.provider == name
            || settings
                .model
                .split_once(':')
                .is_some_and(|(provider, _)| provider == name)
    };
    LOCAL.into_iter().any(named) || !candidates.iter().any(Candidate::is_ready)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn models_with<const N: usize>(
        settings: &str,
        variables: [(&str, &str); N],
    ) -> Result<Models, Problem> {
        let settings = format!("local = false\n{settings}");
        choose(
            &toml::from_str(&settings).unwrap(),
            &variables.into(),
            AnswerMode::default(),
        )
        .await
    }

    fn found(models: &Models, word: &str) -> String {
        let model = models.find(Some(word)).unwrap();
        format!("{}:{}", model.provider.name(), model.id)
    }

    #[tokio::test]
    async fn the_first_key_decides_and_the_others_can_be_named() {
        let keys = [("ANTHROPIC_API_KEY", "a"), ("OPENAI_API_KEY", "b")];
        let models = models_with("", keys).await.unwrap();
        assert_eq!(found(&models, "haiku"), "anthropic:claude-haiku-5-5");
        assert_eq!(found(&models, "openai:opus"), "openai:gpt-6.2-astra");
        let models = models_with("provider = 'openai'", keys).await.unwrap();
        assert_eq!(found(&models, "sonnet"), "openai:gpt-6.2-sol");
    }

    #[tokio::test]
    async fn providers_with_one_key_at_one_host_wait_in_one_line() {
        let provider = |name: &str, host: &str| {
            format!(
                "[providers.{name}]\nkind = 'anthropic'\nbase_url = 'https://{host}'\nkey_env = 'KEY'\n"
            )
        };
        let settings = [
            provider("a", "x.example/1"),
            provider("b", "x.example/2"),
            provider("c", "y.example"),
        ];
        let models = models_with(&settings.concat(), [("KEY", "k")])
            .await
            .unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| &models.providers[name].governors);
        assert_eq!((Arc::ptr_eq(a, b), Arc::ptr_eq(a, c)), (true, false));
    }

    #[tokio::test]
    async fn tiers_can_be_overridden() {
        let models = models_with("[tiers]\nhaiku = 'claude-x'", [("ANTHROPIC_API_KEY", "a")])
            .await
            .unwrap();
        assert_eq!(found(&models, "haiku"), "anthropic:claude-x");
    }

    #[tokio::test]
    async fn demo_needs_nothing_and_takes_any_id() {
        let mode = AnswerMode {
            demo: true,
            ..AnswerMode::default()
        };
        let models = choose(&Settings::default(), &[].into(), mode)
            .await
            .unwrap();
        assert_eq!(&*models.find(None).unwrap().id, "demo-sonnet");
        assert_eq!(
            &*models.find(Some("claude-opus-5-5")).unwrap().id,
            "claude-opus-5-5"
        );
    }

    #[tokio::test]
    async fn a_recording_is_replayed_with_the_models_it_was_made_of() {
        let folder = tempfile::tempdir().unwrap();
        let tape = folder.path().join("tape.jsonl");
        let recording = Cassette::record(Arc::new(Scripted::new()), &tape).unwrap();
        let request = divisi_providers::Request::new("gpt-6-luna", "hello", 100);
        recording.send(&request, &|_| {}).await.unwrap();
        let mode = AnswerMode {
            replay: Some(&tape),
            ..AnswerMode::default()
        };
        let models = choose(&Settings::default(), &[].into(), mode)
            .await
            .unwrap();
        assert_eq!(models.provider, "openai");
    }
}
