//! The graph of a plan, which needs no placeholders.

use super::{Assigned, Graph, Node, Site, Use};
use crate::plan::{Plan, references, render};
use crate::{Failure, Task};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The graph of a plan.
///
/// `assign` resolves the options of a task; `site` gives the line of the task at an index of the
/// plan. Tasks are ordered by waves, so an index of the graph is not an index of the plan; labels
/// are the same.
pub fn of_plan(
    name: impl Into<Arc<str>>,
    plan: &Plan,
    mut assign: impl FnMut(&Task) -> Result<Assigned, Failure>,
    site: impl Fn(usize) -> Option<Site>,
) -> Graph {
    let order: Vec<usize> = plan.waves().concat();
    let mut nodes: Vec<Node> = vec![];
    let mut place_of: BTreeMap<usize, usize> = BTreeMap::new();
    let by_id: BTreeMap<&str, usize> = plan
        .tasks()
        .iter()
        .enumerate()
        .map(|(place, task)| (task.id.as_str(), place))
        .collect();
    let behind = Behind::of(plan, &order);
    for &place in &order {
        let written = &plan.tasks()[place];
        let referred: BTreeMap<&str, String> = references(&written.prompt)
            .filter_map(|id| Some((id, format!("{{{{t{}}}}}", place_of.get(by_id.get(id)?)?))))
            .collect();
        let task = written.task(render(&written.prompt, |id| {
            referred.get(id).map(String::as_str)
        }));
        let reads: BTreeSet<usize> = referred
            .keys()
            .filter_map(|id| place_of.get(by_id.get(id)?))
            .copied()
            .collect();
        let waits: Vec<usize> = behind
            .direct(plan.needs(place))
            .filter_map(|need| place_of.get(&need))
            .copied()
            .collect();
        place_of.insert(place, nodes.len());
        nodes.push(Node {
            assigned: assign(&task),
            task,
            site: site(place),
            waits,
            reads: reads.into_iter().collect(),
            group: None,
            used: Use::Unread,
            decides_from: None,
        });
    }
    let mut returned = last(&nodes);
    if let Some(gather) = &plan.head().gather {
        let task = gather.task(gathered(&gather.prompt, &nodes));
        let reads = (0..nodes.len()).collect();
        let node = Node {
            assigned: assign(&task),
            task,
            site: None,
            waits: returned,
            reads,
            group: None,
            used: Use::Unread,
            decides_from: None,
        };
        returned = vec![nodes.len()];
        nodes.push(node);
    }
    let read: BTreeSet<usize> = nodes
        .iter()
        .flat_map(|node| &node.reads)
        .chain(&returned)
        .copied()
        .collect();
    for place in read {
        nodes[place].used = Use::Read;
    }
    let caps = plan
        .head()
        .phases
        .iter()
        .map(|phase| (phase.title.as_str().into(), phase.max_cost));
    Graph {
        name: name.into(),
        tasks: nodes,
        returned,
        phase_caps: caps.collect(),
        ..Graph::default()
    }
}

/// The tasks that no task waits for.
fn last(nodes: &[Node]) -> Vec<usize> {
    let waited: BTreeSet<usize> = nodes.iter().flat_map(|node| &node.waits).copied().collect();
    (0..nodes.len())
        .filter(|place| !waited.contains(place))
        .collect()
}

/// The approximate prompt of `gather()`.
fn gathered(prompt: &str, nodes: &[Node]) -> String {
    let parts = nodes
        .iter()
        .enumerate()
        .map(|(place, node)| format!("## {}\n\n{{{{t{place}}}}}", node.label()));
    [prompt.to_owned()]
        .into_iter()
        .chain(parts)
        .collect::<Vec<_>>()
        .join("\n\n")
}

/// For each task of a plan the set of its direct and indirect needs, as bits, because plans may be
/// long.
struct Behind {
    words: usize,
    bits: Vec<u64>,
}

impl Behind {
    fn of(plan: &Plan, order: &[usize]) -> Self {
        let words = order.len().div_ceil(64);
        let mut behind = Self {
            words,
            bits: vec![0; words * order.len()],
        };
        for &place in order {
            for &need in plan.needs(place) {
                for word in 0..words {
                    behind.bits[place * words + word] |= behind.bits[need * words + word];
                }
                behind.bits[place * words + need / 64] |= 1 << (need % 64);
            }
        }
        behind
    }

    /// The needs that are not implied by another need.
    fn direct<'a>(&'a self, needs: &'a [usize]) -> impl Iterator<Item = usize> + 'a {
        let is_behind = |need: usize, other: usize| {
            self.bits[other * self.words + need / 64] >> (need % 64) & 1 == 1
        };
        needs
            .iter()
            .copied()
            .filter(move |&need| !needs.iter().any(|&other| is_behind(need, other)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureClass;
    use serde_json::json;
    use std::fmt::Write;

    fn told(plan: serde_json::Value) -> String {
        let plan = Plan::from_value(&plan).unwrap();
        let nowhere = |_: &Task| Err(Failure::new(FailureClass::Unavailable, "no models here"));
        let graph = of_plan("p", &plan, nowhere, |_| None);
        let mut told = String::new();
        for (
            place,
            Node {
                waits,
                reads,
                used,
                task,
                ..
            },
        ) in graph.tasks.iter().enumerate()
        {
            let label = task.title();
            let prompt = task.prompt.replace('\n', " ");
            let _ = writeln!(
                told,
                "{place} {label} waits {waits:?} reads {reads:?} {used:?}: {prompt}"
            );
        }
        told + &format!("returns {:?}", graph.returned)
    }

    #[test]
    fn needs_become_waits_and_references_become_reads() {
        insta::assert_snapshot!(told(json!({ "tasks": [
            { "id": "join", "prompt": "Join {{a}} and {{b}}", "needs": ["first"] },
            { "id": "a", "prompt": "A of {{first}}" },
            { "id": "b", "prompt": "B", "needs": ["first"] },
            { "id": "first", "prompt": "First" },
            { "id": "aside", "prompt": "Aside" },
            { "id": "after", "prompt": "After", "needs": ["aside"] },
        ] })), @r"
        0 first waits [] reads [] Read: First
        1 aside waits [] reads [] Unread: Aside
        2 a waits [0] reads [0] Read: A of {{t0}}
        3 b waits [0] reads [] Read: B
        4 after waits [1] reads [] Read: After
        5 join waits [2, 3] reads [2, 3] Read: Join {{t2}} and {{t3}}
        returns [4, 5]
        ");
    }

    #[test]
    fn a_synthesis_reads_everything() {
        insta::assert_snapshot!(told(json!({ "gather": "Sum up", "tasks": [
            { "id": "a", "prompt": "A" },
            { "id": "b", "prompt": "B", "needs": ["a"] },
        ] })), @r"
        0 a waits [] reads [] Read: A
        1 b waits [0] reads [] Read: B
        2 gather waits [1] reads [0, 1] Read: Sum up  ## a  {{t0}}  ## b  {{t1}}
        returns [2]
        ");
    }
}
