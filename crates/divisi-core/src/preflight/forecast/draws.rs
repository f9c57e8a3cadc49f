//! Simulated runs: every task of a graph drawn many times.

use super::ceiling::{bound, judge_max};
use super::conversation::judge_cost;
use super::schedule::{Demand, Schedule};
use super::spread::POINTS;
use super::task::{Around, Forecaster, Outlook, Shapes};
use crate::budget::TurnBound;
use crate::check::{Check, Judge};
use crate::climb::{Climb, climb, last_is_kept, needs_check};
use crate::preflight::{Assigned, Graph, Node, Rung};
use crate::{PicoUsd, Tier};
use fastrand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most costs of single tasks that are kept: some megabytes. A graph with more
/// tasks is drawn less often; its sum varies less, too.
const COSTS_MAX: usize = 4_000_000;

/// Fewest draws, however large a graph is.
const DRAWS_MIN: usize = 100;

/// The model that a tier stands for at the provider of the run.
pub(super) type Tiers<'a> = &'a dyn Fn(Tier) -> Option<Rung>;

/// A task made ready to be drawn.
pub(super) struct Prepared {
    pub(super) rungs: Vec<Step>,
    /// Its place among the phases.
    pub(super) phase: usize,
    last_is_kept: bool,
    checked: bool,
    cost_max: f64,
}

/// One model of it.
pub(super) struct Step {
    pub(super) outlook: Outlook,
    /// What its first request may cost.
    pub(super) bound: TurnBound,
    /// Its place among the models.
    pub(super) model: usize,
    /// Its place among the models at their providers.
    pub(super) asked: usize,
    /// The draw that all tasks of its label share.
    group: usize,
    middle: f64,
}

/// Who is asked: a provider by its name, and a model of it by its id. Where no
/// model is asked, the name is empty and the id is the executor's.
pub(super) type Asked = (Arc<str>, Arc<str>);

/// All tasks of a graph, ready to be drawn.
pub(super) struct Cast {
    pub(super) tasks: Vec<Option<Prepared>>,
    pub(super) phases: Vec<Arc<str>>,
    pub(super) models: Vec<Arc<str>>,
    pub(super) asked: Vec<Asked>,
    groups: usize,
}

/// What came of all draws.
#[derive(Default)]
pub(super) struct Drawn {
    /// Picodollars of each draw.
    pub(super) cost: Vec<f64>,
    pub(super) seconds: Vec<f64>,
    /// Input, cache write, cache read, output.
    pub(super) tokens: [Vec<f64>; 4],
    /// By task, then draw.
    pub(super) tasks: Vec<Vec<f32>>,
    pub(super) phases: Vec<Vec<f64>>,
    pub(super) models: Vec<Vec<f64>>,
    /// Sums over all draws.
    pub(super) checks: f64,
    pub(super) climbs: f64,
    pub(super) unsatisfied: f64,
    pub(super) lost: f64,
}

/// How many draws a graph of so many tasks gets.
pub(super) fn draws(tasks: usize, wanted: u32) -> usize {
    (COSTS_MAX / tasks.max(1))
        .max(DRAWS_MIN)
        .min(wanted.max(1) as usize)
}

impl Cast {
    /// Makes a graph ready. With `instead`, every task that asks for a model is
    /// done by that one alone.
    pub(super) fn of(
        forecaster: &Forecaster,
        graph: &Graph,
        tiers: Tiers<'_>,
        instead: Option<&Rung>,
    ) -> Self {
        let mut shapes = Shapes::default();
        let mut written: BTreeSet<(Arc<str>, Arc<str>)> = BTreeSet::new();
        let (mut phases, mut models) = (Places::default(), Places::default());
        let mut groups = Places::<Arc<str>>::default();
        let mut asked = Places::default();
        let mut prepare = |node: &Node| {
            let task = node.assigned.as_ref().ok()?;
            let executor = task.executor.clone();
            let command = [Rung {
                provider: Arc::default(),
                model: executor,
                tier: None,
                price: None,
            }];
            let rungs = match (task.rungs.as_slice(), instead) {
                ([], _) => command.as_slice(),
                (_, Some(rung)) => std::slice::from_ref(rung),
                (rungs, None) => rungs,
            };
            let label = format!(
                "{}\u{1f}{}",
                node.task.phase.as_deref().unwrap_or_default(),
                node.label()
            );
            let mut steps = Vec::new();
            for rung in rungs {
                let shared = node.task.context.clone().filter(|_| task.shared_tokens > 0);
                let primed =
                    shared.is_some_and(|context| !written.insert((rung.model.clone(), context)));
                let around = around(forecaster, node, task, rungs, tiers, primed);
                let outlook = forecaster.outlook(&mut shapes, &graph.name, node, rung, &around)?;
                steps.push(Step {
                    bound: bound(task, rung),
                    middle: outlook.log_cost.map_or(0.0, f64::exp),
                    model: models.place(rung.model.clone()),
                    asked: asked.place((rung.provider.clone(), rung.model.clone())),
                    group: groups.place(label.as_str().into()),
                    outlook,
                });
            }
            let alone = instead.is_some() && !task.rungs.is_empty();
            Some(Prepared {
                last_is_kept: last_is_kept(node.task.check.iter().map(Check::kind), steps.len()),
                checked: task.checked && !alone,
                cost_max: node
                    .task
                    .max_cost
                    .map_or(f64::INFINITY, |most| most.0 as f64),
                rungs: steps,
                phase: phases.place(node.task.phase.clone().unwrap_or_default()),
            })
        };
        let tasks = graph.tasks.iter().map(&mut prepare).collect();
        Self {
            tasks,
            phases: phases.names,
            models: models.names,
            asked: asked.names,
            groups: groups.names.len(),
        }
    }

    /// Draws all tasks so many times; the same seed gives the same draws.
    pub(super) fn draw(&self, schedule: Option<&Schedule>, draws: usize, seed: u64) -> Drawn {
        let mut rng = Rng::with_seed(seed);
        let bell = Bell::new();
        let mut drawn = Drawn {
            tasks: vec![Vec::with_capacity(draws); self.tasks.len()],
            phases: vec![Vec::with_capacity(draws); self.phases.len()],
            models: vec![Vec::with_capacity(draws); self.models.len()],
            ..Drawn::default()
        };
        let mut demands = vec![Demand::default(); self.tasks.len()];
        for _ in 0..draws {
            let mut draw = Draw::of(self, &bell, &mut rng);
            let mut sum = 0.0;
            for (i, task) in self.tasks.iter().enumerate() {
                let Some(task) = task else { continue };
                let demand = &mut demands[i];
                *demand = Demand::default();
                let cost = draw.task(task, &mut rng, &mut drawn, &mut |more, _, _| {
                    demand.add(more);
                });
                sum += cost;
                drawn.tasks[i].push(cost as f32);
            }
            drawn.cost.push(sum);
            drawn
                .seconds
                .extend(schedule.map(|schedule| schedule.makespan(&demands)));
            draw.hand_over(&mut drawn);
        }
        drawn
    }
}

/// What the tasks of one draw have in common, and what they add up to.
pub(super) struct Draw {
    models: Vec<f64>,
    accepts: Vec<f64>,
    groups: Vec<f64>,
    by_model: Vec<f64>,
    by_phase: Vec<f64>,
    tokens: [f64; 4],
}

impl Draw {
    pub(super) fn of(cast: &Cast, bell: &Bell, rng: &mut Rng) -> Self {
        Self {
            models: (0..cast.models.len()).map(|_| bell.draw(rng)).collect(),
            accepts: (0..cast.models.len()).map(|_| bell.draw(rng)).collect(),
            groups: (0..cast.groups).map(|_| bell.draw(rng)).collect(),
            by_model: vec![0.0; cast.models.len()],
            by_phase: vec![0.0; cast.phases.len()],
            tokens: [0.0; 4],
        }
    }

    /// Draws one task up its ladder; returns picodollars. `each` hears what it
    /// takes on each of its models, by what factor that is more than usual, and
    /// what it costs there.
    pub(super) fn task(
        &mut self,
        task: &Prepared,
        rng: &mut Rng,
        drawn: &mut Drawn,
        each: &mut impl FnMut(Demand, (&Step, f64), f64),
    ) -> f64 {
        let (mut total, mut rung) = (0.0, 0);
        loop {
            let step = &task.rungs[rung];
            let outlook = &step.outlook;
            let log_factor = outlook.shape.points[rng.usize(..POINTS)]
                + self.models[step.model] * outlook.model_deviation
                + self.groups[step.group] * outlook.group_deviation;
            let factor = log_factor.exp();
            // The ceiling is what reservations hold: no draw is above it.
            let most = (outlook.ceiling.0 as f64).min(task.cost_max - total);
            let mut cost = (step.middle * factor).min(most);
            drawn.lost += cost * outlook.lost;
            let demand = self.count(outlook, factor, log_factor);
            let checked = task.checked && needs_check(rung, task.rungs.len(), task.last_is_kept);
            if checked {
                let check = (outlook.accepts.cost.0 as f64).min(most - cost);
                drawn.checks += check;
                cost += check;
            }
            each(demand, (step, factor), cost);
            total += cost;
            self.by_model[step.model] += cost;
            let accepted = !checked || rng.f64() < self.accept_share(step);
            match climb(rung, task.rungs.len(), accepted, task.last_is_kept) {
                Climb::Accept | Climb::Keep => break,
                Climb::Next(next) => {
                    drawn.climbs += 1.0;
                    rung = next;
                }
                Climb::Fail => {
                    drawn.unsatisfied += 1.0;
                    break;
                }
            }
        }
        self.by_phase[task.phase] += total;
        total
    }

    fn count(&mut self, outlook: &Outlook, factor: f64, log_factor: f64) -> Demand {
        let usage = &outlook.usage;
        let classes = [
            usage.input,
            usage.cache_write_5m + usage.cache_write_1h,
            usage.cache_read,
            usage.output,
        ];
        for (sum, tokens) in self.tokens.iter_mut().zip(classes) {
            *sum += tokens as f64 * factor;
        }
        let slower = outlook.slowdown(log_factor);
        Demand {
            seconds: outlook.seconds * slower,
            requests: outlook.turns * slower,
            tokens: usage.total() as f64 * factor,
        }
    }

    /// The share of results that is accepted in this draw: one for all tasks of
    /// a model, because it is that share which is not known exactly.
    fn accept_share(&self, step: &Step) -> f64 {
        let accepts = &step.outlook.accepts;
        accepts.share + self.accepts[step.model] * accepts.deviation()
    }

    fn hand_over(self, drawn: &mut Drawn) {
        let add = |all: &mut [Vec<f64>], one: &[f64]| {
            all.iter_mut()
                .zip(one)
                .for_each(|(all, one)| all.push(*one));
        };
        add(&mut drawn.models, &self.by_model);
        add(&mut drawn.phases, &self.by_phase);
        add(&mut drawn.tokens, &self.tokens);
    }
}

/// What is known of a task besides itself.
pub(super) fn around(
    forecaster: &Forecaster,
    node: &Node,
    task: &Assigned,
    rungs: &[Rung],
    tiers: Tiers<'_>,
    primed: bool,
) -> Around {
    let judges = judges(&node.task.check, rungs, tiers);
    Around {
        primed,
        check_cost: judges
            .iter()
            .map(|(judge, rung)| judge_cost(task, judge, rung))
            .sum(),
        check_max: judges
            .iter()
            .map(|(_, rung)| judge_max(task, rung, &forecaster.bounds))
            .sum(),
    }
}

/// The judges of a task and the models that stand for them.
fn judges<'a>(checks: &'a [Check], rungs: &[Rung], tiers: Tiers<'_>) -> Vec<(&'a Judge, Rung)> {
    let judges = checks.iter().filter_map(|check| match check {
        Check::Judge(judge) => Some(judge),
        Check::Schema(_) | Check::Command(_) => None,
    });
    let model = |judge: &Judge| match judge.model.as_deref() {
        None => tiers(Tier::Haiku),
        Some(word) => match word.parse() {
            Ok(tier) => tiers(tier),
            // Another model than those of the ladder has no price here; the
            // dearest of them is nearest to being safe.
            Err(_) => rungs
                .iter()
                .find(|rung| *rung.model == *word)
                .or(rungs.last())
                .cloned(),
        },
    };
    judges
        .filter_map(|judge| Some((judge, model(judge)?)))
        .collect()
}

/// Names in the order in which they come up.
struct Places<K> {
    known: BTreeMap<K, usize>,
    names: Vec<K>,
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            names: vec![],
        }
    }
}

impl<K: Clone + Ord> Places<K> {
    fn place(&mut self, name: K) -> usize {
        *self.known.entry(name).or_insert_with_key(|name| {
            self.names.push(name.clone());
            self.names.len() - 1
        })
    }
}

/// Draws from the standard normal distribution, by its quantiles.
pub(super) struct Bell(Vec<f64>);

impl Bell {
    pub(super) fn new() -> Self {
        let bell = Normal::standard();
        Self(
            (0..POINTS)
                .map(|i| bell.inverse_cdf((i as f64 + 0.5) / POINTS as f64))
                .collect(),
        )
    }

    fn draw(&self, rng: &mut Rng) -> f64 {
        self.0[rng.usize(..POINTS)]
    }
}

impl Prepared {
    /// The most that all rungs together can cost.
    pub(super) fn ceiling(&self) -> PicoUsd {
        let all = self.rungs.iter().map(|step| step.outlook.ceiling).sum();
        if self.cost_max.is_finite() {
            PicoUsd(self.cost_max as u64).min(all)
        } else {
            all
        }
    }
}
