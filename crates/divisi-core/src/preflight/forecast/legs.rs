//! Draws of single tasks, for simulations that need more than sums.

use super::draws::{Bell, Cast, Draw, Drawn, Step};
use super::schedule::Demand;
use super::spread::{millis, pico};
use super::task::Forecaster;
use crate::budget::TurnBound;
use crate::preflight::{Graph, Rung};
use crate::{Millis, PicoUsd, Tier, Usage};
use fastrand::Rng;
use std::sync::Arc;

/// A graph whose tasks can be drawn.
pub struct Draws {
    cast: Cast,
    bell: Bell,
}

/// One task on one of its models, in one draw.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Leg {
    /// Index in [`Draws::asked`].
    pub asked: usize,
    /// All requests, one after the other.
    pub took: Millis,
    /// Number of requests, at least one.
    pub requests: u32,
    /// Prompt tokens that were not read from a cache.
    pub input: u64,
    /// Prompt tokens that were read from a cache.
    pub cached: u64,
    /// Tokens of all replies.
    pub output: u64,
    /// Its cost, check included.
    pub cost: PicoUsd,
    /// Bound of its first request.
    pub bound: TurnBound,
}

impl Forecaster {
    /// Prepares the tasks of `graph` for drawing, as [`Forecaster::graph`] does.
    pub fn draws(&self, graph: &Graph, tiers: &dyn Fn(Tier) -> Option<Rung>) -> Draws {
        Draws {
            cast: Cast::of(self, graph, tiers, None),
            bell: Bell::new(),
        }
    }
}

impl Draws {
    /// The models that may be asked: a provider's name and a model id. Without a model, the name is
    /// empty and the id is the executor's.
    pub fn asked(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.cast.asked
    }

    /// Draws every task once, in the graph's order; `each` is called with its index and a leg for
    /// each model it climbs to. Tasks that cannot be assigned are left out. The same seed gives the
    /// same draw.
    pub fn draw(&self, seed: u64, mut each: impl FnMut(usize, Leg)) {
        let mut rng = Rng::with_seed(seed);
        let mut draw = Draw::of(&self.cast, &self.bell, &mut rng);
        let mut sums = Drawn::default();
        for (place, task) in self.cast.tasks.iter().enumerate() {
            let Some(task) = task else { continue };
            let mut leg = |demand, (step, factor): (&Step, f64), cost| {
                each(place, Leg::of(demand, step, factor, cost));
            };
            draw.task(task, &mut rng, &mut sums, &mut leg);
        }
    }
}

impl Leg {
    fn of(demand: Demand, step: &Step, factor: f64, cost: f64) -> Self {
        let (usage, fixed) = (&step.outlook.usage, &step.outlook.fixed_usage);
        let tokens = |usage: u64, fixed: u64| (usage as f64 * factor).round() as u64 + fixed;
        let input = |usage: &Usage| usage.input + usage.cache_write_5m + usage.cache_write_1h;
        Self {
            asked: step.asked,
            took: millis(demand.seconds),
            requests: (demand.requests.round() as u32).max(1),
            input: tokens(input(usage), input(fixed)),
            cached: tokens(usage.cache_read, fixed.cache_read),
            output: tokens(usage.output, fixed.output),
            cost: pico(cost),
            bound: step.bound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::History;
    use crate::preflight::forecast::{Bounds, Priors, sample};

    #[test]
    fn legs_add_up_to_what_the_forecast_says() {
        let none: &[usize] = &[];
        let graph = sample::graph(&vec![none; 40]);
        let forecaster = Forecaster::new(&History::default(), Priors::default());
        let forecaster = forecaster.within(Bounds {
            draws: 1_000,
            ..Bounds::default()
        });
        let tiers = |tier| Some(sample::rung("middle", tier, 2));
        let draws = forecaster.draws(&graph, &tiers);
        assert_eq!(draws.asked(), [("main".into(), "middle".into())]);
        let mut costs: Vec<u64> = (0..1_000)
            .map(|seed| {
                let mut sum = PicoUsd::ZERO;
                draws.draw(seed, |_, leg| sum += leg.cost);
                sum.0
            })
            .collect();
        costs.sort_unstable();
        let (middle, said) = (
            costs[500] as f64,
            forecaster.graph(&graph, &tiers, 1).cost.p50.0 as f64,
        );
        assert!((middle / said - 1.0).abs() < 0.1, "{middle} is not {said}");
    }

    #[test]
    fn a_model_at_two_providers_is_asked_at_each() {
        let mut graph = sample::graph(&[&[], &[], &[]]);
        graph.tasks[1].assigned.as_mut().unwrap().rungs[0].provider = "gateway".into();
        let forecaster = Forecaster::new(&History::default(), Priors::default());
        let draws = forecaster.draws(&graph, &|_| None);
        let mut asked = vec![];
        draws.draw(7, |_, leg| asked.push(&*draws.asked()[leg.asked].0));
        assert_eq!(asked, ["main", "gateway", "main"]);
        let forecast = forecaster.graph(&graph, &|_| None, 1);
        assert_eq!(forecast.models.len(), 1, "what a model costs is said once");
    }

    #[test]
    fn the_same_seed_is_the_same_draw() {
        let graph = sample::graph(&[&[], &[0]]);
        let forecaster = Forecaster::new(&History::default(), Priors::default());
        let draws = forecaster.draws(&graph, &|_| None);
        let drawn = |seed| {
            let mut legs = vec![];
            draws.draw(seed, |place, leg| legs.push((place, leg)));
            legs
        };
        assert_eq!(drawn(7), drawn(7));
        assert_ne!(drawn(7), drawn(8));
        let places: Vec<usize> = drawn(7).iter().map(|(place, _)| *place).collect();
        assert_eq!(places, [0, 1]);
    }
}
