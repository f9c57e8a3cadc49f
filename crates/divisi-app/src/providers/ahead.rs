//! Chooses the provider for commands that send nothing.

use super::candidate::candidates;
use super::choose::{AnswerMode, choose};
use super::default::{USUAL, tier_models};
use crate::Problem;
use crate::settings::{AUTO, Environment, Settings};
use divisi_engine::{Models, ProviderModels};
use std::collections::BTreeMap;

/// The provider that would answer, with a note if it could not answer now.
///
/// Needs no key. Without one the vendor named in the settings is assumed, or else the default one.
pub async fn choose_ahead(
    settings: &Settings,
    environment: &Environment,
    mode: AnswerMode<'_>,
) -> Result<(Models, Option<String>), Problem> {
    let problem = match choose(
        settings,
        environment,
        AnswerMode {
            record: None,
            ..mode
        },
    )
    .await
    {
        Ok(models) => return Ok((models, None)),
        Err(problem) if mode.replay.is_some() => return Err(problem),
        Err(problem) => problem,
    };
    let (default, ready) = without_keys(settings, environment)?;
    if !ready.contains_key(&default) {
        return Err(problem);
    }
    let note = format!("planned with the models of `{default}`; {problem}");
    Ok((
        Models {
            default: settings.model.as_str().into(),
            provider: default,
            providers: ready,
        },
        Some(note),
    ))
}

fn without_keys(
    settings: &Settings,
    environment: &Environment,
) -> Result<(String, BTreeMap<String, ProviderModels>), Problem> {
    let default = if settings.provider == AUTO {
        USUAL
    } else {
        &settings.provider
    };
    let mut ready = BTreeMap::new();
    for candidate in candidates(settings, environment) {
        let mut models = candidate.models_of(candidate.connect()?);
        tier_models(&mut models, &candidate.name, default, settings);
        ready.insert(candidate.name, models);
    }
    Ok((default.to_owned(), ready))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ahead(settings: &str) -> Result<String, Problem> {
        let settings = toml::from_str(&format!("local = false\n{settings}")).unwrap();
        let (models, note) = choose_ahead(&settings, &[].into(), AnswerMode::default()).await?;
        Ok(format!(
            "{} | {}",
            models.find(Some("haiku")).unwrap().id,
            note.unwrap_or_default()
        ))
    }

    #[tokio::test]
    async fn no_key_is_needed() {
        insta::assert_snapshot!(ahead("").await.unwrap(), @"claude-haiku-5-5 | planned with the models of `anthropic`; there is no model to ask: no key is set, and the settings say not to look for a model server on this machine");
        insta::assert_snapshot!(ahead("provider = 'openai'\n[tiers]\nhaiku = 'gpt-x'").await.unwrap(), @"gpt-x | planned with the models of `openai`; provider `openai` has no key");
    }

    #[tokio::test]
    async fn a_vendor_that_is_none_stays_an_error() {
        insta::assert_snapshot!(ahead("provider = 'nobody'").await.unwrap_err(), @"there is no provider `nobody`");
    }
}
