//! Checks estimates: ranges of single tasks, totals of twenty, ceilings.

use super::stage::{Stage, flow, rung};
use super::table::{Need, Table};
use divisi_core::preflight::{Bounds, Forecaster, Priors};
use divisi_core::{History, Tier};

/// Tasks per total.
pub(super) const TOTAL_TASKS: usize = 20;

/// Largest permitted distance of a total from the median of its estimate.
const TOTAL_OFF_MAX: f64 = 0.25;

/// Checks the estimates for one model, learnt from tasks of all the given models.
pub(super) fn judge(
    stage: &Stage<'_>,
    model: &str,
    learnt: &[String],
    totals: u32,
    table: &mut Table,
) {
    let rung = rung(model, Tier::Sonnet);
    let (mut covered, mut widths, mut close, mut biased) = (
        Mean::default(),
        Mean::default(),
        Mean::default(),
        Mean::default(),
    );
    let (mut passed, mut nearest) = (0u32, 0.0f64);
    for (half, other, mut rng) in stage.halves() {
        let samples = half
            .iter()
            .flat_map(|&case| learnt.iter().filter_map(move |m| stage.sample(case, m)));
        let history: History = samples.collect();
        let forecaster = Forecaster::new(&history, Priors::default())
            .of_flow(flow())
            .within(Bounds::default());
        let (mut inside, mut ratios) = (Mean::default(), Vec::new());
        for &case in &other {
            let node = stage.node(case, std::slice::from_ref(&rung));
            let (Some(task), Some(actual)) =
                (forecaster.task(&node, &rung), stage.cost(case, model))
            else {
                continue;
            };
            inside.add(f64::from(u8::from(
                (task.cost.p10..=task.cost.p90).contains(&actual),
            )));
            ratios.push(task.cost.p90.0 as f64 / task.cost.p10.0 as f64);
            passed += u32::from(actual > task.ceiling);
            nearest = nearest.max(actual.0 as f64 / task.ceiling.0 as f64);
        }
        ratios.sort_by(f64::total_cmp);
        covered.add(inside.value());
        widths.add(ratios[ratios.len() / 2]);
        for _ in 0..totals {
            let cases: Vec<usize> = rng.choose_multiple(other.iter().copied(), TOTAL_TASKS);
            let graph = stage.graph(&cases, std::slice::from_ref(&rung));
            let forecast = forecaster.graph(&graph, &|_| None, rng.u64(..));
            let actual: u64 = cases
                .iter()
                .filter_map(|&case| stage.cost(case, model))
                .map(|cost| cost.0)
                .sum();
            let ratio = actual as f64 / forecast.cost.p50.0 as f64;
            close.add(f64::from(u8::from((ratio - 1.0).abs() <= TOTAL_OFF_MAX)));
            biased.add(actual as f64 / forecast.mean.0 as f64 - 1.0);
        }
    }
    let share = |mean: &Mean| mean.value() * 100.0;
    table.row(
        model,
        "tasks inside p10–p90, %",
        Need::Between(75.0, 85.0),
        share(&covered),
    );
    table.row(
        model,
        "p90 over p10, median of tasks",
        Need::AtMost(6.0),
        widths.value(),
    );
    table.row(
        model,
        "totals of 20 within 25 % of p50, %",
        Need::AtLeast(80.0),
        share(&close),
    );
    let best = close_if_all_was_known(stage, model) * 100.0;
    table.row(
        model,
        "the same, had all costs been known, %",
        Need::Nothing,
        best,
    );
    table.row(
        model,
        "totals of 20 against the mean, % off",
        Need::Nothing,
        share(&biased),
    );
    table.row(
        model,
        "tasks above their ceiling",
        Need::AtMost(0.0),
        f64::from(passed),
    );
    table.row(
        model,
        "dearest task, % of its ceiling",
        Need::Nothing,
        nearest * 100.0,
    );
}

/// The share of totals that is as close to the median of all such totals: the best that one figure
/// can reach if the costs are known, but not which tasks will come.
fn close_if_all_was_known(stage: &Stage<'_>, model: &str) -> f64 {
    const DRAWS: usize = 20_000;
    let mut rng = fastrand::Rng::with_seed(stage.seed);
    let mut totals: Vec<u64> = (0..DRAWS)
        .map(|_| {
            let cases = rng.choose_multiple(0..stage.cases.len(), TOTAL_TASKS);
            cases
                .into_iter()
                .filter_map(|case| stage.cost(case, model))
                .map(|cost| cost.0)
                .sum()
        })
        .collect();
    totals.sort_unstable();
    let middle = totals[DRAWS / 2] as f64;
    let is_close = |total: &&u64| (**total as f64 / middle - 1.0).abs() <= TOTAL_OFF_MAX;
    totals.iter().filter(is_close).count() as f64 / DRAWS as f64
}

/// A running mean.
#[derive(Default)]
pub(super) struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    pub(super) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    pub(super) fn value(&self) -> f64 {
        self.sum / self.count.max(1.0)
    }
}
