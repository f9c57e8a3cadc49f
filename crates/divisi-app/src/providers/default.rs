//! The default provider, and the settings that apply to it alone.

use super::candidate::{Candidate, LOCAL, candidates, local_name};
use crate::settings::{AUTO, Environment, Settings};
use crate::{Problem, slip};
use divisi_core::Tier;
use divisi_engine::ProviderModels;
use divisi_engine::executor::ClaudeExecutor;

/// The provider assumed if none is named or available.
pub(super) const USUAL: &str = "anthropic";

/// The models of `[tiers]` in the settings for a provider. They apply to the default provider only.
fn tiers_said_of<'s>(
    name: &str,
    default: &str,
    settings: &'s Settings,
) -> impl Iterator<Item = (Tier, &'s str)> {
    let said = (name == default)
        .then_some(&settings.tiers)
        .into_iter()
        .flatten();
    said.map(|(tier, id)| (*tier, id.as_str()))
}

/// Applies `[tiers]` to the models of the provider with this name.
pub(super) fn tier_models(
    models: &mut ProviderModels,
    name: &str,
    default: &str,
    settings: &Settings,
) {
    let said = tiers_said_of(name, default, settings);
    models
        .tiers
        .extend(said.map(|(tier, id)| (tier.to_string(), id.into())));
}

/// The default provider, available or not, if there is one.
fn wanted<'a>(settings: &Settings, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
    candidates
        .iter()
        .find(|candidate| match settings.provider.as_str() {
            AUTO => candidate.is_ready(),
            name => candidate.name == name,
        })
}

/// The default provider; fails if it is not available.
pub(super) fn default_of<'a>(
    settings: &Settings,
    candidates: &'a [Candidate],
) -> Result<&'a Candidate, Problem> {
    let candidate =
        wanted(settings, candidates).ok_or_else(|| match settings.provider.as_str() {
            AUTO => nobody(settings, candidates),
            _ => unknown(settings, candidates),
        })?;
    match &candidate.key_env {
        Some(key_env) if !candidate.is_ready() => {
            let message = format!("provider `{}` has no key", candidate.name);
            Err(Problem::failed(anyhow::Error::msg(message)).hint(format!(
                "set {key_env}, or add `--demo` to see the same run without a model"
            )))
        }
        _ => Ok(candidate),
    }
}

fn nobody(settings: &Settings, candidates: &[Candidate]) -> Problem {
    let keys: Vec<&str> = candidates
        .iter()
        .filter_map(|candidate| candidate.key_env.as_deref())
        .collect();
    let looked = match settings.local {
        true => "no key is set, and no model server answers on this machine",
        false => {
            "no key is set, and the settings say not to look for a model server on this machine"
        }
    };
    let error = anyhow::Error::msg(looked).context("there is no model to ask");
    let problem = Problem::failed(error).hint(format!("set one of {}", keys.join(", ")));
    let problem = match settings.local {
        true => problem.hint("or start Ollama, llama-server, LM Studio or vLLM at its usual port"),
        false => problem,
    };
    let problem = match has_claude() {
        true => problem
            .hint("or add `--executor claude`: Claude Code is installed, and uses its own login"),
        false => problem,
    };
    problem.hint("or add `--demo` to see the same run without a model: its answers are scripted")
}

/// Whether Claude Code is found in `PATH`.
fn has_claude() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(ClaudeExecutor::NAME).is_file())
}

fn unknown(settings: &Settings, candidates: &[Candidate]) -> Problem {
    let name = &settings.provider;
    if LOCAL.into_iter().any(|kind| local_name(kind) == name) {
        let message = format!("no {name} answers on this machine");
        return Problem::failed(anyhow::Error::msg(message))
            .hint("start it, or choose another provider");
    }
    let names: Vec<&str> = candidates
        .iter()
        .map(|candidate| candidate.name.as_str())
        .collect();
    let near = slip::nearest(name, names.iter().copied());
    let near = near.map(|near| format!("did you mean `{near}`?"));
    Problem::usage(format!("there is no provider `{name}`"))
        .with_hints(near)
        .hint(format!(
            "there are {}, and others can be added as [providers.NAME] in divisi.toml",
            names.join(", ")
        ))
}

/// All candidates, with `[tiers]` of the settings applied.
pub fn candidates_with_tiers(settings: &Settings, environment: &Environment) -> Vec<Candidate> {
    let mut candidates = candidates(settings, environment);
    if let Some(default) = wanted(settings, &candidates).map(|default| default.name.clone()) {
        for candidate in &mut candidates {
            let said = tiers_said_of(&candidate.name, &default, settings);
            candidate
                .tiers
                .extend(said.map(|(tier, id)| (tier, id.to_owned())));
        }
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiers_of_the_settings_are_those_of_the_default_alone() {
        let mine = |settings: &str, environment: Environment| {
            let settings = toml::from_str(&format!("{settings}\n[tiers]\nhaiku = 'mine'")).unwrap();
            let candidates = candidates_with_tiers(&settings, &environment);
            let mine = candidates
                .into_iter()
                .filter(|candidate| candidate.tiers[&Tier::Haiku] == "mine");
            mine.map(|candidate| candidate.name).collect::<Vec<_>>()
        };
        let key = || Environment::from([("OPENAI_API_KEY", "k")]);
        assert_eq!(mine("", key()), ["openai"]);
        assert_eq!(mine("provider = 'openrouter'", key()), ["openrouter"]);
        assert_eq!(mine("", Environment::default()), [""; 0]);
    }
}
