//! The number of tasks where results decide it.

use crate::preflight::Guess;

/// Median number of elements of a list made by an agent, without observations. The dry run uses
/// fewer, so that nested lists stay small.
const LIST: f64 = 4.5;

/// Median number of rounds of a loop that is ended by a result: three that find something, and one
/// that finds nothing more.
const ROUNDS: f64 = 4.0;

/// Prior standard deviation of a place's number from these, as a logarithm.
const PLACE_DEVIATION: f64 = 0.55;

/// Assumed standard deviation between runs of one place, as a logarithm.
const RUN_DEVIATION: f64 = 0.35;

/// Number of runs that [`RUN_DEVIATION`] counts for.
const RUN_WORTH: f64 = 3.0;

/// Newest runs that are used, because lists change over time.
const RUNS_MAX: usize = 20;

/// The factor between the expected number of tasks and that of the graph.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct More {
    /// Logarithm of its median.
    pub(super) log: f64,
    /// Standard deviation of this logarithm.
    pub(super) deviation: f64,
}

impl More {
    pub(super) fn of(guess: &Guess) -> Self {
        let (log, deviation) = expected(&guess.seen, guess.repeats);
        let log = guess
            .most
            .map_or(log, |most| log.min((most.max(1) as f64).ln()));
        let counted = (guess.counted.max(1) as f64).ln();
        Self {
            log: log - counted,
            deviation,
        }
    }
}

impl Guess {
    /// The number of elements or rounds to assume: past runs, combined with the usual number.
    pub fn expected(&self) -> usize {
        let (log, _) = expected(&self.seen, self.repeats);
        (log.exp().round() as usize).max(1)
    }
}

/// Logarithm of the median number, and its standard deviation for one run.
fn expected(seen: &[u32], repeats: bool) -> (f64, f64) {
    let usual = if repeats { ROUNDS } else { LIST }.ln();
    let newest = &seen[seen.len().saturating_sub(RUNS_MAX)..];
    let logs = newest.iter().map(|count| f64::from((*count).max(1)).ln());
    let runs = newest.len() as f64;
    let place = PLACE_DEVIATION * PLACE_DEVIATION;
    let usual_noise = RUN_DEVIATION * RUN_DEVIATION;
    if newest.is_empty() {
        return (usual, (place + usual_noise).sqrt());
    }
    let mean = logs.clone().sum::<f64>() / runs;
    let squares: f64 = logs.map(|log| (log - mean).powi(2)).sum();
    let noise = (squares + usual_noise * RUN_WORTH) / (runs - 1.0 + RUN_WORTH);
    let trust = place / (place + noise / runs);
    let unsure = place * (1.0 - trust);
    (usual + trust * (mean - usual), (unsure + noise).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(seen: &[u32]) -> Guess {
        Guess {
            counted: 3,
            seen: seen.to_vec(),
            ..Guess::default()
        }
    }

    #[test]
    fn lists_are_as_long_as_they_were() {
        assert_eq!(guess(&[]).expected(), 5);
        assert_eq!(guess(&[12]).expected(), 9);
        assert_eq!(guess(&[12; 10]).expected(), 12);
        let wide = |seen: &[u32]| More::of(&guess(seen)).deviation;
        assert!(wide(&[12; 10]) < wide(&[12]) && wide(&[12]) < wide(&[]));
        assert!(wide(&[4, 30, 8, 20]) > wide(&[12; 4]));
    }
}
