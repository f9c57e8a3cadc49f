//! Simulated runs: every task of a graph drawn many times.

use super::ceiling::{bound, judge_max};
use super::conversation::judge_cost;
use super::guess::More;
use super::schedule::{Demand, Schedule};
use super::spread::POINTS;
use super::task::{Around, Forecaster, Outlook, Shapes};
use super::tree;
use crate::budget::TurnBound;
use crate::check::{Check, Judge};
use crate::climb::{Climb, climb, last_is_kept, needs_check};
use crate::preflight::{Assigned, Graph, Guess, Node, Rung};
use crate::{PicoUsd, Tier};
use fastrand::Rng;
use statrs::distribution::{ContinuousCDF, Normal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most costs of single tasks drawn. A larger graph is drawn less often: its percentiles hardly
/// depend on that, and a run of a thousand tasks computes its estimate beside its first requests.
const COSTS_MAX: usize = 250_000;

/// Fewest draws, however large a graph is.
const DRAWS_MIN: usize = 100;

/// Standard deviation of a factor common to all tasks of a run, as a logarithm: two runs never have
/// the same work to do.
const RUN_DEVIATION: f64 = 0.1;

/// Finds the model of a tier at the run's provider.
pub(super) type Tiers<'a> = &'a dyn Fn(Tier) -> Option<Rung>;

/// A task prepared for drawing.
pub(super) struct Prepared {
    pub(super) rungs: Vec<Step>,
    /// Index of its phase.
    pub(super) phase: usize,
    /// Indices of the guesses that count this task.
    guesses: Vec<usize>,
    last_is_kept: bool,
    checked: bool,
    cost_max: f64,
}

/// One model of its ladder.
pub(super) struct Step {
    pub(super) outlook: Outlook,
    /// Bound of its first request.
    pub(super) bound: TurnBound,
    /// Index among the models.
    pub(super) model: usize,
    /// Index among the pairs of provider and model.
    pub(super) asked: usize,
    /// Index of the smallest group that it belongs to.
    group: usize,
    middle: f64,
}

/// The deviation of a group of tasks in one draw, as a logarithm: a share of its parent's, plus a
/// normal part of its own.
#[derive(Clone, Copy)]
struct Group {
    above: Option<usize>,
    follows: f64,
    own: f64,
}

/// A provider's name and a model id of it. Without a model, the name is empty and the id is the
/// executor's.
pub(super) type Asked = (Arc<str>, Arc<str>);

/// All tasks of a graph, prepared for drawing.
pub(super) struct Cast {
    pub(super) tasks: Vec<Option<Prepared>>,
    pub(super) phases: Vec<Arc<str>>,
    pub(super) models: Vec<Arc<str>>,
    pub(super) asked: Vec<Asked>,
    /// The groups of tasks, each after its parent.
    groups: Vec<Group>,
    /// For each guess the factor between the expected number of tasks and that of the graph.
    guesses: Vec<More>,
}

/// The results of all draws.
#[derive(Default)]
pub(super) struct Drawn {
    /// Picodollars per draw.
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

/// Number of draws for a graph of this size.
pub(super) fn draws(tasks: usize, wanted: u32) -> usize {
    (COSTS_MAX / tasks.max(1))
        .max(DRAWS_MIN)
        .min(wanted.max(1) as usize)
}

impl Cast {
    /// Prepares a graph. With `instead`, that model alone does every task that asks for a model.
    pub(super) fn of(
        forecaster: &Forecaster,
        graph: &Graph,
        tiers: Tiers<'_>,
        instead: Option<&Rung>,
    ) -> Self {
        let mut shapes = Shapes::default();
        let mut written: BTreeSet<(Arc<str>, Arc<str>)> = BTreeSet::new();
        let (mut phases, mut models) = (Places::default(), Places::default());
        let mut groups: Vec<Group> = vec![];
        let mut known: BTreeMap<(Option<usize>, tree::Step), usize> = BTreeMap::new();
        let mut asked = Places::default();
        let guesses_of = |place: usize| {
            let holds = |guess: &&(usize, &Guess)| guess.1.tasks.binary_search(&place).is_ok();
            let guesses = graph.guesses.iter().enumerate();
            guesses
                .filter(|guess| holds(&guess))
                .map(|(guess, _)| guess)
                .collect()
        };
        let mut prepare = |(place, node): (usize, &Node)| {
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
            let mut steps = Vec::new();
            for rung in rungs {
                let shared = node.task.context.clone().filter(|_| task.shared_tokens > 0);
                let primed =
                    shared.is_some_and(|context| !written.insert((rung.model.clone(), context)));
                let around = around(forecaster, node, task, rungs, tiers, primed);
                let mut outlook =
                    forecaster.outlook(&mut shapes, &graph.name, node, rung, &around)?;
                let mut group = None;
                for (step, follows, own) in std::mem::take(&mut outlook.path) {
                    let place = known.entry((group, step)).or_insert_with(|| {
                        groups.push(Group {
                            above: group,
                            follows,
                            own,
                        });
                        groups.len() - 1
                    });
                    group = Some(*place);
                }
                steps.push(Step {
                    bound: bound(task, rung),
                    middle: outlook.log_cost.map_or(0.0, f64::exp),
                    model: models.place(rung.model.clone()),
                    asked: asked.place((rung.provider.clone(), rung.model.clone())),
                    group: group.unwrap_or_default(),
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
                guesses: guesses_of(place),
            })
        };
        let tasks = graph.tasks.iter().enumerate().map(&mut prepare).collect();
        Self {
            tasks,
            phases: phases.names,
            models: models.names,
            asked: asked.names,
            groups,
            guesses: graph.guesses.iter().map(More::of).collect(),
        }
    }

    /// Draws all tasks this many times; the same seed gives the same draws.
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
                sum += cost * draw.times(task);
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

/// Values shared by the tasks of one draw, and their sums.
pub(super) struct Draw<'a> {
    bell: &'a Bell,
    accepts: Vec<f64>,
    /// Deviation of each group of tasks, as a logarithm.
    groups: Vec<f64>,
    /// Deviation of the whole run, as a logarithm.
    run: f64,
    /// For each guess, tasks per task of the graph.
    guesses: Vec<f64>,
    by_model: Vec<f64>,
    by_phase: Vec<f64>,
    tokens: [f64; 4],
}

impl<'a> Draw<'a> {
    pub(super) fn of(cast: &Cast, bell: &'a Bell, rng: &mut Rng) -> Self {
        let mut groups: Vec<f64> = Vec::with_capacity(cast.groups.len());
        for group in &cast.groups {
            let above = group.above.map_or(0.0, |above| groups[above]);
            groups.push(group.follows * above + group.own * bell.draw(rng));
        }
        Self {
            bell,
            accepts: (0..cast.models.len()).map(|_| bell.draw(rng)).collect(),
            groups,
            run: RUN_DEVIATION * bell.draw(rng),
            guesses: cast
                .guesses
                .iter()
                .map(|more| (more.log + more.deviation * bell.draw(rng)).exp())
                .collect(),
            by_model: vec![0.0; cast.models.len()],
            by_phase: vec![0.0; cast.phases.len()],
            tokens: [0.0; 4],
        }
    }

    /// Number of tasks for this task of the graph.
    fn times(&self, task: &Prepared) -> f64 {
        task.guesses
            .iter()
            .map(|guess| self.guesses[*guess])
            .product()
    }

    /// Draws one task up its ladder; returns picodollars. `each` is called for each of its models
    /// with the demand, the factor by which that exceeds the usual one, and the cost.
    pub(super) fn task(
        &mut self,
        task: &Prepared,
        rng: &mut Rng,
        drawn: &mut Drawn,
        each: &mut impl FnMut(Demand, (&Step, f64), f64),
    ) -> f64 {
        let (mut total, mut rung) = (0.0, 0);
        let times = self.times(task);
        loop {
            let step = &task.rungs[rung];
            let outlook = &step.outlook;
            let log_factor =
                outlook.shape.points[rng.usize(..POINTS)] + self.groups[step.group] + self.run;
            let factor = log_factor.exp();
            // Reservations enforce the ceiling, so no draw exceeds it.
            let most = (outlook.ceiling.0 as f64).min(task.cost_max - total);
            let mut fixed = outlook.fixed;
            if fixed > 0.0 {
                fixed *= (outlook.fixed_deviation * self.bell.draw(rng)).exp();
            }
            let mut cost = (fixed + step.middle * factor).min(most);
            drawn.lost += cost * outlook.lost * times;
            let demand = self.count(outlook, (factor, log_factor), times);
            let checked = task.checked && needs_check(rung, task.rungs.len(), task.last_is_kept);
            if checked {
                let check = (outlook.accepts.cost.0 as f64).min(most - cost);
                drawn.checks += check * times;
                cost += check;
            }
            each(demand, (step, factor), cost);
            total += cost;
            self.by_model[step.model] += cost * times;
            let accepted = !checked || rng.f64() < self.accept_share(step);
            match climb(rung, task.rungs.len(), accepted, task.last_is_kept) {
                Climb::Accept | Climb::Keep => break,
                Climb::Next(next) => {
                    drawn.climbs += times;
                    rung = next;
                }
                Climb::Fail => {
                    drawn.unsatisfied += times;
                    break;
                }
            }
        }
        self.by_phase[task.phase] += total * times;
        total
    }

    fn count(&mut self, outlook: &Outlook, (factor, log_factor): (f64, f64), times: f64) -> Demand {
        let usage = &outlook.usage;
        let classes = [
            usage.input,
            usage.cache_write_5m + usage.cache_write_1h,
            usage.cache_read,
            usage.output,
        ];
        let fixed = &outlook.fixed_usage;
        let fixed = [
            fixed.input,
            fixed.cache_write_5m + fixed.cache_write_1h,
            fixed.cache_read,
            fixed.output,
        ];
        for ((sum, tokens), fixed) in self.tokens.iter_mut().zip(classes).zip(fixed) {
            *sum += (tokens as f64 * factor + fixed as f64) * times;
        }
        let slower = outlook.slowdown(log_factor);
        Demand {
            seconds: outlook.seconds * slower,
            requests: outlook.turns * slower,
            tokens: usage.total() as f64 * factor + outlook.fixed_usage.total() as f64,
        }
    }

    /// The accepted share of results in this draw. All tasks of a model have the same one, because
    /// its exact value is unknown.
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

/// Context of a task: whether its prefix is written, and what its checks cost.
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

/// The judges of a task, with the rungs that price them.
fn judges<'a>(checks: &'a [Check], rungs: &[Rung], tiers: Tiers<'_>) -> Vec<(&'a Judge, Rung)> {
    let judges = checks.iter().filter_map(|check| match check {
        Check::Judge(judge) => Some(judge),
        Check::Schema(_) | Check::Command(_) => None,
    });
    let model = |judge: &Judge| match judge.model.as_deref() {
        None => tiers(Tier::Haiku),
        Some(word) => match word.parse() {
            Ok(tier) => tiers(tier),
            // A judge's model outside of the ladder has no known price here; the dearest rung is
            // the safest assumption.
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

/// Assigns indices to names, in order of first use.
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

/// Draws from the standard normal distribution, by a table of its quantiles.
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
