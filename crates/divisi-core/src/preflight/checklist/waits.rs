//! Question: does a task wait for another one without need?
//!
//! A wait is justified if the prompt contains the result, directly or through a task in between; if
//! the result may have decided whether the task is requested at all; or if it came from a task that
//! may change files. Every other wait is a finding, with the time by which the flow would end
//! earlier without it, under the limits of the run.

use super::{Finding, Flow, Item, Question, spoken, verb};
use crate::Millis;
use crate::preflight::forecast::{Demand, Schedule};
use crate::preflight::{Node, Site, Use};
use std::collections::BTreeSet;

pub(super) fn item(flow: &Flow<'_>) -> Item {
    let waits = Waits::of(flow);
    let idle: Vec<usize> = (0..flow.graph.tasks.len())
        .filter(|&place| waits.is_idle(place))
        .collect();
    let mut evidence = vec![waits.together()];
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
/// A gain below this part of the whole time is not worth a line.
const GAIN_SHARE: u64 = 20;
/// Most findings with minutes, each of which takes a walk over the whole graph.
const TIMED_MAX: usize = 100;

struct Waits<'a> {
    flow: &'a Flow<'a>,
    /// For each task, the tasks whose results its prompt contains, directly or through others.
    told_of: Vec<BTreeSet<usize>>,
    /// Lines at which the flow loops an unknown number of times.
    loops: BTreeSet<&'a Site>,
    /// Duration of each task; `None` if one is unknown.
    demands: Option<Vec<Demand>>,
    /// When the last task ends with the present waits.
    end: Option<Millis>,
}

/// Tasks at the same depth of dependencies.
/// Two spans of time in the unit of the first.
fn in_one_unit(one: Millis, other: Millis) -> (String, String) {
    let said = spoken(one);
    let (unit, millis) = match said.rsplit(' ').next() {
        Some("ms") => ("ms", 1),
        Some("s") => ("s", 1_000),
        Some("min") => ("min", 60_000),
        _ => ("h", 3_600_000),
    };
    let other = (other.0 + millis / 2) / millis;
    (said, format!("{other} {unit}"))
}

#[derive(Clone, Copy, Default)]
struct Wave {
    programs: usize,
    others: usize,
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
        let demand = |(place, _)| flow.time(place).map(Demand::of);
        let mut waits = Self {
            flow,
            told_of,
            loops,
            demands: flow.tasks().map(demand).collect(),
            end: None,
        };
        waits.end = waits.end_without(&BTreeSet::new());
        waits
    }

    /// Whether waiting for `before` is justified.
    fn has_reason(&self, before: usize, place: usize) -> bool {
        let node = self.flow.node(place);
        self.told_of[place].contains(&before)
            || self.flow.node(before).used == Use::Unknown
            || self.is_question(before)
            || self.is_question(place)
            || self.decides(before, place)
            || self.flow.may_write(before)
            || node
                .site
                .as_ref()
                .is_some_and(|site| self.loops.contains(site))
            || self.is_in_a_guess(place)
    }

    /// Whether a person is asked: after what is asked about, and before what that permits.
    fn is_question(&self, place: usize) -> bool {
        self.flow.node(place).task.approval.is_some()
    }

    /// Whether the result of `before` may have decided that `place` is requested.
    fn decides(&self, before: usize, place: usize) -> bool {
        let from = self.flow.node(before).decides_from;
        from.is_some_and(|from| from <= place)
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

    /// When the last task ends if the `freed` tasks start without their needless waits, as soon as
    /// there is a slot; `None` if a duration is unknown.
    fn end_without(&self, freed: &BTreeSet<usize>) -> Option<Millis> {
        let demands = self.demands.as_ref()?;
        let waits = |(place, node): (usize, &Node)| -> Vec<usize> {
            match freed.contains(&place) {
                true => self.kept(place).into_iter().collect(),
                // A task it reads may come before one of its waits, and that wait may be freed.
                false => node
                    .waits
                    .iter()
                    .chain(&self.told_of[place])
                    .copied()
                    .collect(),
            }
        };
        let waits: Vec<Vec<usize>> = self.flow.tasks().map(waits).collect();
        let bounds = &self.flow.settings.bounds;
        let schedule = Schedule::new(self.flow.graph, |place| &waits[place], bounds);
        let seconds = schedule.makespan(demands);
        Some(Millis((seconds * 1_000.0).round() as u64))
    }

    /// By how much earlier the flow would end.
    fn saved(&self, freed: &[usize]) -> Option<Millis> {
        let then = self.end_without(&freed.iter().copied().collect())?;
        // The order under the same limits changes, so it may even take longer.
        Some(Millis(self.end?.0.saturating_sub(then.0)))
    }

    /// The time that all needless waits cost together.
    fn gain(&self, idle: &[usize]) -> Option<String> {
        let saved = self.saved(idle).filter(|saved| saved.0 > 0)?;
        let now = self.end?;
        let (then, now) = in_one_unit(Millis(now.0 - saved.0), now);
        (saved.0 * GAIN_SHARE > self.end?.0 && then != now)
            .then(|| format!("about {then} instead of {now} without the waits below"))
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
                        && !self.decides(*before, *place)
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

    /// The number of tasks at the same time, and what it would be without a limit.
    fn together(&self) -> String {
        let waves = self.waves();
        let most = |in_flight_max: usize, programs_max: usize| {
            let at_once = |wave: &Wave| wave.others + wave.programs.min(programs_max);
            let widest = waves.iter().map(at_once).max();
            widest.unwrap_or(0).min(in_flight_max)
        };
        let bounds = &self.flow.settings.bounds;
        let in_flight_max = bounds.in_flight_max.max(1) as usize;
        let programs_max = match bounds.programs_max {
            // Not below the limit on tasks, so it is no limit of its own.
            programs if programs >= bounds.in_flight_max => usize::MAX,
            programs => programs.max(1) as usize,
        };
        let (few, all) = (
            most(in_flight_max, programs_max),
            most(usize::MAX, usize::MAX),
        );
        let said = match few {
            0 | 1 => "nothing runs at the same time".to_owned(),
            most => format!("up to {most} tasks at the same time"),
        };
        let limit = match all {
            _ if few == all => return said,
            _ if most(in_flight_max, usize::MAX) == all => "`limits.programs_max`",
            _ if most(usize::MAX, programs_max) == all => "`limits.in_flight_max`",
            _ => "`limits.in_flight_max` and `limits.programs_max`",
        };
        format!("{said}, without {limit} up to {all}")
    }

    /// Tasks by depth of dependencies.
    fn waves(&self) -> Vec<Wave> {
        let mut depths: Vec<usize> = vec![];
        let mut waves: Vec<Wave> = vec![];
        for (_, node) in self.flow.tasks() {
            let before = node.waits.iter().map(|&before| depths[before] + 1);
            let depth = before.max().unwrap_or(0);
            depths.push(depth);
            waves.resize(waves.len().max(depth + 1), Wave::default());
            match node.is_program() {
                true => waves[depth].programs += 1,
                false => waves[depth].others += 1,
            }
        }
        waves
    }
}
