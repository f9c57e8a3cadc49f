//! What waits for what, seen from when tasks are asked for.
//!
//! Tasks are answered one at a time. One that is asked for while task A is
//! being answered waits for A; it waits for all of a group if A was the last
//! of the group, and for all that was asked for together with A if all of that
//! is answered by then. The latter can be chance: a second run, answered from
//! the other end, takes it back where it shows a task asked for earlier.

use super::play::{News, Played, Step};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// For each task those that have to end before it is asked for, smallest first.
///
/// `backwards` is the same flow, answered from the other end, and `same` the
/// place there of each task here.
pub(super) fn waits(played: &Played, backwards: &Played, same: &[Option<usize>]) -> Vec<Vec<usize>> {
    let mut order = Order {
        played,
        backwards,
        same,
        nodes: vec![Node::new(None, None)],
        node_of_task: vec![0; played.tasks.len()],
        node_of_group: vec![0; played.groups.len()],
        waits: vec![Rc::default(); played.tasks.len()],
    };
    for (number, step) in played.steps.iter().enumerate() {
        order.step(number, step);
    }
    order.waits.iter().map(|waits| waits.as_ref().clone()).collect()
}

/// What was asked for together: a group, or the calls of one step.
struct Node {
    parent: Option<usize>,
    /// Tasks in it and below it without an answer.
    open: usize,
    /// Tasks in it and below it that no other one in there waits for.
    last: BTreeSet<usize>,
    group: Option<GroupState>,
}

struct GroupState {
    has_ended: bool,
    began_in: usize,
    /// What its first tasks wait for.
    waits: Rc<Vec<usize>>,
}

impl Node {
    fn new(parent: Option<usize>, group: Option<GroupState>) -> Self {
        Self { parent, open: 0, last: BTreeSet::new(), group }
    }
}

struct Order<'a> {
    played: &'a Played,
    backwards: &'a Played,
    same: &'a [Option<usize>],
    /// The first one holds all others.
    nodes: Vec<Node>,
    node_of_task: Vec<usize>,
    node_of_group: Vec<usize>,
    waits: Vec<Rc<Vec<usize>>>,
}

impl Order<'_> {
    fn step(&mut self, number: usize, step: &Step) {
        if let Some(answered) = step.answered {
            self.up(self.node_of_task[answered]).into_iter().for_each(|node| self.nodes[node].open -= 1);
        }
        // Calls of one step that continue the same stand together.
        let mut together: BTreeMap<usize, usize> = BTreeMap::new();
        for (at, news) in step.news.iter().enumerate() {
            match *news {
                News::Asked(task) => {
                    let group = self.played.tasks[task].group.map(|group| self.node_of_group[group]);
                    let begun = group.filter(|node| self.began_in(*node) == Some(number));
                    let (node, waits) = match begun {
                        Some(node) => (node, self.waits_of_group(node)),
                        None => {
                            let (parent, waits) = self.before(step.answered, Some(task));
                            (self.beside(&mut together, parent), waits)
                        }
                    };
                    self.add(task, node, waits);
                }
                News::Began(group) => {
                    let next = step.news[at..].iter().find_map(|news| match news {
                        News::Asked(task) => Some(*task),
                        News::Began(_) | News::Ended(_) => None,
                    });
                    let outer = self.played.groups[group].parent.map(|parent| self.node_of_group[parent]);
                    let begun = outer.filter(|node| self.began_in(*node) == Some(number));
                    let (parent, waits) = match begun {
                        Some(node) => (node, self.waits_of_group(node)),
                        None => {
                            let (parent, waits) = self.before(step.answered, next);
                            (self.beside(&mut together, parent), waits)
                        }
                    };
                    let state = GroupState { has_ended: false, began_in: number, waits };
                    self.node_of_group[group] = self.nodes.len();
                    self.nodes.push(Node::new(Some(parent), Some(state)));
                }
                News::Ended(group) => {
                    if let Some(state) = &mut self.nodes[self.node_of_group[group]].group {
                        state.has_ended = true;
                    }
                }
            }
        }
    }

    /// What something waits for that is asked for while `answered` is being
    /// answered, and what it continues. `task` is the something, if it is one.
    fn before(&self, answered: Option<usize>, task: Option<usize>) -> (usize, Rc<Vec<usize>>) {
        let Some(answered) = answered else { return (0, Rc::default()) };
        let mut waits = vec![answered];
        let mut at = self.node_of_task[answered];
        while let Some(parent) = self.nodes[at].parent {
            let node = &self.nodes[at];
            let is_over = node.group.as_ref().map_or(node.open == 0, |group| group.has_ended);
            if !is_over {
                break;
            }
            let is_group = node.group.is_some();
            let all = node.last.iter().copied();
            let kept: Vec<usize> = all
                .filter(|before| is_group || !task.is_some_and(|task| self.is_earlier(task, *before)))
                .collect();
            let is_whole = kept.len() == node.last.len();
            if !kept.is_empty() {
                waits = kept;
            }
            if !is_whole {
                break;
            }
            at = parent;
        }
        (at, Rc::new(waits))
    }

    /// Whether `task` was asked for before `other` had its answer, when
    /// answers came from the other end.
    fn is_earlier(&self, task: usize, other: usize) -> bool {
        let there = |place: usize| self.same[place].map(|place| &self.backwards.tasks[place]);
        match (there(task), there(other)) {
            (Some(task), Some(other)) => other.answered.is_none_or(|answered| answered > task.made),
            _ => false,
        }
    }

    /// The node in `parent` for what this step asks for there.
    fn beside(&mut self, together: &mut BTreeMap<usize, usize>, parent: usize) -> usize {
        *together.entry(parent).or_insert_with(|| {
            self.nodes.push(Node::new(Some(parent), None));
            self.nodes.len() - 1
        })
    }

    fn add(&mut self, task: usize, node: usize, waits: Rc<Vec<usize>>) {
        for node in self.up(node) {
            let node = &mut self.nodes[node];
            node.open += 1;
            // A thousand siblings wait for the same: once is enough.
            if waits.first().is_some_and(|first| node.last.contains(first)) {
                waits.iter().for_each(|before| {
                    node.last.remove(before);
                });
            }
            node.last.insert(task);
        }
        self.node_of_task[task] = node;
        self.waits[task] = waits;
    }

    /// The node and all that hold it.
    fn up(&self, node: usize) -> Vec<usize> {
        std::iter::successors(Some(node), |node| self.nodes[*node].parent).collect()
    }

    fn began_in(&self, node: usize) -> Option<usize> {
        self.nodes[node].group.as_ref().map(|group| group.began_in)
    }

    fn waits_of_group(&self, node: usize) -> Rc<Vec<usize>> {
        self.nodes[node].group.as_ref().map(|group| group.waits.clone()).unwrap_or_default()
    }
}

/// For each task of one run the same task of another.
///
/// The same is what stands on the same line with the same label and prompt,
/// where marks count as the tasks they stand for.
pub(super) fn same(here: &Played, there: &Played) -> Vec<Option<usize>> {
    let mut by_text: BTreeMap<String, std::collections::VecDeque<usize>> = BTreeMap::new();
    for place in 0..here.tasks.len() {
        by_text.entry(words(here, place, Some)).or_default().push_back(place);
    }
    let mut of_there: Vec<Option<usize>> = vec![None; there.tasks.len()];
    let mut same = vec![None; here.tasks.len()];
    for place in 0..there.tasks.len() {
        let words = words(there, place, |place| of_there.get(place).copied().flatten());
        let found = by_text.get_mut(&words).and_then(std::collections::VecDeque::pop_front);
        of_there[place] = found;
        if let Some(found) = found {
            same[found] = Some(place);
        }
    }
    same
}

fn words(played: &Played, place: usize, name: impl Fn(usize) -> Option<usize>) -> String {
    let asked = &played.tasks[place];
    let named = |text: &str| {
        super::mark::replaced(text, |place| name(place).map_or("?".to_owned(), |place| format!("⟦{place}⟧")))
    };
    let site = asked.site.as_ref().map(ToString::to_string).unwrap_or_default();
    let label = asked.task.label.as_deref().map(&named).unwrap_or_default();
    format!("{site}\n{label}\n{}", named(&asked.task.prompt))
}
