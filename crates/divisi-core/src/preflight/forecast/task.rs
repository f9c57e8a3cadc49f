//! Expected cost of one task on one model.

use super::assumed::Assumed;
use super::fit::{Cell, Fit, Place, Seen};
use super::middle::Middle;
use super::priors::Priors;
use super::spread::{Shape, Spread, millis, pico, quantile};
use super::{Bounds, Source, ceiling};
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
    /// The most it can cost; `None` if the model has no price.
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

/// Shapes by model and by the bits of the assumed deviation.
pub(super) type Shapes = BTreeMap<(Arc<str>, u64), Arc<Shape>>;

/// Everything that a draw uses of a task on one model.
#[derive(Clone, Debug)]
pub(super) struct Outlook {
    /// Logarithm of the median cost in picodollars; `None` for an unpriced model.
    pub(super) log_cost: Option<f64>,
    pub(super) shape: Arc<Shape>,
    /// Uncertainty of one task's median.
    pub(super) middle_deviation: f64,
    /// Uncertainty of the mean of all tasks of this model. It is larger than the median's, because
    /// a few dear tasks make up much of the mean.
    pub(super) model_deviation: f64,
    /// Uncertainty common to tasks with the same label.
    pub(super) group_deviation: f64,
    /// Usage of a typical task.
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
            fit: Fit::of(history),
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
            tokens: outlook.usage,
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
            model: &rung.model,
        };
        let assumed = Assumed {
            priors: &self.priors,
            task,
            rung,
            primed: around.primed,
        };
        let prior = self.priors.kind(&task.kind);
        let shift = self.fit.shift(&place);
        let deviation = assumed.deviation(prior);
        // Tasks of one kind on one model share their shape, which is expensive to build.
        let shape = shapes
            .entry((rung.model.clone(), deviation.to_bits()))
            .or_insert_with(|| Arc::new(self.fit.shape(&rung.model, deviation)))
            .clone();
        let middle = Middle::of(&self.fit, &place, &assumed, &shape);
        let base = middle.log;
        let cell = self.cell(&place);
        let (usage, seconds) = self.usage_and_seconds(&place, &cell, &assumed, base, shift.mean);
        Some(Outlook {
            log_cost: base.map(|base| base + shift.mean),
            middle_deviation: middle.deviation,
            model_deviation: middle.deviation * shape.noise / shape.deviation,
            group_deviation: shift.variance.sqrt(),
            turns: if cell.turns > 0 {
                cell.turns as f64 / cell.priced as f64
            } else {
                assumed.turns(prior)
            },
            usage,
            seconds,
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

    /// Observations of the kind on the model, or of the model on all kinds.
    fn cell(&self, place: &Place<'_>) -> Cell {
        if let Some(cell) = self.fit.cell(place.model, place.kind)
            && cell.priced + cell.timed > 0
        {
            return cell.clone();
        }
        let mut all = Cell::default();
        self.fit
            .of_model(place.model)
            .for_each(|(_, cell)| all.include(cell));
        all
    }

    /// Tokens and duration of a typical task. Tokens keep their mix and grow with the cost;
    /// duration grows more slowly.
    fn usage_and_seconds(
        &self,
        place: &Place<'_>,
        cell: &Cell,
        assumed: &Assumed<'_>,
        log_cost: Option<f64>,
        shift: f64,
    ) -> (Usage, f64) {
        let middle = log_cost.map(|base| (base + shift).exp());
        let (usual, cost) = match cell.usage.total() {
            0 => assumed.conversation(place.kind, assumed.task.prompt_tokens),
            _ => (cell.usage, pico(cell.cost)),
        };
        let factor = middle
            .filter(|_| cost.0 > 0)
            .map_or(1.0, |middle| middle / cost.0 as f64);
        let grown = |tokens: u64| (tokens as f64 * factor).round() as u64;
        let usage = Usage {
            input: grown(usual.input),
            cache_write_5m: grown(usual.cache_write_5m),
            cache_write_1h: grown(usual.cache_write_1h),
            cache_read: grown(usual.cache_read),
            output: grown(usual.output),
            thinking: grown(usual.thinking),
        };
        let prior = assumed.seconds().ln();
        let timed = cell.timed as f64;
        let log_seconds =
            (cell.log_seconds * timed + prior * Priors::WORTH) / (timed + Priors::WORTH);
        (usage, (log_seconds + TIME_PER_COST * shift).exp())
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
        pico(self.log_cost.map_or(0.0, |middle| (middle + rest).exp()))
    }

    /// The mean cost in picodollars.
    pub(super) fn mean(&self) -> f64 {
        let factors = self
            .shape
            .points
            .iter()
            .map(|rest| (rest * self.widening()).exp());
        let mean = factors.sum::<f64>() / self.shape.points.len() as f64;
        self.log_cost.map_or(0.0, |middle| middle.exp() * mean)
    }

    /// The factor by which one task's range is wider than its shape, because the median is
    /// uncertain.
    fn widening(&self) -> f64 {
        let variance = self.shape.deviation.powi(2);
        let all = variance + self.middle_deviation.powi(2) + self.group_deviation.powi(2);
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
