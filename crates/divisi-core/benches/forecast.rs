//! What a forecast takes: a history fitted, a graph simulated.
//!
//! `cargo bench -p divisi-core --bench forecast`; a thousand tasks in a thousand
//! draws should stay well below a second.

use divisi_core::history::Sample;
use divisi_core::preflight::{Assigned, AttemptCost, Forecaster, Graph, Node, Priors, Rung, Use};
use divisi_core::price::Rates;
use divisi_core::{History, Millis, ModelPrice, PicoUsd, Task, Tier, Timestamp};

fn main() {
    divan::main();
}

/// Learning from a history of this size.
#[divan::bench(args = [1_000, 20_000], sample_count = 10)]
fn fit(bencher: divan::Bencher<'_, '_>, samples: u64) {
    let history = history(samples);
    bencher.bench_local(|| Forecaster::new(&history, Priors::default()));
}

/// A thousand draws of a flow in which every task waits for the one ten before it.
#[divan::bench(args = [100, 1_000], sample_count = 10)]
fn graph(bencher: divan::Bencher<'_, '_>, tasks: usize) {
    let forecaster = Forecaster::new(&history(5_000), Priors::default());
    let graph = flow(tasks);
    bencher.bench_local(|| forecaster.graph(&graph, &|tier| Some(rung(tier)), 1));
}

fn history(samples: u64) -> History {
    let sample = |at: u64| Sample {
        at: Timestamp(at),
        work: at,
        flow: "audit".into(),
        label: format!("module {}", at % 50).into(),
        kind: Some("review".into()),
        model: "haiku".into(),
        prompt_tokens: 1_000 + at % 7_000,
        cost: PicoUsd((1 + at % 17) * 1_000_000_000),
        took: Millis(1_000 + at % 9_000),
        accepted: Some(!at.is_multiple_of(3)),
        ..Sample::default()
    };
    (0..samples).map(sample).collect()
}

fn rung(tier: Tier) -> Rung {
    let input = PicoUsd(1_000_000 * (tier as u64 + 1));
    let base = Rates {
        input,
        cache_write_5m: PicoUsd(input.0 * 5 / 4),
        cache_write_1h: PicoUsd(input.0 * 2),
        cache_read: PicoUsd(input.0 / 20),
        output: PicoUsd(input.0 * 5),
    };
    Rung {
        provider: "main".into(),
        model: tier.as_str().into(),
        tier: Some(tier),
        price: Some(ModelPrice {
            base,
            ..ModelPrice::default()
        }),
    }
}

fn flow(tasks: usize) -> Graph {
    let node = |i: usize| Node {
        task: Task::new("review it").label(format!("module {i}")),
        site: None,
        waits: i.checked_sub(10).into_iter().collect(),
        reads: Vec::new(),
        group: None,
        used: Use::Read,
        decides_from: None,
        assigned: Ok(Assigned {
            executor: "api".into(),
            is_program: false,
            writes: false,
            attempt_cost: AttemptCost::Free,
            kind: "review".into(),
            kind_declared: true,
            suffices: None,
            rungs: vec![rung(Tier::Haiku), rung(Tier::Opus)],
            why: String::new(),
            checked: true,
            prompt_tokens: 3_000,
            shared_tokens: 0,
            has_tools: true,
            rights: Default::default(),
            reply_tokens_max: 16_384,
            turns_max: 50,
            retries_max: 2,
            hedge: false,
            timeout: Millis::from_secs(600),
        }),
    };
    Graph {
        name: "audit".into(),
        tasks: (0..tasks).map(node).collect(),
        ..Graph::default()
    }
}
