//! What came of the import of sessions.

use super::look::{Line, Look, Tone};
use super::number;
use super::table::{Column, Table};
use divisi_app::sessions::{Dearer, Imported, Program, Review};
use divisi_core::{Millis, PicoUsd, RunId};
use schemars::JsonSchema;
use serde::Serialize;

/// What an agent program has done, as runs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Report<'a> {
    /// The runs that are new, or new again because their session has gone on.
    runs: &'a [RunId],
    /// Number of sessions that were known already.
    known: usize,
    /// Number of sessions that were read.
    sessions: usize,
    /// Number of their agents.
    agents: usize,
    /// By divisi's price list.
    cost: PicoUsd,
    /// With every agent on the tier that suffices.
    sufficient: PicoUsd,
    /// Milliseconds that agents waited for one whose result they did not need.
    waited: Millis,
    /// Agents on a model that is dearer than the one that suffices.
    dearer: Vec<Difference<'a>>,
    /// Models without a price.
    unpriced: Vec<&'a str>,
}

/// An agent on a model that is dearer than the one that suffices.
#[derive(Serialize, JsonSchema)]
struct Difference<'a> {
    /// Its name.
    label: &'a str,
    /// The kind of its work.
    kind: &'a str,
    /// Its model.
    model: &'a str,
    /// The model that suffices.
    sufficient: &'a str,
    /// What it cost.
    cost: PicoUsd,
    /// What it would have cost on that model.
    instead: PicoUsd,
}

impl<'a> Report<'a> {
    pub(crate) fn of(imported: &'a Imported) -> Self {
        let Review {
            sessions,
            agents,
            cost,
            sufficient,
            waited,
            dearer,
            unpriced,
        } = &imported.review;
        Self {
            runs: &imported.runs,
            known: imported.known,
            sessions: *sessions,
            agents: *agents,
            cost: *cost,
            sufficient: *sufficient,
            waited: *waited,
            dearer: dearer.iter().map(Difference::of).collect(),
            unpriced: unpriced.iter().map(String::as_str).collect(),
        }
    }
}

impl<'a> Difference<'a> {
    fn of(dearer: &'a Dearer) -> Self {
        Self {
            label: &dearer.label,
            kind: &dearer.kind,
            model: &dearer.model,
            sufficient: &dearer.sufficient,
            cost: dearer.cost,
            instead: dearer.instead,
        }
    }
}

/// The result of an import as a page.
pub(crate) fn imported(program: Program, imported: &Imported, look: &Look) -> Vec<Line> {
    let review = &imported.review;
    let sessions = number::counted(review.sessions as u64, "session", "sessions");
    let new = match imported.known {
        0 => String::new(),
        known => format!(", {} of them known already", number::count(known as u64)),
    };
    let mut lines = vec![Line::of(
        Tone::Strong,
        format!("{sessions} of {}{new}", program.as_str()),
    )];
    if review.agents > 0 {
        lines.push(sum(review));
    }
    if !review.dearer.is_empty() {
        lines.push(Line::new());
        lines.push(Line::of(
            Tone::Dim,
            "Cheaper models that suffice, with the same tokens:",
        ));
        lines.extend(dearer(&review.dearer).render(look));
    }
    if !review.unpriced.is_empty() {
        let models: Vec<&str> = review.unpriced.iter().map(String::as_str).collect();
        lines.push(Line::of(
            Tone::Warn,
            format!(
                "no price is known of {}: counted as nothing",
                models.join(", ")
            ),
        ));
    }
    if let Some(latest) = imported.runs.last() {
        lines.push(Line::new());
        lines.push(Line::of(
            Tone::Dim,
            format!("divisi runs --tag imported; divisi show {latest}; divisi cost {latest}"),
        ));
    }
    lines
}

/// `62 agents, $41.80; on the tiers that suffice $17.20; 3:10:00 of waiting for nothing`.
fn sum(review: &Review) -> Line {
    let agents = number::counted(review.agents as u64, "agent", "agents");
    let mut said = format!("{agents}, {} by the price list", review.cost);
    if review.sufficient < review.cost {
        said += &format!("; on the tiers that suffice {}", review.sufficient);
    }
    if review.waited > Millis(0) {
        said += &format!(
            "; {} in which agents waited for one whose result they did not use",
            number::took(review.waited)
        );
    }
    Line::of(Tone::Plain, said)
}

fn dearer(agents: &[Dearer]) -> Table {
    let mut table = Table::new(
        vec![
            Column::left("agent").at_least(16),
            Column::left("kind").rank(2),
            Column::left("model"),
            Column::right("cost"),
            Column::left("suffices"),
            Column::right("cost"),
        ],
        2,
    );
    table.titles();
    for agent in agents {
        table.row(vec![
            (Tone::Plain, agent.label.clone()),
            (Tone::Dim, agent.kind.to_string()),
            (Tone::Plain, agent.model.to_string()),
            (Tone::Plain, agent.cost.to_string()),
            (Tone::Plain, agent.sufficient.to_string()),
            (Tone::Good, agent.instead.to_string()),
        ]);
    }
    table
}
