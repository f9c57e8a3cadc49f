//! Estimate of a run against its actual cost.

use crate::display::look::{Line, Tone};
use crate::display::number;
use divisi_core::estimate::{Estimate, EstimateError, Spread};
use divisi_core::ledger::Ledger;
use divisi_core::{Millis, PicoUsd};
use schemars::JsonSchema;
use serde::Serialize;

/// Estimate of a run against its actual cost.
#[derive(Serialize, JsonSchema)]
pub(super) struct Expected {
    /// What was expected as the run started.
    estimate: Estimate,
    /// Confirmed cost.
    actual: PicoUsd,
    /// Upper bound of the cost of requests whose reply never came.
    unconfirmed: PicoUsd,
    /// Time at work.
    took: Millis,
    /// Time not at work since the start.
    rested: Millis,
    /// Whether more may be spent: the run is under way or parked.
    so_far: bool,
    /// Error of the estimate. `None` until the run is over and all its cost is confirmed, unless
    /// the ceiling was exceeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<EstimateError>,
}

impl Expected {
    /// `None` if the run was not estimated.
    pub(super) fn of(ledger: &Ledger) -> Option<Self> {
        let estimate = *ledger.estimate()?;
        let (total, so_far) = (ledger.total(), !ledger.is_over());
        let (actual, unconfirmed) = (total.cost, total.unconfirmed);
        let is_known = !so_far && unconfirmed == PicoUsd::ZERO;
        let error = estimate
            .error(actual)
            .filter(|error| is_known || error.above_ceiling);
        Some(Self {
            estimate,
            actual,
            unconfirmed,
            took: ledger.took(),
            rested: ledger.rested(),
            so_far,
            error,
        })
    }
}

/// The section as text.
pub(super) fn lines(expected: &Expected) -> Vec<Line> {
    let Expected {
        estimate,
        actual,
        unconfirmed,
        took,
        rested,
        so_far,
        error,
    } = expected;
    let Spread { p10, p50, p90 } = estimate.cost;
    let came = match (so_far, error) {
        (_, _) if *unconfirmed > PicoUsd::ZERO => {
            let share = share_of(*actual, p50);
            format!("{actual} confirmed{share}; at most {unconfirmed} more is not")
        }
        (false, Some(error)) => error.to_string(),
        (false, None) => actual.to_string(),
        (true, _) => format!("{actual}{}", share_of(*actual, p50)),
    };
    let tone = if error.is_some_and(|error| !error.inside) {
        Tone::Warn
    } else {
        Tone::Plain
    };
    let mut lines = vec![
        Line::new(),
        Line::of(Tone::Dim, "  plan against actual"),
        named("plan", Tone::Plain, format!("about {p50} ({p10} to {p90})")),
        named(if *so_far { "so far" } else { "actual" }, tone, came),
        named(
            "time",
            Tone::Plain,
            format!(
                "about {}; {}",
                number::took(estimate.took.p50),
                number::took_and_rested(*took, *rested)
            ),
        ),
    ];
    if error.is_some_and(|error| error.above_ceiling) {
        let warning = "more than it ever should have cost: please report this";
        lines.push(named("warning", Tone::Warn, warning.to_owned()));
    }
    if estimate.guessed > 0 {
        let of = format!(
            "{} of {}",
            number::count(estimate.guessed as u64),
            estimate.tasks
        );
        lines.push(named(
            "from",
            Tone::Dim,
            format!("rough figures for {of} tasks: no history then"),
        ));
    }
    lines
}

fn share_of(actual: PicoUsd, expected: PicoUsd) -> String {
    match expected {
        PicoUsd::ZERO => String::new(),
        expected => format!(
            ", {:.0} % of the estimate",
            actual.0 as f64 / expected.0 as f64 * 100.0
        ),
    }
}

fn named(name: &str, tone: Tone, said: String) -> Line {
    Line::of(Tone::Dim, format!("    {name:<9}")).put(tone, said)
}
