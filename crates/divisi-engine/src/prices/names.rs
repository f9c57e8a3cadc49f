//! Other spellings of a model's name, under which lists may know it.

use crate::models::LONG_CONTEXT;

/// Ends of OpenRouter's names that choose a host among those of the same model. They change the
/// price little, and the reply states the bill. `:free` and `:online` do change it, and have none.
const ROUTES: [&str; 4] = [":nitro", ":floor", ":exacto", ":thinking"];

/// The makers whose own price OpenRouter passes on, by the beginning of its names. Models with open
/// weights are not among them: each host has a price of its own.
const MAKERS: [(&str, &str); 7] = [
    ("anthropic/", "anthropic"),
    ("openai/", "openai"),
    ("google/gemini", "google"),
    ("x-ai/", "xai"),
    ("mistralai/", "mistral"),
    ("moonshotai/", "moonshotai"),
    ("perplexity/", "perplexity"),
];

/// Beginnings of names that repeat the vendor, as LiteLLM writes them, by what users call it.
const VENDORS: [(&str, &[&str]); 7] = [
    ("anthropic/", &["anthropic"]),
    ("openai/", &["openai"]),
    ("gemini/", &["gemini", "google"]),
    ("xai/", &["xai", "x-ai", "grok"]),
    ("mistral/", &["mistral", "mistralai"]),
    ("deepseek/", &["deepseek"]),
    ("moonshot/", &["moonshot", "moonshotai", "kimi"]),
];

/// Gemini's own beginning of all its names.
const RESOURCE: &str = "models/";

/// The other pairs of provider and name under which `model` at `provider` may be listed; the nearest
/// first.
pub(super) fn others<'a>(provider: &'a str, model: &'a str) -> Vec<(&'a str, &'a str)> {
    let plain = model.strip_suffix(LONG_CONTEXT).unwrap_or(model);
    let plain = plain.strip_prefix(RESOURCE).unwrap_or(plain);
    let is_router = provider.eq_ignore_ascii_case("openrouter");
    let plain = ROUTES
        .iter()
        .filter(|_| is_router)
        .find_map(|route| plain.strip_suffix(route))
        .unwrap_or(plain);
    let own = VENDORS.iter().find_map(|(beginning, names)| {
        let is_own = names.iter().any(|name| provider.eq_ignore_ascii_case(name));
        let rest = plain.strip_prefix(beginning).filter(|_| is_own)?;
        Some((provider, rest))
    });
    let maker = MAKERS.iter().find_map(|(beginning, maker)| {
        let is_by = is_router && plain.starts_with(beginning);
        let (_, rest) = plain.split_once('/').filter(|_| is_by)?;
        Some((*maker, rest))
    });
    let simpler = (plain != model).then_some((provider, plain));
    simpler.into_iter().chain(own).chain(maker).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_in_its_simplest_form_last() {
        assert_eq!(others("anthropic", "claude-opus-5-5"), []);
        assert_eq!(
            others("anthropic", "claude-opus-5-5[1m]"),
            [("anthropic", "claude-opus-5-5")]
        );
        assert_eq!(
            others("gemini", "models/gemini-4-neon"),
            [("gemini", "gemini-4-neon")]
        );
        assert_eq!(others("xai", "xai/grok-4.7"), [("xai", "grok-4.7")]);
        assert_eq!(others("corp", "xai/grok-4.7"), []);
        assert_eq!(
            others("openrouter", "x-ai/grok-4.7:nitro"),
            [("openrouter", "x-ai/grok-4.7"), ("xai", "grok-4.7")]
        );
        assert_eq!(others("openrouter", "meta-llama/llama-4:free"), []);
        assert_eq!(others("openrouter", "google/gemma-4"), []);
    }
}
