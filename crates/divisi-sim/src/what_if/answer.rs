//! Summarises many simulated runs.

use super::{Limit, Played};
use divisi_core::{Millis, PicoUsd};
use serde::Serialize;

/// The outcome of many runs of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Number of runs drawn.
    pub repetitions: usize,
    /// Time until the last task ended, or the cap was exhausted.
    pub took: Percentiles<Millis>,
    /// Dollars.
    pub cost: Percentiles<PicoUsd>,
    /// Runs stopped by the cap.
    pub parked: usize,
    /// Number of tasks that those had done.
    pub done: Option<Percentiles<u64>>,
    /// The same runs without the cap, if there is one.
    pub uncapped: Option<Uncapped>,
    /// What mostly holds the run back.
    pub holds: Holds,
    /// Median time without any limit except the dependencies.
    pub unlimited: Millis,
    /// The gain of each limit, largest first.
    pub gains: Vec<Gain>,
}

/// Runs without their cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Uncapped {
    /// Time until the last task ended.
    pub took: Percentiles<Millis>,
    /// Dollars.
    pub cost: Percentiles<PicoUsd>,
}

/// What holds a run back most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// The cap stops more than half of the runs, or permits so few requests at once that nothing
    /// else holds them back as much.
    Cap,
    /// This limit.
    One(Limit),
    /// Several limits: to raise one alone brings nothing.
    Several,
    /// The longest chain of dependent tasks: no limit changes it much.
    CriticalPath,
}

/// The effect of doubling one limit: medians of all runs, without the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gain {
    /// Which one.
    pub limit: Limit,
    /// Time with the limit as it is.
    pub from: Millis,
    /// Time with twice the limit.
    pub to: Millis,
}

/// Of a hundred runs ten are below `p10`, fifty below `p50`, ninety below `p90`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Percentiles<T> {
    /// The low end.
    pub p10: T,
    /// The middle.
    pub p50: T,
    /// The high end.
    pub p90: T,
}

/// A gain of less than one part in this many does not count.
const GAIN_ONE_IN: u64 = 50;

/// A run that is longer than without limits by less than one part in this many is held back by
/// none.
const FREE_ONE_IN: u64 = 20;

impl<T: Copy + Ord + Default> Percentiles<T> {
    /// Percentiles of these values; of few values the nearest ones.
    pub(super) fn of(values: impl IntoIterator<Item = T>) -> Self {
        let mut values: Vec<T> = values.into_iter().collect();
        values.sort_unstable();
        let last = values.len().saturating_sub(1);
        let at = |percent: usize| {
            values
                .get((last * percent + 50) / 100)
                .copied()
                .unwrap_or_default()
        };
        Self {
            p10: at(10),
            p50: at(50),
            p90: at(90),
        }
    }
}

impl Gain {
    /// Whether it is worth mentioning.
    pub fn is_any(&self) -> bool {
        self.from.0.saturating_sub(self.to.0) * GAIN_ONE_IN > self.from.0
    }
}

/// The runs behind an answer.
pub(super) struct Runs {
    /// Under the actual limits.
    pub(super) all: Vec<Played>,
    /// Without the cap, if there is one.
    pub(super) uncapped: Option<Vec<Played>>,
    pub(super) unlimited: Vec<Played>,
    /// With each limit doubled, and without a cap.
    pub(super) doubled: Vec<(Limit, Vec<Played>)>,
}

impl Answer {
    pub(super) fn of(
        Runs {
            all,
            uncapped,
            unlimited,
            doubled,
        }: Runs,
    ) -> Self {
        let took = |runs: &[Played]| Percentiles::of(runs.iter().map(|run| run.took));
        let parked: Vec<&Played> = all.iter().filter(|run| run.parked).collect();
        let uncapped = uncapped.map(|runs| Uncapped {
            took: took(&runs),
            cost: Percentiles::of(runs.iter().map(|run| run.cost)),
        });
        let with_cap = took(&all);
        let from = uncapped.map_or(with_cap, |uncapped| uncapped.took).p50;
        let gain = |(limit, runs): &(Limit, Vec<Played>)| Gain {
            limit: *limit,
            from,
            to: took(runs).p50,
        };
        let mut gains: Vec<Gain> = doubled.iter().map(gain).collect();
        gains.sort_by_key(|gain| (gain.to, gain.limit));
        let unlimited = took(&unlimited).p50;
        let most = gains
            .first()
            .map_or(0, |gain| gain.from.0.saturating_sub(gain.to.0));
        let by_cap = with_cap.p50.0.saturating_sub(from.0);
        Self {
            repetitions: all.len(),
            took: with_cap,
            cost: Percentiles::of(all.iter().map(|run| run.cost)),
            parked: parked.len(),
            done: (!parked.is_empty()).then(|| Percentiles::of(parked.iter().map(|run| run.done))),
            uncapped,
            holds: match gains.first() {
                _ if parked.len() * 2 > all.len() => Holds::Cap,
                _ if by_cap > most && by_cap * GAIN_ONE_IN > with_cap.p50.0 => Holds::Cap,
                Some(gain) if gain.is_any() => Holds::One(gain.limit),
                _ if from.0.saturating_sub(unlimited.0) * FREE_ONE_IN > from.0 => Holds::Several,
                _ => Holds::CriticalPath,
            },
            unlimited,
            gains,
        }
    }
}
