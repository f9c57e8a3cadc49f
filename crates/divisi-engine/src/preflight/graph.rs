//! Builds a graph from dry runs.

use super::mark;
use super::open::Unknown;
use super::play::{Asked, End, Played};
use super::races::Races;
use super::spoiled::Spoiled;
use crate::resolve::Resolver;
use divisi_core::preflight::{Assigned, Graph, Group, Node, Remark, Use};
use divisi_core::{Failure, Task};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What runs with other orders of answers show of each task.
pub(super) struct Ordered {
    /// The tasks it waits for.
    pub(super) waits: Vec<Vec<usize>>,
    /// Whether the flow can end before it.
    pub(super) unawaited: Vec<bool>,
}

/// Combines the results of the runs.
pub(super) fn assemble(
    name: Arc<str>,
    main: &Played,
    order: Ordered,
    unknown: Unknown,
    spoiled: Spoiled,
    resolver: &Resolver,
) -> Graph {
    let Ordered { waits, unawaited } = order;
    let uses = Uses::of(main, &spoiled, unawaited);
    let node = |(place, (asked, waits)): (usize, (&Asked, Vec<usize>))| Node {
        task: named(&asked.task),
        site: asked.site.clone(),
        waits,
        reads: asked
            .reads
            .iter()
            .copied()
            .filter(|read| *read < place)
            .collect(),
        group: asked.group,
        used: uses.of_task(place, asked),
        decides_from: uses.decides_from(place, asked),
        assigned: assigned(asked, resolver),
    };
    let by_functions = main
        .tasks
        .iter()
        .enumerate()
        .filter(|(_, asked)| asked.is_checked);
    let widths = unknown.guessed.into_iter().zip(unknown.by_result);
    let groups = main
        .groups
        .iter()
        .zip(widths)
        .map(|(group, (guessed, by_result))| Group {
            kind: group.kind,
            width: group.width,
            site: group.site.clone(),
            parent: group.parent,
            guessed,
            by_result,
        });
    Graph {
        name,
        tasks: main.tasks.iter().zip(waits).enumerate().map(node).collect(),
        groups: groups.collect(),
        open: unknown.notes,
        strays: unknown.strays,
        guesses: vec![],
        unreached: vec![],
        returned: uses.returned.iter().copied().collect(),
        nulls: spoiled.nulls,
        uninformed: spoiled.uninformed,
        checked_by_functions: by_functions.map(|(place, _)| place).collect(),
        phase_caps: main.phase_caps.clone(),
        warnings: main.warnings.clone(),
        ends_early: matches!(main.end, End::Threw(_) | End::TooMany(_) | End::Busy(_)),
        broke_off: match &main.end {
            End::Threw(error) => Some(Remark {
                what: error.to_string(),
                site: error.site().cloned(),
            }),
            End::Not
            | End::Returned(_)
            | End::Busy(_)
            | End::TooMany(_)
            | End::Refused(_)
            | End::TooOften => None,
        },
    }
}

impl Ordered {
    /// The same, where tasks that race for the flow's next step count as awaited.
    pub(super) fn without(mut self, races: &Races, main: &Played) -> Self {
        for (unawaited, asked) in self.unawaited.iter_mut().zip(&main.tasks) {
            *unawaited &= !asked
                .site
                .as_ref()
                .is_some_and(|site| races.have(site.line));
        }
        self
    }
}

/// The assignment of a task. For the engine each try of a task with function checks is a task of
/// its own; in the graph they are one.
fn assigned(asked: &Asked, resolver: &Resolver) -> Result<Assigned, Failure> {
    let mut assigned = resolver.assigned(&known(&asked.task))?;
    if asked.is_checked {
        assigned.checked = true;
        if let [only] = assigned.rungs.as_slice() {
            assigned.rungs.push(only.clone());
        }
    }
    Ok(assigned)
}

/// How results are used.
struct Uses<'a> {
    returned: BTreeSet<usize>,
    read: BTreeSet<usize>,
    /// Whether the flow reached its end, so that no further use can follow.
    is_whole: bool,
    unawaited: Vec<bool>,
    spoiled: &'a Spoiled,
}

impl<'a> Uses<'a> {
    fn of(main: &Played, spoiled: &'a Spoiled, unawaited: Vec<bool>) -> Self {
        let returned: BTreeSet<usize> = match &main.end {
            End::Returned(json) => mark::found(json).into_iter().collect(),
            _ => BTreeSet::new(),
        };
        let mut read = returned.clone();
        read.extend(
            main.tasks
                .iter()
                .flat_map(|asked| asked.reads.iter().copied()),
        );
        read.extend(main.told.iter().flat_map(|text| mark::found(text)));
        // A label, a file or a folder made from a result is a use, too.
        read.extend(main.tasks.iter().flat_map(|asked| {
            let words = asked
                .task
                .label
                .iter()
                .chain(&asked.task.phase)
                .chain(&asked.task.inputs);
            words.flat_map(|word| mark::found(word)).collect::<Vec<_>>()
        }));
        Self {
            returned,
            read,
            is_whole: matches!(main.end, End::Returned(_)),
            unawaited,
            spoiled,
        }
    }

    fn of_task(&self, place: usize, asked: &Asked) -> Use {
        let is_felt = asked
            .site
            .as_ref()
            .is_some_and(|site| self.spoiled.felt.contains(site));
        match self.read.contains(&place) {
            true => Use::Read,
            false if !self.is_whole => Use::Unknown,
            false if asked.looked_from.is_some() => Use::Read,
            false if is_felt => Use::Unknown,
            false if self.unawaited[place] => Use::Unawaited,
            false if asked.is_traced => Use::Unread,
            false => Use::Unknown,
        }
    }

    /// The first task that its result may have decided.
    fn decides_from(&self, place: usize, asked: &Asked) -> Option<usize> {
        let looked = match self.read.contains(&place) {
            true => asked.decides_from,
            // A text that goes nowhere can only have decided something.
            false => asked.looked_from,
        };
        let site = asked.site.as_ref();
        let failed = site.and_then(|site| self.spoiled.gates.get(site).copied());
        looked.into_iter().chain(failed).min()
    }
}

/// The task with `{{t3}}` in place of marks.
fn named(task: &Task) -> Task {
    let named = |text: &Arc<str>| -> Arc<str> {
        match mark::is_free_of(text) {
            true => text.clone(),
            false => mark::replaced(text, |place| format!("{{{{t{place}}}}}")).into(),
        }
    };
    Task {
        prompt: named(&task.prompt),
        context: task.context.as_ref().map(named),
        label: task.label.as_ref().map(named),
        phase: task.phase.as_ref().map(named),
        inputs: task.inputs.iter().map(named).collect(),
        ..task.clone()
    }
}

/// The task as far as it can be resolved now: files named by a result do not exist yet.
fn known(task: &Task) -> Task {
    let inputs = task
        .inputs
        .iter()
        .filter(|path| mark::is_free_of(path))
        .cloned()
        .collect();
    Task {
        inputs,
        ..named(task)
    }
}
