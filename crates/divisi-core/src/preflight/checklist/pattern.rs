//! Question: which patterns is a flow made of?

use super::{Finding, Flow, Item, Question, counted};
use crate::event::GroupKind;
use crate::preflight::{Graph, Group, Guess, Site, Unreached};
use std::collections::{BTreeMap, BTreeSet};

/// Most parts of a flow that are listed; a longer list is not read.
const PARTS_MAX: usize = 8;
/// Most phases that are named; the others are counted.
const PHASES_MAX: usize = 4;
/// Most parts of a loop that are recognised as its round.
const ROUND_PARTS_MAX: usize = 4;
/// Most waves whose widths are listed.
const WAVES_MAX: usize = 6;

pub(super) fn item(flow: &Flow<'_>) -> Item {
    let graph = flow.graph;
    let mut findings = vec![];
    if graph.tasks.is_empty() && graph.broke_off.is_none() {
        let what = "it asks for no task when it is run on placeholders";
        findings.push(Finding::warning(
            None,
            what,
            "if it needs arguments, give them with `--args`",
        ));
    }
    if let Some(why) = &graph.broke_off {
        let what = format!("it did not get to its end on placeholders: {}", why.what);
        findings.push(Finding::wrong(
            why.site.clone(),
            what,
            "if it needs arguments, give them with `--args`, and make it bear any result",
        ));
    }
    // Guessed widths are shown with the pattern; for a hierarchy they are normal.
    let guessed = |site: &Option<Site>| {
        site.is_some()
            && graph
                .groups
                .iter()
                .any(|group| group.guessed && group.site == *site)
    };
    for open in graph
        .open
        .iter()
        .filter(|open| !guessed(&open.site) && !is_bounded(graph, &open.site))
    {
        let change = "bound it, so that the price has a bound, too";
        findings.push(Finding::warning(
            open.site.clone(),
            open.what.clone(),
            change,
        ));
    }
    // Both have one reason if the flow does not even begin.
    if !graph.tasks.is_empty() && graph.broke_off.is_none() {
        findings.extend(unreached(graph));
    }
    for stray in &graph.strays {
        let change = match stray.what.contains("an `await` is missing") {
            true => "write `await` before the call whose result the prompt needs",
            false => {
                "put the text that is meant into the prompt: a field, or `JSON.stringify()` of an object"
            }
        };
        let (site, what) = (stray.site.clone(), stray.what.clone());
        findings.push(match stray.what.contains("a run refuses") {
            true => Finding::wrong(site, what, change),
            false => Finding::warning(site, what, change),
        });
    }
    let mut evidence = sentences(flow);
    evidence.extend(other_branches(graph));
    Item::new(Question::Pattern, evidence, findings)
}

/// Phases of the flow without a planned task, one finding for each reason.
fn unreached(graph: &Graph) -> Vec<Finding> {
    let mut reasons: BTreeMap<&str, Vec<&Unreached>> = BTreeMap::new();
    for phase in graph
        .unreached
        .iter()
        .filter(|phase| !phase.is_other_branch)
    {
        reasons.entry(&phase.why).or_default().push(phase);
    }
    let finding = |(why, phases): (&str, Vec<&Unreached>)| {
        let what = format!("no task is planned in {}: {why}", named(&phases));
        let change =
            "the price is without them; if they depend on arguments, give these with `--args`";
        Finding::warning(phases[0].site.clone(), what, change)
    };
    reasons.into_iter().map(finding).collect()
}

/// Phases whose tasks belong to another branch than the planned one.
fn other_branches(graph: &Graph) -> Vec<String> {
    let mut reasons: BTreeMap<&str, Vec<&Unreached>> = BTreeMap::new();
    for phase in graph.unreached.iter().filter(|phase| phase.is_other_branch) {
        reasons.entry(&phase.why).or_default().push(phase);
    }
    let told = |(why, phases): (&str, Vec<&Unreached>)| format!("{} {why}", named(&phases));
    reasons.into_iter().map(told).collect()
}

/// The names of phases.
fn named(phases: &[&Unreached]) -> String {
    let shown = phases.iter().take(PHASES_MAX);
    let names: Vec<String> = shown.map(|phase| format!("`{}`", phase.phase)).collect();
    match (names.split_last(), phases.len().saturating_sub(PHASES_MAX)) {
        (Some((last, [])), 0) => format!("the phase {last}"),
        (Some((last, first)), 0) => format!("the phases {} and {last}", first.join(", ")),
        (_, more) => format!("the phases {} and {more} more", names.join(", ")),
    }
}

/// Whether this line is in a loop that the flow itself bounds.
fn is_bounded(graph: &Graph, site: &Option<Site>) -> bool {
    let loops = graph.guesses.iter().filter(|guess| guess.repeats);
    let mut here = loops.filter(|guess| {
        let sites = guess.tasks.iter().map(|place| &graph.tasks[*place].site);
        site.is_some() && sites.into_iter().any(|at| at == site)
    });
    here.next().is_some_and(|first| first.most.is_some()) && here.all(|guess| guess.most.is_some())
}

/// A sentence for each part of the flow; the rounds of a loop are one part.
fn sentences(flow: &Flow<'_>) -> Vec<String> {
    let parts = Shape::of(flow).parts(None);
    let mut told = vec![];
    let mut at = 0;
    while at < parts.len() {
        let (length, times) = round(&parts[at..]);
        let parts = parts[at..at + length].join("; ");
        told.push(match (length, times) {
            (_, 1) => parts,
            _ => match rounds(flow, times) {
                Some(rounds) => format!("a loop of {rounds}: {parts}"),
                None if length == 1 => format!("{parts}, {times} times"),
                None => format!("{times} times: {parts}"),
            },
        });
        at += length * times;
    }
    let more = told.len().saturating_sub(PARTS_MAX);
    told.truncate(PARTS_MAX);
    if more > 0 {
        told.push(format!("and {}", counted(more, "more part", "more parts")));
    }
    told
}

/// How many of the first parts repeat at once, and how often.
fn round(parts: &[String]) -> (usize, usize) {
    for length in 1..=ROUND_PARTS_MAX.min(parts.len() / 2) {
        let rounds = parts.chunks_exact(length);
        let times = rounds
            .take_while(|round| *round == &parts[..length])
            .count();
        if times > 1 {
            return (length, times);
        }
    }
    (1, 1)
}

/// The number of rounds of the loop that is planned with about so many, in words.
fn rounds(flow: &Flow<'_>, times: usize) -> Option<String> {
    let mut loops = flow.graph.guesses.iter().filter(|guess| guess.repeats);
    let found = loops.find(|guess| times.abs_diff(guess.counted) <= 1)?;
    Some(in_rounds(found))
}

fn in_rounds(guess: &Guess) -> String {
    let about = format!("about {} rounds", guess.counted);
    match guess.most {
        Some(most) => format!("{about}, {most} at most"),
        None => about,
    }
}

/// A part of a level: consecutive tasks outside of groups, or a group.
enum Piece {
    Tasks(Vec<usize>),
    Group(usize),
}

/// The groups of a graph with their members.
struct Shape<'a> {
    flow: &'a Flow<'a>,
    /// For each group, and for the top level (`None`): its own tasks and groups, ordered by their
    /// first task.
    levels: BTreeMap<Option<usize>, Vec<(usize, Piece)>>,
    /// For each group, all tasks in it and in nested groups.
    members: Vec<Vec<usize>>,
}

impl<'a> Shape<'a> {
    fn of(flow: &'a Flow<'a>) -> Self {
        let groups = &flow.graph.groups;
        let mut members: Vec<Vec<usize>> = vec![vec![]; groups.len()];
        for (place, node) in flow.tasks() {
            let mut group = node.group;
            while let Some(within) = group {
                members[within].push(place);
                group = groups[within].parent;
            }
        }
        let mut levels: BTreeMap<Option<usize>, Vec<(usize, Piece)>> = BTreeMap::new();
        for (group, members) in members.iter().enumerate() {
            if let Some(&first) = members.first() {
                levels
                    .entry(groups[group].parent)
                    .or_default()
                    .push((first, Piece::Group(group)));
            }
        }
        for (place, node) in flow.tasks() {
            levels
                .entry(node.group)
                .or_default()
                .push((place, Piece::Tasks(vec![place])));
        }
        for level in levels.values_mut() {
            level.sort_by_key(|(first, _)| *first);
            level.dedup_by(|(_, next), (_, piece)| match (piece, next) {
                (Piece::Tasks(before), Piece::Tasks(after)) => {
                    before.append(after);
                    true
                }
                (Piece::Tasks(_) | Piece::Group(_), _) => false,
            });
        }
        Self {
            flow,
            levels,
            members,
        }
    }

    /// A phrase for each part of a level.
    fn parts(&self, level: Option<usize>) -> Vec<String> {
        let pieces = self.levels.get(&level).map_or(&[][..], Vec::as_slice);
        let mut parts = vec![];
        let mut taken = BTreeSet::new();
        for (at, (_, piece)) in pieces.iter().enumerate() {
            match piece {
                Piece::Tasks(places) => {
                    let left: Vec<usize> = places
                        .iter()
                        .copied()
                        .filter(|place| !taken.contains(place))
                        .collect();
                    if !left.is_empty() && !self.leads(&left, pieces.get(at + 1)) {
                        parts.push(self.named(&left, self.tasks(&left)));
                    }
                }
                Piece::Group(group) => {
                    let leader = pieces[..at]
                        .last()
                        .and_then(|(_, piece)| self.leader(piece, *group));
                    let mut around: Vec<usize> = leader.into_iter().collect();
                    let mut phrase = self.group(*group, leader);
                    around.extend(&self.members[*group]);
                    if let Some(reader) = self.reader(*group) {
                        let name = self.flow.names(&[reader]);
                        phrase = match phrase.starts_with("hierarchy") {
                            true => format!("{phrase}, and {name} reads them (scatter-gather)"),
                            false => format!("scatter-gather: {phrase}, and {name} reads them"),
                        };
                        taken.insert(reader);
                        around.push(reader);
                    }
                    parts.push(self.named(&around, phrase));
                }
            }
        }
        parts
    }

    /// Prefixes the phrase with the phases of its tasks.
    fn named(&self, places: &[usize], phrase: String) -> String {
        let mut phases: Vec<&str> = vec![];
        for place in places {
            let phase = self.flow.node(*place).task.phase.as_deref();
            phases.extend(phase.filter(|phase| !phases.contains(phase)));
        }
        match phases.len() {
            0 => phrase,
            1..=4 => format!("{}: {phrase}", phases.join(" → ")),
            _ => format!("{} → … → {}: {phrase}", phases[0], phases[phases.len() - 1]),
        }
    }

    /// Describes tasks outside of groups.
    fn tasks(&self, places: &[usize]) -> String {
        let waves = self.waves(places);
        let count = places.len();
        match waves[..] {
            [1] => format!("single task {}", self.flow.names(places)),
            [_] => format!("fan-out of {count}"),
            [scattered, 1] if scattered > 1 && self.reads_of(places[count - 1], places) > 1 => {
                format!(
                    "scatter-gather: fan-out of {scattered}, and {} reads them",
                    self.flow.names(&places[count - 1..])
                )
            }
            _ if waves.iter().all(|&width| width == 1) => match self.loop_of(places) {
                Some(rounds) => format!("loop of {rounds}"),
                None => format!("sequence of {count}"),
            },
            _ if waves.len() > WAVES_MAX => {
                format!("graph of {count} tasks in {} waves", waves.len())
            }
            _ => {
                let widths: Vec<String> = waves.iter().map(usize::to_string).collect();
                format!(
                    "graph of {count} tasks in {} waves ({})",
                    waves.len(),
                    widths.join(", ")
                )
            }
        }
    }

    /// The rounds of a loop that requests exactly these tasks, in words.
    fn loop_of(&self, places: &[usize]) -> Option<String> {
        let mut loops = self.flow.graph.guesses.iter().filter(|guess| guess.repeats);
        loops.find(|guess| guess.tasks == places).map(in_rounds)
    }

    fn group(&self, group: usize, leader: Option<usize>) -> String {
        let Group {
            kind,
            width,
            guessed,
            ..
        } = self.flow.graph.groups[group];
        let about = if guessed { "about " } else { "" };
        let below = match &self.parts(Some(group))[..] {
            _ if kind == GroupKind::Decompose => String::new(),
            [] => String::new(),
            // What each branch does, if that is more than one task.
            _ if kind == GroupKind::Parallel && self.members[group].len() <= width => String::new(),
            _ if kind == GroupKind::Pipeline && !self.has_groups(group) => String::new(),
            _ => self.nested(group),
        };
        let stages = self.waves(&self.members[group]).len();
        let phrase = match kind {
            GroupKind::Parallel => format!("fan-out of {about}{width}{below}"),
            GroupKind::Pipeline => format!(
                "pipeline of {} over {about}{}{below}",
                counted(stages, "stage", "stages"),
                counted(width, "item", "items")
            ),
            GroupKind::Decompose => {
                format!("a planner and {about}{}", counted(width, "task", "tasks"))
            }
        };
        match (kind, leader) {
            (GroupKind::Decompose, _) => format!("hierarchy: {phrase}"),
            (_, Some(leader)) => {
                format!(
                    "hierarchy: {} decides the width of a {phrase}",
                    self.flow.names(&[leader])
                )
            }
            (_, None) => phrase,
        }
    }

    /// Describes the first group nested in a group.
    fn nested(&self, group: usize) -> String {
        let within = self
            .levels
            .get(&Some(group))
            .into_iter()
            .flatten()
            .find_map(|(_, piece)| match piece {
                Piece::Group(below) => Some(*below),
                Piece::Tasks(_) => None,
            });
        match within {
            Some(below) => format!(", each with a {}", self.group(below, None)),
            None => {
                let steps = self.waves(&self.members[group]).len();
                if steps > 1 {
                    format!(", {steps} steps each")
                } else {
                    String::new()
                }
            }
        }
    }

    fn has_groups(&self, group: usize) -> bool {
        self.levels
            .get(&Some(group))
            .into_iter()
            .flatten()
            .any(|(_, piece)| matches!(piece, Piece::Group(_)))
    }

    /// Whether these tasks only decide the width of what follows.
    fn leads(&self, places: &[usize], next: Option<&(usize, Piece)>) -> bool {
        match (places, next) {
            ([only], Some((_, Piece::Group(group)))) => {
                self.leader(&Piece::Tasks(vec![*only]), *group).is_some()
            }
            _ => false,
        }
    }

    /// The task before a group whose result decides the width of the group.
    fn leader(&self, before: &Piece, group: usize) -> Option<usize> {
        let Piece::Tasks(places) = before else {
            return None;
        };
        let leader = places
            .last()
            .copied()
            .filter(|_| self.flow.graph.groups[group].by_result)?;
        let waits = |place: &usize| self.flow.node(*place).waits.contains(&leader);
        self.members[group].iter().any(waits).then_some(leader)
    }

    /// The first task after a group that reads two or more of its results.
    fn reader(&self, group: usize) -> Option<usize> {
        let members: BTreeSet<usize> = self.members[group].iter().copied().collect();
        let parent = self.flow.graph.groups[group].parent;
        let after = self
            .flow
            .graph
            .tasks
            .iter()
            .enumerate()
            .skip(*members.last()? + 1);
        after
            .filter(|(_, node)| node.group == parent)
            .find(|(_, node)| {
                node.reads
                    .iter()
                    .filter(|read| members.contains(read))
                    .count()
                    > 1
            })
            .map(|(place, _)| place)
    }

    fn reads_of(&self, place: usize, of: &[usize]) -> usize {
        self.flow
            .node(place)
            .reads
            .iter()
            .filter(|read| of.contains(read))
            .count()
    }

    /// The number of these tasks at each depth of dependencies.
    fn waves(&self, places: &[usize]) -> Vec<usize> {
        let mut depths: BTreeMap<usize, usize> = BTreeMap::new();
        let mut waves = vec![];
        for &place in places {
            let before = self
                .flow
                .node(place)
                .waits
                .iter()
                .filter_map(|wait| depths.get(wait));
            let depth = before.max().map_or(0, |depth| depth + 1);
            depths.insert(place, depth);
            if waves.len() <= depth {
                waves.resize(depth + 1, 0);
            }
            waves[depth] += 1;
        }
        waves
    }
}
