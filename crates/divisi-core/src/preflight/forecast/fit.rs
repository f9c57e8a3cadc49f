//! What a history says of the size of tasks: a small model of the logarithm of
//! their cost.
//!
//! `log cost = mean of model and kind + slope × log prompt + flow + phase + label + rest`
//!
//! Costs of tasks are skewed and multiply, so it is logarithms that add.
//! Flow, phase and label are effects that are shrunk towards nothing, the more
//! the fewer tasks speak for them (empirical Bayes): a label seen twice moves an
//! estimate a little, one seen forty times moves it nearly all the way. The rest
//! is kept as it was seen, per model, because tails are where budgets break.

use super::effects::{Effects, Shift};
use super::priors::Priors;
use super::spread::Shape;
use crate::Usage;
use crate::history::{History, Sample};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Fewest tasks by which a source is named: below it the next more general one
/// says more.
pub(super) const ENOUGH: u64 = 5;

/// How many tasks the assumption is worth that cost grows with the prompt as
/// the prices say. A slope needs more evidence than a mean.
const SLOPE_WORTH: f64 = 40.0;

/// With fewer than two tasks for each thing fitted, nothing sure is left over.
const FITTED_MAX: f64 = 0.5;

/// All that forecasts need to know of a history.
#[derive(Debug, Default)]
pub(super) struct Fit {
    /// By model (or executor, where none is asked), then kind.
    pub(super) cells: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Cell>>,
    slope: f64,
    /// Share by which the learnt slope replaces the assumed one.
    pub(super) slope_weight: f64,
    flows: Effects<Arc<str>>,
    phases: Effects<(Arc<str>, Arc<str>)>,
    labels: Effects<(Arc<str>, Arc<str>)>,
    /// What is left, sorted, by model.
    rests: BTreeMap<Arc<str>, Vec<f64>>,
    /// Share of what varied that fitting took away whether it meant anything or not.
    fitted: f64,
    seen: BTreeMap<(Group, Arc<str>), u64>,
}

/// What tasks of one kind on one model took.
#[derive(Clone, Debug, Default)]
pub(super) struct Cell {
    /// Tasks with a known cost.
    pub(super) priced: u64,
    /// Mean of the logarithm of their cost in picodollars.
    pub(super) log_cost: f64,
    /// Tasks whose prompt is known.
    prompted: u64,
    /// Mean of the logarithm of their prompt.
    pub(super) log_prompt: Option<f64>,
    /// Picodollars of them all, checks left out.
    pub(super) cost: f64,
    /// The part of it that failed attempts took.
    pub(super) lost: f64,
    /// Tokens of them all.
    pub(super) usage: Usage,
    /// Requests of them all.
    pub(super) turns: u64,
    /// Tasks whose time is known.
    pub(super) timed: u64,
    /// Mean of the logarithm of their seconds.
    pub(super) log_seconds: f64,
    /// Results that a check has looked at.
    pub(super) checked: u64,
    /// Those of them that it accepted.
    pub(super) accepted: u64,
    /// What the checks cost, in picodollars.
    pub(super) check_cost: f64,
}

/// What tasks have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Label(Arc<str>, Arc<str>),
    Phase(Arc<str>, Arc<str>),
    Kind(Arc<str>),
    Model,
}

/// How well a group of a history knows tasks like the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Label(u64),
    Phase(u64),
    Kind(u64),
    Model(u64),
    Nothing,
}

/// A task as the model of costs sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) flow: &'a str,
    pub(super) phase: Option<&'a str>,
    pub(super) label: &'a str,
    pub(super) kind: &'a str,
    pub(super) model: &'a str,
}

/// One sample on its way through the fit: what is not explained yet.
struct Row<'a> {
    sample: &'a Sample,
    rest: f64,
    /// How far its prompt is from the mean of its cell, in logarithms.
    prompt: f64,
}

impl Fit {
    pub(super) fn of(history: &History) -> Self {
        let mut fit = Self::default();
        let samples = history.newest();
        for sample in &samples {
            fit.count(sample);
        }
        let mut rows: Vec<Row<'_>> = samples
            .into_iter()
            .filter_map(|sample| fit.row(sample))
            .collect();
        fit.regress(&mut rows);
        let flow = |row: &Row<'_>| Some(row.sample.flow.clone());
        let phase = |row: &Row<'_>| Some((row.sample.flow.clone(), row.sample.phase.clone()?));
        let label = |row: &Row<'_>| Some((row.sample.flow.clone(), row.sample.label.clone()));
        fit.flows = explain(&mut rows, flow);
        fit.phases = explain(&mut rows, phase);
        fit.labels = explain(&mut rows, label);
        let means: usize = fit.cells.values().map(BTreeMap::len).sum();
        let used = means as f64 + fit.flows.used + fit.phases.used + fit.labels.used;
        fit.fitted = (used / rows.len().max(1) as f64).min(FITTED_MAX);
        let mut by_model: BTreeMap<Arc<str>, Vec<Row<'_>>> = BTreeMap::new();
        for row in rows {
            by_model.entry(asked(row.sample)).or_default().push(row);
        }
        fit.rests = by_model
            .into_iter()
            .map(|(model, rows)| (model, calibrated(&rows)))
            .collect();
        fit
    }

    fn count(&mut self, sample: &Sample) {
        let (model, kind) = (asked(sample), kind_of(sample));
        let cell = self
            .cells
            .entry(model.clone())
            .or_default()
            .entry(kind.clone())
            .or_default();
        cell.add(sample);
        let flow = &sample.flow;
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
            *self.seen.entry((group, model.clone())).or_default() += 1;
        }
    }

    fn row<'a>(&self, sample: &'a Sample) -> Option<Row<'a>> {
        let cost = log(sample.cost.0)?;
        let cell = self.cell(&asked(sample), &kind_of(sample))?;
        let prompt = log(sample.prompt_tokens)
            .zip(cell.log_prompt)
            .map_or(0.0, |(own, mean)| own - mean);
        Some(Row {
            sample,
            rest: cost - cell.log_cost,
            prompt,
        })
    }

    /// Takes away what the length of the prompt explains.
    fn regress(&mut self, rows: &mut [Row<'_>]) {
        let varied: f64 = rows.iter().map(|row| row.prompt * row.prompt).sum();
        if varied > 0.0 {
            self.slope = rows.iter().map(|row| row.prompt * row.rest).sum::<f64>() / varied;
            self.slope_weight = rows.len() as f64 / (rows.len() as f64 + SLOPE_WORTH);
        }
        for row in rows {
            row.rest -= self.slope * row.prompt;
        }
    }

    /// What is added for a prompt whose logarithm is so far from the mean of
    /// its cell, where the prices alone would add `assumed`.
    pub(super) fn prompt_effect(&self, distance: f64, assumed: f64) -> f64 {
        self.slope_weight * self.slope * distance + (1.0 - self.slope_weight) * assumed
    }

    /// What flow, phase and label add.
    pub(super) fn shift(&self, place: &Place<'_>) -> Shift {
        let flow: Arc<str> = place.flow.into();
        let by_flow = self.flows.get(&flow);
        let by_phase = place
            .phase
            .map(|phase| self.phases.get(&(flow.clone(), phase.into())));
        let by_label = self.labels.get(&(flow, place.label.into()));
        let all = [Some(by_flow), by_phase, Some(by_label)];
        all.into_iter()
            .flatten()
            .fold(Shift::default(), |sum, one| Shift {
                mean: sum.mean + one.mean,
                variance: sum.variance + one.variance,
            })
    }

    /// What is left when all is explained that can be: its shape, together with
    /// an assumed deviation.
    pub(super) fn shape(&self, model: &str, assumed: f64) -> Shape {
        let rests = self.rests.get(model).map_or(&[][..], Vec::as_slice);
        Shape::of(rests, self.fitted, assumed, Priors::WORTH)
    }

    /// The cells of a model by kind.
    pub(super) fn of_model(&self, model: &str) -> impl Iterator<Item = (&str, &Cell)> {
        self.cells
            .get(model)
            .into_iter()
            .flatten()
            .map(|(kind, cell)| (kind.as_ref(), cell))
    }

    /// The cell of a kind on a model.
    pub(super) fn cell(&self, model: &str, kind: &str) -> Option<&Cell> {
        self.cells.get(model)?.get(kind)
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
        if let Some(cost) = log(sample.cost.0) {
            self.priced += 1;
            self.log_cost += (cost - self.log_cost) / self.priced as f64;
            self.cost += sample.cost.0 as f64;
            self.lost += sample.lost.0 as f64;
            self.usage += sample.usage;
        }
        if let Some(prompt) = log(sample.prompt_tokens) {
            self.prompted += 1;
            let mean = self.log_prompt.get_or_insert(prompt);
            *mean += (prompt - *mean) / self.prompted as f64;
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

    /// Adds what another cell has seen, where only sums are wanted.
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

/// Finds what a way of grouping explains, and takes it away.
fn explain<K: Ord + Clone>(
    rows: &mut [Row<'_>],
    group: impl Fn(&Row<'_>) -> Option<K>,
) -> Effects<K> {
    let keyed: Vec<Option<K>> = rows.iter().map(&group).collect();
    let known = keyed
        .iter()
        .zip(rows.iter())
        .filter_map(|(key, row)| Some((key.clone()?, row.sample.work, row.rest)));
    let effects = Effects::of(known);
    for (row, key) in rows.iter_mut().zip(keyed) {
        row.rest -= key.map_or(0.0, |key| effects.get(&key).mean);
    }
    effects
}

/// What is left of the tasks of one model, sorted, moved so that the model of
/// costs would have foretold the sum of what they cost.
///
/// Logarithms that are right on average need not make a right sum: where the
/// dearer groups also vary more, it comes out some percent too low.
fn calibrated(rows: &[Row<'_>]) -> Vec<f64> {
    let cost = |row: &Row<'_>| row.sample.cost.0 as f64;
    let factors = rows.iter().map(|row| row.rest.exp());
    let mean_factor = factors.sum::<f64>() / rows.len() as f64;
    let foretold: f64 = rows
        .iter()
        .map(|row| cost(row) / row.rest.exp() * mean_factor)
        .sum();
    let missing = (rows.iter().map(cost).sum::<f64>() / foretold).ln();
    let mut rests: Vec<f64> = rows.iter().map(|row| row.rest + missing).collect();
    rests.sort_by(f64::total_cmp);
    rests
}

/// What was asked: a model, or an executor that chooses its own.
fn asked(sample: &Sample) -> Arc<str> {
    if sample.model.is_empty() {
        sample.executor.clone()
    } else {
        sample.model.clone()
    }
}

fn kind_of(sample: &Sample) -> Arc<str> {
    sample.kind.clone().unwrap_or_default()
}

/// The natural logarithm of something that there is.
fn log(n: u64) -> Option<f64> {
    (n > 0).then(|| (n as f64).ln())
}
