//! The price list, with the prices of the settings.

use crate::Problem;
use crate::settings::Settings;
use divisi_engine::prices::{Catalogue, OwnPrices};

/// The price list, with the prices of the settings on top.
pub fn of(settings: &Settings) -> Result<Catalogue, Problem> {
    let own = settings
        .prices
        .iter()
        .map(|(pattern, price)| (pattern.clone(), (*price).into()));
    let own = OwnPrices::new(own).map_err(|error| Problem::usage(error.to_string()))?;
    Ok(Catalogue::new(own))
}
