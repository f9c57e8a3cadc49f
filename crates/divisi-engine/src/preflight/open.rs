//! Where the shape of a flow depends on results nobody has yet.

use super::ROUNDS;
use super::play::{End, Played, Together};
use super::spoiled::stray;
use divisi_core::Site;
use divisi_core::event::GroupKind;
use divisi_core::preflight::Remark;
use divisi_script::Script;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What stands in a prompt where a value was meant.
const STRAY: [&str; 3] = ["[object Object]", "undefined", "NaN"];

/// What a run shows of what is not known.
pub(super) struct Unknown {
    pub(super) notes: Vec<Remark>,
    /// For each group whether its width is a guess.
    pub(super) guessed: Vec<bool>,
    /// For each group whether a result decides its width.
    pub(super) by_result: Vec<bool>,
}

/// What is asked for again and again, one after the other.
pub(super) fn repeated(played: &Played) -> BTreeSet<Arc<str>> {
    let again = played.tasks.iter().filter(|asked| asked.round >= ROUNDS);
    again.map(|asked| asked.same.clone()).collect()
}

/// Those of `ending` that were asked for less often because results ended them.
pub(super) fn ended(
    ending: &BTreeSet<Arc<str>>,
    with: &Played,
    without: &Played,
) -> BTreeSet<Arc<str>> {
    let count = |played: &Played, same: &Arc<str>| {
        played
            .tasks
            .iter()
            .filter(|asked| asked.same == *same)
            .count()
    };
    ending
        .iter()
        .filter(|same| count(with, same) < count(without, same))
        .cloned()
        .collect()
}

/// Compares a run with others in which lists were wider or narrower, and with
/// some that were so against what the flow expects.
pub(super) fn look(
    script: &Script,
    main: &Played,
    ending: &BTreeSet<Arc<str>>,
    others: &[Played],
    unexpected: &[Played],
) -> Unknown {
    let guessed = uneven_groups(main, others);
    let by_result = uneven_groups(main, unexpected)
        .into_iter()
        .zip(&guessed)
        .map(|(one, other)| one || *other);
    let by_result = by_result.collect();
    let mut notes = Notes::default();
    for (group, _) in main
        .groups
        .iter()
        .zip(&guessed)
        .filter(|(_, guessed)| **guessed)
    {
        match group.kind {
            GroupKind::Decompose => {
                notes.add(
                    format!("an agent plans the tasks: {} assumed", group.width),
                    &group.site,
                );
            }
            GroupKind::Parallel | GroupKind::Pipeline => {
                notes.add(
                    format!(
                        "how many there are depends on results: {} assumed",
                        group.width
                    ),
                    &group.site,
                );
            }
        }
    }
    let rounds = format!("how often it repeats depends on results: {ROUNDS} rounds assumed");
    for asked in main
        .tasks
        .iter()
        .filter(|asked| ending.contains(&asked.same))
    {
        notes.add(rounds.clone(), &asked.site);
    }
    for site in uneven(main, &guessed, ending, others) {
        notes.add(
            "how often it is asked depends on results".to_owned(),
            &Some(site),
        );
    }
    for asked in &main.tasks {
        let is_here = asked
            .site
            .as_ref()
            .is_some_and(|site| site.script == *script.name());
        let source = if is_here {
            script.source()
        } else {
            &*asked.task.prompt
        };
        if let Some(word) = stray(&asked.task.prompt, &STRAY, source) {
            notes.add(
                format!("its prompt says `{word}` where something else is meant, it seems"),
                &asked.site,
            );
        }
    }
    match &main.end {
        End::TooMany(site) => {
            let message = format!(
                "it asks for more than {} tasks: the plan ends here",
                main.tasks.len()
            );
            notes.add(message, site);
        }
        End::Busy(site) => notes.add(
            "the script computes without end: the plan ends here".to_owned(),
            site,
        ),
        End::Not | End::Returned(_) | End::Threw(_) | End::TooOften => {}
    }
    Unknown {
        notes: notes.all,
        guessed,
        by_result,
    }
}

#[derive(Default)]
struct Notes {
    all: Vec<Remark>,
}

impl Notes {
    /// Says it once of each line, the first time.
    fn add(&mut self, what: String, site: &Option<Site>) {
        let stem = |what: &str| what.split(':').next().unwrap_or_default().to_owned();
        if !self
            .all
            .iter()
            .any(|open| open.site == *site && stem(&open.what) == stem(&what))
        {
            self.all.push(Remark {
                what,
                site: site.clone(),
            });
        }
    }
}

/// Whether the width of each group is not the same in every run.
fn uneven_groups(main: &Played, others: &[Played]) -> Vec<bool> {
    let shape = |group: &Together| (group.kind as u8, group.site.clone(), group.width);
    let widths = |played: &Played| -> BTreeSet<_> { played.groups.iter().map(shape).collect() };
    let seen: Vec<_> = others
        .iter()
        .filter(|played| is_whole(played))
        .map(widths)
        .collect();
    let is_guess = |group: &Together| {
        group.is_planned || seen.iter().any(|seen| !seen.contains(&shape(group)))
    };
    main.groups.iter().map(is_guess).collect()
}

/// Only a run that came to an end can be compared.
fn is_whole(played: &Played) -> bool {
    matches!(played.end, End::Returned(_) | End::Threw(_))
}

/// Lines that are asked for another number of times in other runs, outside of
/// what is already known to be a guess.
fn uneven(
    main: &Played,
    guessed: &[bool],
    ending: &BTreeSet<Arc<str>>,
    others: &[Played],
) -> Vec<Site> {
    let is_in_guess = |group: Option<usize>| {
        std::iter::successors(group, |group| main.groups[*group].parent).any(|group| guessed[group])
    };
    let known: BTreeSet<&Site> = main
        .tasks
        .iter()
        .filter(|asked| is_in_guess(asked.group) || ending.contains(&asked.same))
        .filter_map(|asked| asked.site.as_ref())
        .collect();
    let counts = |played: &Played| {
        let mut counts: BTreeMap<Site, usize> = BTreeMap::new();
        for site in played.tasks.iter().filter_map(|asked| asked.site.clone()) {
            *counts.entry(site).or_default() += 1;
        }
        counts
    };
    let others: Vec<_> = others
        .iter()
        .filter(|played| is_whole(played))
        .map(counts)
        .collect();
    let is_uneven =
        |(site, count): &(Site, usize)| others.iter().any(|other| other.get(site) != Some(count));
    counts(main)
        .into_iter()
        .filter(|(site, _)| !known.contains(site))
        .filter(is_uneven)
        .map(|(site, _)| site)
        .collect()
}
