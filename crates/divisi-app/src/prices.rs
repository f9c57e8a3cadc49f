//! The price list, with the prices of the settings and a list that the user has loaded.

use crate::Problem;
use crate::settings::{Settings, state_folder};
use anyhow::Context;
use divisi_engine::prices::{About, Catalogue, LoadedList, OwnPrices};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Largest list. The largest public one has 4 MB.
const BYTES_MAX: u64 = 64 << 20;

/// The price list, with the prices of the settings on top.
pub fn of(settings: &Settings) -> Result<Catalogue, Problem> {
    let own = settings
        .prices
        .iter()
        .map(|(pattern, price)| (pattern.clone(), (*price).into()));
    let own = OwnPrices::new(own).map_err(|error| Problem::usage(error.to_string()))?;
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
