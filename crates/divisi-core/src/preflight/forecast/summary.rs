//! Summarises the draws of a graph.

use super::draws::{Cast, Drawn, Tiers, draws};
use super::schedule::Schedule;
use super::spread::{millis, pico};
use super::task::Forecaster;
use super::{Baseline, Forecast, LadderAdvice, TaskLine, Tokens, Total};
use crate::estimate::Spread;
use crate::preflight::{Graph, Rung};
use crate::{Millis, PicoUsd, Tier};
use std::sync::Arc;

impl Forecaster {
    /// Expected cost and duration of `graph`. The history of the flow with its name counts first.
    ///
    /// `tiers` gives the model of a tier at the run's provider, which prices judges and the
    /// baseline. The same seed gives the same figures.
    pub fn graph(
        &self,
        graph: &Graph,
        tiers: &dyn Fn(Tier) -> Option<Rung>,
        seed: u64,
    ) -> Forecast {
        let cast = Cast::of(self, graph, tiers, None);
        let typical: Vec<f64> = cast
            .tasks
            .iter()
            .map(|task| {
                task.as_ref()
                    .and_then(|task| task.rungs.first())
                    .map_or(0.0, |first| first.outlook.seconds)
            })
            .collect();
        let schedule = Schedule::of(graph, &self.bounds);
        let count = draws(graph.tasks.len(), self.bounds.draws);
        let mut drawn = cast.draw(Some(&schedule), count, seed);

        let mean = mean(&drawn.cost);
        let cost = dollars(&mut drawn.cost);
        let per_draw = |sum: f64| sum / count as f64;
        let ceilings = cast.tasks.iter().flatten().map(|task| task.ceiling());
        Forecast {
            plan: graph.digest(),
            cost,
            mean: pico(mean),
            ceiling: ceilings.sum(),
            tokens: tokens(&mut drawn),
            took: Spread::of(&mut drawn.seconds).map(millis),
            lost: if mean > 0.0 {
                per_draw(drawn.lost) / mean
            } else {
                0.0
            },
            checks: pico(per_draw(drawn.checks)),
            climbs: per_draw(drawn.climbs),
            unsatisfied: per_draw(drawn.unsatisfied),
            phases: phases(&cast, &mut drawn),
            models: models(&cast, &mut drawn),
            tasks: lines(&cast, &drawn),
            baseline: self.baseline(graph, tiers, mean, count, seed),
            budget: (cost.p90 + self.room(&cast, &schedule)).enough(),
            is_open: !graph.guesses.is_empty(),
            ladders: LadderAdvice::all(self, graph, tiers),
            waves: schedule.waves(),
            critical_path: schedule.critical_path(&typical),
            draws: count as u32,
        }
    }

    /// Sum of the reservations of all requests in flight at once while no reply is known. A cap
    /// that leaves this much unspent keeps the width of a run to its last task.
    fn room(&self, cast: &Cast, schedule: &Schedule) -> PicoUsd {
        let widest = schedule.waves().into_iter().max().unwrap_or_default();
        let mut most: Vec<PicoUsd> = cast
            .tasks
            .iter()
            .flatten()
            .filter_map(|task| {
                task.rungs
                    .iter()
                    .map(|step| step.bound.usual(None, false).reserved)
                    .max()
            })
            .collect();
        most.sort_unstable_by(|a, b| b.cmp(a));
        let at_once = widest.min(self.bounds.in_flight_max as usize);
        most.into_iter().take(at_once).sum()
    }

    /// Everything on the strongest tier: opus, or a higher one if the flow uses it.
    fn baseline(
        &self,
        graph: &Graph,
        tiers: Tiers<'_>,
        mean_as_is: f64,
        draws: usize,
        seed: u64,
    ) -> Option<Baseline> {
        let asked = graph
            .tasks
            .iter()
            .filter_map(|node| node.assigned.as_ref().ok());
        let highest = asked
            .flat_map(|task| &task.rungs)
            .filter_map(|rung| rung.tier)
            .max()?;
        let most = highest.max(Tier::Opus);
        let (tier, rung) = Tier::ALL
            .into_iter()
            .rev()
            .filter(|tier| *tier <= most)
            .find_map(|tier| Some((tier, tiers(tier).filter(|rung| rung.price.is_some())?)))?;
        let mut drawn = Cast::of(self, graph, tiers, Some(&rung)).draw(None, draws, seed);
        let mean = mean(&drawn.cost);
        Some(Baseline {
            tier,
            model: rung.model,
            cost: dollars(&mut drawn.cost),
            mean: pico(mean),
            saving: if mean > 0.0 {
                1.0 - mean_as_is / mean
            } else {
                0.0
            },
        })
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn dollars(values: &mut [f64]) -> Spread<PicoUsd> {
    Spread::of(values).map(pico)
}

fn tokens(drawn: &mut Drawn) -> Tokens {
    let [input, cache_write, cache_read, output] = drawn
        .tokens
        .each_mut()
        .map(|values| Spread::of(values).map(|n| n.round() as u64));
    Tokens {
        input,
        cache_write,
        cache_read,
        output,
    }
}

fn total(name: &Arc<str>, tasks: usize, values: &mut [f64]) -> Total {
    let mean = mean(values);
    Total {
        name: name.clone(),
        tasks,
        cost: dollars(values),
        mean: pico(mean),
    }
}

fn phases(cast: &Cast, drawn: &mut Drawn) -> Vec<Total> {
    let in_phase = |place: usize| {
        cast.tasks
            .iter()
            .flatten()
            .filter(|task| task.phase == place)
            .count()
    };
    let named = cast.phases.iter().zip(&mut drawn.phases).enumerate();
    named
        .map(|(place, (name, values))| total(name, in_phase(place), values))
        .collect()
}

fn models(cast: &Cast, drawn: &mut Drawn) -> Vec<Total> {
    let on_model = |place: usize| {
        let tasks = cast.tasks.iter().flatten();
        tasks
            .filter(|task| task.rungs.iter().any(|step| step.model == place))
            .count()
    };
    let named = cast.models.iter().zip(&mut drawn.models).enumerate();
    named
        .map(|(place, (name, values))| total(name, on_model(place), values))
        .collect()
}

fn lines(cast: &Cast, drawn: &Drawn) -> Vec<TaskLine> {
    let line = |(i, task): (usize, &Option<_>)| {
        let task: &super::draws::Prepared = task.as_ref()?;
        let mut values: Vec<f64> = drawn.tasks[i].iter().map(|cost| f64::from(*cost)).collect();
        let first = task.rungs.first()?;
        Some(TaskLine {
            task: i,
            mean: pico(mean(&values)),
            cost: dollars(&mut values),
            ceiling: task.ceiling(),
            took: if first.outlook.seconds > 0.0 {
                millis(first.outlook.seconds)
            } else {
                Millis(0)
            },
            source: first.outlook.source,
        })
    };
    cast.tasks.iter().enumerate().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Check, Judge};
    use crate::history::{History, Sample};
    use crate::preflight::forecast::{Bounds, Priors, Source, sample};
    use crate::{Timestamp, Usage};

    fn tiers(tier: Tier) -> Option<Rung> {
        let (model, input) = match tier {
            Tier::Haiku => ("small", 1),
            Tier::Sonnet => ("middle", 2),
            Tier::Opus => ("large", 4),
            Tier::Fable => ("huge", 8),
        };
        Some(sample::rung(model, tier, input))
    }

    fn forecaster(history: &History) -> Forecaster {
        Forecaster::new(history, Priors::default())
    }

    fn wide(tasks: usize) -> Graph {
        let none: &[usize] = &[];
        sample::graph(&vec![none; tasks])
    }

    /// A number of samples that all cost the same.
    fn seen(count: u64, cents: u64, label: &str) -> Vec<Sample> {
        let one = |i: u64| Sample {
            at: Timestamp(i),
            work: i,
            flow: "flow".into(),
            label: label.into(),
            kind: Some("bug".into()),
            executor: "api".into(),
            model: "middle".into(),
            usage: Usage {
                input: 5_000 * cents,
                ..Usage::default()
            },
            turns: 3,
            prompt_tokens: 3_000,
            cost: PicoUsd(cents * PicoUsd::DOLLAR.0 / 100),
            took: Millis::from_secs(30),
            ..Sample::default()
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_figures() {
        let (forecaster, graph) = (forecaster(&History::default()), wide(5));
        assert_eq!(
            forecaster.graph(&graph, &tiers, 7),
            forecaster.graph(&graph, &tiers, 7)
        );
        assert_ne!(
            forecaster.graph(&graph, &tiers, 7).cost,
            forecaster.graph(&graph, &tiers, 8).cost
        );
    }

    #[test]
    fn a_sum_is_narrower_than_its_parts_added_up() {
        let all = forecaster(&History::default()).graph(&wide(30), &tiers, 1);
        let low: u64 = all.tasks.iter().map(|task| task.cost.p10.0).sum();
        let high: u64 = all.tasks.iter().map(|task| task.cost.p90.0).sum();
        assert!(low < all.cost.p10.0 && all.cost.p90.0 < high);
        let parts: u64 = all.tasks.iter().map(|task| task.mean.0).sum();
        let off = parts.abs_diff(all.mean.0) as f64 / all.mean.0 as f64;
        assert!(off < 1e-6, "means do add up: {off}");
        assert!(all.cost.p90 <= all.budget && all.cost.p90 < all.ceiling);
    }

    #[test]
    fn history_takes_the_place_of_the_prior() {
        let graph = wide(1);
        let rough = forecaster(&History::default()).graph(&graph, &tiers, 1);
        assert_eq!(rough.tasks[0].source, Source::Prior);
        let few: History = seen(3, 1, "t0").into_iter().collect();
        let many: History = seen(200, 1, "t0").into_iter().collect();
        let few = forecaster(&few).graph(&graph, &tiers, 1);
        let many = forecaster(&many).graph(&graph, &tiers, 1);
        assert_eq!(many.tasks[0].source, Source::Label { tasks: 200 });
        // A cent each, where the prior says much more.
        let middle = many.cost.p50.0 / 1_000_000_000;
        assert!((9..=11).contains(&middle), "{middle}");
        assert!(few.cost.p50 < rough.cost.p50);
        let width = |forecast: &Forecast| forecast.cost.p90.0 as f64 / forecast.cost.p10.0 as f64;
        assert!(width(&many) < width(&few) && width(&few) < width(&rough));
    }

    #[test]
    fn a_label_that_is_dearer_than_others_is_expected_to_stay_so() {
        let history: History = seen(40, 1, "t0")
            .into_iter()
            .chain(seen(40, 9, "t1"))
            .enumerate()
            .map(|(i, s)| Sample {
                work: i as u64,
                ..s
            })
            .collect();
        let all = forecaster(&history).graph(&wide(3), &tiers, 1);
        let at = |i: usize| all.tasks[i].cost.p50.0 as f64;
        assert!(at(1) / at(0) > 6.0, "{}", at(1) / at(0));
        // Labels that differ so much say little about a third one, whose estimate stays near the
        // assumption, which is higher.
        assert!(
            at(0) < at(2) && at(2) < at(1) * 2.0,
            "a new label is not far from those known"
        );
        assert_eq!(all.tasks[2].source, Source::Kind { tasks: 80 });
    }

    #[test]
    fn a_ladder_costs_what_its_climbs_cost() {
        let mut graph = wide(50);
        for node in &mut graph.tasks {
            let judge = Judge {
                rubric: "right".into(),
                model: None,
                threshold: 7,
            };
            node.task.check = vec![Check::Judge(judge)];
            let assigned = node.assigned.as_mut().unwrap();
            assigned.checked = true;
            assigned.rungs = vec![
                sample::rung("small", Tier::Haiku, 1),
                sample::rung("large", Tier::Opus, 4),
            ];
        }
        let history: History = seen(100, 1, "x")
            .into_iter()
            .map(|s| Sample {
                model: "small".into(),
                accepted: Some(s.work < 80),
                ..s
            })
            .collect();
        let forecast = forecaster(&history).graph(&graph, &tiers, 1);
        assert!(
            (8.0..14.0).contains(&forecast.climbs),
            "about a fifth of 50: {}",
            forecast.climbs
        );
        assert_eq!(forecast.unsatisfied, 0.0, "a judge's last word is kept");
        assert!(forecast.baseline.as_ref().unwrap().saving > 0.3);
        assert_eq!(forecast.ladders.len(), 1);
    }

    #[test]
    fn siblings_read_the_prefix_that_the_first_one_wrote() {
        let mut graph = wide(20);
        for node in &mut graph.tasks {
            node.task.context = Some("long".into());
            let assigned = node.assigned.as_mut().unwrap();
            (
                assigned.prompt_tokens,
                assigned.shared_tokens,
                assigned.has_tools,
            ) = (21_000, 20_000, false);
        }
        let shared = forecaster(&History::default()).graph(&graph, &tiers, 1);
        let (first, second) = (shared.tasks[0].mean.0, shared.tasks[1].mean.0);
        assert!(first > 2 * second, "{first} {second}");
        assert!(shared.tokens.cache_read.p50 > 10 * shared.tokens.cache_write.p50);
    }

    #[test]
    fn limits_make_a_run_longer() {
        let graph = wide(40);
        let took = |bounds| {
            forecaster(&History::default())
                .within(bounds)
                .graph(&graph, &tiers, 1)
                .took
                .p50
        };
        let free = took(Bounds::default());
        assert!(
            took(Bounds {
                in_flight_max: 4,
                ..Bounds::default()
            })
            .0 > 3 * free.0
        );
        assert!(
            took(Bounds {
                requests_per_minute: Some(10),
                ..Bounds::default()
            }) > free
        );
    }

    #[test]
    fn a_free_model_adds_nothing() {
        let mut graph = wide(2);
        let ceiling = |graph: &Graph| {
            forecaster(&History::default())
                .graph(graph, &tiers, 1)
                .ceiling
        };
        let both = ceiling(&graph);
        graph.tasks[1].assigned.as_mut().unwrap().rungs[0].price = None;
        assert_eq!(ceiling(&graph).0 * 2, both.0);
    }
}
