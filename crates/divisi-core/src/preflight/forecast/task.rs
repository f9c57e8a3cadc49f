//! What one task is expected to cost on one model.

use super::assumed::Assumed;
use super::fit::{Cell, Fit, Place, Seen};
use super::middle::Middle;
use super::priors::Priors;
use super::spread::{Shape, millis, pico, quantile};
use super::{Bounds, Source, ceiling};
use crate::estimate::Spread;
use crate::history::History;
use crate::preflight::{Node, Rung};
use crate::{Millis, PicoUsd, Usage};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A task that takes twice the money takes about 1.6 times the time: the later
/// turns of a conversation cost more than the first, and take no longer.
const TIME_PER_COST: f64 = 0.7;

/// Makes forecasts from what past runs have shown, and from priors where they
/// have shown little.
#[derive(Debug)]
pub struct Forecaster {
    pub(super) fit: Fit,
    pub(super) priors: Priors,
    pub(super) bounds: Bounds,
    flow: Arc<str>,
}

/// What one task is expected to cost on one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskForecast {
    /// Dollars, checks left out.
    pub cost: Spread<PicoUsd>,
    /// The mean of that, which is above the middle: what many such tasks cost each.
    pub mean: PicoUsd,
    /// What it can cost at the most; `None` where the model has no price.
    pub ceiling: PicoUsd,
    /// Tokens of a typical one.
    pub tokens: Usage,
    /// Time of a typical one.
    pub took: Millis,
    /// Where the figures come from.
    pub source: Source,
    /// What is known of how its check decides.
    pub accepts: Accepts,
}

/// How often a check accepts what a model makes of one kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepts {
    /// Results it has accepted.
    pub accepted: u64,
    /// Results it has looked at.
    pub tried: u64,
    /// The share to count with: what was seen and what is assumed, together.
    pub share: f64,
    /// What one check costs.
    pub cost: PicoUsd,
}

/// What is known of a task besides itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Around {
    /// A sibling has written the shared prefix to the cache.
    pub(super) primed: bool,
    /// What a check is taken to cost while none has been seen.
    pub(super) check_cost: PicoUsd,
    /// The most that one can cost.
    pub(super) check_max: PicoUsd,
}

/// Shapes by model and assumed deviation.
pub(super) type Shapes = BTreeMap<(Arc<str>, u64), Arc<Shape>>;

/// What a draw needs to know of a task on one model.
#[derive(Clone, Debug)]
pub(super) struct Outlook {
    /// Logarithm of the middle cost in picodollars; `None` where nobody sends a bill.
    pub(super) log_cost: Option<f64>,
    pub(super) shape: Arc<Shape>,
    /// How unsure the middle of one task is.
    pub(super) middle_deviation: f64,
    /// How unsure the mean of all tasks of this model is: more than the middle,
    /// because a few dear tasks make much of it.
    pub(super) model_deviation: f64,
    /// And for tasks like this one together.
    pub(super) group_deviation: f64,
    /// What a typical one uses.
    pub(super) usage: Usage,
    pub(super) turns: f64,
    /// Of a typical one.
    pub(super) seconds: f64,
    pub(super) accepts: Accepts,
    /// Share of the cost that failed attempts take.
    pub(super) lost: f64,
    pub(super) ceiling: PicoUsd,
    pub(super) source: Source,
}

impl Forecaster {
    /// A forecaster that knows this history. Fitting takes some milliseconds
    /// with the largest one; make one and ask it often.
    pub fn new(history: &History, priors: Priors) -> Self {
        Self {
            fit: Fit::of(history),
            priors,
            bounds: Bounds::default(),
            flow: Arc::default(),
        }
    }

    /// The same for tasks of the flow of this name, whose own history counts first.
    pub fn of_flow(mut self, name: impl Into<Arc<str>>) -> Self {
        self.flow = name.into();
        self
    }

    /// The same within these bounds.
    pub fn within(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// What `node` is expected to cost on `rung`; `None` where its words mean
    /// nothing.
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

    /// What draws need to know of `node` on `rung`; `None` where its words mean
    /// nothing.
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
        // Tasks of one kind on one model share their shape: it takes a while to make.
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

    /// What the kind has shown on the model, or the model on all kinds.
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

    /// Tokens and time of a typical one. Tokens keep their mix and grow with the
    /// cost; time grows more slowly.
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
    /// How far the true share may be from the one counted with.
    pub(super) fn deviation(&self) -> f64 {
        (self.share * (1.0 - self.share) / (self.tried as f64 + Priors::WORTH + 1.0)).sqrt()
    }
}

impl Outlook {
    /// The cost below which a share of such tasks stays.
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

    /// By how much one task's own range is wider than its shape, because the
    /// middle is not known exactly.
    fn widening(&self) -> f64 {
        let variance = self.shape.deviation.powi(2);
        let all = variance + self.middle_deviation.powi(2) + self.group_deviation.powi(2);
        if variance > 0.0 {
            (all / variance).sqrt()
        } else {
            1.0
        }
    }

    /// By how much its time grows when its cost does, both as logarithms.
    pub(super) fn slowdown(&self, log_factor: f64) -> f64 {
        (TIME_PER_COST * log_factor).exp()
    }
}
