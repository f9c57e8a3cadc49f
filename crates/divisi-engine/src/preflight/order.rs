//! Derives which task waits for which from the order of requests.
//!
//! Tasks are answered one at a time, so one run shows a single order. The flow is run three times
//! with different orders of answers: all chains side by side; the first chain to its end before
//! others; and the last chain to its end before others. Of two independent chains, each is ahead of
//! the other in one of these runs. So a task waits for the tasks that ended before it was requested
//! in every run. For flows made of sequences and of parallel parts this is exact.

use super::mark;
use super::play::{Asked, End, Played};
use std::collections::{BTreeMap, VecDeque};

/// For each task the tasks that must end before it is requested, ascending, without those that
/// these wait for in turn.
///
/// `others` are runs of the same flow with other orders of answers.
pub(super) fn waits(played: &Played, others: &[Played]) -> Vec<Vec<usize>> {
    let others: Vec<(&Played, Vec<Option<usize>>)> = others
        .iter()
        .map(|other| (other, same(played, other)))
        .collect();
    let mut before: Vec<Places> = Vec::with_capacity(played.tasks.len());
    let mut waits = Vec::with_capacity(played.tasks.len());
    for (place, asked) in played.tasks.iter().enumerate() {
        let mut all = Places::default();
        // Tasks it reads, and the answer after which it was requested, are certain.
        for sure in asked
            .reads
            .iter()
            .chain(&asked.after)
            .copied()
            .filter(|sure| *sure < place)
        {
            all.add(sure);
            all.add_all(&before[sure]);
        }
        if others.iter().all(|(_, same)| same[place].is_some()) {
            let is_before = |other: usize| {
                let is_here = ended_before(&played.tasks[other], asked);
                is_here
                    && others
                        .iter()
                        .all(|(played, same)| ended_there(played, same, other, place))
            };
            (0..place)
                .filter(|other| is_before(*other))
                .for_each(|other| all.add(other));
        }
        waits.push(nearest(&all, &before));
        before.push(all);
    }
    waits
}

/// For each task whether the flow can reach its end before the task does.
pub(super) fn unawaited(played: &Played, others: &[Played]) -> Vec<bool> {
    let is_open = |asked: &Asked| asked.answered.is_none();
    let mut unawaited: Vec<bool> = played.tasks.iter().map(is_open).collect();
    for other in others
        .iter()
        .filter(|other| matches!(other.end, End::Returned(_)))
    {
        let there = same(played, other);
        for (unawaited, there) in unawaited.iter_mut().zip(there) {
            *unawaited |= there.is_some_and(|place| is_open(&other.tasks[place]));
        }
    }
    unawaited
}

fn ended_there(played: &Played, same: &[Option<usize>], other: usize, task: usize) -> bool {
    let there = |place: usize| same[place].map(|place| &played.tasks[place]);
    matches!((there(other), there(task)), (Some(other), Some(task)) if ended_before(other, task))
}

fn ended_before(other: &Asked, task: &Asked) -> bool {
    other.answered.is_some_and(|answered| answered <= task.made)
}

/// The tasks of `all` that no other one of them waits for.
fn nearest(all: &Places, before: &[Places]) -> Vec<usize> {
    let mut covered = Places::default();
    let mut nearest = vec![];
    // A task only waits for tasks with a smaller index.
    for place in all.places().rev() {
        if !covered.has(place) {
            covered.add_all(&before[place]);
            nearest.push(place);
        }
    }
    nearest.reverse();
    nearest
}

/// A set of indices, as bits.
#[derive(Default)]
struct Places(Vec<u64>);

impl Places {
    fn add(&mut self, place: usize) {
        if self.0.len() <= place / 64 {
            self.0.resize(place / 64 + 1, 0);
        }
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn add_all(&mut self, others: &Self) {
        if self.0.len() < others.0.len() {
            self.0.resize(others.0.len(), 0);
        }
        self.0
            .iter_mut()
            .zip(&others.0)
            .for_each(|(mine, theirs)| *mine |= theirs);
    }

    fn has(&self, place: usize) -> bool {
        self.0
            .get(place / 64)
            .is_some_and(|bits| bits & (1 << (place % 64)) != 0)
    }

    fn places(&self) -> impl DoubleEndedIterator<Item = usize> {
        (0..self.0.len() * 64).filter(|place| self.has(*place))
    }
}

/// For each task of one run the same task of another.
///
/// Tasks are the same if line, label and prompt are equal, with marks replaced by the tasks they
/// belong to. If prompts depend on the order of answers, line and label must suffice.
fn same(here: &Played, there: &Played) -> Vec<Option<usize>> {
    let mut same = vec![None; here.tasks.len()];
    let mut of_there: Vec<Option<usize>> = vec![None; there.tasks.len()];
    let mut by_text = Names::default();
    for (place, asked) in here.tasks.iter().enumerate() {
        by_text.add(text(asked, Some), place);
    }
    for (place, asked) in there.tasks.iter().enumerate() {
        let words = text(asked, |place| of_there.get(place).copied().flatten());
        of_there[place] = by_text.take(&words);
        if let Some(found) = of_there[place] {
            same[found] = Some(place);
        }
    }
    let mut by_label = Names::default();
    for (place, asked) in here
        .tasks
        .iter()
        .enumerate()
        .filter(|(place, _)| same[*place].is_none())
    {
        by_label.add(label(asked), place);
    }
    for (place, asked) in there
        .tasks
        .iter()
        .enumerate()
        .filter(|(place, _)| of_there[*place].is_none())
    {
        if let Some(found) = by_label.take(&label(asked)) {
            same[found] = Some(place);
        }
    }
    same
}

/// Indices by name, in order.
#[derive(Default)]
struct Names(BTreeMap<String, VecDeque<usize>>);

impl Names {
    fn add(&mut self, name: String, place: usize) {
        self.0.entry(name).or_default().push_back(place);
    }

    fn take(&mut self, name: &str) -> Option<usize> {
        self.0.get_mut(name)?.pop_front()
    }
}

fn text(asked: &Asked, name: impl Fn(usize) -> Option<usize>) -> String {
    let named = |text: &str| {
        mark::replaced(text, |place| {
            name(place).map_or("?".to_owned(), |place| format!("⟦{place}⟧"))
        })
    };
    let label = asked.task.label.as_deref().map(&named).unwrap_or_default();
    format!("{:?}\n{label}\n{}", asked.site, named(&asked.task.prompt))
}

fn label(asked: &Asked) -> String {
    let label = asked.task.label.as_deref().unwrap_or_default();
    format!(
        "{:?}\n{}",
        asked.site,
        mark::replaced(label, |_| String::new())
    )
}
