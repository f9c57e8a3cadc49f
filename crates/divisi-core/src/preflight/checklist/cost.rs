//! Question: is the cost of a run known, and bounded?

use super::{Finding, Flow, Item, Money, Question, Total, counted, phases};
use crate::PicoUsd;
use crate::preflight::{AttemptCost, Node};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most phases listed by name.
const PHASES_MAX: usize = 4;

pub(super) fn item(flow: &Flow<'_>) -> Item {
    let mut findings = vec![];
    let mut evidence = vec![];
    let unpriced = flow
        .tasks()
        .filter(|(_, node)| node.assigned.is_err())
        .count();
    if unpriced > 0 {
        let what = format!("{} cannot be priced", counted(unpriced, "task", "tasks"));
        findings.push(Finding::wrong(None, what, "see the findings on models"));
    }
    findings.extend(open_ended(flow));
    // The price of a part could be mistaken for that of the whole.
    let whole = flow.money.filter(|_| !flow.graph.ends_early);
    let total = whole.and_then(|money| money.total());
    match total {
        Some(_) if unpriced > 0 => {}
        Some(total) if total.ceiling == PicoUsd::ZERO && !findings.is_empty() => {}
        Some(total) if total.ceiling == PicoUsd::ZERO => {
            evidence.push("no vendor bills it".to_owned());
        }
        Some(total) => {
            evidence.push(format!(
                "about {}, mostly {} to {}",
                total.p50, total.p10, total.p90
            ));
        }
        None if flow.graph.ends_early => {}
        None => {
            findings.push(Finding::warning(
                None,
                "nothing is known of its cost",
                "`divisi plan` says why",
            ));
        }
    }
    if let more @ 1.. = flow.graph.unreached.len() {
        let phases = counted(more, "phase", "phases");
        evidence.push(format!("without {phases} in which no task is planned"));
    }
    evidence.extend(flow.settings.cap.map(|cap| format!("capped at {cap}")));
    let caps = flow.settings.phase_caps(flow.graph);
    evidence.extend(capped(&caps));
    findings.extend(idle(flow));
    findings.extend(cap(flow.settings.cap, total));
    findings.extend(
        flow.money
            .iter()
            .flat_map(|money| over_cap(flow, *money, &caps)),
    );
    Item::new(Question::Cost, evidence, findings)
}

fn capped(caps: &BTreeMap<&str, PicoUsd>) -> Option<String> {
    let shown = caps
        .iter()
        .take(PHASES_MAX)
        .map(|(phase, cap)| format!("{phase} at {cap}"));
    let mut shown: Vec<String> = shown.collect();
    if let more @ 1.. = caps.len().saturating_sub(PHASES_MAX) {
        shown.push(format!("{more} more"));
    }
    (!shown.is_empty()).then(|| format!("phases are capped: {}", shown.join(", ")))
}

/// The flow's own caps without effect, because no task is in their phase. A graph that ends early
/// is skipped: tasks of the phase may follow.
fn idle(flow: &Flow<'_>) -> Vec<Finding> {
    let known = phases(flow.graph);
    let is_idle = |phase: &&Arc<str>| !flow.graph.ends_early && !known.contains(&***phase);
    let finding = |phase: &Arc<str>| {
        let shown: Vec<&str> = known.iter().take(PHASES_MAX).copied().collect();
        let change = match shown.is_empty() {
            true => {
                "begin it with `phase()` before its tasks, or name it in their options".to_owned()
            }
            false => format!(
                "name a phase that tasks are in, such as {}",
                shown.join(", ")
            ),
        };
        Finding::warning(
            None,
            format!("no task is in the phase {phase}, and its cap holds nothing"),
            change,
        )
    };
    flow.graph
        .phase_caps
        .keys()
        .filter(is_idle)
        .map(finding)
        .collect()
}

/// Tasks of executors whose cost has no bound.
fn open_ended(flow: &Flow<'_>) -> Option<Finding> {
    let is_open = |node: &Node| {
        node.assigned
            .as_ref()
            .is_ok_and(|assigned| assigned.attempt_cost == AttemptCost::Unbounded)
    };
    let mut open = flow
        .tasks()
        .map(|(_, node)| node)
        .filter(|node| is_open(node));
    let first = open.next()?;
    let executor = first
        .assigned
        .as_ref()
        .map(|assigned| assigned.executor.clone())
        .unwrap_or_default();
    let what = format!(
        "{} may cost anything",
        counted(1 + open.count(), "task", "tasks")
    );
    let change = format!(
        "say what an attempt costs at most: `cost = \"$0.50\"` under [executors.{executor}] in divisi.toml"
    );
    Some(Finding::warning(first.site.clone(), what, change))
}

/// Phases whose expected cost exceeds their cap.
fn over_cap(flow: &Flow<'_>, money: &dyn Money, caps: &BTreeMap<&str, PicoUsd>) -> Vec<Finding> {
    let mut expected: BTreeMap<&str, PicoUsd> = BTreeMap::new();
    for (place, node) in flow.tasks() {
        if let (Some(phase), Some(cost)) = (node.task.phase.as_deref(), money.cost(place)) {
            *expected.entry(phase).or_default() += cost;
        }
    }
    let over = caps.iter().filter_map(|(phase, cap)| {
        let expected = *expected.get(phase).filter(|expected| *expected > cap)?;
        let what = format!(
            "the phase {phase} costs {expected} on average, and the run parks at its cap of {cap}"
        );
        let change =
            "raise its `maxCost` in the flow, or its cap under `[budget.phases]` in divisi.toml";
        Some(Finding::warning(None, what, change).money(Some(expected)))
    });
    over.collect()
}

fn cap(cap: Option<PicoUsd>, total: Option<Total>) -> Option<Finding> {
    match (cap, total) {
        (None, Some(total)) if total.ceiling == PicoUsd::ZERO => None,
        (None, Some(total)) => {
            let dollars = total.budget.typed();
            let change =
                format!("run it with `--max-cost {dollars}`, or set `cost_max` in the settings");
            Some(Finding::warning(None, "no cap", change))
        }
        (None, None) => Some(Finding::warning(
            None,
            "no cap",
            "run it with `--max-cost`, or set `cost_max` in the settings",
        )),
        (Some(cap), Some(total)) if cap < total.p90 => {
            let often = if cap < total.p50 {
                "will probably park"
            } else {
                "may park"
            };
            let what = format!("the run {often} at its cap of {cap}");
            let change = format!(
                "`--max-cost {}` holds nine runs of ten",
                total.budget.typed()
            );
            Some(Finding::warning(None, what, change).money(Some(total.p90)))
        }
        (Some(_), _) => None,
    }
}
