//! Finds where the shape of a flow depends on results.

use super::learnt::Learnt;
use super::play::{End, Played, Together};
use super::spoiled::stray;
use super::{Ending, ROUNDS};
use divisi_core::Site;
use divisi_core::event::GroupKind;
use divisi_core::preflight::Remark;
use divisi_script::Script;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Texts in a prompt that result from an unintended conversion.
const STRAY: [&str; 4] = ["[object Promise]", "[object Object]", "undefined", "NaN"];

/// What the runs show about dependence on results.
pub(super) struct Unknown {
    pub(super) notes: Vec<Remark>,
    /// Prompts with words that are meant otherwise.
    pub(super) strays: Vec<Remark>,
    /// For each group, whether its width is a guess.
    pub(super) guessed: Vec<bool>,
    /// For each group, whether a result decides its width.
    pub(super) by_result: Vec<bool>,
}

/// The requests that are repeated one after the other.
pub(super) fn repeated(played: &Played) -> BTreeSet<Arc<str>> {
    let again = played.tasks.iter().filter(|asked| asked.round >= ROUNDS);
    again.map(|asked| asked.same.clone()).collect()
}

/// The number of rounds of each request of `ending`, in a run in which no result ended them but
/// the flow did.
pub(super) fn most_rounds(
    ending: &BTreeSet<Arc<str>>,
    without: &Played,
) -> BTreeMap<Arc<str>, usize> {
    let mut most = BTreeMap::new();
    if !is_whole(without) {
        return most;
    }
    let repeated = without
        .tasks
        .iter()
        .filter(|asked| ending.contains(&asked.same));
    for asked in repeated {
        let rounds: &mut usize = most.entry(asked.same.clone()).or_default();
        *rounds = (asked.round + 1).max(*rounds);
    }
    most
}

/// Those of `ending` that were repeated less often because results ended them.
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

/// Compares a run with others whose lists were wider or narrower, and with some whose lists ignored
/// what the flow expects.
pub(super) fn look(
    script: &Script,
    main: &Played,
    (ending, learnt): (&Ending, &Learnt),
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
        let from = match learnt.knows(group.site.as_ref()) {
            true => "as in past runs",
            false => "assumed",
        };
        match group.kind {
            GroupKind::Decompose => {
                notes.add(
                    format!("an agent plans the tasks: {} {from}", group.width),
                    &group.site,
                );
            }
            GroupKind::Parallel | GroupKind::Pipeline => {
                notes.add(
                    format!(
                        "how many there are depends on results: {} {from}",
                        group.width
                    ),
                    &group.site,
                );
            }
        }
    }
    let rounds = |same: &str| {
        let most = ending.most.get(same);
        let most = most.map(|most| format!(", {most} at most"));
        let counted = main.tasks.iter().filter(|asked| *asked.same == *same);
        let rounds = counted.map(|asked| asked.round + 1).max().unwrap_or(1);
        let from = match learnt.rounds.contains_key(same) {
            true => "as in past runs",
            false => "rounds assumed",
        };
        format!(
            "how often it repeats depends on results: {rounds} {from}{}",
            most.unwrap_or_default()
        )
    };
    for asked in main
        .tasks
        .iter()
        .filter(|asked| ending.all.contains(&asked.same))
    {
        notes.add(rounds(&asked.same), &asked.site);
    }
    for site in uneven(main, &guessed, &ending.all, others) {
        notes.add(
            "how often it is asked depends on results".to_owned(),
            &Some(site),
        );
    }
    let mut strays = Notes::default();
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
            strays.add(said(word), &asked.site);
        }
    }
    match &main.end {
        End::TooMany(site) => {
            let tasks = main.tasks.len();
            let message = format!("it asks for more than {tasks} tasks: the plan ends here");
            notes.add(message, site);
        }
        End::Busy(site) => notes.add(
            "the script computes without end: the plan ends here".to_owned(),
            site,
        ),
        End::Refused(_) | End::Not | End::Returned(_) | End::Threw(_) | End::TooOften => {}
    }
    Unknown {
        notes: notes.all,
        strays: strays.all,
        guessed,
        by_result,
    }
}

/// The remark about such a text.
fn said(word: &str) -> String {
    match word {
        "[object Promise]" => {
            "its prompt says `[object Promise]`: an `await` is missing, and a run refuses the task"
        }
        "[object Object]" => {
            "its prompt says `[object Object]` in the place of an object, and a run refuses the task"
        }
        word => return format!("its prompt says `{word}` where something else is meant, it seems"),
    }
    .to_owned()
}

#[derive(Default)]
struct Notes {
    all: Vec<Remark>,
}

impl Notes {
    /// Adds a remark, once for each line.
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

/// Whether the width of each group differs between runs.
pub(super) fn uneven_groups(main: &Played, others: &[Played]) -> Vec<bool> {
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

/// Whether a run reached its end: only such runs can be compared.
fn is_whole(played: &Played) -> bool {
    matches!(played.end, End::Returned(_) | End::Threw(_))
}

/// Lines requested a different number of times in other runs, except within groups that are known
/// guesses.
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
