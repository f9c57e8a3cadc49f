//! Converts real tasks to divisi's types: nodes, samples, halves.

use super::Case;
use divisi_core::check::{Check, Judge};
use divisi_core::history::Sample;
use divisi_core::preflight::{Assigned, AttemptCost, Graph, Node, Rung, Use};
use divisi_core::price::Rates;
use divisi_core::{Millis, ModelPrice, PicoUsd, Task, Tier, Timestamp};

/// The tasks, and the number of halves.
pub(super) struct Stage<'a> {
    pub(super) cases: &'a [Case],
    pub(super) halves: u32,
    pub(super) seed: u64,
}

/// The flow to which all tasks are assigned.
const FLOW: &str = "replay";

/// List prices: dollars per million tokens by the beginning of the model's name: input, cache read,
/// output. Used for priors and ceilings; the actual costs are those of the file.
const PRICES: [(&str, f64, f64, f64); 6] = [
    ("Claude 4.5 Opus", 5.0, 0.5, 25.0),
    ("Claude 4.5 Sonnet", 3.0, 0.3, 15.0),
    ("GPT-5 mini", 0.25, 0.025, 2.0),
    ("GPT-5 nano", 0.05, 0.005, 0.4),
    ("GPT-5", 1.25, 0.125, 10.0),
    ("Gemini 3 Pro", 2.0, 0.2, 12.0),
];

impl Stage<'_> {
    /// Random halves: the tasks to learn from, and those to check.
    pub(super) fn halves(&self) -> impl Iterator<Item = (Vec<usize>, Vec<usize>, fastrand::Rng)> {
        (0..self.halves).map(|half| {
            let mut rng = fastrand::Rng::with_seed(self.seed ^ (u64::from(half) << 32));
            let mut order: Vec<usize> = (0..self.cases.len()).collect();
            rng.shuffle(&mut order);
            let rest = order.split_off(order.len() / 2);
            (order, rest, rng)
        })
    }

    /// The result of a model on a task, as a journal would record it.
    pub(super) fn sample(&self, case: usize, model: &str) -> Option<Sample> {
        let &(_, dollars, turns) = self.cases[case].results.get(model)?;
        Some(Sample {
            at: Timestamp(case as u64),
            work: case as u64,
            flow: FLOW.into(),
            label: self.cases[case].repo.as_str().into(),
            kind: Some("bug".into()),
            executor: "api".into(),
            model: model.into(),
            turns,
            prompt_tokens: prompt_tokens(&self.cases[case]),
            cost: pico(dollars),
            ..Sample::default()
        })
    }

    pub(super) fn cost(&self, case: usize, model: &str) -> Option<PicoUsd> {
        self.cases[case]
            .results
            .get(model)
            .map(|(_, dollars, _)| pico(*dollars))
    }

    pub(super) fn solved(&self, case: usize, model: &str) -> bool {
        self.cases[case]
            .results
            .get(model)
            .is_some_and(|(solved, ..)| *solved > 0)
    }

    /// The task as a node of a plan, on these models.
    pub(super) fn node(&self, case: usize, rungs: &[Rung]) -> Node {
        let case = &self.cases[case];
        let checked = rungs.len() > 1;
        let mut task = Task::new(case.title.as_str()).label(case.repo.as_str());
        if checked {
            let judge = Judge {
                rubric: "solved".into(),
                model: Some("none".into()),
                threshold: 7,
            };
            task.check = vec![Check::Judge(judge)];
        }
        let assigned = Assigned {
            executor: "api".into(),
            is_program: false,
            writes: false,
            attempt_cost: AttemptCost::Free,
            kind: "bug".into(),
            kind_declared: true,
            suffices: None,
            rungs: rungs.to_vec(),
            why: String::new(),
            checked,
            prompt_tokens: prompt_tokens(case),
            shared_tokens: 0,
            has_tools: true,
            rights: Default::default(),
            reply_tokens_max: 16_384,
            // The limit of the agent that produced the file.
            turns_max: 250,
            hedge: false,
            retries_max: 0,
            timeout: Millis::from_secs(3_600),
        };
        Node {
            task,
            site: None,
            waits: Vec::new(),
            reads: Vec::new(),
            group: None,
            used: Use::Unknown,
            decides_from: None,
            assigned: Ok(assigned),
        }
    }

    /// A flow that requests these tasks at once.
    pub(super) fn graph(&self, cases: &[usize], rungs: &[Rung]) -> Graph {
        let tasks = cases.iter().map(|&case| self.node(case, rungs)).collect();
        Graph {
            name: FLOW.into(),
            tasks,
            ..Graph::default()
        }
    }
}

/// The flow's name, for forecasts of single tasks.
pub(super) fn flow() -> &'static str {
    FLOW
}

/// A model with its list price, if known.
pub(super) fn rung(model: &str, tier: Tier) -> Rung {
    let known = PRICES.iter().find(|(name, ..)| model.starts_with(name));
    let price = known.map(|&(_, input, read, output)| {
        let per_token = |dollars: f64| PicoUsd((dollars * 1e6).round() as u64);
        let base = Rates {
            input: per_token(input),
            cache_write_5m: per_token(input * 1.25),
            cache_write_1h: per_token(input * 2.0),
            cache_read: per_token(read),
            output: per_token(output),
        };
        ModelPrice {
            base,
            ..ModelPrice::default()
        }
    });
    Rung {
        provider: "replay".into(),
        model: model.into(),
        tier: Some(tier),
        price,
    }
}

/// Estimated at three characters per token.
fn prompt_tokens(case: &Case) -> u64 {
    (case.title.len() as u64).div_ceil(3).max(1)
}

fn pico(dollars: f64) -> PicoUsd {
    PicoUsd((dollars * PicoUsd::DOLLAR.0 as f64).round() as u64)
}
