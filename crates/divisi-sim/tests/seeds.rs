//! Two thousand seeds keep every promise, and the same seed is the same story.

use divisi_sim::{Tally, simulate};

/// Enough to find within seconds what a day of use would; a seed that
/// breaks something gets a test of its own.
const SEEDS: u64 = 2_000;

#[test]
fn every_seed_keeps_the_promises() {
    for seed in 0..SEEDS {
        if let Err(broken) = simulate(seed) {
            panic!("{broken}");
        }
    }
}

#[test]
fn a_seed_is_always_the_same_story() {
    for seed in [1, 7, 42] {
        let tally = simulate(seed).expect("it keeps the promises");
        assert_eq!(simulate(seed).expect("it keeps the promises"), tally);
        assert_ne!(tally, Tally::default());
    }
}
