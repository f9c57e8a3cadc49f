//! Graphs for tests.

use crate::preflight::{Assigned, AttemptCost, Graph, Node, Rung, Use};
use crate::price::Rates;
use crate::{Millis, ModelPrice, PicoUsd, Task, Tier};

/// A model of a tier with prices in the usual proportions.
pub(super) fn rung(model: &str, tier: Tier, input_dollars: u64) -> Rung {
    let input = PicoUsd(input_dollars * 1_000_000);
    let base = Rates {
        input,
        cache_write_5m: PicoUsd(input.0 * 5 / 4),
        cache_write_1h: PicoUsd(input.0 * 2),
        cache_read: PicoUsd(input.0 / 20),
        output: PicoUsd(input.0 * 5),
    };
    let price = Some(ModelPrice {
        base,
        ..ModelPrice::default()
    });
    Rung {
        provider: "main".into(),
        model: model.into(),
        tier: Some(tier),
        price,
    }
}

/// A bug to fix on the middle model, with tools or without.
pub(super) fn node(label: &str, has_tools: bool) -> Node {
    let assigned = Assigned {
        executor: "api".into(),
        is_program: false,
        writes: false,
        attempt_cost: AttemptCost::Free,
        kind: "bug".into(),
        kind_declared: true,
        suffices: None,
        rungs: vec![rung("middle", Tier::Sonnet, 2)],
        why: "declared".into(),
        checked: false,
        prompt_tokens: 3_000,
        shared_tokens: 0,
        has_tools,
        rights: Default::default(),
        reply_tokens_max: 16_384,
        turns_max: 50,
        retries_max: 2,
        hedge: false,
        timeout: Millis::from_secs(600),
    };
    Node {
        task: Task::new("fix it").label(label),
        site: None,
        waits: Vec::new(),
        reads: Vec::new(),
        group: None,
        used: Use::Read,
        decides_from: None,
        assigned: Ok(assigned),
    }
}

/// Tasks with tools that wait for the tasks at these places.
pub(super) fn graph(waits: &[&[usize]]) -> Graph {
    let one = |(i, waits): (usize, &&[usize])| Node {
        waits: waits.to_vec(),
        ..node(&format!("t{i}"), true)
    };
    Graph {
        name: "flow".into(),
        tasks: waits.iter().enumerate().map(one).collect(),
        ..Graph::default()
    }
}
