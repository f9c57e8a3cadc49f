//! The list of runs.

use super::look::{Line, Look, Tone};
use super::number;
use super::table::{Column, Table};
use divisi_app::Place;
use divisi_core::{PicoUsd, Timestamp};
use divisi_engine::store::RunSummary;

/// The list of runs in their order, with their folders relative to `place`. The JSON form is
/// [`RunSummary`] itself.
pub(crate) fn runs(
    runs: &[RunSummary],
    is_filtered: bool,
    place: &Place,
    now: Timestamp,
    look: &Look,
) -> Vec<Line> {
    if runs.is_empty() && is_filtered {
        return vec![Line::new().plain("no run fits")];
    }
    if runs.is_empty() {
        return vec![
            Line::new().plain("no runs yet"),
            Line::new().plain("  divisi run <flow>  ").put(
                Tone::Dim,
                "starts one; `divisi init` writes an example flow",
            ),
        ];
    }
    let mut table = Table::new(
        vec![
            Column::left("run"),
            Column::left("flow").at_least(8),
            Column::left("about").at_least(16).rank(1),
            Column::left("status"),
            Column::right("ok"),
            Column::right("failed").rank(5),
            Column::right("skipped").rank(7),
            Column::right("waiting").rank(8),
            Column::right("tokens").rank(6),
            Column::right("cost").rank(3),
            Column::left("started").rank(2),
            Column::left("latest").rank(6),
            Column::left("folder").at_least(8).rank(4),
        ],
        0,
    );
    table.titles();
    for run in runs {
        table.row(cells(run, place, now));
    }
    table.render(look)
}

fn cells(run: &RunSummary, place: &Place, now: Timestamp) -> Vec<(Tone, String)> {
    let status = match run.status.as_str() {
        "ok" => Tone::Good,
        "failed" => Tone::Bad,
        "running" => Tone::Busy,
        _ => Tone::Warn,
    };
    let number = |n: u32| {
        if n == 0 {
            "-".to_owned()
        } else {
            number::count(n.into())
        }
    };
    // A name is what its user looks for; without one, what the run was asked.
    let about = |run: &RunSummary| match (&run.name, &run.about) {
        (Some(name), _) => (Tone::Plain, name.clone()),
        (None, Some(about)) => (Tone::Dim, about.clone()),
        (None, None) => (Tone::Dim, "-".to_owned()),
    };
    vec![
        (Tone::Plain, run.id.to_string()),
        (Tone::Strong, run.flow.clone()),
        about(run),
        (status, run.status.clone()),
        (Tone::Plain, number(run.ok)),
        (
            if run.failed > 0 {
                Tone::Bad
            } else {
                Tone::Plain
            },
            number(run.failed),
        ),
        (Tone::Plain, number(run.skipped)),
        (Tone::Plain, number(run.open)),
        (Tone::Plain, number::tokens(run.tokens)),
        (
            Tone::Plain,
            if run.spent().total() == PicoUsd::ZERO {
                "-".to_owned()
            } else {
                number::spent_short(run.spent())
            },
        ),
        (Tone::Dim, number::ago(now, run.started_at)),
        // The time at work is known only from the run's journal, which is not read here.
        (Tone::Dim, number::ago(now, run.updated_at)),
        (Tone::Dim, place.shown(run.folder.as_deref())),
    ]
}
