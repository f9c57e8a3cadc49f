//! Whether it is known what a run will cost, and bounded.

use super::{Finding, Flow, Item, Question, Total, counted};
use crate::PicoUsd;

pub(super) fn item(flow: &Flow<'_>) -> Item {
    let mut findings = vec![];
    let mut evidence = vec![];
    let unpriced = flow.tasks().filter(|(_, node)| node.assigned.is_err()).count();
    if unpriced > 0 {
        let what = format!("{} cannot be priced", counted(unpriced, "task", "tasks"));
        findings.push(Finding::wrong(None, what, "see the findings on models"));
    }
    let total = flow.money.and_then(|money| money.total());
    match total {
        Some(_) if unpriced > 0 => {}
        Some(total) if total.ceiling == PicoUsd::ZERO => evidence.push("nobody sends a bill".to_owned()),
        Some(total) => {
            evidence.push(format!("about {}, mostly {} to {}", total.p50, total.p10, total.p90));
            let capped = flow.settings.cap.is_some_and(|cap| cap < total.ceiling);
            evidence.extend((!capped).then(|| format!("{} at the very most", total.ceiling)));
        }
        None => {
            findings.push(Finding::warning(None, "nothing is known of its cost", "`divisi plan` says why"));
        }
    }
    evidence.extend(flow.settings.cap.map(|cap| format!("capped at {cap}")));
    findings.extend(cap(flow.settings.cap, total));
    Item::new(Question::Cost, evidence, findings)
}

fn cap(cap: Option<PicoUsd>, total: Option<Total>) -> Option<Finding> {
    match (cap, total) {
        (None, Some(total)) if total.ceiling == PicoUsd::ZERO => None,
        (None, Some(total)) => {
            let dollars = enough(total.p90);
            let change = format!("run it with `--max-cost {dollars}`, or set `max_cost` in the settings");
            Some(Finding::warning(None, "no cap", change))
        }
        (None, None) => Some(Finding::warning(
            None,
            "no cap",
            "run it with `--max-cost`, or set `max_cost` in the settings",
        )),
        (Some(cap), Some(total)) if cap < total.p90 => {
            let often = if cap < total.p50 { "will probably park" } else { "may park" };
            let what = format!("the run {often} at its cap of {cap}");
            let change = format!("`--max-cost {}` holds nine runs of ten", enough(total.p90));
            Some(Finding::warning(None, what, change).money(Some(total.p90)))
        }
        (Some(_), _) => None,
    }
}

/// An amount a little above, as somebody would type it.
fn enough(amount: PicoUsd) -> String {
    let cents = amount.0.div_ceil(PicoUsd::DOLLAR.0 / 100).max(1);
    match cents {
        1..100 => format!("0.{cents:02}"),
        _ => cents.div_ceil(100).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposed_cap_is_typed_easily_and_holds() {
        let amount = |dollars: &str| enough(PicoUsd::parse_dollars(dollars).unwrap());
        assert_eq!(
            ["0", "0.001", "0.351", "0.994", "0.9901", "1.2", "3"].map(amount),
            ["0.01", "0.01", "0.36", "1", "1", "2", "3"]
        );
    }
}
