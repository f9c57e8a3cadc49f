//! Question: what happens when a task fails?

use super::{Finding, Flow, Item, Question, spoken, verb};
use crate::Millis;
use crate::preflight::{Assigned, Site};

/// An agent cannot do useful work in less time.
const TIMEOUT_MIN: Millis = Millis::from_secs(5);
/// A hanging task should be noticed on the same day.
const TIMEOUT_MAX: Millis = Millis::from_secs(4 * 3_600);
/// A task that failed ten times will fail again.
const RETRIES_MAX: u32 = 10;

pub(super) fn item(flow: &Flow<'_>) -> Item {
    let mut findings = uninformed(flow);
    findings.extend(each(flow, |assigned, _| {
        (assigned.retries_max == 0).then(|| {
            (
                "no retry".to_owned(),
                "take out `retries: 0`: one dropped connection is a lost task".to_owned(),
            )
        })
    }));
    findings.extend(each(flow, |assigned, _| {
        (assigned.retries_max > RETRIES_MAX).then(|| {
            (
                format!("{} retries", assigned.retries_max),
                "three are enough for whatever passes by itself".to_owned(),
            )
        })
    }));
    findings.extend(each(flow, timeout));
    Item::new(Question::Errors, evidence(flow), findings)
}

/// The tasks that ask models; programs have limits of their own.
fn assigned<'a>(flow: &Flow<'a>) -> impl Iterator<Item = (usize, &'a Assigned)> {
    flow.tasks().filter_map(|(place, node)| {
        let assigned = node.assigned.as_ref().ok()?;
        (!assigned.rungs.is_empty()).then_some((place, assigned))
    })
}

fn evidence(flow: &Flow<'_>) -> Vec<String> {
    let range = |numbers: &mut dyn Iterator<Item = u64>, shown: &dyn Fn(u64) -> String| {
        let numbers: Vec<u64> = numbers.collect();
        let (least, most) = (*numbers.iter().min()?, *numbers.iter().max()?);
        Some(if least == most {
            shown(least)
        } else {
            format!("{} to {}", shown(least), shown(most))
        })
    };
    let timeouts = range(&mut assigned(flow).map(|(_, a)| a.timeout.0), &|ms| {
        spoken(Millis(ms))
    });
    let retries = range(
        &mut assigned(flow).map(|(_, a)| u64::from(a.retries_max)),
        &|n| n.to_string(),
    );
    let climbing = assigned(flow)
        .filter(|(_, a)| a.checked && a.rungs.len() > 1)
        .count();
    let mut evidence = vec![];
    if let (Some(timeouts), Some(retries)) = (timeouts, retries) {
        evidence.push(format!("timeout {timeouts}, retries {retries}"));
    }
    if climbing > 0 {
        evidence.push(format!("{climbing} on a ladder with a check"));
    }
    evidence
}

/// Tasks that read several results without information on which are missing.
fn uninformed(flow: &Flow<'_>) -> Vec<Finding> {
    let finding = |(site, places): (Option<Site>, Vec<usize>)| {
        let (sees, takes) = (
            verb(places.len(), "is", "are"),
            verb(places.len(), "takes", "take"),
        );
        let names = flow.names(&places);
        let what =
            format!("{names} {sees} not told when a part is missing, and {takes} the rest for all");
        Finding::warning(
            site,
            what,
            "use `gather(prompt, parts)`, which says what is missing and why",
        )
    };
    flow.by_site(flow.graph.uninformed.iter().copied())
        .into_iter()
        .map(finding)
        .collect()
}

/// One finding for each line whose tasks have this problem.
fn each(
    flow: &Flow<'_>,
    wrong: impl Fn(&Assigned, Option<Millis>) -> Option<(String, String)>,
) -> Vec<Finding> {
    let said = |place: usize| {
        let assigned = flow.node(place).assigned.as_ref().ok()?;
        wrong(assigned, flow.time(place))
    };
    let places = assigned(flow)
        .map(|(place, _)| place)
        .filter(|&place| said(place).is_some());
    let finding = |(site, places): (Option<Site>, Vec<usize>)| {
        let (what, change) = said(places[0])?;
        Some(Finding::warning(
            site,
            format!("{what} for {}", flow.names(&places)),
            change,
        ))
    };
    flow.by_site(places)
        .into_iter()
        .filter_map(finding)
        .collect()
}

fn timeout(assigned: &Assigned, expected: Option<Millis>) -> Option<(String, String)> {
    let timeout = assigned.timeout;
    let shown = spoken(timeout);
    if timeout < TIMEOUT_MIN {
        return Some((
            format!("a timeout of {shown}"),
            "give it at least as long as a model needs".to_owned(),
        ));
    }
    if timeout > TIMEOUT_MAX {
        let what = if timeout.0 > 30 * 24 * 3_600_000 {
            "no timeout".to_owned()
        } else {
            format!("a timeout of {shown}")
        };
        return Some((
            what,
            "give it a `timeout`, like '20m', so that a task that hangs is seen".to_owned(),
        ));
    }
    let expected = expected.filter(|&expected| expected > timeout)?;
    Some((
        format!(
            "a timeout of {shown}, and about {} of work,",
            spoken(expected)
        ),
        format!("give it a `timeout` above {}", spoken(expected)),
    ))
}
