//! Expected cost of one task on one model.

use super::assumed::Assumed;
use super::fit::{Cell, Fit, Measure, Place, Seen};
use super::priors::Priors;
use super::spread::{Shape, millis, pico, quantile};
use super::tree::Step;
use super::{Bounds, Source, ceiling};
use crate::estimate::Spread;
use crate::history::History;
use crate::preflight::{Node, Rung};
use crate::{Millis, PicoUsd, Usage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A task that costs twice as much takes about 1.6 times as long: later turns of a conversation
/// cost more than the first, but take no longer.
const TIME_PER_COST: f64 = 0.7;

/// Makes forecasts from history, and from priors where there is little.
#[derive(Debug)]
pub struct Forecaster {
    pub(super) fit: Fit,
    pub(super) priors: Priors,
    pub(super) bounds: Bounds,
    flow: Arc<str>,
}

/// Expected cost of one task on one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskForecast {
    /// Dollars, checks left out.
    pub cost: Spread<PicoUsd>,
    /// The mean, which is above the median: the average cost of many such tasks.
    pub mean: PicoUsd,
    /// The most it can cost; zero if the model has no price.
    pub ceiling: PicoUsd,
    /// Tokens of a typical task.
    pub tokens: Usage,
    /// Duration of a typical task.
    pub took: Millis,
    /// The source of these figures.
    pub source: Source,
    /// How its check decides, as far as known.
    pub accepts: Accepts,
}

/// How often a check accepts a model's results for one kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepts {
    /// Results accepted.
    pub accepted: u64,
    /// Results checked.
    pub tried: u64,
    /// The share to assume: observations and prior combined.
    pub share: f64,
    /// What one check costs.
    pub cost: PicoUsd,
}

/// Context of a task.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// A sibling has written the shared prefix to the cache.
    pub(super) primed: bool,
    /// Assumed cost of a check, without observations.
    pub(super) check_cost: PicoUsd,
    /// The most that a check can cost.
    pub(super) check_max: PicoUsd,
}

/// Shapes by model, kind, measure and the bits of the assumed deviation.
pub(super) type Shapes = BTreeMap<(Arc<str>, Arc<str>, Measure, u64), Arc<Shape>>;

/// Everything that a draw uses of a task on one model.
#[derive(Clone, Debug)]
pub(super) struct Outlook {
    /// Picodollars of the part that does not depend on the answer: the prompt of a task with one
    /// turn, else zero.
    pub(super) fixed: f64,
    /// Standard deviation of its logarithm.
    pub(super) fixed_deviation: f64,
    /// Tokens of this part.
    pub(super) fixed_usage: Usage,
    /// Logarithm of the median of the remaining cost in picodollars; `None` for an unpriced model.
    pub(super) log_cost: Option<f64>,
    pub(super) shape: Arc<Shape>,
    /// Uncertainty of that median: the standard deviation of its logarithm.
    pub(super) deviation: f64,
    /// The parts of this uncertainty that are shared with other tasks, for each group from all
    /// tasks down to the label: the share of its parent's deviation that it inherits, and its own
    /// standard deviation.
    pub(super) path: Vec<(Step, f64, f64)>,
    /// Usage of a typical task besides the fixed part.
    pub(super) usage: Usage,
    pub(super) turns: f64,
    /// Duration of a typical task in seconds.
    pub(super) seconds: f64,
    pub(super) accepts: Accepts,
    /// Share of the cost for failed attempts.
    pub(super) lost: f64,
    pub(super) ceiling: PicoUsd,
    pub(super) source: Source,
}

impl Forecaster {
    /// A forecaster for this history. Fitting the largest one takes some milliseconds, so reuse the
    /// forecaster.
    pub fn new(history: &History, priors: Priors) -> Self {
        Self {
            fit: Fit::of(history, &priors),
            priors,
            bounds: Bounds::default(),
            flow: Arc::default(),
        }
    }

    /// Prefers the history of the flow of this name.
    pub fn of_flow(mut self, name: impl Into<Arc<str>>) -> Self {
        self.flow = name.into();
        self
    }

    /// Sets limits and effort.
    pub fn within(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Expected cost of `node` on `rung`; `None` if the node cannot be assigned.
    pub fn task(&self, node: &Node, rung: &Rung) -> Option<TaskForecast> {
        let outlook = self.outlook(
            &mut Shapes::default(),
            &self.flow,
            node,
            rung,
            &Around::default(),
        )?;
        Some(TaskForecast {
            cost: Spread {
                p10: outlook.at(0.1),
                p50: outlook.at(0.5),
                p90: outlook.at(0.9),
            },
            mean: pico(outlook.mean()),
            ceiling: outlook.ceiling,
            tokens: outlook.usage + outlook.fixed_usage,
            took: millis(outlook.seconds),
            source: outlook.source,
            accepts: outlook.accepts,
        })
    }

    /// The outlook of `node` on `rung`; `None` if the node cannot be assigned.
    pub(super) fn outlook(
        &self,
        shapes: &mut Shapes,
        flow: &str,
        node: &Node,
        rung: &Rung,
        around: &Around,
    ) -> Option<Outlook> {
        let task = node.assigned.as_ref().ok()?;
        let label = node.label();
        let phase = node.task.phase.as_deref();
        let place = Place {
            flow,
            phase,
            label: &label,
            kind: &task.kind,
            executor: &task.executor,
            provider: "",
            model: &rung.model,
        };
        let asks = task.has_tools || task.rungs.is_empty();
        let (measure, uses_tools) = self.fit.measure(&place, asks);
        let assumed = Assumed {
            priors: &self.priors,
            task,
            rung,
            uses_tools,
            primed: around.primed,
        };
        let prior = self.priors.kind(&task.kind);
        let deviation = assumed.deviation(prior);
        // Tasks of one kind on one model share their shape, which is expensive to build.
        let key = (
            rung.model.clone(),
            task.kind.clone(),
            measure,
            deviation.to_bits(),
        );
        let shape = shapes
            .entry(key)
            .or_insert_with(|| Arc::new(self.fit.shape(&place, measure, deviation)))
            .clone();
        let off = self.fit.off(&place, measure, task.prompt_tokens);
        let base = self.base(node, &place, &assumed, (measure, off.is_stranger, &shape));
        let log_cost = base.log_cost.map(|log_cost| log_cost + off.mean);
        let cell = self.cell(&place, measure);
        let shift = off.mean - cell.log_off;
        Some(Outlook {
            fixed: base.fixed,
            fixed_deviation: base.fixed_deviation,
            fixed_usage: base.fixed_usage,
            usage: match measure {
                Measure::Whole => usage(&cell, base.usage, log_cost),
                Measure::Answer => grown(&base.usage, off.mean.exp()),
            },
            log_cost,
            deviation: (off.variance + base.variance).sqrt(),
            path: off.path,
            turns: if cell.turns > 0 {
                cell.turns as f64 / cell.priced as f64
            } else {
                assumed.turns()
            },
            seconds: self.seconds(&cell, &assumed, shift),
            accepts: self.accepts(&cell, rung, around.check_cost),
            lost: self.lost(&cell),
            ceiling: ceiling::ceiling(node, rung, around.check_max, &self.bounds),
            source: match self.fit.seen(&place) {
                Seen::Label(tasks) => Source::Label { tasks },
                Seen::Phase(tasks) => Source::Phase { tasks },
                Seen::Kind(tasks) => Source::Kind { tasks },
                Seen::Model(tasks) => Source::Model { tasks },
                Seen::Nothing => Source::Prior,
            },
            shape,
        })
    }

    /// The assumed cost of a task, at the billed prices of its model.
    fn base(
        &self,
        node: &Node,
        place: &Place<'_>,
        assumed: &Assumed<'_>,
        (measure, is_stranger, shape): (Measure, bool, &Shape),
    ) -> Base {
        let more = 1.0 + self.priors.failures.share;
        let (usage, cost) = assumed.conversation();
        let priced = |cost: PicoUsd| (cost.0 > 0).then(|| (cost.0 as f64 * more).ln());
        let price = assumed.rung.price.as_ref();
        let discount = price.map_or(0.0, |price| self.fit.discount(place.model, &price.base));
        if measure == Measure::Answer
            && let Some(price) = price
        {
            let answer = Usage {
                output: usage.output,
                ..Usage::default()
            };
            let prompt = Usage { output: 0, ..usage };
            let fixed = price.cost(&usage).0.saturating_sub(price.cost(&answer).0) as f64;
            let (factor, variance) = self.fit.prompt_factor(place, &prompt);
            let unsure = match (!node.reads.is_empty(), self.fit.has_run(place)) {
                (false, _) => PROMPT_DEVIATION[0],
                (true, true) => PROMPT_DEVIATION[1],
                (true, false) => PROMPT_DEVIATION[2],
            };
            return Base {
                fixed: fixed * discount.exp() * factor * (-variance / 2.0).exp(),
                fixed_deviation: (variance + unsure * unsure).sqrt(),
                fixed_usage: prompt,
                usage: answer,
                log_cost: priced(price.cost(&answer)).map(|log_cost| log_cost + discount),
                variance: 0.0,
            };
        }
        let prior = priced(cost).map(|prior| prior + discount);
        let past = assumed.past_work().ln() + more.ln();
        let (log_cost, variance) = match (prior, self.fit.billed(place.model)) {
            // The distance of this place was learnt relative to the model's bills, so these replace
            // the price.
            (_, Some((billed, None))) if !is_stranger => (Some(billed + past), 0.0),
            (prior, None | Some((_, None))) => (prior, 0.0),
            // Without usage, the size of tasks and the price cannot be separated: their product is
            // compared with the prior, and weighted by its evidence.
            (None, Some((billed, Some(tasks)))) => (
                Some(billed + past),
                shape.deviation * shape.deviation / tasks,
            ),
            (Some(prior), Some((billed, Some(tasks)))) => {
                let off = billed + past - prior;
                let noise = shape.deviation * shape.deviation / tasks;
                let usual = VAGUE_DEVIATION * VAGUE_DEVIATION + off * off;
                let variance = 1.0 / (1.0 / noise + 1.0 / usual);
                (Some(prior + off * (1.0 - variance / usual)), variance)
            }
        };
        Base {
            fixed: 0.0,
            fixed_deviation: 0.0,
            fixed_usage: Usage::default(),
            usage,
            log_cost,
            variance,
        }
    }

    /// Observations of the kind on the model, or of the model on all kinds.
    fn cell(&self, place: &Place<'_>, measure: Measure) -> Cell {
        if let Some(cell) = self.fit.cell(place.model, place.kind, measure)
            && cell.priced + cell.timed > 0
        {
            return cell.clone();
        }
        let mut all = Cell::default();
        self.fit
            .of_model(place.model)
            .for_each(|cell| all.include(cell));
        all
    }

    /// Duration of a typical task in seconds; it grows more slowly than the cost.
    fn seconds(&self, cell: &Cell, assumed: &Assumed<'_>, shift: f64) -> f64 {
        let prior = assumed.seconds().ln();
        let timed = cell.timed as f64;
        let log_seconds =
            (cell.log_seconds * timed + prior * Priors::WORTH) / (timed + Priors::WORTH);
        (log_seconds + TIME_PER_COST * shift).exp()
    }

    fn accepts(&self, cell: &Cell, rung: &Rung, check_cost: PicoUsd) -> Accepts {
        let assumed = self.priors.tier(rung.tier).accepted * Priors::WORTH;
        let seen = cell.checked as f64;
        let cost = if cell.checked > 0 {
            pico(cell.check_cost / seen)
        } else {
            check_cost
        };
        Accepts {
            accepted: cell.accepted,
            tried: cell.checked,
            share: (cell.accepted as f64 + assumed) / (seen + Priors::WORTH),
            cost,
        }
    }

    fn lost(&self, cell: &Cell) -> f64 {
        // The prior is a share of successful attempts, this one a share of all.
        let assumed = self.priors.failures.share / (1.0 + self.priors.failures.share);
        let n = cell.priced as f64;
        let seen = if cell.cost > 0.0 {
            cell.lost / cell.cost
        } else {
            0.0
        };
        (seen * n + assumed * Priors::WORTH) / (n + Priors::WORTH)
    }
}

/// Prior standard deviation of the logarithm of cost for models of which only costs are known: nine
/// of ten are off by a factor of less than 2.8.
const VAGUE_DEVIATION: f64 = 0.8;

/// Standard deviation of the logarithm of a prompt's cost: without results of other tasks, with
/// results at a place that has run, and with results at one that has not.
const PROMPT_DEVIATION: [f64; 3] = [0.05, 0.15, 0.35];

/// The assumed cost of a task, at the billed prices of its model.
struct Base {
    fixed: f64,
    fixed_deviation: f64,
    fixed_usage: Usage,
    usage: Usage,
    log_cost: Option<f64>,
    variance: f64,
}

/// Tokens of a typical task: they keep their mix and grow with the cost.
fn usage(cell: &Cell, assumed: Usage, log_cost: Option<f64>) -> Usage {
    if cell.usage.total() == 0 || cell.cost <= 0.0 {
        return assumed;
    }
    grown(
        &cell.usage,
        log_cost.map_or(1.0 / cell.priced as f64, |log| log.exp() / cell.cost),
    )
}

fn grown(usage: &Usage, factor: f64) -> Usage {
    let grown = |tokens: u64| (tokens as f64 * factor).round() as u64;
    Usage {
        input: grown(usage.input),
        cache_write_5m: grown(usage.cache_write_5m),
        cache_write_1h: grown(usage.cache_write_1h),
        cache_read: grown(usage.cache_read),
        output: grown(usage.output),
        thinking: grown(usage.thinking),
    }
}

impl Accepts {
    /// Uncertainty of the accepted share.
    pub(super) fn deviation(&self) -> f64 {
        // That of a beta distribution after so many results, real and assumed.
        (self.share * (1.0 - self.share) / (self.tried as f64 + Priors::WORTH + 1.0)).sqrt()
    }
}

impl Outlook {
    /// The cost that this share of such tasks stays below.
    fn at(&self, share: f64) -> PicoUsd {
        let rest = quantile(&self.shape.points, share) * self.widening();
        pico(self.fixed + self.log_cost.map_or(0.0, |middle| (middle + rest).exp()))
    }

    /// The mean cost in picodollars.
    pub(super) fn mean(&self) -> f64 {
        let factors = self
            .shape
            .points
            .iter()
            .map(|rest| (rest * self.widening()).exp());
        let mean = factors.sum::<f64>() / self.shape.points.len() as f64;
        self.fixed + self.log_cost.map_or(0.0, |middle| middle.exp() * mean)
    }

    /// The factor by which one task's range is wider than its shape, because the median is
    /// uncertain.
    fn widening(&self) -> f64 {
        let variance = self.shape.deviation.powi(2);
        let all = variance + self.deviation.powi(2);
        if variance > 0.0 {
            (all / variance).sqrt()
        } else {
            1.0
        }
    }

    /// Growth of its duration with its cost, both as logarithms.
    pub(super) fn slowdown(&self, log_factor: f64) -> f64 {
        (TIME_PER_COST * log_factor).exp()
    }
}
