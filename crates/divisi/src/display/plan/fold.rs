//! Folds similar tasks of a graph into one stack.
//!
//! Tasks are similar if they are requested on the same line of a flow, run on the same model in the
//! same phase and group, and are in the same wave or have labels that differ only in numbers.

use super::{models, order};
use divisi_core::Site;
use divisi_core::event::GroupKind;
use divisi_core::preflight::{Graph, Node};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A graph with similar tasks folded.
pub(super) struct Folded {
    pub(super) stacks: Vec<Stack>,
    pub(super) groups: Vec<GroupFold>,
}

/// Similar tasks.
pub(super) struct Stack {
    pub(super) label: String,
    /// Their places in the graph, smallest first; at least one.
    pub(super) tasks: Vec<usize>,
    pub(super) phase: Option<Arc<str>>,
    /// The innermost folded group that contains it.
    pub(super) group: Option<usize>,
    /// The stacks whose results it reads.
    pub(super) reads: BTreeSet<usize>,
    /// The stacks it waits for.
    pub(super) waits: BTreeSet<usize>,
}

/// Groups requested on the same line.
pub(super) struct GroupFold {
    pub(super) kind: GroupKind,
    pub(super) site: Option<Site>,
    pub(super) parent: Option<usize>,
    /// How often the line requests a group.
    pub(super) times: usize,
    pub(super) widths: BTreeSet<usize>,
    pub(super) guessed: bool,
}

impl Folded {
    /// Folds similar tasks; `by_wave` only within one wave.
    pub(super) fn of(graph: &Graph, by_wave: bool) -> Self {
        let (groups, fold_of_group) = groups(graph);
        let depths = order::depths(graph);
        let alike = |place: usize, node: &Node| Alike {
            depth: depths[place],
            site: node.site.clone(),
            phase: node.task.phase.clone(),
            models: models(node, " "),
            group: node
                .group
                .and_then(|group| fold_of_group.get(group).copied()),
        };
        let mut together: BTreeMap<Alike, Vec<usize>> = BTreeMap::new();
        for (place, node) in graph.tasks.iter().enumerate() {
            together.entry(alike(place, node)).or_default().push(place);
        }
        let mut bunches: Vec<(Alike, Vec<usize>)> = together.into_iter().collect();
        if !by_wave {
            bunches = joined(graph, bunches);
        }
        bunches.sort_by_key(|(_, tasks)| tasks[0]);
        let mut of_task = vec![0; graph.tasks.len()];
        for (stack, (_, tasks)) in bunches.iter().enumerate() {
            tasks.iter().for_each(|place| of_task[*place] = stack);
        }
        let stack = |(number, (alike, tasks)): (usize, (Alike, Vec<usize>))| {
            let of = |list: fn(&Node) -> &Vec<usize>| -> BTreeSet<usize> {
                let places = tasks.iter().flat_map(|place| list(&graph.tasks[*place]));
                places
                    .map(|place| of_task[*place])
                    .filter(|stack| *stack != number)
                    .collect()
            };
            Stack {
                label: label(
                    tasks
                        .iter()
                        .map(|place| readable(&graph.tasks[*place].label())),
                ),
                phase: alike.phase,
                group: alike.group,
                reads: of(|node| &node.reads),
                waits: of(|node| &node.waits),
                tasks,
            }
        };
        let stacks = bunches.into_iter().enumerate().map(stack).collect();
        Self { stacks, groups }
    }

    /// The stack's name on screen: `audit … ×12`.
    pub(super) fn name(&self, stack: usize) -> String {
        let Stack { label, tasks, .. } = &self.stacks[stack];
        if tasks.len() == 1 {
            label.clone()
        } else {
            format!("{label} ×{}", tasks.len())
        }
    }
}

/// What similar tasks have in common.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Alike {
    depth: usize,
    site: Option<Site>,
    phase: Option<Arc<str>>,
    models: Option<String>,
    group: Option<usize>,
}

/// Joins bunches of several waves whose labels differ only in numbers.
fn joined(graph: &Graph, bunches: Vec<(Alike, Vec<usize>)>) -> Vec<(Alike, Vec<usize>)> {
    let mut joined: BTreeMap<(Alike, String), Vec<usize>> = BTreeMap::new();
    for (alike, tasks) in bunches {
        let stems: BTreeSet<String> = tasks
            .iter()
            .map(|place| stem(&readable(&graph.tasks[*place].label())))
            .collect();
        // Bunches with several names stay separate for each wave.
        let (depth, stem) = match stems.len() {
            1 => (0, stems.into_iter().next().unwrap_or_default()),
            _ => (alike.depth, String::new()),
        };
        joined
            .entry((Alike { depth, ..alike }, stem))
            .or_default()
            .extend(tasks);
    }
    let sorted = |(alike, mut tasks): (Alike, Vec<usize>)| {
        tasks.sort_unstable();
        (alike, tasks)
    };
    joined
        .into_iter()
        .map(|((alike, _), tasks)| sorted((alike, tasks)))
        .collect()
}

fn groups(graph: &Graph) -> (Vec<GroupFold>, Vec<usize>) {
    let mut folds: Vec<GroupFold> = vec![];
    let mut of_group: Vec<usize> = vec![];
    for group in &graph.groups {
        let parent = group
            .parent
            .and_then(|parent| of_group.get(parent).copied());
        let is_same = |fold: &GroupFold| {
            (fold.kind, &fold.site, fold.parent) == (group.kind, &group.site, parent)
        };
        let place = folds.iter().position(is_same).unwrap_or_else(|| {
            let (kind, site) = (group.kind, group.site.clone());
            folds.push(GroupFold {
                kind,
                site,
                parent,
                times: 0,
                widths: BTreeSet::new(),
                guessed: false,
            });
            folds.len() - 1
        });
        let fold = &mut folds[place];
        fold.times += 1;
        fold.widths.insert(group.width);
        fold.guessed |= group.guessed;
        of_group.push(place);
    }
    (folds, of_group)
}

/// A label with dots in place of results; several results in a row become one.
pub(crate) fn readable(label: &str) -> String {
    let dotted = divisi_core::plan::render(label, |id| is_task(id).then_some("…"));
    let is_between = |text: &&str| !text.chars().any(char::is_alphanumeric);
    let mut readable = String::with_capacity(dotted.len());
    let mut pieces = dotted.split('…').peekable();
    while let Some(piece) = pieces.next() {
        readable.push_str(piece);
        if pieces.peek().is_some() {
            readable.push('…');
            // Text between two results is left out, unless it ends the label.
            while pieces.peek().is_some_and(&is_between) {
                let joint = pieces.next();
                if pieces.peek().is_none() {
                    readable.push_str(joint.unwrap_or_default());
                }
            }
        }
    }
    readable
}

fn is_task(id: &str) -> bool {
    id.strip_prefix('t')
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn stem(label: &str) -> String {
    label.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// The common part of several labels: `audit …`.
fn label(labels: impl Iterator<Item = String>) -> String {
    let all: BTreeSet<String> = labels.collect();
    let mut labels = all.iter();
    let Some(first) = labels.next() else {
        return String::new();
    };
    let mut prefix = first.as_str();
    let mut is_one = true;
    for other in labels {
        is_one = false;
        let alike = prefix
            .char_indices()
            .zip(other.chars())
            .find(|((_, a), b)| a != b)
            .map(|((at, _), _)| at);
        prefix = &prefix[..alike.unwrap_or(prefix.len().min(other.len()))];
    }
    if is_one {
        return first.clone();
    }
    // Whole words only, at both ends.
    let end = prefix
        .char_indices()
        .filter(|(_, c)| !c.is_alphanumeric())
        .map(|(at, c)| at + c.len_utf8())
        .next_back();
    let prefix = prefix[..end.unwrap_or(0)].trim_end_matches('…');
    let suffix = ending(&all, prefix.len());
    match (prefix, suffix) {
        ("", "") => format!("{first}, …"),
        (prefix, suffix) => format!("{prefix}…{}", suffix.trim_start_matches('…')),
    }
}

/// The common end of all labels after their first `from` bytes, beginning with a character that is
/// neither letter nor digit.
fn ending(labels: &BTreeSet<String>, from: usize) -> &str {
    let mut rests = labels.iter().map(|label| &label[from..]);
    let Some(mut common) = rests.next() else {
        return "";
    };
    for rest in rests {
        let alike = common
            .chars()
            .rev()
            .zip(rest.chars().rev())
            .take_while(|(a, b)| a == b);
        let bytes: usize = alike.map(|(c, _)| c.len_utf8()).sum();
        common = &common[common.len() - bytes..];
    }
    common
        .find(|c: char| !c.is_alphanumeric())
        .map_or("", |at| &common[at..])
}

#[cfg(test)]
mod tests {
    use super::{label, readable};

    #[test]
    fn labels_are_cut_to_what_they_share() {
        let label = |labels: &[&str]| label(labels.iter().map(|label| (*label).to_owned()));
        assert_eq!(label(&["audit auth", "audit pay"]), "audit …");
        assert_eq!(label(&["crates/divisi", "crates/divisi-core"]), "crates/…");
        assert_eq!(label(&["same", "same"]), "same");
        assert_eq!(label(&["auth", "pay"]), "auth, …");
        assert_eq!(label(&["näh", "nähe 2"]), "näh, …");
        assert_eq!(label(&["round 1", "round 12"]), "round …");
        assert_eq!(
            label(&["look into a.rs", "look into b.rs"]),
            "look into ….rs"
        );
        assert_eq!(label(&["a: test", "b: test"]), "…: test");
    }

    #[test]
    fn results_in_a_row_are_one() {
        assert_eq!(readable("join {{t1}}, {{t2}} and {{t3}}"), "join … and …");
        assert_eq!(readable("{{t1}}/{{t2}}."), "….");
        assert_eq!(readable("use {{other}}"), "use {{other}}");
    }
}
