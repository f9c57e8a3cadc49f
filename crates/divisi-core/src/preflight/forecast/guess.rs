//! How many tasks there will be where a result decides it.

use crate::preflight::Guess;

/// Elements of a list that an agent makes, where nothing is known: four or five in the
/// middle. A dry run shows fewer, so that lists in lists stay small.
const LIST: f64 = 4.5;

/// Rounds of a loop that results end: three that bring something, and the one that says that
/// nothing is left.
const ROUNDS: f64 = 4.0;

/// How far such a list of one place usually is from that, as a logarithm.
const PLACE_DEVIATION: f64 = 0.55;

/// And how far those of single runs are from each other.
const RUN_DEVIATION: f64 = 0.35;

/// How many runs that is worth.
const RUN_WORTH: f64 = 3.0;

/// Runs that count: lists change as what they list does.
const RUNS_MAX: usize = 20;

/// By how much there will be more tasks than a graph counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct More {
    /// The logarithm of the middle.
    pub(super) log: f64,
    /// And its deviation.
    pub(super) deviation: f64,
}

impl More {
    pub(super) fn of(guess: &Guess) -> Self {
        let (log, deviation) = expected(&guess.seen, guess.repeats);
        let counted = (guess.counted.max(1) as f64).ln();
        Self {
            log: log - counted,
            deviation,
        }
    }
}

impl Guess {
    /// Elements or rounds to count with: the middle of what was seen and what is usual.
    pub fn expected(&self) -> usize {
        let (log, _) = expected(&self.seen, self.repeats);
        (log.exp().round() as usize).max(1)
    }
}

/// Logarithm of the middle, and how far a run may be from it.
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
