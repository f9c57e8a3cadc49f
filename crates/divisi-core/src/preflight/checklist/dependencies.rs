//! Question: is everything that tasks need available in time, and used?

use super::{Finding, Flow, Item, Question, counted, rights, spoken_label, verb};
use crate::preflight::{Site, Use};
use std::collections::BTreeMap;

pub(super) fn item(flow: &Flow<'_>) -> Item {
    let reads: usize = flow.tasks().map(|(_, node)| node.reads.len()).sum();
    let tasks = counted(flow.graph.tasks.len(), "task", "tasks");
    let mut evidence = vec![format!("{tasks}, {} from one to another", results(reads))];
    let mut findings = nulls(flow);
    findings.extend(warnings(flow));
    findings.extend(rights::findings(flow));
    findings.extend(unawaited(flow));
    findings.extend(unread(flow, &mut evidence));
    findings.extend(asked_twice(flow));
    Item::new(Question::Dependencies, evidence, findings)
}

fn results(n: usize) -> String {
    match n {
        0 => "no result goes".to_owned(),
        n => counted(n, "result goes", "results go"),
    }
}

/// Warnings about options of the flow without effect.
fn warnings<'a>(flow: &Flow<'a>) -> impl Iterator<Item = Finding> + use<'a> {
    let change = "mend the flow: `divisi types` writes down all that it may say";
    flow.graph
        .warnings
        .iter()
        .map(move |said| Finding::warning(said.site.clone(), said.what.clone(), change))
}

/// Prompts that contain `null` when an earlier task fails.
fn nulls(flow: &Flow<'_>) -> Vec<Finding> {
    let mut lines: BTreeMap<(&Option<Site>, &str), usize> = BTreeMap::new();
    for null in &flow.graph.nulls {
        *lines.entry((&null.site, &null.word)).or_default() += 1;
    }
    let first = |site: &Option<Site>, word: &str| {
        flow.graph
            .nulls
            .iter()
            .find(move |null| null.site == *site && null.word == word)
    };
    lines
        .into_iter()
        .filter_map(|((site, word), times)| {
            let null = first(site, word)?;
            let prompts = match times {
                1 => format!("the prompt of `{}` says", null.label),
                n => format!("the prompts of `{}` and {} say", null.label, counted(n - 1, "other task", "other tasks")),
            };
            let what = format!("{prompts} `{word}` when a task before fails: “{}”", null.excerpt.trim());
            let change = "leave the task out then, or read the results with `gather()`, or make the task before `required: true`";
            Some(Finding::warning(site.clone(), what, change))
        })
        .collect()
}

/// Tasks that the flow does not wait for.
fn unawaited(flow: &Flow<'_>) -> Vec<Finding> {
    let unawaited = flow
        .tasks()
        .filter(|(_, node)| node.used == Use::Unawaited)
        .map(|(place, _)| place);
    let finding = |(site, places): (Option<Site>, Vec<usize>)| {
        let what = format!(
            "nothing awaits {}: the flow may end before, and its result is lost",
            flow.names(&places)
        );
        Finding::warning(
            site,
            what,
            "write `await` before it, or await the promise that it returns",
        )
    };
    flow.by_site(unawaited).into_iter().map(finding).collect()
}

/// Results that no task reads, of tasks whose only effect is their result.
fn unread(flow: &Flow<'_>, evidence: &mut Vec<String>) -> Vec<Finding> {
    let unread = flow
        .tasks()
        .filter(|(_, node)| node.used == Use::Unread)
        .map(|(place, _)| place);
    let (acting, answering): (Vec<usize>, Vec<usize>) =
        unread.partition(|&place| flow.may_write(place));
    if !acting.is_empty() {
        let verb = verb(
            acting.len(),
            "is not read, and it",
            "are not read, and they",
        );
        evidence.push(format!(
            "{} {verb} may change files",
            counted(acting.len(), "result", "results")
        ));
    }
    let finding = |(site, places): (Option<Site>, Vec<usize>)| {
        let names = flow.names(&places);
        let what = match places.len() {
            1 => format!("no task reads the result of {names}"),
            _ => format!("no task reads the results of {names}"),
        };
        let money = flow
            .money
            .and_then(|money| places.iter().map(|&place| money.cost(place)).sum());
        Finding::warning(
            site,
            what,
            "return or log it, put it into a later prompt, or take the task out",
        )
        .money(money)
    };
    flow.by_site(answering).into_iter().map(finding).collect()
}

/// The same prompt at two places of the flow. At one place it is a loop or a vote, which is
/// intended.
fn asked_twice(flow: &Flow<'_>) -> Vec<Finding> {
    let mut asked: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, node) in flow.tasks() {
        asked.entry(&node.task.prompt).or_default().push(place);
    }
    let mut findings = vec![];
    for places in asked.into_values() {
        let first = places[0];
        let again = places[1..]
            .iter()
            .copied()
            .find(|&place| flow.is_asked_again(first, place));
        let Some(again) = again else { continue };
        let (before, now) = (flow.node(first), flow.node(again));
        let at = before
            .site
            .as_ref()
            .map(|site| format!(" ({site})"))
            .unwrap_or_default();
        let what = format!(
            "`{}` is asked the same as `{}`{at}",
            spoken_label(now),
            spoken_label(before)
        );
        let money = flow.money.and_then(|money| money.cost(again));
        let change = "ask once, and use the result twice";
        findings.push(Finding::warning(now.site.clone(), what, change).money(money));
    }
    findings
}

impl Flow<'_> {
    fn is_asked_again(&self, first: usize, place: usize) -> bool {
        let (before, now) = (self.node(first), self.node(place));
        let bare = |task: &crate::Task| crate::Task {
            label: None,
            phase: None,
            ..task.clone()
        };
        let alone = now.group.is_none() || now.group != before.group;
        // After an agent may have changed files, asking the same again is meaningful.
        let steady = (first..place).all(|between| !self.may_write(between));
        before.site != now.site && alone && steady && bare(&before.task) == bare(&now.task)
    }
}
