//! Real tasks in the form in which divisi knows tasks: nodes, samples, halves.

use super::Case;
use divisi_core::check::{Check, Judge};
use divisi_core::history::Sample;
use divisi_core::preflight::{Assigned, AttemptCost, Graph, Node, Rung, Use};
use divisi_core::price::Rates;
use divisi_core::{Millis, ModelPrice, PicoUsd, Task, Tier, Timestamp};

/// The tasks, and how they are divided.
pub(super) struct Stage<'a> {
    pub(super) cases: &'a [Case],
    pub(super) halves: u32,
    pub(super) seed: u64,
}

/// Name of the flow that all tasks are taken to be part of.
const FLOW: &str = "replay";

/// Published list prices: dollars of a million tokens, by the beginning of the
/// name: input, cache read, output. They make priors and ceilings; what tasks
/// cost comes from the history.
const PRICES: [(&str, f64, f64, f64); 6] = [
    ("Claude 4.5 Opus", 5.0, 0.5, 25.0),
    ("Claude 4.5 Sonnet", 3.0, 0.3, 15.0),
    ("GPT-5 mini", 0.25, 0.025, 2.0),
    ("GPT-5 nano", 0.05, 0.005, 0.4),
    ("GPT-5", 1.25, 0.125, 10.0),
    ("Gemini 3 Pro", 2.0, 0.2, 12.0),
];

impl Stage<'_> {
    /// Random halves: what is learnt from, and what is judged.
    pub(super) fn halves(&self) -> impl Iterator<Item = (Vec<usize>, Vec<usize>, fastrand::Rng)> {
        (0..self.halves).map(|half| {
            let mut rng = fastrand::Rng::with_seed(self.seed ^ (u64::from(half) << 32));
            let mut order: Vec<usize> = (0..self.cases.len()).collect();
            rng.shuffle(&mut order);
            let rest = order.split_off(order.len() / 2);
            (order, rest, rng)
        })
    }

    /// What a model did about a task, as the journal would tell it.
    pub(super) fn sample(&self, case: usize, model: &str) -> Option<Sample> {
        let &(_, dollars, turns) = self.cases[case].results.get(model)?;
        Some(Sample {
            at: Timestamp(case as u64),
            work: case as u64,
            flow: FLOW.into(),
            label: self.cases[case].repo.as_str().into(),
            kind: Some("bug".into()),
            executor: "api".into(),
            is_program: false,
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

    /// A task to be planned, on these models.
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
            writes: false,
            attempt_cost: AttemptCost::Free,
            kind: "bug".into(),
            kind_declared: true,
            rungs: rungs.to_vec(),
            why: String::new(),
            checked,
            prompt_tokens: prompt_tokens(case),
            shared_tokens: 0,
            has_tools: true,
            reply_tokens_max: 16_384,
            // What the agent that made the history was allowed.
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
            assigned: Ok(assigned),
        }
    }

    /// A flow that asks for these tasks at once.
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

/// A model with its list price, where that is known.
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

/// About three characters to a token.
fn prompt_tokens(case: &Case) -> u64 {
    (case.title.len() as u64).div_ceil(3).max(1)
}

fn pico(dollars: f64) -> PicoUsd {
    PicoUsd((dollars * PicoUsd::DOLLAR.0 as f64).round() as u64)
}
