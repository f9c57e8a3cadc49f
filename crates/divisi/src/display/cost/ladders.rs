//! Results and savings of a run's ladders.

use crate::display::look::{Line, Look, Tone};
use crate::display::number;
use crate::display::table::{Column, Table};
use crate::text;
use divisi_core::PicoUsd;
use divisi_core::ledger::{Instead, LadderRecord, RungRecord};
use divisi_core::preflight::forecast::LadderAdvice;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// A ladder with advice.
#[derive(Serialize, JsonSchema)]
pub(super) struct Ladder {
    #[serde(flatten)]
    record: LadderRecord,
    /// For each rung but the last that produced a result.
    advice: Vec<LadderAdvice>,
}

impl Ladder {
    pub(super) fn new(record: LadderRecord) -> Self {
        let steps = record.rungs.iter().zip(record.rungs.iter().skip(1));
        let advice = steps
            .filter_map(|(rung, next)| advice(kind(&record), rung, next))
            .collect();
        Self { record, advice }
    }
}

/// All ladders compared with using their last models at once; `None` if none can be compared.
pub(super) fn instead(ladders: &[LadderRecord]) -> Option<Instead> {
    ladders
        .iter()
        .filter_map(|ladder| ladder.instead)
        .reduce(|sum, one| Instead {
            tasks: sum.tasks + one.tasks,
            ladder: sum.ladder + one.ladder,
            last_model: sum.last_model + one.last_model,
        })
}

fn kind(record: &LadderRecord) -> Arc<str> {
    record.kind.clone().unwrap_or_else(|| "other".into())
}

fn advice(kind: Arc<str>, rung: &RungRecord, next: &RungRecord) -> Option<LadderAdvice> {
    let break_even = rung.worth()?.break_even;
    let (weak, strong) = (rung.model.clone(), next.model.clone());
    Some(LadderAdvice {
        kind,
        weak,
        strong,
        accepted: rung.accepted,
        tried: rung.tried,
        break_even,
    })
}

/// The section as text.
pub(super) fn lines(ladders: &[Ladder], look: &Look) -> Vec<Line> {
    if ladders.is_empty() {
        return vec![];
    }
    let columns = vec![
        Column::left("ladder").at_least(12),
        Column::right("results").rank(1),
        Column::right("accepted"),
        Column::right("cost"),
        Column::right("checks").rank(2),
    ];
    let mut table = Table::new(columns, 2);
    table.titles();
    for Ladder { record, .. } in ladders {
        for RungRecord {
            model,
            tried,
            accepted,
            cost,
            checks,
            ..
        } in &record.rungs
        {
            table.row(vec![
                (Tone::Plain, format!("{}: {model}", kind(record))),
                (Tone::Dim, number::count(*tried)),
                (Tone::Plain, number::count(*accepted)),
                (Tone::Plain, cost.to_string()),
                (
                    Tone::Dim,
                    if *checks == PicoUsd::ZERO {
                        String::new()
                    } else {
                        checks.to_string()
                    },
                ),
            ]);
        }
    }
    let mut lines = vec![Line::new()];
    lines.extend(table.render(look));
    let advice = ladders.iter().flat_map(|ladder| &ladder.advice);
    lines.extend(
        advice.map(|advice| Line::new().plain(format!("  {}", text::line(&advice.to_string())))),
    );
    lines
}
