//! Lengths of lists and rounds of loops in past runs of a flow.

use super::play::{Asked, Played};
use super::{Ending, ROUNDS};
use divisi_core::Site;
use divisi_core::event::GroupKind;
use divisi_core::history::{History, Line};
use divisi_core::preflight::Guess;
use divisi_script::Script;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Numbers that only results decide, as past runs have shown them.
#[derive(Debug, Default)]
pub(super) struct Learnt {
    /// Elements of the lists that tasks of a line return.
    pub(super) widths: BTreeMap<Site, usize>,
    /// Rounds before a result says that nothing is left, by the request repeated in each.
    pub(super) rounds: BTreeMap<Arc<str>, usize>,
    /// Widths of the groups of a line.
    groups: BTreeMap<Site, Vec<u32>>,
    /// Numbers of rounds, by the repeated request.
    loops: BTreeMap<Arc<str>, Vec<u32>>,
}

/// The requests whose repetition ends after some rounds, and for each group whether its width is a
/// guess.
pub(super) type Guessed<'a> = (&'a Ending, &'a [bool]);

impl Learnt {
    /// Looks up what the first dry run has left open. A group's list is taken to be the result of
    /// an earlier task that the group's tasks read.
    pub(super) fn of(
        history: &History,
        script: &Script,
        main: &Played,
        (ending, guessed): Guessed<'_>,
    ) -> Self {
        let mut learnt = Self::default();
        for (place, group) in main
            .groups
            .iter()
            .enumerate()
            .filter(|(place, _)| guessed[*place])
        {
            let Some(site) = &group.site else { continue };
            let seen = history.widths(&line(script, site));
            if seen.is_empty() {
                continue;
            }
            let width = expected(&seen, false);
            for decides in deciding(main, place) {
                if let Some(site) = &main.tasks[decides].site {
                    let known = learnt.widths.entry(site.clone()).or_default();
                    *known = width.max(*known);
                }
            }
            learnt.groups.insert(site.clone(), seen);
        }
        for same in &ending.all {
            let asked: Vec<&Asked> = main
                .tasks
                .iter()
                .filter(|asked| asked.same == *same)
                .collect();
            let Some(site) = asked.first().and_then(|asked| asked.site.as_ref()) else {
                continue;
            };
            let turns = asked.iter().map(|asked| asked.round + 1).max().unwrap_or(1);
            let in_each = asked.len().div_ceil(turns).max(1) as u32;
            let seen = history.tasks_at(&line(script, site));
            if seen.is_empty() {
                continue;
            }
            let seen: Vec<u32> = seen.iter().map(|tasks| tasks.div_ceil(in_each)).collect();
            // The last round is the one that finds nothing.
            let rounds = expected(&seen, true).saturating_sub(1);
            learnt.rounds.insert(same.clone(), rounds);
            learnt.loops.insert(same.clone(), seen);
        }
        learnt
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.loops.is_empty()
    }

    /// Whether past runs have shown the width of groups of this line.
    pub(super) fn knows(&self, site: Option<&Site>) -> bool {
        site.is_some_and(|site| self.groups.contains_key(site))
    }
}

/// The tasks whose results decide the width of a group: the earlier ones that its tasks read.
fn deciding(main: &Played, group: usize) -> BTreeSet<usize> {
    let members: BTreeSet<usize> = members(main, group).collect();
    let read = members.iter().flat_map(|place| &main.tasks[*place].reads);
    let outside: BTreeSet<usize> = read
        .copied()
        .filter(|read| !members.contains(read))
        .collect();
    match outside.is_empty() {
        // Their prompts contain no result: the last task answered before the group decides.
        true => members
            .first()
            .and_then(|first| main.tasks[*first].after)
            .into_iter()
            .collect(),
        false => outside,
    }
}

/// The tasks of a group and of the groups in it.
fn members(main: &Played, group: usize) -> impl Iterator<Item = usize> {
    let is_in = move |own: Option<usize>| {
        std::iter::successors(own, |own| main.groups[*own].parent).any(|own| own == group)
    };
    let tasks = main.tasks.iter().enumerate();
    tasks
        .filter(move |(_, asked)| is_in(asked.group))
        .map(|(place, _)| place)
}

/// The tasks whose number depends on results, with one entry for each list and each loop.
pub(super) fn guesses(
    main: &Played,
    (ending, guessed): Guessed<'_>,
    learnt: &Learnt,
) -> Vec<Guess> {
    let mut guesses: BTreeMap<(Vec<usize>, usize, bool), Guess> = BTreeMap::new();
    for (place, group) in main
        .groups
        .iter()
        .enumerate()
        .filter(|(place, _)| guessed[*place])
    {
        let decides: Vec<usize> = match group.kind {
            GroupKind::Decompose => vec![],
            GroupKind::Parallel | GroupKind::Pipeline => {
                deciding(main, place).into_iter().collect()
            }
        };
        // Two groups over one list have the same length.
        let one = decides.is_empty().then_some(place);
        let key = (
            one.map_or(decides, |place| vec![place]),
            group.width,
            one.is_some(),
        );
        let guess = guesses.entry(key).or_insert_with(|| Guess {
            counted: group.width,
            seen: group
                .site
                .as_ref()
                .and_then(|site| learnt.groups.get(site).cloned())
                .unwrap_or_default(),
            ..Guess::default()
        });
        guess.tasks.extend(members(main, place));
    }
    let mut loops: BTreeMap<(Vec<u32>, Option<usize>), Guess> = BTreeMap::new();
    for same in &ending.all {
        let most = ending.most.get(same).copied();
        let seen = learnt.loops.get(same).cloned().unwrap_or_default();
        let tasks = main
            .tasks
            .iter()
            .enumerate()
            .filter(|(_, asked)| asked.same == *same);
        let turns = tasks.clone().map(|(_, asked)| asked.round + 1).max();
        let guess = loops.entry((seen.clone(), most)).or_insert_with(|| Guess {
            counted: turns.unwrap_or(ROUNDS),
            seen,
            repeats: true,
            most,
            ..Guess::default()
        });
        guess.tasks.extend(tasks.map(|(place, _)| place));
    }
    let mut guesses: Vec<Guess> = guesses.into_values().chain(loops.into_values()).collect();
    for guess in &mut guesses {
        guess.tasks.sort_unstable();
        guess.tasks.dedup();
    }
    guesses.retain(|guess| !guess.tasks.is_empty());
    guesses
}

fn expected(seen: &[u32], repeats: bool) -> usize {
    let guess = Guess {
        seen: seen.to_vec(),
        repeats,
        ..Guess::default()
    };
    guess.expected()
}

/// A line as journals record it.
fn line(script: &Script, site: &Site) -> Line {
    let other = Some(&site.script).filter(|name| **name != *script.name());
    (other.cloned(), site.line)
}
