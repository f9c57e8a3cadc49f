//! `divisi models`: the models of each tier, and the prices of their tokens.

use crate::context::Context;
use crate::display::models::{Listing, Row, models};
use crate::display::{Look, json, look};
use crate::exit::Exit;
use crate::output;
use anyhow::Context as _;
use divisi_app::Problem;
use divisi_app::clock;
use divisi_app::prices;
use divisi_app::providers::{Candidate, candidates_with_tiers};
use divisi_app::settings::{Loaded, Untrusted};
use divisi_core::Timestamp;
use divisi_engine::prices::Catalogue;
use std::path::{Path, PathBuf};

/// List the models of each tier with their prices
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  divisi models
  divisi models --all gemini
  divisi models --update data.json
  divisi models --json")]
pub(crate) struct Args {
    /// Every model with a known price, or those whose name contains FILTER
    #[arg(short, long, value_name = "FILTER", num_args = 0..=1, default_missing_value = "")]
    all: Option<String>,
    /// Use a newer public price list from now on: the price file of genai-prices or of LiteLLM
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    update: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, context: &Context) -> Result<Exit, Problem> {
    if let Some(file) = &args.update {
        update(file)?;
    }
    let Loaded {
        settings, project, ..
    } = context.app.settings(Untrusted::LookedAt)?;
    context
        .app
        .note_trust(project.as_ref(), Untrusted::LookedAt);
    let catalogue = prices::of(&settings)?;
    let now = clock::now();
    let listing = match &args.all {
        Some(filter) => all(&catalogue, filter, now),
        None => tiers(
            &candidates_with_tiers(&settings, context.app.environment()),
            &catalogue,
            now,
        ),
    };
    let text = if context.global.json {
        json::pretty(&listing).context("cannot write the list")?
    } else {
        let look = Look::of_stdout(false);
        look::page(&models(&listing, &look), &look)
    };
    output::print(text.trim_end()).context("cannot write to stdout")?;
    Ok(Exit::Ok)
}

/// Keeps a newer list and says so.
fn update(file: &Path) -> Result<(), Problem> {
    let today = jiff::Zoned::now().date().to_string();
    let (about, count) = prices::update(file, &today)?;
    let place = prices::file().unwrap_or_default();
    let told = format!(
        "{} models of {} are priced as of {}; kept in {}, delete it to return to the built-in list",
        count,
        about.format,
        about.day,
        place.display()
    );
    output::say(&crate::text::line(&told));
    Ok(())
}

/// The models of each tier, at every provider that could be used.
fn tiers(candidates: &[Candidate], catalogue: &Catalogue, now: Timestamp) -> Listing {
    let rows = candidates.iter().flat_map(|candidate| {
        candidate.tiers.iter().map(|(tier, id)| Row {
            provider: candidate.name.clone(),
            ready: Some(candidate.is_ready()),
            tier: Some(tier.to_string()),
            model: id.clone(),
            quote: catalogue.quote(&candidate.name, id, now),
        })
    });
    Listing {
        rows: rows.collect(),
    }
}

fn all(catalogue: &Catalogue, filter: &str, now: Timestamp) -> Listing {
    let filter = filter.to_lowercase();
    let fits = |text: &str| text.to_lowercase().contains(&filter);
    let rows = catalogue
        .all(now)
        .into_iter()
        .filter(|(provider, model, _)| fits(provider) || fits(model));
    let row = |(provider, model, quote)| Row {
        provider,
        ready: None,
        tier: None,
        model,
        quote: Some(quote),
    };
    Listing {
        rows: rows.map(row).collect(),
    }
}
