//! The median cost of a task: the prior, corrected by observations.

use super::assumed::Assumed;
use super::fit::{Cell, Fit, Place};
use super::spread::Shape;

/// Assumed error of priors, as a logarithm: nine of ten are off by less than 2.8 times.
const PRIOR_DEVIATION: f64 = 0.8;

/// The median cost of a task, without the effects of its flow, phase and label.
#[derive(Clone, Copy, Debug)]
pub(super) struct Middle {
    /// Its logarithm, in picodollars; `None` for an unpriced model.
    pub(super) log: Option<f64>,
    /// Its uncertainty, common to all tasks of the model.
    pub(super) deviation: f64,
}

/// The estimated error of the prior, with its variance.
struct Belief {
    mean: f64,
    variance: f64,
}

impl Belief {
    /// Estimates the error from tasks with this `noise` that were off by `off` on average. A prior
    /// that is far off gets less weight.
    fn of(off: f64, tasks: f64, noise: f64) -> Self {
        let prior = PRIOR_DEVIATION * PRIOR_DEVIATION + off * off;
        // Tasks and prior are weighed by the inverse of their variances.
        let variance = 1.0 / (tasks / (noise * noise) + 1.0 / prior);
        Self {
            mean: off * (1.0 - variance / prior),
            variance,
        }
    }
}

impl Middle {
    /// Corrects the prior by the average error of all tasks of the model, then by that of the tasks
    /// of the kind.
    pub(super) fn of(fit: &Fit, place: &Place<'_>, assumed: &Assumed<'_>, shape: &Shape) -> Self {
        let own_prompt = (assumed.task.prompt_tokens.max(1) as f64).ln();
        let prior = assumed.log_cost(place.kind, own_prompt);
        let cells: Vec<(&str, &Cell)> = fit
            .of_model(place.model)
            .filter(|(_, cell)| cell.priced > 0)
            .collect();
        let count: f64 = cells.iter().map(|(_, cell)| cell.priced as f64).sum();
        if cells.is_empty() {
            return Self {
                log: prior,
                deviation: PRIOR_DEVIATION,
            };
        }
        let off = |kind: &str, cell: &Cell| {
            cell.log_cost
                - assumed
                    .log_cost(kind, cell.log_prompt.unwrap_or(own_prompt))
                    .unwrap_or(0.0)
        };
        let off_all = cells
            .iter()
            .map(|(kind, cell)| off(kind, cell) * cell.priced as f64)
            .sum::<f64>()
            / count;
        // Without a price there are only observations.
        let model = match prior {
            Some(_) => Belief::of(off_all, count, shape.deviation),
            None => Belief {
                mean: off_all,
                variance: shape.deviation * shape.deviation / count,
            },
        };
        let Some((kind, cell)) = cells.into_iter().find(|(kind, _)| *kind == place.kind) else {
            let variance = model.variance + PRIOR_DEVIATION * PRIOR_DEVIATION / 2.0;
            return Self {
                log: Some(prior.unwrap_or(0.0) + model.mean),
                deviation: variance.sqrt(),
            };
        };
        let own = Belief::of(
            off(kind, cell) - model.mean,
            cell.priced as f64,
            shape.deviation,
        );
        let mean_prompt = cell.log_prompt.unwrap_or(own_prompt);
        let at_mean = assumed.log_cost(place.kind, mean_prompt).unwrap_or(0.0);
        let slope = fit.prompt_effect(own_prompt - mean_prompt, prior.unwrap_or(at_mean) - at_mean);
        Self {
            log: Some(at_mean + model.mean + own.mean + slope),
            deviation: own.variance.sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_outweighs_the_prior_soon_and_a_bad_one_sooner() {
        let near = Belief::of(0.5, 3.0, 1.0);
        assert!((0.3..0.45).contains(&near.mean), "{}", near.mean);
        let far = Belief::of(4.0, 3.0, 1.0);
        assert!(far.mean > 3.8, "{}", far.mean);
        assert_eq!(
            Belief::of(0.0, 0.0, 1.0).variance,
            PRIOR_DEVIATION * PRIOR_DEVIATION
        );
        assert!(Belief::of(0.5, 300.0, 1.0).variance < 0.004);
    }
}
