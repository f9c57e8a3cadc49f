//! Flags that select runs.

use clap::Args;
use divisi_app::Place;
use divisi_app::settings::Span;
use divisi_core::{Millis, Timestamp};
use divisi_engine::store::RunSummary;
use std::str::FromStr;

/// Flags that select runs.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Which runs")]
pub(crate) struct SelectFlags {
    /// Only runs of this flow
    #[arg(long, value_name = "FLOW")]
    pub(crate) flow: Option<String>,
    /// Only runs of this status: ok, partial, failed, parked, running, interrupted or cancelled
    #[arg(long, value_name = "STATUS", value_parser = STATUSES, hide_possible_values = true)]
    pub(crate) status: Option<String>,
    /// Only runs that were at work since then: 2h, 3d, 1w
    #[arg(long, value_name = "AGE")]
    pub(crate) since: Option<Age>,
    /// Only runs with this tag; may be repeated
    #[arg(long = "tag", value_name = "TAG")]
    pub(crate) tags: Vec<String>,
    /// Only runs of this folder and of the project it is in
    #[arg(long)]
    pub(crate) here: bool,
}

const STATUSES: [&str; 7] = [
    "ok",
    "partial",
    "failed",
    "parked",
    "running",
    "interrupted",
    "cancelled",
];

impl SelectFlags {
    /// Whether the run is selected by everything but its status, which may have to be looked up.
    pub(crate) fn fits(&self, run: &RunSummary, place: &Place, now: Timestamp) -> bool {
        let is_recent = |age: Age| run.updated_at.0 >= now.0.saturating_sub(age.0.0);
        self.flow.as_ref().is_none_or(|flow| *flow == run.flow)
            && self.since.is_none_or(is_recent)
            && self.tags.iter().all(|tag| run.tags.contains(tag))
            && (!self.here || place.has(run.folder.as_deref()))
    }

    /// Whether there is any of them.
    pub(crate) fn is_any(&self) -> bool {
        self.flow.is_some()
            || self.status.is_some()
            || self.since.is_some()
            || !self.tags.is_empty()
            || self.here
    }

    /// Whether its status is selected.
    pub(crate) fn fits_status(&self, run: &RunSummary) -> bool {
        self.status
            .as_ref()
            .is_none_or(|status| *status == run.status)
    }
}

/// A time before now: a span, or a number of days (`d`) or weeks (`w`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age(pub(crate) Millis);

/// Longest age: no run is older.
const AGE_DAYS_MAX: u64 = 36_500;

impl FromStr for Age {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let days = |number: &str, days: u64| {
            let number: u64 = number.trim().parse().ok()?;
            number
                .checked_mul(days)
                .filter(|days| *days <= AGE_DAYS_MAX)
        };
        let day_millis = 24 * 3_600_000;
        let counted = match text.trim().strip_suffix(['d', 'w']) {
            Some(number) if text.trim().ends_with('d') => days(number, 1),
            Some(number) => days(number, 7),
            None => None,
        };
        match counted {
            Some(days) => Ok(Self(Millis(days * day_millis))),
            None => match text.parse() {
                Ok(Span(millis)) => Ok(Self(millis)),
                Err(_) => Err("write it with its unit, like 90m, 12h, 3d or 2w".to_owned()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_units() {
        let hours = |text: &str| text.parse().ok().map(|Age(age)| age.0 as f64 / 3_600_000.0);
        assert_eq!(hours("2d"), Some(48.0));
        assert_eq!(hours("1w"), Some(168.0));
        assert_eq!(hours("90m"), Some(1.5));
        assert_eq!(hours("1h30m"), Some(1.5));
        for text in ["", "d", "2", "-1d", "99999999999w", "two days"] {
            assert_eq!(hours(text), None, "{text}");
        }
    }
}
