//! Many runs, put into figures.

use super::{Limit, Played};
use divisi_core::{Millis, PicoUsd};
use serde::Serialize;

/// What many runs of a graph came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// How many runs were drawn.
    pub repetitions: usize,
    /// Time until the last task ended, or the cap held no more.
    pub took: Percentiles<Millis>,
    /// Dollars.
    pub cost: Percentiles<PicoUsd>,
    /// Runs that the cap stopped.
    pub parked: usize,
    /// How many tasks those had done.
    pub done: Option<Percentiles<u64>>,
    /// The same runs without the cap, where there is one.
    pub uncapped: Option<Uncapped>,
    /// What mostly holds the run back.
    pub holds: Holds,
    /// Middle of the time with no limit at all but who waits for whom.
    pub unlimited: Millis,
    /// What each limit costs, the largest gain first.
    pub gains: Vec<Gain>,
}

/// Runs without their cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Uncapped {
    /// Time until the last task ended.
    pub took: Percentiles<Millis>,
    /// Dollars.
    pub cost: Percentiles<PicoUsd>,
}

/// What holds a run back most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "by", rename_all = "camelCase")]
pub enum Holds {
    /// The cap stops more than half of the runs, or lets so few requests be under
    /// way at once that nothing else holds them back as much.
    Cap,
    /// This limit.
    One(Limit),
    /// Several limits: to raise one alone brings nothing.
    Several,
    /// Tasks that wait for each other: no limit makes it much longer.
    CriticalPath,
}

/// What doubling one limit brings: middles of all runs, without the cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gain {
    /// Which one.
    #[serde(flatten)]
    pub limit: Limit,
    /// Time as it is.
    pub from: Millis,
    /// Time with twice of it.
    pub to: Millis,
}

/// Of a hundred runs ten lie below `p10`, fifty below `p50`, ninety below `p90`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles<T> {
    /// The low end.
    pub p10: T,
    /// The middle.
    pub p50: T,
    /// The high end.
    pub p90: T,
}

/// A gain of less than one part in so many is none.
const GAIN_ONE_IN: u64 = 50;

/// A run that is longer than without limits by less than one part in so many
/// is held back by none.
const FREE_ONE_IN: u64 = 20;

impl<T: Copy + Ord + Default> Percentiles<T> {
    /// Those of these values: of few, the nearest that there are.
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
    /// Whether it is worth a word.
    pub fn is_any(&self) -> bool {
        self.from.0.saturating_sub(self.to.0) * GAIN_ONE_IN > self.from.0
    }
}

/// All runs that an answer is made of.
pub(super) struct Runs {
    /// Under the limits as they are.
    pub(super) all: Vec<Played>,
    /// Without the cap, where there is one.
    pub(super) uncapped: Option<Vec<Played>>,
    pub(super) unlimited: Vec<Played>,
    /// With twice of each limit, and no cap.
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
