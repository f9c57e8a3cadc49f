//! A model of the size of tasks, fitted to a history: how far their logarithms are from what is
//! assumed for their kind.
//!
//! `log cost = log of the assumed conversation at this prompt + tree + slope × log prompt + rest`
//!
//! Costs of tasks are skewed and multiply, so their logarithms are added. The assumed conversation
//! includes the cost of a longer prompt. What is learnt is the distance of tasks from it, as a
//! [`Tree`] of groups, which are shrunk towards their parents, more so with fewer tasks. The slope
//! is learnt from prompts that differ within a group, with a prior mean of zero, and is not
//! extrapolated beyond the observed prompts. So evidence counts by what it distinguishes, not by
//! its amount.
//!
//! Tasks without tools have one turn. The cost of their prompt is known in advance, so only the
//! length of the answer is learnt. The rest is kept as observed, because budgets break in the
//! tails.

use super::conversation::{Conversation, work};
use super::priors::Priors;
use super::spread::{Mean, Shape, deviation};
use super::tree::{Found, Gauss, Level, Step, Tree};
use crate::Usage;
use crate::history::{History, Sample};
use crate::price::Rates;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Fewest tasks for which a source is named; below it the next more general source is better
/// evidence.
pub(super) const ENOUGH: u64 = 5;

/// Prior standard deviation of the slope: of the exponent of the prompt's length by which cost
/// deviates from the assumed conversation. By [`Measure`]; an answer may grow with its prompt, as a
/// translation does, or not at all.
const SLOPE_DEVIATION: [f64; 2] = [0.15, 0.4];

/// Number of labels that the prior variance between labels counts for.
const LABELS_WORTH: f64 = 4.0;

/// With fewer than two tasks per fitted parameter, the rest is no evidence.
const FITTED_MAX: f64 = 0.5;

/// Mean number of turns above which the tasks of a place are taken to use tools.
const TURNS_OF_ONE: f64 = 1.5;

/// Largest distance from the assumption, as a logarithm, for a task of a flow that has not run:
/// only other flows are evidence for it.
const STRANGER_MAX: f64 = 1.098_612_288_668_109_8; // three times

/// Largest ratio, as a logarithm, between bills and prices that counts as a discount; beyond it the
/// price is taken to be wrong.
const DISCOUNT_MAX: f64 = std::f64::consts::LN_10; // ten times

/// Everything that forecasts use of a history.
#[derive(Debug, Default)]
pub(super) struct Fit {
    cells: BTreeMap<CellKey, Cell>,
    tree: Tree,
    /// By model, or by executor where there is none.
    billed: BTreeMap<Arc<str>, Billed>,
    /// How tasks at a place of a flow work: turns, and whether their usage is known.
    habits: BTreeMap<Spot, Habit>,
    /// Variance between the labels of a phase, by the phase's node.
    labels: BTreeMap<usize, f64>,
    seen: BTreeMap<(Group, Arc<str>), u64>,
    pub(super) answers: Answers,
    /// Usage of prompts, by place and model.
    prompts: BTreeMap<(Spot, Arc<str>), Prompts>,
}

/// Lengths of results, by kind and by place.
#[derive(Debug, Default)]
pub(super) struct Answers {
    kinds: BTreeMap<Arc<str>, Mean>,
    spots: BTreeMap<Spot, Mean>,
}

/// Usage of prompts: their work (see [`work`]) and their tokens.
#[derive(Clone, Copy, Debug, Default)]
struct Prompts {
    tasks: f64,
    work: f64,
    tokens: f64,
    /// Sum, and sum of squares, of the work per token of each task.
    rates: (f64, f64),
}

/// A place in a flow: the flow, the phase and the kind of task.
type Spot = (Arc<str>, Arc<str>, Arc<str>);

/// The model or executor, the kind of task, and what is learnt of it.
type CellKey = (Arc<str>, Arc<str>, Measure);

/// What is learnt of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Measure {
    /// Its whole cost, over many turns.
    Whole,
    /// The length of its answer: it has one turn, and the cost of its prompt is known.
    Answer,
}

/// Observed turns of the tasks at a place of a flow.
#[derive(Clone, Copy, Debug, Default)]
struct Habit {
    tasks: u64,
    turns: u64,
    /// Whether the usage of some of them is unknown.
    is_vague: bool,
}

/// The price of work on a model: picodollars billed for the equivalent of one fresh prompt token.
#[derive(Clone, Copy, Debug, Default)]
struct Billed {
    cost: f64,
    work: f64,
    usage: Usage,
    /// Number of tasks with a cost but without usage, and the mean logarithm of their cost over the
    /// assumed work.
    vague: f64,
    log_vague: f64,
}

/// Observed tasks of one kind on one model.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// Tasks with a known cost.
    pub(super) priced: u64,
    /// Sum of their costs in picodollars, without checks.
    pub(super) cost: f64,
    /// The part of it for failed attempts.
    pub(super) lost: f64,
    /// Tokens of them all.
    pub(super) usage: Usage,
    /// Requests of them all.
    pub(super) turns: u64,
    /// Tasks with a known duration.
    pub(super) timed: u64,
    /// Mean of the logarithm of their duration in seconds.
    pub(super) log_seconds: f64,
    /// Checked results.
    pub(super) checked: u64,
    /// Accepted results.
    pub(super) accepted: u64,
    /// What the checks cost, in picodollars.
    pub(super) check_cost: f64,
    /// Mean distance from the assumption, as a logarithm.
    pub(super) log_off: f64,
    slope: Slope,
    /// The unexplained rests, sorted.
    rests: Vec<f64>,
    /// Share of the variance that fitting removes even from pure noise.
    fitted: f64,
}

/// The change of the distance from the assumption with the length of the prompt.
#[derive(Clone, Copy, Debug, Default)]
struct Slope {
    by: f64,
    /// Mean, minimum and maximum of the logarithms of the observed prompts.
    mean: f64,
    least: f64,
    most: f64,
}

impl Slope {
    /// The effect at this prompt; constant beyond the observed prompts.
    fn at(&self, log_prompt: f64) -> f64 {
        self.by * (log_prompt.clamp(self.least, self.most) - self.mean)
    }
}

/// A property by which tasks are grouped.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Label(Arc<str>, Arc<str>),
    Phase(Arc<str>, Arc<str>),
    Kind(Arc<str>),
    Model,
}

/// The most specific group with similar tasks, and their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Label(u64),
    Phase(u64),
    Kind(u64),
    Model(u64),
    Nothing,
}

/// A task as described to the cost model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) flow: &'a str,
    pub(super) phase: Option<&'a str>,
    pub(super) label: &'a str,
    pub(super) kind: &'a str,
    pub(super) executor: &'a str,
    pub(super) provider: &'a str,
    /// The model, or the executor where there is none.
    pub(super) model: &'a str,
}

impl Place<'_> {
    fn spot(&self) -> Spot {
        let phase = self.phase.unwrap_or_default();
        (self.flow.into(), phase.into(), self.kind.into())
    }
}

impl Answers {
    pub(super) fn of_kind(&self, kind: &str) -> Mean {
        self.kinds.get(kind).copied().unwrap_or_default()
    }

    pub(super) fn at(&self, flow: &str, phase: Option<&str>, kind: &str) -> Mean {
        let spot = (flow.into(), phase.unwrap_or_default().into(), kind.into());
        self.spots.get(&spot).copied().unwrap_or_default()
    }
}

/// The expected distance of a task from its assumption, as a logarithm.
#[derive(Clone, Debug, Default)]
pub(super) struct Off {
    pub(super) mean: f64,
    pub(super) variance: f64,
    /// Whether no such task of its flow has been observed.
    pub(super) is_stranger: bool,
    /// For each group from all tasks down to this one's label: the share of its parent's deviation
    /// that it inherits, and its own standard deviation.
    pub(super) path: Vec<(Step, f64, f64)>,
}

/// One sample during the fit.
struct Row<'a> {
    sample: &'a Sample,
    cell: CellKey,
    leaf: usize,
    /// Logarithm of the measured over the assumed value.
    off: f64,
    log_prompt: Option<f64>,
}

impl Fit {
    pub(super) fn of(history: &History, priors: &Priors) -> Self {
        let mut fit = Self::default();
        let samples = history.newest();
        for sample in &samples {
            fit.count(sample);
        }
        for sample in &samples {
            fit.bill(sample, priors);
        }
        for sample in &samples {
            let key = fit.cell_key(sample);
            fit.cells.entry(key).or_default().add(sample);
        }
        let mut rows: Vec<Row<'_>> = samples
            .into_iter()
            .filter_map(|sample| fit.row(sample, priors))
            .collect();
        rows.sort_by(|a, b| (&a.cell, a.leaf).cmp(&(&b.cell, b.leaf)));
        for rows in rows.chunk_by_mut(|a, b| a.cell == b.cell) {
            fit.look(rows, priors);
        }
        fit.tree.learn();
        for rows in rows.chunk_by(|a, b| a.cell == b.cell) {
            fit.keep_rests(rows);
        }
        fit
    }

    fn count(&mut self, sample: &Sample) {
        // Unbilled answers may be scripted, so they show neither turns nor lengths.
        if sample.cost.0 > 0 {
            self.get_to_know(sample);
        }
        let (asked, kind, flow) = (asked(sample), kind_of(sample), &sample.flow);
        let mut groups = vec![
            Group::Label(flow.clone(), sample.label.clone()),
            Group::Kind(kind),
            Group::Model,
        ];
        groups.extend(
            sample
                .phase
                .as_ref()
                .map(|phase| Group::Phase(flow.clone(), phase.clone())),
        );
        for group in groups {
            *self.seen.entry((group, asked.clone())).or_default() += 1;
        }
    }

    /// Records how tasks at the place of a sample work: turns, lengths of answers, usage of
    /// prompts.
    fn get_to_know(&mut self, sample: &Sample) {
        let habit = self.habits.entry(spot_of(sample)).or_default();
        habit.tasks += 1;
        habit.turns += u64::from(sample.turns);
        habit.is_vague |= is_vague(sample);
        if let Some(answer) = log(sample.answer_tokens) {
            self.answers
                .kinds
                .entry(kind_of(sample))
                .or_default()
                .add(answer);
            self.answers
                .spots
                .entry(spot_of(sample))
                .or_default()
                .add(answer);
        }
        if !is_vague(sample) && sample.prompt_tokens > 0 {
            let spot = (spot_of(sample), asked(sample));
            let prompts = self.prompts.entry(spot).or_default();
            prompts.tasks += 1.0;
            let (work, tokens) = (
                work(&Usage {
                    output: 0,
                    ..sample.usage
                }),
                sample.prompt_tokens as f64,
            );
            prompts.work += work;
            prompts.tokens += tokens;
            prompts.rates.0 += work / tokens;
            prompts.rates.1 += (work / tokens).powi(2);
        }
    }

    /// Adds to the observed price of work on the sample's model.
    fn bill(&mut self, sample: &Sample, priors: &Priors) {
        let Some(cost) = log(sample.cost.0) else {
            return;
        };
        let assumed = self.assumed_work(sample, priors).ln();
        let billed = self.billed.entry(asked(sample)).or_default();
        if is_vague(sample) {
            billed.vague += 1.0;
            billed.log_vague += (cost - assumed - billed.log_vague) / billed.vague;
        } else {
            billed.cost += sample.cost.0 as f64;
            billed.work += work(&sample.usage);
            billed.usage += sample.usage;
        }
    }

    /// The work assumed for a past task.
    fn assumed_work(&self, sample: &Sample, priors: &Priors) -> f64 {
        let prior = priors.kind(sample.kind.as_deref().unwrap_or_default());
        let uses_tools = self
            .habits
            .get(&spot_of(sample))
            .is_none_or(Habit::uses_tools);
        Conversation::past(prior, sample.prompt_tokens.max(1), uses_tools).work()
            * (1.0 + priors.failures.share)
    }

    fn cell_key(&self, sample: &Sample) -> CellKey {
        let measure = self
            .habits
            .get(&spot_of(sample))
            .map_or(Measure::Whole, Habit::measure);
        (asked(sample), kind_of(sample), measure)
    }

    fn row<'a>(&mut self, sample: &'a Sample, priors: &Priors) -> Option<Row<'a>> {
        let cost = log(sample.cost.0)?;
        let cell = self.cell_key(sample);
        let off = match cell.2 {
            Measure::Whole => {
                let per_work = self.billed.get(&cell.0)?.log();
                cost - per_work - self.assumed_work(sample, priors).ln()
            }
            Measure::Answer => {
                let answer = Conversation::reply(priors.kind(&cell.1), false);
                log(sample.usage.output)? - (answer * (1.0 + priors.failures.share)).ln()
            }
        };
        let path = path(
            &Place {
                flow: &sample.flow,
                phase: sample.phase.as_deref(),
                label: &sample.label,
                kind: &cell.1,
                executor: &sample.executor,
                provider: "",
                model: &cell.0,
            },
            cell.2,
        );
        let leaf = self.tree.make(&path);
        Some(Row {
            sample,
            cell,
            leaf,
            off,
            log_prompt: log(sample.prompt_tokens),
        })
    }

    /// Fits the rows of one cell, sorted by leaf: the effect of the prompt, the noise, and the mean
    /// of each leaf.
    fn look(&mut self, rows: &mut [Row<'_>], priors: &Priors) {
        let Some(Row { cell: key, .. }) = rows.first() else {
            return;
        };
        let key = key.clone();
        let usual = deviation(priors.kind(&key.1).spread).powi(2);
        let slope = Slope::of(rows, key.2, usual);
        for row in rows.iter_mut() {
            row.off -= row.log_prompt.map_or(0.0, |prompt| slope.at(prompt));
        }
        // Leaves (labels) by phase: leaf, count, mean, sum of squares.
        let mut phases: BTreeMap<usize, Vec<(usize, f64, f64, f64)>> = BTreeMap::new();
        for rows in rows.chunk_by(|a, b| a.leaf == b.leaf) {
            let count = rows.len() as f64;
            let mean = rows.iter().map(|row| row.off).sum::<f64>() / count;
            let squares = rows.iter().map(|row| (row.off - mean).powi(2)).sum::<f64>();
            let phase = self.tree.above(rows[0].leaf).unwrap_or_default();
            phases
                .entry(phase)
                .or_default()
                .push((rows[0].leaf, count, mean, squares));
        }
        let (mut varied, mut free) = (usual * Priors::WORTH, Priors::WORTH);
        for labels in phases.values() {
            let all = Labels::of(labels);
            varied += all.squares;
            free += all.free;
        }
        let noise = varied / free;
        for (phase, labels) in phases {
            let between = Labels::of(&labels).between(labels.len() as f64);
            self.labels.insert(phase, between);
            for (leaf, count, mean, _) in labels {
                self.tree.see(leaf, count, mean, noise);
                self.tree.vary(leaf, between);
            }
        }
        if let Some(cell) = self.cells.get_mut(&key) {
            cell.slope = slope;
            cell.log_off = rows.iter().map(|row| row.off).sum::<f64>() / rows.len() as f64;
        }
    }

    /// Keeps the rests of one cell's rows, shifted so that the model would have predicted the sum
    /// of their costs.
    ///
    /// Logarithms that are right on average need not give the right sum: if dearer groups also vary
    /// more, the sum is some percent too low.
    fn keep_rests(&mut self, rows: &[Row<'_>]) {
        let Some(Row { cell: key, .. }) = rows.first() else {
            return;
        };
        let count = rows.len() as f64;
        let known = |row: &Row<'_>| self.tree.node(row.leaf).known.mean;
        let mut rests: Vec<f64> = rows.iter().map(|row| row.off - known(row)).collect();
        // Shrinking the groups leaves a bias in the rests, which is removed here.
        let middle = rests.iter().sum::<f64>() / count;
        rests.iter_mut().for_each(|rest| *rest -= middle);
        let size = |row: &Row<'_>| match key.2 {
            Measure::Whole => row.sample.cost.0 as f64,
            Measure::Answer => row.sample.usage.output as f64,
        };
        let mean_factor = rests.iter().map(|rest| rest.exp()).sum::<f64>() / count;
        let foretold: f64 = rows
            .iter()
            .zip(&rests)
            .map(|(row, rest)| size(row) / rest.exp() * mean_factor)
            .sum();
        let missing = (rows.iter().map(size).sum::<f64>() / foretold).ln();
        let moved = missing * count / (count + CALIBRATION_WORTH);
        rests.iter_mut().for_each(|rest| *rest += moved);
        rests.sort_by(f64::total_cmp);
        let trusted: f64 = rows
            .chunk_by(|a, b| a.leaf == b.leaf)
            .map(|rows| 1.0 - self.tree.node(rows[0].leaf).follows)
            .sum();
        let fitted = ((1.0 + trusted) / count).min(FITTED_MAX);
        if let Some(cell) = self.cells.get_mut(key) {
            (cell.rests, cell.fitted) = (rests, fitted);
        }
    }

    /// What is learnt of tasks at this place, and whether they use tools; `uses_tools` is the
    /// assumption for a place without observations.
    pub(super) fn measure(&self, place: &Place<'_>, uses_tools: bool) -> (Measure, bool) {
        match self.habits.get(&place.spot()) {
            Some(habit) => {
                let is_unknown = habit.turns == 0;
                let uses_tools = if is_unknown {
                    uses_tools
                } else {
                    habit.uses_tools()
                };
                (habit.measure(), uses_tools)
            }
            None if uses_tools => (Measure::Whole, true),
            None => (Measure::Answer, false),
        }
    }

    /// The expected distance of tasks at this place, with a prompt of this length, from their
    /// assumption.
    pub(super) fn off(&self, place: &Place<'_>, measure: Measure, prompt: u64) -> Off {
        let steps = path(place, measure);
        let Found { last, steps: known } = self.tree.find(&steps);
        let Gauss { mean, variance } = last.map_or(
            Gauss {
                mean: 0.0,
                variance: 0.0,
            },
            |last| self.tree.node(last).known,
        );
        let is_stranger = known <= Level::Family as usize + 1;
        let mut off = Off {
            mean: match is_stranger {
                true => mean.clamp(-STRANGER_MAX, STRANGER_MAX),
                false => mean,
            },
            variance,
            is_stranger,
            path: vec![],
        };
        let mut nodes: Vec<usize> =
            std::iter::successors(last, |node| self.tree.above(*node)).collect();
        nodes.reverse();
        for (depth, step) in steps.into_iter().enumerate() {
            let (follows, own) = match nodes.get(depth) {
                Some(node) => {
                    let node = self.tree.node(*node);
                    (node.follows, node.own)
                }
                None => {
                    let labels = last.filter(|_| step.0 == Level::Label && depth == known);
                    let between = labels
                        .and_then(|phase| self.labels.get(&phase).copied())
                        .unwrap_or(step.0.variance());
                    off.variance += between;
                    (1.0, between.sqrt())
                }
            };
            off.path.push((step, follows, own));
        }
        let key = (place.model.into(), place.kind.into(), measure);
        if let (Some(cell), Some(prompt)) = (self.cells.get(&key), log(prompt)) {
            off.mean += cell.slope.at(prompt);
        }
        off
    }

    /// Logarithm of a model's bills over its price: discounts, and prices that have changed since.
    pub(super) fn discount(&self, model: &str, price: &Rates) -> f64 {
        let Some(billed) = self.billed.get(model).filter(|billed| billed.work > 0.0) else {
            return 0.0;
        };
        let said = price.cost(&billed.usage).0 as f64;
        let discount = if said > 0.0 {
            (billed.cost / said).ln()
        } else {
            0.0
        };
        discount.clamp(-DISCOUNT_MAX, DISCOUNT_MAX)
    }

    /// Logarithm of the billed price of work on a model, in picodollars. If only costs of its tasks
    /// are known, it is that of cost over assumed work, with the number of those tasks.
    pub(super) fn billed(&self, asked: &str) -> Option<(f64, Option<f64>)> {
        let billed = self.billed.get(asked)?;
        let is_vague = billed.work <= 0.0;
        Some((billed.log(), is_vague.then_some(billed.vague)))
    }

    /// The factor by which the prompts of tasks at this place with one turn took more work than
    /// `prompt` suggests, and the variance of its logarithm: whether a task finds a shared prefix
    /// in the cache is known only afterwards.
    pub(super) fn prompt_factor(&self, place: &Place<'_>, prompt: &Usage) -> (f64, f64) {
        let spot = (place.spot(), Arc::from(place.model));
        let assumed = work(prompt) / prompt.prompt().max(1) as f64;
        let seen = self.prompts.get(&spot).filter(|_| assumed > 0.0);
        seen.map_or((1.0, 0.0), |seen| {
            let Prompts {
                tasks,
                work,
                tokens,
                rates,
            } = seen;
            let all = tasks + Priors::WORTH;
            let mean = rates.0 / tasks;
            let variance = (rates.1 / tasks / (mean * mean) - 1.0).max(0.0);
            let factor = (work / tokens / assumed * tasks + Priors::WORTH) / all;
            (factor, (variance * tasks / all).ln_1p())
        })
    }

    /// Whether tasks at this place have run.
    pub(super) fn has_run(&self, place: &Place<'_>) -> bool {
        self.habits.contains_key(&place.spot())
    }

    /// The distribution of the rest, combined with an assumed deviation.
    pub(super) fn shape(&self, place: &Place<'_>, measure: Measure, assumed: f64) -> Shape {
        let cell = self.cell(place.model, place.kind, measure);
        let (rests, fitted) = cell.map_or((&[][..], 0.0), |cell| (&cell.rests, cell.fitted));
        Shape::of(rests, fitted, assumed, Priors::WORTH)
    }

    /// The cells of a model.
    pub(super) fn of_model(&self, model: &str) -> impl Iterator<Item = &Cell> {
        let of_model = |(key, _): &(&CellKey, &Cell)| *key.0 == *model;
        self.cells
            .iter()
            .filter(move |cell| of_model(cell))
            .map(|(_, cell)| cell)
    }

    /// The cell of a kind on a model.
    pub(super) fn cell(&self, model: &str, kind: &str, measure: Measure) -> Option<&Cell> {
        self.cells.get(&(model.into(), kind.into(), measure))
    }

    /// The most specific group that has seen enough tasks.
    pub(super) fn seen(&self, place: &Place<'_>) -> Seen {
        let flow: Arc<str> = place.flow.into();
        let count = |group: Group| {
            self.seen
                .get(&(group, place.model.into()))
                .copied()
                .unwrap_or(0)
        };
        let by_label = count(Group::Label(flow.clone(), place.label.into()));
        let by_phase = place
            .phase
            .map_or(0, |phase| count(Group::Phase(flow, phase.into())));
        let by_kind = count(Group::Kind(place.kind.into()));
        match (by_label, by_phase, by_kind, count(Group::Model)) {
            (n, ..) if n >= ENOUGH => Seen::Label(n),
            (_, n, ..) if n >= ENOUGH => Seen::Phase(n),
            (_, _, n, _) if n >= ENOUGH => Seen::Kind(n),
            (.., n) if n >= ENOUGH => Seen::Model(n),
            _ => Seen::Nothing,
        }
    }
}

impl Cell {
    fn add(&mut self, sample: &Sample) {
        if sample.cost.0 > 0 {
            self.priced += 1;
            self.cost += sample.cost.0 as f64;
            self.lost += sample.lost.0 as f64;
            self.usage += sample.usage;
        }
        self.turns += u64::from(sample.turns);
        if let Some(millis) = log(sample.took.0) {
            self.timed += 1;
            self.log_seconds += (millis - 1_000f64.ln() - self.log_seconds) / self.timed as f64;
        }
        if let Some(accepted) = sample.accepted {
            self.checked += 1;
            self.accepted += u64::from(accepted);
            self.check_cost += sample.check_cost.0 as f64;
        }
    }

    /// Adds another cell; means are not combined, because only sums are used.
    pub(super) fn include(&mut self, other: &Self) {
        self.cost += other.cost;
        self.lost += other.lost;
        self.priced += other.priced;
        self.usage += other.usage;
        self.turns += other.turns;
        self.checked += other.checked;
        self.accepted += other.accepted;
        self.check_cost += other.check_cost;
    }
}

impl Habit {
    fn uses_tools(&self) -> bool {
        // Without a number of requests, tools are assumed, which is the dearer case.
        self.turns == 0 || self.turns as f64 > TURNS_OF_ONE * self.tasks as f64
    }

    fn measure(&self) -> Measure {
        match self.is_vague || self.uses_tools() {
            true => Measure::Whole,
            false => Measure::Answer,
        }
    }
}

impl Billed {
    /// Logarithm of the price of work; if only costs are known, that of their mean ratio to the
    /// assumed work.
    fn log(&self) -> f64 {
        if self.work > 0.0 {
            (self.cost / self.work).ln()
        } else {
            self.log_vague
        }
    }
}

impl Slope {
    /// Fits the slope to prompts that differ within their leaves. Rows of one leaf are adjacent;
    /// `noise` is their variance for other reasons.
    fn of(rows: &[Row<'_>], measure: Measure, noise: f64) -> Self {
        let prompts = rows.iter().filter_map(|row| row.log_prompt);
        let (count, sum) = prompts
            .clone()
            .fold((0.0, 0.0), |(n, sum), one| (n + 1.0, sum + one));
        if count == 0.0 {
            return Self::default();
        }
        let (mut squares, mut together) = (0.0, 0.0);
        for rows in rows.chunk_by(|a, b| a.leaf == b.leaf) {
            let known: Vec<(f64, f64)> = rows
                .iter()
                .filter_map(|row| Some((row.log_prompt?, row.off)))
                .collect();
            let count = known.len().max(1) as f64;
            let x = known.iter().map(|(x, _)| x).sum::<f64>() / count;
            let y = known.iter().map(|(_, y)| y).sum::<f64>() / count;
            squares += known.iter().map(|(own, _)| (own - x).powi(2)).sum::<f64>();
            together += known
                .iter()
                .map(|(own, off)| (own - x) * (off - y))
                .sum::<f64>();
        }
        let prior = SLOPE_DEVIATION[measure as usize].powi(2);
        Self {
            by: together / (squares + noise / prior),
            mean: sum / count,
            least: prompts.clone().fold(f64::INFINITY, f64::min),
            most: prompts.fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// The variation of the labels of one phase.
struct Labels {
    /// Sum of squares and degrees of freedom within labels; within the phase, if nearly every task
    /// has a label of its own.
    squares: f64,
    free: f64,
    /// Variance between labels, if the data determine it.
    between: Option<f64>,
}

impl Labels {
    /// Computes it from labels given as node, count, mean and sum of squares, by an analysis of
    /// variance.
    fn of(labels: &[(usize, f64, f64, f64)]) -> Self {
        let groups = labels.len() as f64;
        let count: f64 = labels.iter().map(|label| label.1).sum();
        let mean = labels.iter().map(|label| label.1 * label.2).sum::<f64>() / count;
        let within: f64 = labels.iter().map(|label| label.3).sum();
        let apart: f64 = labels
            .iter()
            .map(|label| label.1 * (label.2 - mean).powi(2))
            .sum();
        let free = count - groups;
        if free < groups || groups < 2.0 {
            return Self {
                squares: within + apart,
                free: count - 1.0,
                between: None,
            };
        }
        let sizes: f64 = labels.iter().map(|label| label.1 * label.1).sum();
        let between = (apart - (groups - 1.0) * within / free) / (count - sizes / count);
        Self {
            squares: within,
            free,
            between: Some(between.max(0.0)),
        }
    }

    /// The variance between labels, combined with its prior.
    fn between(&self, groups: f64) -> f64 {
        let usual = Level::Label.variance();
        self.between.map_or(usual, |seen| {
            (usual * LABELS_WORTH + seen * groups) / (LABELS_WORTH + groups)
        })
    }
}

/// Number of tasks for which the assumption counts that the mean of costs needs no correction.
const CALIBRATION_WORTH: f64 = 20.0;

/// The path of a task in the tree, from the executor down to the label.
fn path(place: &Place<'_>, measure: Measure) -> Vec<Step> {
    // Separate groups: the length of answers is no evidence of the number of turns.
    let executor = match measure {
        Measure::Whole => place.executor.into(),
        Measure::Answer => format!("{} without tools", place.executor).into(),
    };
    let family = match place.provider {
        "" => family(place.model).into(),
        provider => format!("{provider}/{}", family(place.model)).into(),
    };
    vec![
        (Level::Executor, executor),
        (Level::Kind, place.kind.into()),
        (Level::Family, family),
        (Level::Flow, place.flow.into()),
        (Level::Phase, place.phase.unwrap_or_default().into()),
        (Level::Label, place.label.into()),
    ]
}

/// The name of a model without its version.
fn family(model: &str) -> String {
    let parts = model.split('-').filter(|part| {
        let is_number = part.chars().all(|c| c.is_ascii_digit() || c == '.');
        !is_number && *part != "latest"
    });
    parts.collect::<Vec<_>>().join("-")
}

/// The model asked for, or the executor where there is none.
fn asked(sample: &Sample) -> Arc<str> {
    if sample.model.is_empty() {
        sample.executor.clone()
    } else {
        sample.model.clone()
    }
}

/// Whether only its cost is known, without usage that could be priced.
fn is_vague(sample: &Sample) -> bool {
    sample.model.is_empty() || sample.usage.total() == 0
}

fn kind_of(sample: &Sample) -> Arc<str> {
    sample.kind.clone().unwrap_or_default()
}

fn spot_of(sample: &Sample) -> Spot {
    (
        sample.flow.clone(),
        sample.phase.clone().unwrap_or_default(),
        kind_of(sample),
    )
}

/// The natural logarithm; `None` for zero.
fn log(n: u64) -> Option<f64> {
    (n > 0).then(|| (n as f64).ln())
}
