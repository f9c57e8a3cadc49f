//! Question: does a task wait for another one without need?
//!
//! A wait is justified if the prompt contains the result, directly or through a task in between; if
//! the result may have decided whether the task is requested at all; or if it came from a task that
//! may change files. Every other wait is a finding, with the time by which the flow would end
//! earlier without it.

use super::{Finding, Flow, Item, Question, spoken, verb};
use crate::Millis;
use crate::preflight::{Site, Use};
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn item(flow: &Flow<'_>) -> Item {
    let waits = Waits::of(flow);
    let idle: Vec<usize> = (0..flow.graph.tasks.len())
        .filter(|&place| waits.is_idle(place))
        .collect();
    let together = match waits.wave_max() {
        0 | 1 => "nothing runs at the same time".to_owned(),
        most => format!("up to {most} tasks at the same time"),
    };
    let mut evidence = vec![together];
    evidence.extend(waits.gain(&idle));
    evidence.extend(waits.behind_writers());
    let lines = flow.by_site(idle).into_iter().enumerate();
    let findings = lines.map(|(nth, (site, places))| {
        let saved = (nth < TIMED_MAX).then(|| waits.saved(&places)).flatten();
        waits
            .finding(site, &places)
            .time(saved.filter(|saved| saved.0 > 0))
    });
    Item::new(Question::Parallel, evidence, findings.collect())
}

/// Most tasks examined behind a needless wait; a chain of ten thousand would take seconds and add
/// nothing.
const LOOK_BACK_MAX: usize = 1_000;
/// Most findings with minutes, each of which takes a walk over the whole graph.
const TIMED_MAX: usize = 100;

struct Waits<'a> {
    flow: &'a Flow<'a>,
    /// For each task, the tasks whose results its prompt contains, directly or through others.
    told_of: Vec<BTreeSet<usize>>,
    /// Lines at which the flow loops an unknown number of times.
    loops: BTreeSet<&'a Site>,
}

impl<'a> Waits<'a> {
    fn of(flow: &'a Flow<'a>) -> Self {
        let mut told_of: Vec<BTreeSet<usize>> = Vec::with_capacity(flow.graph.tasks.len());
        for (_, node) in flow.tasks() {
            let mut all: BTreeSet<usize> = node.reads.iter().copied().collect();
            // Only tasks it waits for directly: earlier ones have no influence on its start.
            for &read in &node.reads {
                all.extend(
                    told_of[read]
                        .iter()
                        .filter(|place| node.waits.contains(place)),
                );
            }
            told_of.push(all);
        }
        let loops = flow
            .graph
            .open
            .iter()
            .filter_map(|open| open.site.as_ref())
            .collect();
        Self {
            flow,
            told_of,
            loops,
        }
    }

    /// Whether waiting for `before` is justified.
    fn has_reason(&self, before: usize, place: usize) -> bool {
        let node = self.flow.node(place);
        self.told_of[place].contains(&before)
            || self.flow.node(before).used == Use::Unknown
            || self.flow.may_write(before)
            || node
                .site
                .as_ref()
                .is_some_and(|site| self.loops.contains(site))
            || self.is_in_a_guess(place)
    }

    /// Whether a result decides how often the task is requested.
    fn is_in_a_guess(&self, place: usize) -> bool {
        let groups = &self.flow.graph.groups;
        let mut group = self.flow.node(place).group;
        while let Some(within) = group {
            if groups[within].by_result {
                return true;
            }
            group = groups[within].parent;
        }
        false
    }

    /// The tasks it waits for without need.
    fn needless(&self, place: usize) -> Vec<usize> {
        let waits = self.flow.node(place).waits.iter().copied();
        waits
            .filter(|&before| !self.has_reason(before, place))
            .collect()
    }

    fn is_idle(&self, place: usize) -> bool {
        !self.needless(place).is_empty()
    }

    /// What the task would wait for without its needless waits: each of those is replaced by what
    /// it waits for itself.
    fn kept(&self, place: usize) -> BTreeSet<usize> {
        let mut kept = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut next: Vec<usize> = self.flow.node(place).waits.clone();
        while let Some(before) = next.pop() {
            if !seen.insert(before) {
                continue;
            }
            if seen.len() > LOOK_BACK_MAX {
                kept.insert(before);
                continue;
            }
            if self.has_reason(before, place) {
                kept.insert(before);
            } else {
                next.extend(&self.flow.node(before).waits);
            }
        }
        kept.extend(&self.told_of[place]);
        kept
    }

    /// When the last task ends if the `freed` tasks start as early as they can; `None` if a
    /// duration is unknown.
    fn end(&self, freed: &BTreeSet<usize>) -> Option<Millis> {
        let mut ends: Vec<u64> = vec![];
        for (place, node) in self.flow.tasks() {
            let latest =
                |waits: &mut dyn Iterator<Item = usize>| waits.map(|before| ends[before]).max();
            let start = match freed.contains(&place) {
                true => latest(&mut self.kept(place).into_iter()),
                // A task it reads may come before one of its waits, and that wait may be freed.
                false => latest(&mut node.waits.iter().chain(&self.told_of[place]).copied()),
            };
            ends.push(start.unwrap_or(0) + self.flow.time(place)?.0);
        }
        ends.into_iter().max().map(Millis)
    }

    /// By how much earlier the flow would end.
    fn saved(&self, freed: &[usize]) -> Option<Millis> {
        let now = self.end(&BTreeSet::new())?;
        let then = self.end(&freed.iter().copied().collect())?;
        Some(Millis(now.0 - then.0))
    }

    /// The time that all needless waits cost together.
    fn gain(&self, idle: &[usize]) -> Option<String> {
        let saved = self.saved(idle).filter(|saved| saved.0 > 0)?;
        let now = self.end(&BTreeSet::new())?;
        let then = Millis(now.0 - saved.0);
        Some(format!(
            "about {} instead of {} without the waits below",
            spoken(then),
            spoken(now)
        ))
    }

    fn finding(&self, site: Option<Site>, places: &[usize]) -> Finding {
        let mut before: BTreeSet<usize> = BTreeSet::new();
        let mut is_partly_read = false;
        for &place in places {
            before.extend(self.needless(place));
            is_partly_read |= self
                .flow
                .node(place)
                .waits
                .iter()
                .any(|&wait| self.told_of[place].contains(&wait));
        }
        let before: Vec<usize> = before.into_iter().collect();
        let (who, whom) = (self.flow.names(places), self.flow.names(&before));
        let waits = verb(places.len(), "waits", "wait");
        let (what, change) = match is_partly_read {
            true => (
                format!("{who} {waits} for all of {whom}, and each reads only its own"),
                "take each item through its steps with `pipeline()`, unless the others change files that it needs"
                    .to_owned(),
            ),
            false => (
                format!("{who} {waits} for {whom} without reading what came of it"),
                format!("start them together with `parallel()`, unless {whom} changes files that {who} needs"),
            ),
        };
        Finding::warning(site, what, change)
    }

    /// Waits whose only reason is that the earlier task may change files.
    fn behind_writers(&self) -> Option<String> {
        let only = |place: &usize| {
            let node = self.flow.node(*place);
            !node.waits.is_empty()
                && node.waits.iter().all(|before| {
                    self.flow.may_write(*before)
                        && !self.told_of[*place].contains(before)
                        && self.flow.node(*before).used != Use::Unknown
                })
        };
        let places: Vec<usize> = (0..self.flow.graph.tasks.len()).filter(only).collect();
        let waits = verb(places.len(), "waits", "wait");
        (!places.is_empty()).then(|| {
            format!(
                "{} {waits} for a task that may change files, and read nothing of it",
                self.flow.names(&places)
            )
        })
    }

    /// Most tasks at the same depth.
    fn wave_max(&self) -> usize {
        let mut depths: Vec<usize> = vec![];
        let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, node) in self.flow.tasks() {
            let depth = node
                .waits
                .iter()
                .map(|&before| depths[before] + 1)
                .max()
                .unwrap_or(0);
            depths.push(depth);
            *widths.entry(depth).or_default() += 1;
        }
        widths.into_values().max().unwrap_or(0)
    }
}
