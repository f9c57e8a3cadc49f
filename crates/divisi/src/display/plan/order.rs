//! Waves and chains: the order of a graph's tasks.

use divisi_core::preflight::Graph;

/// For each task, the number of tasks on the longest chain before it.
pub(super) fn depths(graph: &Graph) -> Vec<usize> {
    let mut depths: Vec<usize> = Vec::with_capacity(graph.tasks.len());
    for node in &graph.tasks {
        let before = node
            .waits
            .iter()
            .filter_map(|place| depths.get(*place))
            .max();
        depths.push(before.map_or(0, |depth| depth + 1));
    }
    depths
}

/// The places of the tasks by depth.
pub(super) fn waves(graph: &Graph) -> Vec<Vec<usize>> {
    let mut waves: Vec<Vec<usize>> = vec![];
    for (place, depth) in depths(graph).into_iter().enumerate() {
        if waves.len() <= depth {
            waves.resize(depth + 1, vec![]);
        }
        waves[depth].push(place);
    }
    waves
}

/// A longest chain: one task of each wave, each waiting for the previous one.
pub(super) fn longest(graph: &Graph) -> Vec<usize> {
    let depths = depths(graph);
    let Some(deepest) = depths.iter().max() else {
        return vec![];
    };
    let mut chain: Vec<usize> = depths
        .iter()
        .position(|depth| depth == deepest)
        .into_iter()
        .collect();
    while let Some(last) = chain.last().filter(|last| depths[**last] > 0) {
        let before = graph.tasks[*last]
            .waits
            .iter()
            .copied()
            .find(|place| depths[*place] + 1 == depths[*last]);
        match before {
            Some(before) => chain.push(before),
            None => break,
        }
    }
    chain.reverse();
    chain
}
