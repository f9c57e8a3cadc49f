//! Expected cost and duration of a plan.

use crate::display::look::{Line, Look, Tone};
use crate::display::number::{self, counted};
use crate::text;
use divisi_app::preflight::Looked;
use divisi_core::PicoUsd;
use divisi_core::estimate::Spread;
use divisi_core::preflight::forecast::Source;
use divisi_core::preflight::{Forecast, checklist};
use std::collections::BTreeMap;

/// Phases and models listed; the rest is only in the sum.
const PARTS_SHOWN_MAX: usize = 8;

/// Expected cost and duration of a plan, and the basis of the figures.
pub(crate) fn lines(looked: &Looked, look: &Look, verbose: bool) -> Option<Vec<Line>> {
    let Looked {
        graph,
        forecast,
        settings,
        ..
    } = looked;
    if graph.tasks.is_empty() {
        return None;
    }
    if graph.ends_early {
        // The cost of a part could be mistaken for that of the whole.
        return Some(vec![
            Line::new(),
            named(
                "cost",
                Line::new().plain("cannot be said: the plan ends early"),
            ),
        ]);
    }
    let mut lines = vec![Line::new(), cost(forecast, look)];
    lines.extend(budget(forecast, settings.cap));
    lines.extend(ceiling(forecast).filter(|_| verbose));
    lines.extend(phases(&settings.phase_caps(graph)));
    lines.push(time(forecast, look));
    lines.push(tokens(forecast, look));
    lines.extend(parts("by phase", &forecast.phases));
    lines.extend(parts("by model", &forecast.models));
    lines.extend(baseline(forecast));
    lines.extend(cheaper(checklist(graph, Some(looked), settings).saving()));
    lines.extend(
        forecast
            .ladders
            .iter()
            .map(|advice| named("ladder", Line::new().plain(advice.to_string()))),
    );
    lines.push(sources(forecast));
    Some(lines)
}

/// Only cost, cap and duration.
pub(crate) fn brief(forecast: &Forecast, cap: Option<PicoUsd>, look: &Look) -> Vec<Line> {
    let money = [Some(cost(forecast, look)), budget(forecast, cap)];
    money
        .into_iter()
        .flatten()
        .chain([time(forecast, look)])
        .collect()
}

fn cost(forecast: &Forecast, look: &Look) -> Line {
    let Spread { p10, p50, p90 } = forecast.cost;
    let mut line = named("cost", Line::of(Tone::Strong, format!("about {p50}")));
    if p10 != p90 {
        line = line
            .plain(look.dot())
            .plain(format!("{p10} to {p90} in eight runs of ten"));
    }
    if forecast.mean != p50 {
        line = line
            .plain(look.dot())
            .plain(format!("{} on average", forecast.mean));
    }
    line
}

/// The cap, or the proposed one.
fn budget(forecast: &Forecast, cap: Option<PicoUsd>) -> Option<Line> {
    if forecast.ceiling == PicoUsd::ZERO {
        return None;
    }
    if let Some(cap) = cap {
        let holds = match cap {
            cap if cap >= forecast.budget => "holds nine runs of ten or more",
            cap if cap >= forecast.cost.p90 => {
                "holds nine runs of ten; fewer tasks at once may fit under it"
            }
            cap if cap >= forecast.cost.p50 => "may be too little",
            _ => "is probably too little",
        };
        return Some(named(
            "cap",
            Line::of(Tone::Strong, cap.to_string()).plain(format!(" {holds}")),
        ));
    }
    let flag = format!("--max-cost {}", forecast.budget.typed());
    let line = Line::of(Tone::Strong, flag);
    Some(named(
        "budget",
        line.plain(" holds nine runs of ten, as wide as without a cap"),
    ))
}

/// The arithmetical bound, which is no help in choosing a cap.
fn ceiling(forecast: &Forecast) -> Option<Line> {
    let worst = Some(forecast.ceiling).filter(|most| *most > PicoUsd::ZERO)?;
    let of = match forecast.is_open {
        true => " for as many tasks as are counted",
        false => "",
    };
    let said = format!("{worst}{of}, were every reply of every attempt as long as it may be");
    Some(named("at worst", Line::new().plain(said)))
}

fn phases(caps: &BTreeMap<&str, PicoUsd>) -> Option<Line> {
    let shown = caps
        .iter()
        .take(PARTS_SHOWN_MAX)
        .map(|(phase, cap)| format!("{} {cap}", text::line(phase)));
    let shown: Vec<String> = shown.collect();
    (!shown.is_empty()).then(|| named("phase caps", Line::new().plain(shown.join(", "))))
}

fn time(forecast: &Forecast, look: &Look) -> Line {
    let Spread { p50, p90, .. } = forecast.took;
    let waves = counted(forecast.waves.len() as u64, "wave", "waves");
    let chain = counted(forecast.critical_path.len() as u64, "task", "tasks");
    named(
        "time",
        Line::new().plain(format!(
            "about {}, {} in one of ten",
            number::took(p50),
            number::took(p90)
        )),
    )
    .plain(look.dot())
    .plain(format!("{waves}, the longest chain has {chain}"))
}

fn tokens(forecast: &Forecast, look: &Look) -> Line {
    let tokens = &forecast.tokens;
    let classes = [
        ("fresh", tokens.input.p50),
        ("written to the cache", tokens.cache_write.p50),
        ("read from it", tokens.cache_read.p50),
        ("out", tokens.output.p50),
    ];
    let said: Vec<String> = classes
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| format!("{} {class}", number::tokens(*count)))
        .collect();
    named("tokens", Line::new().plain(said.join(look.dot())))
}

fn parts(what: &str, totals: &[divisi_core::preflight::forecast::Total]) -> Option<Line> {
    let mut dearest: Vec<_> = totals
        .iter()
        .filter(|total| total.mean > PicoUsd::ZERO)
        .collect();
    if dearest.len() < 2 {
        return None;
    }
    dearest.sort_by_key(|total| std::cmp::Reverse(total.mean));
    let name = |name: &str| {
        if name.is_empty() {
            "the rest".to_owned()
        } else {
            text::line(name)
        }
    };
    let shown = dearest.iter().take(PARTS_SHOWN_MAX);
    let said: Vec<String> = shown
        .map(|total| format!("{} {}", name(&total.name), total.mean))
        .collect();
    Some(named(
        what,
        Line::new().plain(said.join(", ")).plain(" on average"),
    ))
}

fn baseline(forecast: &Forecast) -> Option<Line> {
    let baseline = forecast.baseline.as_ref()?;
    let saved = (baseline.saving * 100.0).round();
    let said = match saved {
        0.0 => format!("all of it on {}: about the same", baseline.model),
        saved if saved > 0.0 => {
            format!(
                "all of it on {}: {} on average; this saves {saved} %",
                baseline.model, baseline.mean
            )
        }
        saved => {
            format!(
                "all of it on {}: {} on average; this costs {} % more",
                baseline.model, baseline.mean, -saved
            )
        }
    };
    Some(named("strongest", Line::new().plain(said)))
}

/// What cheaper models would save where they suffice.
fn cheaper(saving: PicoUsd) -> Option<Line> {
    let said =
        format!("{saving} less on average on models that suffice; `divisi check` names the tasks");
    (saving > PicoUsd::ZERO).then(|| named("cheaper", Line::new().plain(said)))
}

/// The basis of the figures: how many tasks rest on which history.
fn sources(forecast: &Forecast) -> Line {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for line in &forecast.tasks {
        let source = match line.source {
            Source::Label { .. } => "earlier tasks of the same label",
            Source::Phase { .. } => "earlier tasks of the same phase",
            Source::Kind { .. } => "earlier tasks of the same kind",
            Source::Model { .. } => "earlier tasks on the same model",
            Source::Prior => "rough figures per kind, as there is no history",
        };
        *counts.entry(source.to_owned()).or_default() += 1;
    }
    let said: Vec<String> = match counts.len() {
        1 => counts.into_keys().collect(),
        _ => counts
            .into_iter()
            .map(|(source, tasks)| format!("{source} ({tasks})"))
            .collect(),
    };
    named("from", Line::of(Tone::Dim, said.join(", ")))
}

/// A line with its name in front.
pub(super) fn named(name: &str, line: Line) -> Line {
    Line::of(Tone::Dim, format!("  {name:<11}")).join(line)
}
