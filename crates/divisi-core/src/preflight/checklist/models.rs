//! Question: does each agent have the cheapest model that does its work well?
//!
//! The sufficient tier is the one that `auto` would use, so that advice never goes further. It is a
//! rule of thumb and a kind is often inferred, so a difference of one tier is no finding. Two tiers
//! are: the strongest model for a search wastes money, the cheapest for an architecture gives a
//! useless result.

use super::{Finding, Flow, Item, Question, counted};
use crate::preflight::{Assigned, Site};
use crate::{Failure, PicoUsd, Tier};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn item(flow: &Flow<'_>) -> Item {
    let mut evidence = vec![share(flow)];
    let mut findings = refused(flow);
    let choices: Vec<Choice<'_>> = (0..flow.graph.tasks.len())
        .filter_map(|place| Choice::of(flow, place))
        .collect();
    evidence.extend(one_step_beside(flow, &choices));
    findings.extend(two_steps_beside(flow, &choices));
    evidence.extend(saving(&findings));
    findings.extend(unchecked(flow));
    Item::new(Question::Models, evidence, findings)
}

/// Number of tasks by first model.
fn share(flow: &Flow<'_>) -> String {
    let mut models: BTreeMap<(Option<Tier>, &str), usize> = BTreeMap::new();
    let (mut without, mut refused) = (0, 0);
    for (_, node) in flow.tasks() {
        let Ok(assigned) = &node.assigned else {
            refused += 1;
            continue;
        };
        match assigned.rungs.first() {
            Some(rung) => {
                let name = rung.tier.map_or(&*rung.model, |tier| tier.as_str());
                *models.entry((rung.tier, name)).or_default() += 1;
            }
            None => without += 1,
        }
    }
    let mut share: Vec<String> = models
        .iter()
        .map(|((_, name), tasks)| format!("{tasks} on {name}"))
        .collect();
    if without > 0 {
        share.push(format!("{without} without a model"));
    }
    if refused > 0 {
        share.push(format!("{refused} cannot run like this"));
    }
    match share.is_empty() {
        true => "no task has a model".to_owned(),
        false => share.join(", "),
    }
}

/// Tasks that cannot be assigned: unknown models, models without a price.
fn refused(flow: &Flow<'_>) -> Vec<Finding> {
    let mut alike: BTreeMap<(&Option<Site>, &str), (usize, &Failure)> = BTreeMap::new();
    for (_, node) in flow.tasks() {
        if let Err(failure) = &node.assigned {
            alike
                .entry((&node.site, &failure.message))
                .or_insert((0, failure))
                .0 += 1;
        }
    }
    let finding =
        |((site, message), (tasks, failure)): ((&Option<Site>, &str), (usize, &Failure))| {
            let what = match tasks {
                1 => message.to_owned(),
                n => format!("{message} ({n} tasks)"),
            };
            let advice = "name a tier, or a model that `divisi models` lists";
            Finding::wrong(
                site.clone(),
                what,
                failure.hint.as_deref().unwrap_or(advice),
            )
        };
    alike.into_iter().map(finding).collect()
}

/// A task of a known kind, on a model of a known tier.
struct Choice<'a> {
    place: usize,
    assigned: &'a Assigned,
    chosen: Tier,
    wanted: Tier,
}

impl<'a> Choice<'a> {
    fn of(flow: &Flow<'a>, place: usize) -> Option<Self> {
        let assigned = flow.node(place).assigned.as_ref().ok()?;
        let of_kind = flow.settings.kinds.get(&assigned.kind)?.tier;
        // Advice must not go further than `auto`.
        let wanted = assigned.suffices.unwrap_or(of_kind);
        let first = assigned.rungs.first()?.tier?;
        // A checked ladder may start low if it ends high enough.
        let climbs =
            assigned.checked && assigned.rungs.iter().any(|rung| rung.tier >= Some(wanted));
        let chosen = if climbs { first.max(wanted) } else { first };
        Some(Self {
            place,
            assigned,
            chosen,
            wanted,
        })
    }

    /// Tiers between the sufficient and the chosen one; positive if it is too strong.
    fn steps(&self) -> i32 {
        self.chosen as i32 - self.wanted as i32
    }
}

/// What the tiers of the table would save; `None` if nothing.
fn saved(flow: &Flow<'_>, choices: &[&Choice<'_>]) -> Option<PicoUsd> {
    let money = flow.money?;
    let saved = |choice: &&Choice<'_>| {
        let now = money.cost(choice.place)?;
        Some(now.saturating_sub(money.cost_on(choice.place, choice.wanted)?))
    };
    let sum: PicoUsd = choices.iter().map(saved).sum::<Option<PicoUsd>>()?;
    (sum > PicoUsd::ZERO).then_some(sum)
}

fn two_steps_beside(flow: &Flow<'_>, choices: &[Choice<'_>]) -> Vec<Finding> {
    type Alike<'c, 'a> = (
        &'a Option<Site>,
        &'a Arc<str>,
        Tier,
        Tier,
        Vec<&'c Choice<'a>>,
    );
    let mut alike: Vec<Alike<'_, '_>> = vec![];
    for choice in choices.iter().filter(|choice| choice.steps().abs() > 1) {
        let site = &flow.node(choice.place).site;
        let known = alike.iter_mut().find(|(at, kind, chosen, wanted, _)| {
            site.is_some()
                && (*at, *kind, *chosen, *wanted)
                    == (site, &choice.assigned.kind, choice.chosen, choice.wanted)
        });
        match known {
            Some((.., choices)) => choices.push(choice),
            None => alike.push((
                site,
                &choice.assigned.kind,
                choice.chosen,
                choice.wanted,
                vec![choice],
            )),
        }
    }
    alike
        .into_iter()
        .map(|(site, kind, chosen, wanted, choices)| {
            let places: Vec<usize> = choices.iter().map(|choice| choice.place).collect();
            let names = flow.names(&places);
            let of_kind = flow.settings.kinds.get(kind).map(|rule| rule.tier);
            let looks = match choices[0].assigned.kind_declared {
                true => format!("is of the kind {kind}"),
                false if of_kind == Some(wanted) => format!("looks like {kind}"),
                false => format!("looks like work for {wanted}"),
            };
            if chosen > wanted {
                let what = format!("{chosen} for {names}, which {looks}");
                let change = format!("give it `model: '{wanted}'`; if it is harder than it looks, say its `kind`");
                Finding::warning(site.clone(), what, change).money(saved(flow, &choices))
            } else {
                let what = format!("{chosen} for {names}, which {looks}: it is too weak for that");
                let change = format!(
                    "give it `model: '{wanted}'`, or a ladder `['{chosen}', '{wanted}']` with a `check`; if it is easier than it looks, say its `kind`"
                );
                Finding::wrong(site.clone(), what, change)
            }
        })
        .collect()
}

fn one_step_beside(flow: &Flow<'_>, choices: &[Choice<'_>]) -> Option<String> {
    let above: Vec<&Choice<'_>> = choices
        .iter()
        .filter(|choice| choice.steps() == 1)
        .collect();
    let money = saved(flow, &above)
        .map(|saved| format!(", about {saved} more on average"))
        .unwrap_or_default();
    let stand = counted(above.len(), "task stands", "tasks stand");
    (!above.is_empty()).then(|| format!("{stand} one tier above the table{money}"))
}

/// The total of all findings of this question.
fn saving(findings: &[Finding]) -> Option<String> {
    let sums: Vec<PicoUsd> = findings
        .iter()
        .filter_map(|finding| finding.money)
        .collect();
    let sum: PicoUsd = sums.iter().copied().sum();
    (sums.len() > 1).then(|| format!("about {sum} less on average on the tiers that suffice"))
}

/// Ladders without a check: nothing makes them climb.
fn unchecked(flow: &Flow<'_>) -> Vec<Finding> {
    let climbs = |place: &usize| {
        let assigned = flow.node(*place).assigned.as_ref();
        assigned.is_ok_and(|assigned| assigned.rungs.len() > 1 && !assigned.checked)
    };
    let places = (0..flow.graph.tasks.len()).filter(climbs);
    let finding = |(site, places): (Option<Site>, Vec<usize>)| {
        let what = format!(
            "{} has a ladder and no check: only its first model is ever asked",
            flow.names(&places)
        );
        Finding::warning(site, what, "add a `check`, or name one model")
    };
    flow.by_site(places).into_iter().map(finding).collect()
}
