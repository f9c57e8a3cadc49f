//! Tests whether ranges cover as many cases as they claim, on generated tasks.

use super::{Bounds, Forecaster, Priors, sample};
use crate::history::{History, Sample};
use crate::preflight::{Graph, Node, Rung};
use crate::{PicoUsd, Timestamp};
use fastrand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};

/// Tasks of five labels with different costs, which vary by `deviation`; one in `outliers` costs
/// ten times as much, unless that is 0.
struct World {
    rng: Rng,
    deviation: f64,
    outliers: u32,
}

impl World {
    fn sample(&mut self, at: u64) -> Sample {
        let label = self.rng.u32(0..5);
        let bell = Normal::standard().inverse_cdf(self.rng.f64().clamp(1e-9, 1.0 - 1e-9));
        let far = self.outliers > 0 && self.rng.u32(0..self.outliers) == 0;
        let log =
            f64::from(label) * 0.3 + bell * self.deviation + if far { 10f64.ln() } else { 0.0 };
        Sample {
            at: Timestamp(at),
            work: at,
            flow: "flow".into(),
            label: format!("t{label}").into(),
            kind: Some("bug".into()),
            executor: "api".into(),
            model: "middle".into(),
            prompt_tokens: 3_000,
            cost: PicoUsd((log.exp() * 1e10) as u64),
            ..Sample::default()
        }
    }

    fn samples(&mut self, count: u64) -> Vec<Sample> {
        (0..count).map(|at| self.sample(at)).collect()
    }
}

fn node(sample: &Sample) -> Node {
    sample::node(&sample.label, true)
}

fn forecaster(samples: &[Sample]) -> Forecaster {
    let history: History = samples.iter().cloned().collect();
    Forecaster::new(&history, Priors::default()).of_flow("flow")
}

fn rung() -> Rung {
    node(&Sample::default()).assigned.unwrap().rungs.remove(0)
}

/// Share of new tasks inside their range after learning from `learnt` tasks.
fn covered(learnt: u64, deviation: f64, outliers: u32) -> f64 {
    let (mut inside, mut all) = (0, 0);
    for seed in 0..20 {
        let mut world = World {
            rng: Rng::with_seed(seed),
            deviation,
            outliers,
        };
        let forecaster = forecaster(&world.samples(learnt));
        for new in world.samples(50) {
            let forecast = forecaster.task(&node(&new), &rung()).unwrap();
            inside += u32::from((forecast.cost.p10..=forecast.cost.p90).contains(&new.cost));
            all += 1;
        }
    }
    f64::from(inside) / f64::from(all)
}

#[test]
fn eight_of_ten_new_tasks_are_inside_their_range() {
    for (learnt, outliers) in [(400, 0), (100, 0), (400, 30)] {
        let share = covered(learnt, 0.7, outliers);
        assert!(
            (0.75..=0.85).contains(&share),
            "{share} after {learnt}, one in {outliers} far away"
        );
    }
}

#[test]
fn with_few_tasks_a_range_is_rather_too_wide_than_too_narrow() {
    for learnt in [5, 10, 20] {
        let share = covered(learnt, 0.7, 0);
        assert!((0.75..=0.97).contains(&share), "{share} after {learnt}");
    }
}

#[test]
fn totals_are_inside_their_range_as_often_as_single_tasks() {
    let mut inside = 0;
    for seed in 0..100 {
        let mut world = World {
            rng: Rng::with_seed(seed),
            deviation: 0.7,
            outliers: 0,
        };
        let bounds = Bounds {
            draws: 100,
            ..Bounds::default()
        };
        let forecaster = forecaster(&world.samples(200)).within(bounds);
        let new = world.samples(20);
        let graph = Graph {
            name: "flow".into(),
            tasks: new.iter().map(node).collect(),
            ..Graph::default()
        };
        let forecast = forecaster.graph(&graph, &|_| None, seed);
        let actual: PicoUsd = new.iter().map(|sample| sample.cost).sum();
        inside += u32::from((forecast.cost.p10..=forecast.cost.p90).contains(&actual));
    }
    assert!((71..=89).contains(&inside), "{inside} of 100");
}

#[test]
fn labels_make_ranges_narrower_than_no_labels() {
    let mut world = World {
        rng: Rng::with_seed(1),
        deviation: 0.3,
        outliers: 0,
    };
    let known = world.samples(300);
    let nameless: Vec<Sample> = known
        .iter()
        .cloned()
        .map(|s| Sample {
            label: "t0".into(),
            ..s
        })
        .collect();
    let width = |samples: &[Sample]| {
        let cost = forecaster(samples)
            .task(&sample::node("t0", true), &rung())
            .unwrap()
            .cost;
        cost.p90.0 as f64 / cost.p10.0 as f64
    };
    assert!(width(&known) < 0.8 * width(&nameless));
}
