//! The price list, with the prices of the settings and a list that the user has loaded.

use crate::Problem;
use crate::providers;
use crate::settings::{Settings, state_folder};
use anyhow::Context;
use divisi_core::price::Rates;
use divisi_core::{ModelPrice, PicoUsd, Tier};
use divisi_engine::prices::{About, Catalogue, LoadedList, OwnPrices};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Largest list. The largest public one has 4 MB.
const BYTES_MAX: u64 = 64 << 20;

/// Dollars for a million tokens of prompt and of reply on each tier of a demo. They are an example:
/// about what vendors charge, so that a demo shows costs and caps at work. No one bills them, and
/// estimates learn nothing from a demo.
const OF_DEMO: [(Tier, u64, u64); 4] = [
    (Tier::Haiku, 1, 5),
    (Tier::Sonnet, 3, 15),
    (Tier::Opus, 5, 25),
    (Tier::Fable, 10, 50),
];

/// The price list, with the prices of the settings on top.
pub fn of(settings: &Settings) -> Result<Catalogue, Problem> {
    with(settings, [])
}

/// The same with the prices of a demo, for runs: what only looks ahead says that no one bills a demo.
pub fn of_runs(settings: &Settings) -> Result<Catalogue, Problem> {
    let demo = OF_DEMO.map(|(tier, input, output)| {
        let per_token = |dollars| PicoUsd(dollars * PicoUsd::DOLLAR.0 / 1_000_000);
        let base = Rates {
            input: per_token(input),
            cache_write_5m: per_token(input),
            cache_write_1h: per_token(input),
            cache_read: per_token(input),
            output: per_token(output),
        };
        let price = ModelPrice {
            base,
            ..ModelPrice::default()
        };
        (providers::of_demo(tier.as_str()), price)
    });
    with(settings, demo)
}

fn with<const N: usize>(
    settings: &Settings,
    more: [(String, ModelPrice); N],
) -> Result<Catalogue, Problem> {
    let own = settings
        .prices
        .iter()
        .map(|(pattern, price)| (pattern.clone(), (*price).into()));
    let own = OwnPrices::new(more.into_iter().chain(own))
        .map_err(|error| Problem::usage(error.to_string()))?;
    Ok(Catalogue::new(own).loaded(kept()))
}

/// Reads the public list at `path`, as it was published, and keeps it for all runs of this user
/// from now on. `day` is today.
pub fn update(path: &Path, day: &str) -> Result<(About, usize), Problem> {
    let refused = |error: anyhow::Error| {
        Problem::failed(error).hint(
            "lists are read as they are published: prices/data.json of genai-prices, and \
             model_prices_and_context_window.json of LiteLLM",
        )
    };
    let text = divisi_files::read_typed(path, BYTES_MAX)
        .with_context(|| format!("cannot read {}", path.display()))
        .map_err(Problem::failed)?;
    let list = LoadedList::new(&text, &path.display().to_string(), day)
        .with_context(|| format!("{} is no price list", path.display()))
        .map_err(refused)?;
    keep(list.about(), &text).map_err(Problem::failed)?;
    Ok((list.about().clone(), list.len()))
}

/// The file with the list that the user has loaded: a line about it, then the list as published.
pub fn file() -> Option<PathBuf> {
    Some(state_folder()?.join("prices.json"))
}

fn keep(about: &About, text: &[u8]) -> anyhow::Result<()> {
    let file = file().context("there is no home folder to keep it in")?;
    let failed = || format!("cannot keep it in {}", file.display());
    let folder = file.parent().with_context(failed)?;
    std::fs::create_dir_all(folder).with_context(failed)?;
    let mut kept = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    kept.write_all(&serde_json::to_vec(about)?)
        .and_then(|()| kept.write_all(b"\n"))
        .and_then(|()| kept.write_all(text))
        .with_context(failed)?;
    kept.persist(&file).with_context(failed)?;
    Ok(())
}

/// The list that was kept; `None` without one, or if it cannot be read any more.
fn kept() -> Option<LoadedList> {
    let text = divisi_files::read(&file()?, BYTES_MAX).ok()?;
    let line = text.iter().position(|byte| *byte == b'\n')?;
    let about: About = serde_json::from_slice(&text[..line]).ok()?;
    LoadedList::new(&text[line + 1..], &about.source, &about.day).ok()
}
